"""The one exception that means "the user can mend this", and how the machine's own faults are recognized."""

# packages that only some commands need -> the extra of pyproject.toml that brings them
EXTRAS = {
    "matplotlib": "workflow",
    "minari": "minari",
    "onnx": "onnx",
    "pyarrow": "arrow",
    "stable_baselines3": "collect",
}
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


def missing_extra(error: ModuleNotFoundError, command: str) -> str | None:
    """Say how to install an optional package that a command misses, None if it is none of those."""
    package = (error.name or "").partition(".")[0]
    if package not in EXTRAS:
        return None
    extra = command if command in EXTRAS.values() else EXTRAS[package]
    return f"{command} needs {package.replace('_', '-')}: pip install 'obdistill[{extra}]'"
