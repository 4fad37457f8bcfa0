"""Locks between processes, which end with the process that holds them, however that ends.

They are flocks. Where the file system has none, a file with the name of its machine and the number of its process
stands for a lock, and one warning says so.
"""

import atexit
import contextlib
import fcntl
import functools
import logging
import os
import platform
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

from obdistill.core.errors import UserError

LOCK = Path(".snakemake/obdistill.core.lock")
VARIABLE = "OBD_LOCK"  # tells a run's jobs where its lock is
NO_LOCKS = "this file system has no locks (flock): a file with the number of its process stands for each"
_held: list[IO[str]] = []  # open until the process ends
log = logging.getLogger(__name__)


def try_lock(file: IO[Any] | int, shared: bool = False) -> bool | None:
    """Lock an open file without waiting; closing the file releases it.

    Parameters
    ----------
    file : file object or int
        Open file, or the descriptor of an open folder.
    shared : bool
        Whether others may hold the lock too, if all of them share it.

    Returns
    -------
    bool or None
        True if the lock is held now, False if another process holds it, None where the file system has no locks.
    """
    try:
        fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


@contextlib.contextmanager
def held(path: Path, busy: str, patience: float = 0.0, tell: bool = False) -> Iterator[None]:
    """Hold the lock that a file stands for, which is there for as long.

    Parameters
    ----------
    path : Path
        The file; its folder must exist.
    busy : str
        What to say if another process holds the lock.
    patience : float
        Seconds to wait for it.
    tell : bool
        Whether to say that the file system has no locks.

    Raises
    ------
    UserError
        If another process holds the lock, or the file cannot be written.
    """
    deadline, pause = time.monotonic() + patience, 0.002
    try:
        while (release := _take(path, tell)) is None:
            if time.monotonic() >= deadline:
                raise UserError(f"{busy} (its lock: {path}{_name_in(_owner(path))})")
            tell, pause = False, min(2 * pause, 0.5)
            time.sleep(pause)
    except OSError as error:
        raise UserError(f"{path}: cannot be written ({error.strerror or error})") from None
    try:
        yield
    finally:
        release()


def _take(path: Path, tell: bool) -> Callable[[], None] | None:
    """Make the lock file and lock it; returns what releases it, None if another process holds it."""
    file = path.open("a")
    locked = try_lock(file)
    if locked is None:
        file.close()
        path.unlink(missing_ok=True)
        if tell:
            log.warning("%s: %s", path.parent, NO_LOCKS)
        return _take_by_name(_owner(path))
    if not locked or not _is_at(file, path):  # a file that was deleted since it was opened is nobody's lock
        file.close()
        return None

    def release() -> None:
        path.unlink(missing_ok=True)  # before it is closed: whoever waits for it then makes a new one
        file.close()

    return release


def _is_at(file: IO[Any], path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


def _owner(path: Path) -> Path:
    return path.with_name(path.name + ".owner")


def _name_in(owner: Path) -> str:
    """Say whose name stands for a lock, if that is how it is held."""
    try:
        host, pid = owner.read_text().split()
    except (OSError, ValueError):
        return f"; delete {owner} if no such process is at work" if owner.exists() else ""
    return f", held by process {pid} on {host}; delete {owner} if that has ended"


def _take_by_name(owner: Path) -> Callable[[], None] | None:
    """Do without flock: make a file with this process's name, unless a living one's stands there."""
    with contextlib.suppress(OSError, ValueError):  # no such file, or one that is not written yet
        host, pid = owner.read_text().split()
        if host == platform.node() and not _alive(int(pid)):
            owner.unlink()
    try:
        with owner.open("x") as file:
            file.write(f"{platform.node()} {os.getpid()}")
    except FileExistsError:
        return None
    return functools.partial(owner.unlink, missing_ok=True)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # another user's
        pass
    return True


def output(out: Path) -> contextlib.AbstractContextManager[None]:
    """Hold the lock of an output while a stage makes it.

    Raises
    ------
    UserError
        On entering, if another process is making the same output.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    busy = f"--out {out}: another process is at work on it; wait for it, or end it"
    return held(out.with_name(f".{out.name}.lock"), busy, tell=True)


def take() -> None:
    """Begin a run in the working directory.

    Its jobs hold the lock too, so that one that a killed run has left behind cannot overwrite the results of the next.
    Where the file system has no locks, such a job still holds that of its own output.

    Raises
    ------
    UserError
        If another run, or a job of one, is still at work.
    """
    LOCK.parent.mkdir(exist_ok=True)
    file = LOCK.open("a")
    locked = try_lock(file)
    release = None
    if locked is None:
        log.warning("%s: %s", LOCK.parent, NO_LOCKS)
        release = _take_by_name(_owner(LOCK))
    if locked is False or (locked is None and release is None):
        raise UserError(
            f"{LOCK}: another run is at work in this folder, or a job that a killed run left behind; wait for it, or "
            "end it (`pgrep -af 'snakemake|obd '` lists both), and type the same command again"
            f"{_name_in(_owner(LOCK)) if locked is None else ''}"
        )
    if release is not None:
        atexit.register(release)
    try_lock(file, shared=True)  # room for the jobs
    _held.append(file)
    os.environ[VARIABLE] = str(LOCK.resolve())


def share() -> None:
    """Hold the lock of the run that started this process, if one did."""
    if VARIABLE in os.environ:
        with contextlib.suppress(OSError):  # another machine
            file = Path(os.environ[VARIABLE]).open("a")  # noqa: SIM115
            try_lock(file, shared=True)
            _held.append(file)
