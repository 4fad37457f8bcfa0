"""Two processes that write one file at a random distance, while a third reads it: a pair that is read is of one."""

import multiprocessing
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pandas as pd
from benchmarks.torture.counts import Attack, Outcome
from benchmarks.torture.kills import PATIENCE, data, finish

from helpers import stages
from obdistill.core import artifacts, atomic
from obdistill.core.errors import UserError

LENGTH = 500
_forks = multiprocessing.get_context("fork")


def _write_json(path: Path, writer: int) -> None:
    atomic.write_json(path, {"writer": writer, "numbers": [writer] * LENGTH})


def _read_json(path: Path) -> tuple[list[int], int]:
    found = artifacts.read_json(path)
    return found["numbers"], found["writer"]


def _writer_of(make: Callable[[int], Any]) -> Callable[[Path, int], None]:
    return lambda path, writer: artifacts.write_artifact(path, make(writer), {"kind": "made", "writer": writer})


def _read_arrays(path: Path) -> tuple[Any, int]:
    arrays, metadata = artifacts.read_arrays(path, "made")
    return arrays["x"], metadata["writer"]


def _read_table(path: Path) -> tuple[Any, int]:
    frame, metadata = artifacts.read_table(path, "made")
    return frame["x"], metadata["writer"]


_arrays = _writer_of(lambda writer: {"x": np.full(LENGTH, writer)})
_table = _writer_of(lambda writer: pd.DataFrame({"x": np.full(LENGTH, writer)}))
# file: how it is written, and how it is read: numbers, and the writer that its metadata name
FILES: dict[str, tuple[Callable[[Path, int], None], Callable[[Path], tuple[Any, int]]]] = {
    "npz": (_arrays, _read_arrays),
    "safetensors": (_arrays, _read_arrays),
    "csv": (_table, _read_table),
    "json": (_write_json, _read_json),
}
COMMANDS = "two commands, one --out"


def race(kind: str, tries: int, random: Random, root: Path) -> Iterator[Outcome]:
    """Race two writers."""
    yield from race_commands(tries, random, root) if kind == COMMANDS else race_writers(kind, tries, random, root)


def race_writers(kind: str, tries: int, random: Random, root: Path) -> Iterator[Outcome]:
    """Race two writers of one file, and read it all the time."""
    path = root / f"{kind}.{kind}"  # no other kind's sidecar
    write, read = FILES[kind]

    def delayed(writer: int, delay: float) -> None:
        time.sleep(delay)
        write(path, writer)

    def wrong(writers: set[int]) -> str:
        try:
            numbers, named = read(path)
        except UserError:  # told
            return ""
        return "" if set(numbers) == {named} and named in writers else f"numbers {set(numbers)}, label {named}"

    before: set[int] = set()
    for number in range(tries):
        writers = {2 * number, 2 * number + 1}
        pair = [_forks.Process(target=delayed, args=(writer, random.uniform(0, 0.01))) for writer in writers]
        for process in pair:
            process.start()
        seen = ""
        while any(process.is_alive() for process in pair):
            seen = seen or wrong(writers | before)
        seen = seen or wrong(writers)
        before = writers
        if any(process.exitcode for process in pair):
            yield Outcome("lost", "a writer failed")
            continue
        try:
            read(path)
        except UserError as error:
            yield Outcome("lost", str(error))
            continue
        yield Outcome("wrong", seen) if seen else Outcome("same")


def race_commands(tries: int, random: Random, root: Path) -> Iterator[Outcome]:
    """Start a training twice with one ``--out``: one makes it, the other waits for nothing and says so."""
    quiet, raced = root / "quiet", root / "raced"
    for folder in (quiet, raced):
        if not folder.exists():
            folder.mkdir()
            for step in ("collect", "dataset"):
                finish(folder, step)
    took = finish(quiet, "near-expert")
    expected = data(quiet)
    for _ in range(tries):
        (raced / stages.SAID).write_text("")
        first = stages.start_step(raced, "near-expert")
        time.sleep(random.uniform(0, 0.8) * took)
        second = stages.start_step(raced, "near-expert")
        for process in (first, second):
            process.join(PATIENCE)
        said = (raced / stages.SAID).read_text()
        codes = [first.exitcode, second.exitcode]
        refused = codes.count(2)
        if sorted(codes) not in ([0, 0], [0, 2]) or data(raced) != expected:
            yield Outcome("lost", f"{codes}: {said[-500:]}")
        elif said.count("another process is at work on it") != refused:
            yield Outcome("lost", f"{refused} refused: {said[-500:]}")
        else:
            yield Outcome("told" if refused else "same")


ATTACK = Attack("races", [*FILES, COMMANDS], tries=200, short=10, run=race)
