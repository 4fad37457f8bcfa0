"""The one exception that means "the user can mend this", and how the machine's own faults are recognized."""

MEMORY_SIGNS = ("DefaultCPUAllocator", "not enough memory", "out of memory", "std::bad_alloc")


class UserError(Exception):
    """Bad input: one line for each problem names the file or setting, the value, and what is allowed.

    Commands print them without a traceback and exit with status 2.
    """


def out_of_memory(error: BaseException) -> bool:
    """Tell whether an error says that memory ran out; torch says so by a `RuntimeError`."""
    if isinstance(error, MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(sign in str(error) for sign in MEMORY_SIGNS)
