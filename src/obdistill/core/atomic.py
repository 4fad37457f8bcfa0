"""Files that are written whole or not at all: to a temporary name first, then renamed."""

import contextlib
import glob
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from obdistill.core.errors import UserError
from obdistill.core.lock import try_lock

UNFINISHED = ".new."  # what names of temporary folders begin with


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary file to write in place; at the end it takes the place of `path`, after an error it vanishes.

    Raises
    ------
    UserError
        If the file cannot be written (read-only folder, full disk).
    """
    with contextlib.ExitStack() as stack:
        try:
            temporary = _temporary(path, stack)
            yield temporary
            temporary.chmod(0o644)
            with temporary.open("rb") as written:
                os.fsync(written.fileno())
            os.replace(temporary, path)
        except OSError as error:
            raise UserError(f"{path}: cannot be written ({error.strerror or error})") from error


def _temporary(path: Path, stack: contextlib.ExitStack) -> Path:
    """Make the temporary file; it is locked, and both lock and file end with the stack."""
    path.parent.mkdir(parents=True, exist_ok=True)
    while True:
        # the suffix stays: numpy and pandas choose the format by it
        handle, name = tempfile.mkstemp(prefix=f".{path.stem}.", suffix=path.suffix, dir=path.parent)
        file, temporary = stack.enter_context(os.fdopen(handle)), Path(name)
        stack.callback(temporary.unlink, missing_ok=True)
        while (locked := try_lock(file, shared=True)) is False:  # another writer takes it for a leftover
            time.sleep(0.001)
        if locked:
            _remove_leftovers(path)
        if temporary.exists():
            return temporary


def _remove_leftovers(path: Path) -> None:
    """Delete the temporary files of writers of `path` that were killed."""
    for leftover in path.parent.glob(f".{glob.escape(path.stem)}.????????{path.suffix}"):
        with contextlib.suppress(OSError), leftover.open() as file:
            if try_lock(file):
                leftover.unlink()


@contextlib.contextmanager
def temporary_folder(parent: Path) -> Iterator[Path]:
    """Give a new folder in `parent` for what is not whole yet; at the end it is deleted with what is left in it.

    Folders that killed processes have left there go too.
    """
    with contextlib.ExitStack() as stack:
        while True:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix=UNFINISHED, dir=parent)))
            with contextlib.suppress(FileNotFoundError):
                locked = try_lock(stack.enter_context(_opened(folder)))
                if locked:
                    _remove_unfinished(parent)
                if locked is not False and folder.exists():  # else another process has taken it for a leftover
                    break
        yield folder


def _remove_unfinished(parent: Path) -> None:
    """Delete the folders of processes that were killed."""
    for leftover in parent.glob(f"{UNFINISHED}*"):
        with contextlib.suppress(OSError), _opened(leftover) as file:
            if try_lock(file):
                shutil.rmtree(leftover)


@contextlib.contextmanager
def _opened(folder: Path) -> Iterator[int]:
    file = os.open(folder, os.O_RDONLY)
    try:
        yield file
    finally:
        os.close(file)


def write_atomically(path: Path, write: Callable[[Path], None]) -> None:
    """Call ``write(temporary)`` and rename the result to `path`, so that no reader sees half a file.

    Parameters
    ----------
    path : Path
        File to write.
    write : callable
        Writes the file it is given, in place: a new file under that name would lack the lock of this one.

    Raises
    ------
    UserError
        If the file cannot be written (read-only folder, full disk).
    """
    with replacing(path) as temporary:
        write(temporary)


def check_writable(path: Path) -> None:
    """Check that a file can be written at `path`, by writing none.

    Raises
    ------
    UserError
        If it cannot.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        raise UserError(f"{path}: cannot be written ({error.strerror or error})") from None


def write_text(path: Path, text: str) -> None:
    """Write text atomically."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def as_json(data: Mapping[str, Any]) -> str:
    """Return plain data as indented JSON with sorted keys."""
    return json.dumps(data, indent=2, sort_keys=True) + "\n"


def write_json(path: Path, data: Mapping[str, Any]) -> None:
    """Write plain data as indented JSON, atomically."""
    write_text(path, as_json(data))
