"""One run at a time in a folder: a lock that ends with the last process that holds it, however that ends."""

import fcntl
import os
from pathlib import Path
from typing import IO

from obdistill.core.errors import UserError

LOCK = Path(".snakemake/obdistill.core.lock")
VARIABLE = "OBD_LOCK"  # tells a run's jobs where its lock is
_held: list[IO[str]] = []  # open until the process ends


def take() -> None:
    """Begin a run in the working directory.

    Its jobs hold the lock too, so that one that a killed run has left behind cannot overwrite the results of the next.

    Raises
    ------
    UserError
        If another run, or a job of one, is still at work.
    """
    LOCK.parent.mkdir(exist_ok=True)
    file = LOCK.open("a")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        fcntl.flock(file, fcntl.LOCK_SH)  # room for the jobs
    except BlockingIOError:
        raise UserError(
            f"{LOCK}: another run is at work in this folder, or a job that a killed run left behind; wait for it, or "
            "end it (`pgrep -af 'snakemake|obd '` lists both), and type the same command again"
        ) from None
    except OSError:  # a file system without locks
        pass
    _held.append(file)
    os.environ[VARIABLE] = str(LOCK.resolve())


def share() -> None:
    """Hold the lock of the run that started this process, if one did."""
    if VARIABLE in os.environ:
        try:
            file = Path(os.environ[VARIABLE]).open("a")  # noqa: SIM115
            fcntl.flock(file, fcntl.LOCK_SH)
            _held.append(file)
        except OSError:  # another machine, or a file system without locks
            pass
