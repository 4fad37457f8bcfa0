"""Signals: a stage ends with one line and the status that shells have for it, leaves nothing, and goes on later."""

import os
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from helpers.small import write_small_inputs
from obdistill.core import termination
from obdistill.core.termination import Terminated
from obdistill.synsets.settings import DistillSettings
from obdistill.synsets.stage import distill

TRAIN = "near-expert --dataset dataset.npz --out new/near_expert.safetensors --set algorithm=td3_bc --set batch_size=8"
EVALUATE = "evaluate --pairs synset.npz --out new/standard.csv --set bc.steps=1 --set policies=100 --set episodes=1000"


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    folder = tmp_path_factory.mktemp("good")
    dataset, _ = write_small_inputs(folder)
    quick = DistillSettings(steps=1, snapshot_every=1, inner={"steps": 1}, outer={"batch_size": 4})
    distill(dataset, None, "dbc", 8, 0, quick, folder / "synset.npz")
    return folder


def start(command: str) -> "subprocess.Popen[str]":
    code = "import sys; from obdistill.cli import main; main(sys.argv[1:])"
    return subprocess.Popen([sys.executable, "-c", code, *shlex.split(command)], stderr=subprocess.PIPE, text=True)


def wait_for(condition, process: "subprocess.Popen[str]") -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.05)


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_training_ends_after_its_step_and_goes_on_later(number, folder):
    command = f"{TRAIN} --set actor_hidden_widths=[8] --set critic_hidden_widths=[8] --threads 1"
    process = start(f"{command} --set steps=1000000 --checkpoint-minutes 0")
    wait_for(Path("new/near_expert.checkpoint.safetensors").exists, process)
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    assert process.returncode == (130 if number == signal.SIGINT else 128 + number)
    assert "Traceback" not in said
    last = [line for line in said.splitlines() if line][-2 if number == signal.SIGINT else -1]
    assert re.search("after step .*; the same command goes on from new/near_expert.checkpoint.safetensors", last)
    assert [path.name for path in Path("new").iterdir()] == ["near_expert.checkpoint.safetensors"]
    if number != signal.SIGTERM:
        return
    process = start(f"{command} --set steps=1000000")
    assert any("going on after step" in line for line in process.stderr)
    process.kill()
    process.communicate()


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks at processes by /proc")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_workers_end_with_their_parent(number, folder):
    process = start(f"{EVALUATE} --workers 2 --threads 1")
    wait_for(lambda: len(children(process.pid)) >= 3, process)  # two workers, and multiprocessing's own helper
    workers = children(process.pid)
    time.sleep(0.5)
    process.send_signal(number)
    _, said = process.communicate(timeout=60)  # until nobody holds the pipe any more
    deadline = time.monotonic() + 20
    while any(map(running, workers)) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not any(map(running, workers))
    if number == signal.SIGTERM:
        assert process.returncode == 143
        assert said.splitlines()[-1].endswith("error: ended by SIGTERM")
    if number != signal.SIGKILL:
        assert "Traceback" not in said
        assert list(Path("new").iterdir()) == []


def test_signals_wait_while_they_are_deferred_and_ignored_ones_stay_ignored():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with termination.handled():
        with termination.deferred() as asked:
            os.kill(os.getpid(), signal.SIGHUP)
            os.kill(os.getpid(), signal.SIGTERM)
            os.kill(os.getpid(), signal.SIGTERM)
            assert asked == [signal.SIGTERM, signal.SIGTERM]
        with pytest.raises(Terminated) as end:
            os.kill(os.getpid(), signal.SIGTERM)
    assert end.value.code == 143
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    signal.signal(signal.SIGHUP, before)


def test_a_second_ctrl_c_ends_at_once():
    with termination.deferred():
        os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
