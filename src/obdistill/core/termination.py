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
    """End with `Terminated` (Ctrl-C: `KeyboardInterrupt`), so that locks and temporary files go and workers end too.

    It ends so even where code in another language has made an error of its own out of that exception.
    """
    asked: list[int] = []

    def answer(number: int, frame: object) -> None:
        asked.append(number)
        end(number)

    with _answered([*ASKED, signal.SIGINT], answer):
        try:
            yield
        except BaseException as error:
            if not asked and not isinstance(error, Terminated | KeyboardInterrupt):
                raise
            for worker in multiprocessing.active_children():
                worker.terminate()
            if isinstance(error, Terminated | KeyboardInterrupt):
                raise
            end(asked[0])


@contextlib.contextmanager
def postponed() -> Iterator[None]:
    """Have signals wait for the end of code that cannot be interrupted: Rust panics at an exception of Python."""
    with deferred() as asked:
        yield
    for number in asked[:1]:
        signal.raise_signal(number)


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
