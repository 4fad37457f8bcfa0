"""Kill Snakemake, alone or with its jobs, at random moments of a small real experiment, and type the command again."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random

import h5py
import numpy as np
from benchmarks.torture import REPOSITORY
from benchmarks.torture.counts import Attack, Outcome
from benchmarks.torture.kills import damaged, data

from helpers.workflow_copy import WorkflowCopy

WIDTHS = {"actor_hidden_widths": [8], "critic_hidden_widths": [8]}
DATASET = {"source": "d4rl", "file": "data.hdf5", "env_id": "Pendulum-v1", "reference_returns": [-1200.0, -150.0]}
CONFIG = {
    "tasks": {
        "pendulum": {
            "dataset": DATASET,
            "near_expert": {"algorithm": "td3_bc", "steps": 20, "batch_size": 8, **WIDTHS},
        }
    },
    "methods": ["random", "dbc", "av_pbc"],
    "sizes": [8],
    "seeds": [0],
    "distill": {"steps": 12, "snapshot_every": 6, "inner": {"steps": 3, "architecture": "mlp_2"}},
    "evaluate": {"policies": 1, "episodes": 1, "bc": {"steps": 5}},
    "report": {"tables": ["table_1"], "figures": ["figure_1"]},
}
KINDS = (
    "SIGKILL to Snakemake",
    "SIGTERM to Snakemake",
    "SIGKILL to Snakemake and its jobs",
    "SIGTERM to Snakemake and its jobs",
)
PATIENCE = 3600  # seconds; a machine may be busy
BUSY = "another run is at work"


def write_data(path: Path, rows: int = 400) -> Path:
    """Write random numbers of Pendulum's shapes in D4RL's layout, in episodes of 200 steps."""
    rng = np.random.default_rng(0)
    with h5py.File(path, "w") as file:
        file["observations"] = rng.normal(size=(rows, 3)).astype(np.float32)
        file["actions"] = rng.uniform(-2, 2, (rows, 1)).astype(np.float32)
        file["rewards"] = rng.normal(size=rows).astype(np.float32)
        file["terminals"], file["timeouts"] = np.zeros(rows, bool), np.arange(rows) % 200 == 199
    return path


def start(folder: Path, *options: str) -> "subprocess.Popen[bytes]":
    """Start Snakemake in a process group of its own; what it says goes to a file."""
    command = [sys.executable, "-m", "snakemake", "--cores", "2", "--quiet", "all", *options]
    environment = {**os.environ, "PYTHONPATH": str(folder / "src"), "OMP_NUM_THREADS": "1"}
    environment.pop("OBD_LOCK", None)
    with (folder / "said.txt").open("w") as said:
        return subprocess.Popen(command, cwd=folder, env=environment, stdout=said, stderr=said, start_new_session=True)


def finish(folder: Path) -> float:
    """Run the experiment to its end, after the jobs that a killed Snakemake has left behind; returns the seconds."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        began = time.monotonic()
        if start(folder).wait(PATIENCE) == 0:
            return time.monotonic() - began
        if BUSY not in (said := (folder / "said.txt").read_text()):
            raise RuntimeError(said[-1000:])
        time.sleep(1)
    raise RuntimeError("jobs of a killed run do not end")


def kill(kind: str, tries: int, random: Random, root: Path) -> Iterator[Outcome]:
    """Kill a run `tries` times, and run it to its end after the last, or when there was nothing left to kill."""
    quiet, killed = root / "quiet", root / "killed"
    if not quiet.exists():
        copy = WorkflowCopy.make(quiet, CONFIG)
        shutil.copy2(REPOSITORY / "src/obdistill/cli.py", copy.folder / "src/obdistill")  # no stage pretends
        write_data(quiet / "data.hdf5")
        shutil.copytree(quiet, killed)
        (root / "seconds").write_text(str(finish(quiet)))
    seconds, expected = float((root / "seconds").read_text()), data(quiet / "results")
    number = signal.SIGKILL if "SIGKILL" in kind else signal.SIGTERM
    hits = 0
    while hits < tries:
        process = start(killed)
        try:
            process.wait(random.uniform(0.1, 0.6) * seconds)
        except subprocess.TimeoutExpired:
            hits += 1
            os.kill(process.pid, number) if kind.endswith("Snakemake") else os.killpg(process.pid, number)
            process.wait(PATIENCE)
            wrong = damaged(killed / "results", expected)
            last = Outcome("wrong", str(wrong)) if wrong else Outcome("same")
            if hits < tries:
                yield last
            continue
        if process.returncode == 0:
            yield from _whole(killed, expected)  # beside the counted: only if it is not whole
            shutil.rmtree(killed / "results")
            shutil.rmtree(killed / ".snakemake")
        else:
            time.sleep(1)  # a job of the killed run is at work
    try:
        finish(killed)
        dates = {path: path.stat().st_mtime_ns for path in (killed / "results").rglob("*.*")}
        finish(killed)
    except RuntimeError as error:
        yield Outcome("lost", str(error))
        return
    yield next(_whole(killed, expected), last)
    if any(path.stat().st_mtime_ns != date for path, date in dates.items()):
        yield Outcome("lost", "a finished run is made again")
    shutil.rmtree(killed / "results")


def _whole(folder: Path, expected: dict[str, str]) -> Iterator[Outcome]:
    """Compare a finished run with the quiet one."""
    found = data(folder / "results")
    if found != expected:
        differing = sorted(path for path in found.keys() | expected.keys() if found.get(path) != expected.get(path))
        yield Outcome("lost", f"differs from a quiet run: {differing}")


ATTACK = Attack("workflow", KINDS, tries=16, short=1, run=kill)
