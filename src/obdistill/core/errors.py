"""The one exception that means "the user can mend this"."""


class UserError(Exception):
    """Bad input: the message is one line that names the file or setting, the value, and what is allowed.

    Commands print it without a traceback and exit with status 2.
    """
