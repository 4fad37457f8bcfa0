"""Kills, races and damage at random: counts what is lost and what passes wrong; both must be 0.

``python benchmarks/torture.py --kills 100 --races 200 --flips 500`` (``make torture``) takes about half an hour on two
cores and prints the table of docs/reliability.md. Kills hit every stage, by SIGKILL and SIGTERM in turn, at a random
moment; the same command again must end with the bytes of a quiet run. Races are two processes that write one artifact
at a random distance, with a third that reads; a read pair must be of one writer. Flips turn one bit of a file of each
kind that is read; it must be refused, or give the same numbers as before.
"""

import argparse
import contextlib
import multiprocessing
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from helpers import stages
from obdistill.core import artifacts
from obdistill.core.errors import UserError

DATA = {".npz", ".safetensors", ".csv", ".png", ".hdf5"}
READERS = {
    "dataset.npz": ("dataset", artifacts.read_arrays),
    "near_expert.safetensors": ("near_expert", artifacts.read_arrays),
    "synsets/synset.npz": ("synset", artifacts.read_arrays),
    "standard.csv": (artifacts.RETURNS, artifacts.read_table),
    "returns.csv": (artifacts.RETURNS, artifacts.read_table),
}
_forks = multiprocessing.get_context("fork")


def data(folder: Path) -> dict[str, str]:
    """Hash every file of data; hidden files and checkpoints too, for none may be left."""
    files = [path for path in folder.rglob("*") if path.is_file() and path.name not in stages.TIMED]
    return {
        str(path.relative_to(folder)): artifacts.sha256(path)
        for path in files
        if path.suffix in DATA or path.name.startswith(".")
    }


def finish(folder: Path, step: str) -> float:
    """Run a step to its end; returns the seconds."""
    began = time.monotonic()
    process = stages.start_step(folder, step)
    process.join()
    if process.exitcode:
        raise RuntimeError(f"{step}: {(folder / stages.SAID).read_text()[-2000:]}")
    return time.monotonic() - began


def kills(count: int, rng: random.Random, quiet: Path, counts: Counter[str]) -> None:
    """Kill each step at random moments, and run it again to its end.

    Parameters
    ----------
    count : int
        Number of kills.
    rng : Random
        Chooses the moments.
    quiet : Path
        Folder that a quiet run is made in.
    counts : Counter
        ``kills``, ``lost`` (other bytes at the end, or files left behind) and ``wrong status`` are added to.
    """
    killed = quiet.with_name("killed")
    killed.mkdir()
    each = -(-count // len(stages.STEPS))  # rounded up
    for step in stages.STEPS:
        took = finish(quiet, step)
        hits = 0
        while hits < each:
            number = (signal.SIGKILL, signal.SIGTERM)[hits % 2]
            process = stages.start_step(killed, step)
            process.join(rng.uniform(0.02, 0.98) * took)
            if process.is_alive():
                process.kill() if number == signal.SIGKILL else process.terminate()
            process.join()
            if process.exitcode == 0:  # it was faster
                took *= 0.9
                continue
            hits += 1
            counts["kills"] += 1
            expected = {-signal.SIGKILL} if number == signal.SIGKILL else {-signal.SIGTERM, 128 + signal.SIGTERM}
            counts["wrong status"] += process.exitcode not in expected
        finish(killed, step)
        counts["lost"] += data(killed) != data(quiet)


def races(count: int, rng: random.Random, folder: Path, counts: Counter[str]) -> None:
    """Have two processes write one artifact at once while this one reads; ``races``, ``wrong`` and ``failed``."""
    writers: dict[str, Callable[[int], Any]] = {
        "a.npz": lambda writer: {"x": np.full(500, writer)},
        "b.safetensors": lambda writer: {"x": np.full(500, writer)},
    }

    def write(path: Path, number: int, delay: float) -> None:
        time.sleep(delay)
        artifacts.write_artifact(path, writers[path.name](number), {"kind": "made", "writer": number})

    def wrong(path: Path) -> bool:
        with contextlib.suppress(UserError):  # told
            arrays, metadata = artifacts.read_arrays(path, "made")
            return set(arrays["x"]) != {metadata["writer"]}
        return False

    for number in range(count):
        path = folder / rng.choice(list(writers))
        delays = rng.uniform(0, 0.01), rng.uniform(0, 0.01)
        pair = [_forks.Process(target=write, args=(path, 2 * number + i, delay)) for i, delay in enumerate(delays)]
        for process in pair:
            process.start()
        while any(process.is_alive() for process in pair):
            counts["wrong"] += wrong(path)
        counts["races"] += 1
        counts["failed"] += any(process.exitcode for process in pair)
        left = set(artifacts.read_arrays(path, "made")[0]["x"])
        counts["wrong"] += wrong(path) or not left <= {2 * number, 2 * number + 1}


def flips(count: int, rng: random.Random, folder: Path, counts: Counter[str]) -> None:
    """Flip one bit of an artifact or its sidecar and read it; ``flips``, ``passed wrong`` and ``refused``."""
    for _ in range(count):
        name = rng.choice(list(READERS))
        kind, read = READERS[name]
        before = _comparable(read(folder / name, kind))
        path = rng.choice([folder / name, artifacts.sidecar(folder / name)])
        whole = path.read_bytes()
        at = rng.randrange(len(whole))
        path.write_bytes(whole[:at] + bytes([whole[at] ^ (1 << rng.randrange(8))]) + whole[at + 1 :])
        counts["flips"] += 1
        try:
            counts["passed wrong"] += _comparable(read(folder / name, kind)) != before
        except UserError:
            counts["refused"] += 1
        path.write_bytes(whole)


def _comparable(read: tuple[Any, dict[str, Any]]) -> tuple[Any, dict[str, Any]]:
    values, metadata = read
    return {name: np.asarray(values[name]).tolist() for name in values}, metadata


def main() -> None:
    """Parse the numbers, do it, print the counts; status 1 if anything was lost or wrong."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name, default in (("kills", 100), ("races", 200), ("flips", 500), ("seed", 0)):
        parser.add_argument(f"--{name}", type=int, default=default)
    given = parser.parse_args()
    root = Path(tempfile.mkdtemp(prefix="torture"))
    (root / "quiet").mkdir()
    counts: Counter[str] = Counter()
    try:
        kills(given.kills, random.Random(given.seed), root / "quiet", counts)
        races(given.races, random.Random(given.seed), root, counts)
        flips(given.flips, random.Random(given.seed), root / "quiet", counts)
    finally:
        shutil.rmtree(root, ignore_errors=True)
    print("| what | count |\n|---|---|")
    for name in ("kills", "wrong status", "lost", "races", "failed", "wrong", "flips", "refused", "passed wrong"):
        print(f"| {name} | {counts[name]} |")
    sys.exit(any(counts[name] for name in ("wrong status", "lost", "failed", "wrong", "passed wrong")))


if __name__ == "__main__":
    main()
