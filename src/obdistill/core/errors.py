"""The one exception that means "the user can mend this"."""


class UserError(Exception):
    """Bad input: one line for each problem names the file or setting, the value, and what is allowed.

    Commands print them without a traceback and exit with status 2.
    """
