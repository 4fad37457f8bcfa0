"""Locks: one holder at a time, with and without flock, whatever became of the last holder."""

import multiprocessing
import os
import platform
import signal
import time

import pytest

from obdistill.core import lock
from obdistill.core.errors import UserError

_forks = multiprocessing.get_context("fork")
BUSY = "synset.npz: another process is at work on it"


def no_flock(*arguments):
    raise OSError(95, "Operation not supported")


@pytest.fixture(params=["flock", "no flock"])
def system(request, monkeypatch):
    if request.param == "no flock":
        monkeypatch.setattr(lock.fcntl, "flock", no_flock)
    return request.param


def hold(out, ready, seconds: float = 60.0):
    with lock.output(out):
        ready.set()
        time.sleep(seconds)


def holder(out, seconds: float = 60.0):
    """Start a process that holds an output's lock."""
    ready = _forks.Event()
    process = _forks.Process(target=hold, args=(out, ready, seconds))
    process.start()
    assert ready.wait(20)
    return process


def test_try_lock_tells_held_busy_and_unknown(tmp_path, monkeypatch):
    with (tmp_path / "a").open("w") as first, (tmp_path / "a").open() as second:
        assert lock.try_lock(first) is True
        assert lock.try_lock(second) is False
        assert lock.try_lock(second, shared=True) is False
        assert lock.try_lock(first, shared=True) is True
        assert lock.try_lock(second, shared=True) is True
        monkeypatch.setattr(lock.fcntl, "flock", no_flock)
        assert lock.try_lock(second) is None


def test_a_second_writer_of_an_output_is_told_and_a_killed_one_is_no_obstacle(system, tmp_path):
    out = tmp_path / "new/synset.npz"
    process = holder(out)
    with pytest.raises(UserError, match=f"^--out .*{BUSY}; wait for it, or end it"), lock.output(out):
        pass
    with lock.output(out.with_name("other.npz")):
        pass
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    with lock.output(out):
        pass
    assert list(out.parent.iterdir()) == []


def test_an_error_releases_the_lock(system, tmp_path):
    for _ in range(2):
        with pytest.raises(ValueError, match="mine"), lock.output(tmp_path / "synset.npz"):
            raise ValueError("mine")
    assert list(tmp_path.iterdir()) == []


def test_one_at_a_time(system, tmp_path):
    """Processes that add 1 to a number in a file lose none."""
    number = tmp_path / "number"
    number.write_text("0")

    def add():
        for _ in range(20):
            with lock.held(tmp_path / ".turn", "busy", patience=60):
                found = int(number.read_text())
                time.sleep(0.001)
                number.write_text(str(found + 1))

    processes = [_forks.Process(target=add) for _ in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert number.read_text() == "80"
    assert list(tmp_path.iterdir()) == [number]


def test_a_missing_flock_is_said_once_and_what_stands_for_it_is_named(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(lock.fcntl, "flock", no_flock)
    owner = tmp_path / ".synset.npz.lock.owner"
    with lock.output(tmp_path / "synset.npz"):
        assert owner.read_text() == f"{platform.node()} {os.getpid()}"
    assert len([line for line in caplog.messages if "has no locks (flock)" in line]) == 1
    owner.write_text("elsewhere 7")  # whether it lives cannot be seen from here
    with (
        pytest.raises(UserError, match=f"{BUSY}.* held by process 7 on elsewhere; delete .*owner if that has ended"),
        lock.output(tmp_path / "synset.npz"),
    ):
        pass


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be written"), lock.held(tmp_path / "file/lock", "busy"):
        pass


def run(folder, ready, seconds: float):
    """Begin a run in a folder and stay."""
    os.chdir(folder)
    lock.take()
    ready.set()
    time.sleep(seconds)


def test_two_runs_in_one_folder_do_not_mix(system, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(lock.VARIABLE, raising=False)
    (tmp_path / ".snakemake").mkdir()
    ready = _forks.Event()
    process = _forks.Process(target=run, args=(tmp_path, ready, 60))
    process.start()
    assert ready.wait(20)
    with pytest.raises(UserError, match="another run is at work in this folder"):
        lock.take()
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    second = _forks.Process(target=run, args=(tmp_path, ready, 0))
    second.start()
    second.join()
    assert second.exitcode == 0
