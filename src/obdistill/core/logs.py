"""Logging and progress: the same lines in the terminal and in the log file."""

import logging
import os
import sys
from pathlib import Path
from typing import Any

from tqdm import tqdm

FORMAT = "%(asctime)s %(name)s: %(message)s"
SECONDS_BETWEEN_LINES = 5.0
LOG_ONLY = "OBD_LOG_ONLY"  # set while a live display has the terminal: lines go to the log file alone


def set_up(stage: str, log_file: Path | None = None) -> None:
    """Send log lines to standard error and, if given, to a file.

    Parameters
    ----------
    stage : str
        Name of the root logger's lines, e.g. ``distill``.
    log_file : Path, optional
        File to write as well; overwritten.
    """
    logging.raiseExceptions = False  # a full disk shall not fill the terminal
    options: dict[str, Any] = {"format": FORMAT.replace("%(name)s", stage), "datefmt": "%H:%M:%S", "force": True}
    terminal = logging.StreamHandler(sys.stderr)
    logging.basicConfig(level=logging.INFO, handlers=[terminal], **options)  # first: the file may be at fault
    if log_file is not None:
        log_file.parent.mkdir(parents=True, exist_ok=True)
        shown = [] if os.environ.get(LOG_ONLY) else [terminal]
        logging.basicConfig(level=logging.INFO, handlers=[*shown, logging.FileHandler(log_file, "w")], **options)


class _LineStream:
    """A text stream that turns each progress bar refresh into one log line."""

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger

    def write(self, text: str) -> None:
        line = text.strip()
        if line:
            self._logger.info(line)

    def flush(self) -> None:
        """Nothing is buffered."""


def progress(total: int, description: str, unit: str = "step", initial: int = 0) -> "tqdm[Any]":
    """Return a tqdm meter that logs a line with rate and time left every few seconds.

    Parameters
    ----------
    total : int
        Number of units of work.
    description : str
        What is being done.
    unit : str
        Name of a unit.
    initial : int
        Units done before (after a resume).
    """
    return tqdm(
        total=total,
        desc=description,
        unit=f" {unit}s",
        initial=initial,
        file=_LineStream(logging.getLogger(__name__)),
        mininterval=SECONDS_BETWEEN_LINES,
        maxinterval=SECONDS_BETWEEN_LINES,
        bar_format="{desc}: {n_fmt}/{total_fmt}{unit} ({percentage:.0f} %), "
        "{rate_noinv_fmt}, {elapsed} gone, {remaining} left{postfix}",
    )
