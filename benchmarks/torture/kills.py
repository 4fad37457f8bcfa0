"""Kill each stage at random moments: what is there is whole, and the same command again ends with the same bytes."""

import signal
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random

from benchmarks.torture.counts import Attack, Outcome

from helpers import stages
from obdistill.core import artifacts

DATA = {".npz", ".safetensors", ".csv", ".png", ".pdf", ".hdf5"}  # files whose bytes two runs share
SIGNALS = (signal.SIGKILL, signal.SIGTERM)
PATIENCE = 3600  # seconds after which a stage of a second hangs, on however busy a machine


def data(folder: Path) -> dict[str, str]:
    """Hash every file of data; hidden files and checkpoints too, for none may be left."""
    files = [path for path in folder.rglob("*") if path.is_file() and path.name not in stages.TIMED]
    return {
        str(path.relative_to(folder)): artifacts.sha256(path)
        for path in files
        if path.suffix in DATA or path.name.startswith(".")
    }


def damaged(folder: Path, expected: dict[str, str]) -> list[str]:
    """List the files that are not what a quiet run makes, but for hidden ones and checkpoints, which come and go."""
    return [
        path
        for path, sha256 in data(folder).items()
        if "/." not in f"/{path}" and "checkpoint" not in path and expected.get(path) != sha256
    ]


def finish(folder: Path, step: str) -> float:
    """Run a step to its end; returns the seconds."""
    began = time.monotonic()
    process = stages.start_step(folder, step)
    process.join(PATIENCE)
    process.kill()
    process.join()
    if process.exitcode:
        raise RuntimeError(f"{step}: {process.exitcode}: {(folder / stages.SAID).read_text()[-1000:]}")
    return time.monotonic() - began


def kill(step: str, tries: int, random: Random, root: Path) -> Iterator[Outcome]:
    """Kill a step `tries` times, by SIGKILL and SIGTERM in turn, and run it again to its end."""
    quiet, killed = root / "quiet", root / "killed"
    for folder in (quiet, killed):
        folder.mkdir(exist_ok=True)
        done = folder / "done.txt"  # the steps before, if this run goes on with a later one
        names = done.read_text().split() if done.exists() else []
        for earlier in stages.STEPS:
            if earlier == step:
                break
            if earlier not in names:
                finish(folder, earlier)
                names.append(earlier)
        done.write_text(" ".join(names))
    took = finish(quiet, step)
    expected = data(quiet)
    hits = 0
    while hits < tries:
        number = SIGNALS[hits % 2]
        process = stages.start_step(killed, step)
        process.join(random.uniform(0.02, 0.98) * took)
        if process.is_alive():
            process.kill() if number == signal.SIGKILL else process.terminate()
        process.join(PATIENCE)
        if process.exitcode == 0:  # it was faster
            took *= 0.9
            continue
        hits += 1
        allowed = {-signal.SIGKILL} if number == signal.SIGKILL else {-signal.SIGTERM, 128 + signal.SIGTERM}
        if process.exitcode not in allowed:
            process.kill()
            yield Outcome("lost", f"{number.name}: ended with {process.exitcode}")
        elif wrong := damaged(killed, expected):
            yield Outcome("wrong", f"{number.name}: {wrong}")
        elif hits < tries:
            yield Outcome("same")
    try:
        finish(killed, step)
    except RuntimeError as error:
        yield Outcome("lost", str(error))
        return
    found = data(killed)
    differing = sorted(path for path in found.keys() | expected.keys() if found.get(path) != expected.get(path))
    yield Outcome("lost", f"differs from a quiet run: {differing}") if differing else Outcome("same")
    for folder in (quiet, killed):
        with (folder / "done.txt").open("a") as file:
            file.write(f" {step}")


ATTACK = Attack("kills", list(stages.STEPS), tries=90, short=2 * len(stages.STEPS), run=kill)
