"""kill -9 at random moments: what is there is whole, and the same command again ends with the bytes of a quiet run."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from helpers import stages
from helpers.workflow_copy import WorkflowCopy
from obdistill.core import artifacts, atomic
from obdistill.core.errors import UserError

KILLS_PER_STAGE = 2


def run(folder: Path, name: str, seconds: float | None = None) -> tuple[float, bool]:
    """Run a stage, killed after some seconds if it is still at work; returns how long it took, and if it was killed."""
    began = time.monotonic()
    process = stages.start_step(folder, name)
    process.join(seconds if seconds is not None else 120)
    process.kill()
    process.join()
    killed = process.exitcode == -signal.SIGKILL
    assert process.exitcode == 0 or (killed and seconds is not None), (folder / stages.SAID).read_text()
    return time.monotonic() - began, killed


def data(folder: Path) -> dict[str, str]:
    """Hash every file of data; of a sidecar, what does not tell how long it took or hash what does."""
    found = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file() and path.name not in stages.TIMED):
        hidden = path.name.startswith(".")  # a temporary file may hold anything: its writer was killed in the middle
        if hidden or path.suffix != ".json":
            found[str(path.relative_to(folder))] = artifacts.sha256(path)
        elif path.name != "collection.json" and "own" not in path.parts:
            metadata = artifacts.read_json(path)
            for key in ("seconds", "seconds_per_step", "metadata_sha256", "inputs"):
                metadata.pop(key, None)
            metadata.get("training", {}).pop("seconds", None)
            found[str(path.relative_to(folder))] = json.dumps(metadata, sort_keys=True)
    return found


def test_every_stage_survives(tmp_path):
    rng = random.Random(0)
    quiet, killed = tmp_path / "quiet", tmp_path / "killed"
    quiet.mkdir(), killed.mkdir()
    kills = 0
    for name in stages.STEPS:
        took, _ = run(quiet, name)
        expected = data(quiet)
        hits = 0
        while hits < KILLS_PER_STAGE:
            hits += run(killed, name, rng.uniform(0.05, 0.95) * took)[1]
            for path, content in data(killed).items():
                # a file without a leading dot in its path is whole; checkpoints come and go
                if "/." not in f"/{path}" and "checkpoint" not in path:
                    assert content == expected.get(path), (name, path)
        run(killed, name)
        assert data(killed) == expected, name
        kills += hits
    assert kills >= 20


CONFIG = {
    "tasks": {"first": {"dataset": {"source": "minari", "id": "obd/first-v0"}}},
    "methods": ["random"],
    "sizes": [8],
    "seeds": [0, 1],
    "report": {"tables": ["table_1"], "figures": []},
}
# a stage that takes its time, and holds the run's lock as the real ones do
SLOW = """
import time
from obdistill.core import lock

def begin():
    lock.share()
    Path("begun").touch()
    time.sleep(float(Path("slow").read_text()) if Path("slow").exists() else 0)
"""


@pytest.fixture
def workflow(tmp_path):
    copy = WorkflowCopy.make(tmp_path / "copy", CONFIG)
    cli = copy.folder / "src/obdistill/cli.py"
    text = cli.read_text().replace("def main() -> None:\n", f"{SLOW}\n\ndef main() -> None:\n    begin()\n")
    cli.write_text(text)
    return copy


def start(workflow: WorkflowCopy) -> "subprocess.Popen[bytes]":
    """Start Snakemake in a process group of its own, and wait until it is at work on a job."""
    (workflow.folder / "slow").write_text("60")
    environment = {**os.environ, "PYTHONPATH": str(workflow.folder / "src")}
    command = [sys.executable, "-m", "snakemake", "--cores", "1"]
    said = workflow.folder / "said.txt"
    with said.open("w") as output:
        process = subprocess.Popen(
            command, cwd=workflow.folder, env=environment, stdout=output, stderr=output, start_new_session=True
        )
    deadline = time.monotonic() + 60
    while not (workflow.folder / "begun").exists():
        assert process.poll() is None, said.read_text()
        assert time.monotonic() < deadline, said.read_text()
        time.sleep(0.1)
    return process


def test_a_killed_run_needs_no_unlocking_and_a_living_one_is_left_alone(workflow):
    process = start(workflow)
    try:
        second = workflow.snakemake()
        assert second.code != 0
        assert "obdistill.core.lock: another run is at work in this folder" in second.text
        assert process.poll() is None
        assert workflow.snakemake("--dry-run").code == 0
        os.kill(process.pid, signal.SIGKILL)  # Snakemake alone: its job goes on
        process.wait()
        assert "or a job that a killed run left behind" in workflow.snakemake().text
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    (workflow.folder / "slow").unlink()
    deadline = time.monotonic() + 10  # until the job's last process is gone
    while (again := workflow.snakemake()).code != 0 and time.monotonic() < deadline:
        time.sleep(0.2)
    assert again.code == 0, again.text
    assert "Nothing to be done" in workflow.snakemake().text
    assert len(list((workflow.folder / "results").rglob("*.npz"))) == 4  # dataset, two synsets, gathered returns


def test_leftovers_of_a_killed_writer_go_with_the_next_write(tmp_path):
    path = tmp_path / "data.txt"

    def die(temporary):
        shutil.copy(temporary, tmp_path / "seen")
        temporary.write_text("half")
        os.kill(os.getpid(), signal.SIGKILL)

    child = os.fork()
    if child == 0:
        atomic.write_atomically(path, die)
    os.waitpid(child, 0)
    assert not path.exists()
    assert len(list(tmp_path.glob(".data.*"))) == 1
    atomic.write_text(path, "whole")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["data.txt", "seen"]


def test_the_temporary_file_of_a_living_writer_stays(tmp_path):
    path = tmp_path / "data.txt"

    def write(temporary):
        atomic.write_text(path, "other")
        temporary.write_text("mine")

    atomic.write_atomically(path, write)
    assert path.read_text() == "mine"
    with pytest.raises(UserError, match="cannot be written"):
        atomic.write_atomically(path, lambda temporary: temporary.unlink())
    assert [file.name for file in tmp_path.iterdir()] == ["data.txt"]


def test_the_folder_of_a_killed_process_goes_with_the_next_one_and_that_of_a_living_one_stays(tmp_path):
    child = os.fork()
    if child == 0:
        with atomic.temporary_folder(tmp_path) as folder:
            (folder / "half.hdf5").touch()
            os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    assert len(list(tmp_path.iterdir())) == 1
    with atomic.temporary_folder(tmp_path) as living:
        assert list(tmp_path.iterdir()) == [living]
        with atomic.temporary_folder(tmp_path) as other:
            assert set(tmp_path.iterdir()) == {living, other}
        assert list(tmp_path.iterdir()) == [living]
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_another_process_takes_for_a_leftover_is_made_anew(tmp_path, monkeypatch):
    answers = [False, True]
    real = atomic.try_lock

    def lock(file, shared=False):
        return False if answers and not answers.pop(0) else real(file, shared)

    monkeypatch.setattr(atomic, "try_lock", lock)
    with atomic.temporary_folder(tmp_path) as folder:
        (folder / "file").touch()
    assert list(tmp_path.iterdir()) == []
