"""Artifacts: a sidecar that belongs to its data whatever races, and readers that carry what they read."""

import multiprocessing
import random
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from obdistill.core import artifacts, lock
from obdistill.core.artifacts import Artifact, inputs, read_arrays, read_metadata, write_artifact
from obdistill.core.errors import UserError

RACES = 30
SUFFIXES = [".npz", ".safetensors", ".csv"]
_forks = multiprocessing.get_context("fork")


def data_of(suffix: str, writer: int):
    """Data that tell their writer."""
    values = np.full(300, float(writer))
    return pd.DataFrame({"x": values}) if suffix == ".csv" else {"x": values}


def race(path: Path, writers: int, rng: random.Random) -> None:
    """Have processes write one path at random moments."""

    def write(number: int, barrier, delays: list[float]) -> None:
        barrier.wait()
        for delay in delays:
            barrier.wait()
            time.sleep(delay)
            write_artifact(path, data_of(path.suffix, number), {"kind": "made", "writer": number})

    barrier = _forks.Barrier(writers)
    delays = [[rng.uniform(0, 0.003) for _ in range(RACES)] for _ in range(writers)]
    processes = [_forks.Process(target=write, args=(number, barrier, delays[number])) for number in range(writers)]
    for process in processes:
        process.start()
    while any(process.is_alive() for process in processes):
        if path.exists() and artifacts.sidecar(path).exists():
            check(path)
    assert [process.exitcode for process in processes] == [0] * writers


def check(path: Path) -> None:
    """Read a pair: the label is that of the data's writer."""
    read = artifacts.read_table if path.suffix == ".csv" else artifacts.read_arrays
    try:
        data, metadata = read(path, "made")
    except UserError:  # two writers between a reader's two looks: told, not passed
        return
    assert set(np.asarray(data["x"])) == {metadata["writer"]}


@pytest.mark.parametrize("flock", [True, False], ids=["flock", "no flock"])
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_racing_writers_leave_a_pair_of_one_writer(suffix, flock, tmp_path, monkeypatch):
    if not flock:
        monkeypatch.setattr(lock.fcntl, "flock", no_flock)
    path = tmp_path / f"data{suffix}"
    race(path, 2, random.Random(0))
    read = artifacts.read_table if suffix == ".csv" else artifacts.read_arrays
    data, metadata = read(path, "made")
    assert set(np.asarray(data["x"])) == {metadata["writer"]}
    assert {file.name for file in tmp_path.iterdir()} == {"data.json", path.name}


def no_flock(*arguments):
    raise OSError(38, "Function not implemented")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_the_hash_is_that_of_the_bytes_written(suffix, tmp_path, monkeypatch):
    """A file that takes the place of the data before its sidecar is there must not get its label."""
    path, replace = tmp_path / f"data{suffix}", artifacts.replacing.__globals__["os"].replace

    def other_writer(source, target):
        replace(source, target)
        if target == path:
            path.write_bytes(b"another writer's")

    monkeypatch.setattr("obdistill.core.atomic.os.replace", other_writer)
    write_artifact(path, data_of(suffix, 1), {"kind": "made"})
    with pytest.raises(UserError, match=r"damaged: its sha256 is not the one in data\.json"):
        read_metadata(path, "made")


def test_inputs_are_what_was_read_whatever_becomes_of_the_file(tmp_path):
    path = tmp_path / "data.npz"
    write_artifact(path, {"x": np.arange(3)}, {"kind": "made"})
    first = artifacts.sha256(path)
    _, metadata = read_arrays(path, "made")
    write_artifact(path, {"x": np.arange(4)}, {"kind": "made"})
    assert artifacts.sha256(path) != first
    assert inputs(data=Artifact.read(path, metadata), left_out=None) == {"data": {"file": "data.npz", "sha256": first}}
    assert inputs(foreign=path)["foreign"]["sha256"] == artifacts.sha256(path)


def test_data_and_hash_are_of_one_file_even_if_it_is_written_in_between(tmp_path, monkeypatch):
    path = tmp_path / "data.npz"
    write_artifact(path, {"x": np.zeros(3)}, {"kind": "made", "writer": 0})
    load = artifacts._load

    def written_meanwhile(*arguments):
        write_artifact(path, {"x": np.ones(3)}, {"kind": "made", "writer": 1})
        return load(*arguments)

    monkeypatch.setattr(artifacts, "_load", written_meanwhile)
    arrays, metadata = read_arrays(path, "made")
    assert arrays["x"].tolist() == [0, 0, 0]
    assert metadata["writer"] == 0
