"""Damaged files, full disks and read-only folders: a clear line that says what to do, never a wrong number."""

import contextlib
import errno
import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest

from helpers.fake_returns import write_returns
from helpers.small import write_small_inputs
from helpers.workflow_copy import WorkflowCopy
from obdistill.cli import main
from obdistill.core import artifacts, atomic
from obdistill.core.errors import UserError
from obdistill.paper.gather import gather
from obdistill.synsets.stage import DistillSettings, make_synset

QUICK = DistillSettings(steps=1, snapshot_every=1, inner={"steps": 1}, outer={"batch_size": 4})
READERS = {
    "dataset.npz": "distill --dataset dataset.npz --objective dbc --size 8 --out new/synset.npz",
    "near_expert.safetensors": "evaluate-near-expert --near-expert near_expert.safetensors --out new/returns.csv",
    "synset.npz": "evaluate --pairs synset.npz --out new/standard.csv",
    "standard.csv": "gather --out new/returns.npz standard.csv",
    "returns.npz": "table --out new/table_1.csv returns.npz",
}


def flipped(data: bytes, at: int) -> bytes:
    """Flip the lowest bit of one byte."""
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


DAMAGE = {
    "flipped byte": lambda data: flipped(data, len(data) // 2),
    "zero length": lambda data: b"",
    "truncated": lambda data: data[: len(data) // 2],
    "one byte short": lambda data: data[:-1],
    "longer": lambda data: data + b"0",
}


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    folder = tmp_path_factory.mktemp("good")
    dataset, _ = write_small_inputs(folder)
    make_synset(dataset, None, "dbc", 8, 0, QUICK, folder / "synset.npz")
    gather([write_returns(folder / "standard.csv", 50.0)], folder / "returns.npz")
    return folder


def fails(capfd, command: str) -> str:
    capfd.readouterr()
    with pytest.raises(SystemExit) as end:
        main(shlex.split(command))
    said = capfd.readouterr().err
    assert end.value.code == 2, said
    assert "Traceback" not in said
    lines = [line for line in said.splitlines() if "error:" in line]
    assert len(lines) == 1, said
    return lines[0]


@pytest.mark.parametrize("how", DAMAGE)
@pytest.mark.parametrize("name", READERS)
def test_damaged_data(name, how, folder, capfd):
    Path(name).write_bytes(DAMAGE[how](Path(name).read_bytes()))
    said = fails(capfd, READERS[name])
    assert said.endswith(f"{name}: damaged: its sha256 is not the one in {Path(name).stem}.json")
    assert not list(Path("new").iterdir())


@pytest.mark.parametrize("how", DAMAGE)
@pytest.mark.parametrize("name", READERS)
def test_damaged_sidecars(name, how, folder, capfd):
    sidecar = artifacts.sidecar(Path(name))
    sidecar.write_bytes(DAMAGE[how](sidecar.read_bytes()))
    if how == "one byte short":  # the last byte is the end of the line
        artifacts.read_json(sidecar)
        return
    said = fails(capfd, READERS[name])
    assert f"{sidecar}" in said or f"{name}: " in said
    assert "delete" not in said, "a user's own file"
    assert not list(Path("new").iterdir())


@pytest.mark.parametrize(
    ("damaged", "line"),
    [
        (
            "synset.npz",
            "results/synset.npz: damaged: its sha256 is not the one in synset.json; delete it and run again",
        ),
        ("synset.json", "results/synset.json: is not JSON .*; synset.npz is of no use without it; delete both and run"),
    ],
)
def test_how_to_go_on_is_said_of_results_that_a_run_makes_again(damaged, line, folder, capfd):
    Path("results").mkdir()
    for name in ("synset.npz", "synset.json"):
        Path(name).rename(Path("results") / name)
    (Path("results") / damaged).write_bytes(b"{")
    assert re.search(line, fails(capfd, READERS["synset.npz"].replace("synset.npz", "results/synset.npz")))


@pytest.mark.parametrize("name", READERS)
def test_every_byte_of_a_sidecar_counts(name, folder):
    """Reference returns, seeds, counts: a digit that turned into another one must not pass."""
    kind = artifacts.read_json(artifacts.sidecar(Path(name)))["kind"]
    sidecar = artifacts.sidecar(Path(name))
    whole = sidecar.read_bytes()
    right = artifacts.read_metadata(Path(name), kind)
    for at in range(0, len(whole), 7):
        sidecar.write_bytes(flipped(whole, at))
        with contextlib.suppress(UserError):
            assert artifacts.read_metadata(Path(name), kind) == right, at  # white space


@pytest.mark.parametrize("how", DAMAGE)
def test_damaged_metrics(how, folder):
    Path("metrics.csv").write_bytes(DAMAGE[how](Path("metrics.csv").read_bytes()))
    with pytest.raises(UserError, match=r"metrics\.csv: damaged: its sha256 is not the one in metrics\.json$"):
        artifacts.read_table(Path("metrics.csv"), "metrics")


@pytest.mark.parametrize("number", [errno.EROFS, errno.ENOSPC, errno.EACCES, errno.EIO])
@pytest.mark.parametrize("name", READERS)
def test_a_disk_that_takes_nothing_is_told_before_the_work(name, number, folder, capfd, monkeypatch):
    def refuse(*arguments, **options):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(atomic.tempfile, "TemporaryFile", refuse)
    assert f"cannot be written ({os.strerror(number)})" in fails(capfd, READERS[name])


@pytest.mark.parametrize("suffix", [".npz", ".safetensors", ".csv", ".json"])
def test_a_disk_that_fills_up_leaves_the_old_file(suffix, tmp_path, monkeypatch):
    path = tmp_path / f"data{suffix}"
    path.write_text("old")

    def full(temporary):
        temporary.write_text("half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(UserError, match=rf"data\{suffix}: cannot be written \(No space left on device\)"):
        atomic.write_atomically(path, full)
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [(path.name, "old")]


@pytest.fixture
def small_disk(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", disk], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("may not mount")
    yield disk
    subprocess.run(["umount", disk], check=True)


@pytest.mark.parametrize("suffix", [".npz", ".safetensors", ".csv"])
def test_a_real_full_disk(suffix, small_disk):
    import numpy as np
    import pandas as pd

    big = np.zeros((200, 200))
    data = pd.DataFrame(big + 0.123456) if suffix == ".csv" else {"big": big}
    with pytest.raises(UserError, match=f"data{suffix}: cannot be written .*No space left"):
        artifacts.write_artifact(small_disk / f"data{suffix}", data, {"kind": "made"})
    assert list(small_disk.iterdir()) == []


def test_a_real_read_only_folder(small_disk, folder, capfd):
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    said = fails(capfd, READERS["dataset.npz"].replace("new/", f"{small_disk}/"))
    assert "cannot be written (Read-only file system)" in said
    said = fails(capfd, f"{READERS['dataset.npz']} --log {small_disk}/a.log")
    assert "Read-only file system" in said


@pytest.mark.parametrize(("broken", "why"), [("ro", "Read-only file system"), ("rw", "No space left on device")])
def test_a_run_says_why_and_goes_on_when_results_can_be_written(broken, why, small_disk, tmp_path):
    task = {"dataset": {"source": "minari", "id": "obd/first-v0"}}
    workflow = WorkflowCopy.make(tmp_path / "copy", {"tasks": {"first": task}, "methods": ["random"]})
    (workflow.folder / "results").symlink_to(small_disk)
    subprocess.run(["mount", "-o", f"remount,{broken}", small_disk], check=True)
    answer = workflow.snakemake("--cores", "1")
    assert answer.code != 0
    assert why in answer.text
    subprocess.run(["mount", "-o", "remount,rw,size=4m", small_disk], check=True)
    assert workflow.snakemake("--cores", "1").code == 0
    assert workflow.planned().counts == {}
    assert all(file.stat().st_size for file in small_disk.rglob("*.*") if file.is_file())
