"""Ends that are asked for: SIGTERM (Slurm, `kill`), SIGHUP (a terminal that is closed), SIGINT (Ctrl-C)."""

import contextlib
import multiprocessing
import signal
from collections.abc import Callable, Iterator
from typing import Any

ASKED = [signal.SIGTERM, signal.SIGHUP]


class Terminated(SystemExit):
    """A signal asks for the end; the status is 128 and its number, as shells have it."""

    def __init__(self, number: int, where: str = "") -> None:
        super().__init__(128 + number)
        self.text = f"ended by {signal.Signals(number).name}{where}"


def end(number: int, where: str = "") -> None:
    """Raise what a signal stands for; `where` says how to go on.

    Raises
    ------
    Terminated, KeyboardInterrupt
    """
    if number == signal.SIGINT:
        raise KeyboardInterrupt(where)
    raise Terminated(number, where)


@contextlib.contextmanager
def handled() -> Iterator[None]:
    """End with `Terminated` at a signal, so that locks and temporary files go and workers end too."""
    with _answered(ASKED, lambda number, frame: end(number)):
        try:
            yield
        except (Terminated, KeyboardInterrupt):
            for worker in multiprocessing.active_children():
                worker.terminate()
            raise


@contextlib.contextmanager
def deferred() -> Iterator[list[int]]:
    """Collect signals in the list that is given, for work that may only end between two steps.

    A second Ctrl-C ends it at once.
    """
    asked: list[int] = []

    def note(number: int, frame: object) -> None:
        if asked and number == signal.SIGINT:
            end(number)
        asked.append(number)

    with _answered([*ASKED, signal.SIGINT], note):
        yield asked


@contextlib.contextmanager
def _answered(numbers: list[signal.Signals], answer: Callable[[int, Any], object]) -> Iterator[None]:
    """Answer signals by a function, but for those that are ignored (nohup)."""
    before: dict[signal.Signals, Any] = {}
    with contextlib.suppress(ValueError):  # only the main thread may
        for number in numbers:
            if signal.getsignal(number) != signal.SIG_IGN:
                before[number] = signal.signal(number, answer)
    try:
        yield
    finally:
        for number, previous in before.items():
            signal.signal(number, previous)
