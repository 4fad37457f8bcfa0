"""Signals: a stage ends with one line and the status that shells have for it, leaves nothing, and goes on later."""

import multiprocessing
import os
import re
import signal
import time
from pathlib import Path

import pytest

from helpers import stages
from helpers.good_files import write_small_synset
from obdistill.core import sources, termination
from obdistill.core.termination import Terminated

TRAIN = "near-expert --dataset dataset.npz --out new/near_expert.safetensors --set algorithm=td3_bc --set batch_size=8 "
TRAIN += "--set actor_hidden_widths=[8] --set critic_hidden_widths=[8] --threads 1 --set steps=1000000"
EVALUATE = "evaluate --pairs synset.npz --out new/standard.csv --set bc.steps=1 --set policies=100 --set episodes=1000"


@pytest.fixture(autouse=True)
def children_of_other_tests_live_on(monkeypatch):
    """What ends in this process would take workers along that other tests keep."""
    monkeypatch.setattr(multiprocessing, "active_children", list)


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    folder = tmp_path_factory.mktemp("good")
    write_small_synset(folder)
    return folder


def wait_for(condition, process) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert process.exitcode is None, said()
        assert time.monotonic() < deadline, said()
        time.sleep(0.05)


def said() -> list[str]:
    return [line for line in Path(stages.SAID).read_text().splitlines() if line]


def end(process, number: int) -> int:
    """Send a signal; returns the status."""
    os.kill(process.pid, number)
    process.join(60)
    return process.exitcode


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_training_ends_after_its_step_and_goes_on_later(number, folder):
    process = stages.start(folder, f"{TRAIN} --checkpoint-minutes 0")
    wait_for(Path("new/near_expert.checkpoint.safetensors").exists, process)
    assert end(process, number) == 128 + number
    lines = said()
    assert re.search(
        "after step .*; the same command goes on from new/near_expert.checkpoint.safetensors",
        lines[-2 if number == signal.SIGINT else -1],
    )
    assert not any("Traceback" in line for line in lines)
    assert [path.name for path in Path("new").iterdir()] == ["near_expert.checkpoint.safetensors"]
    process = stages.start(folder, TRAIN)
    wait_for(lambda: any("going on after step" in line for line in said()), process)
    end(process, signal.SIGKILL)


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks at processes by /proc")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_workers_end_with_their_parent(number, folder):
    process = stages.start(folder, f"{EVALUATE} --workers 2 --threads 1")
    wait_for(lambda: len(children(process.pid)) >= 2, process)
    workers = children(process.pid)
    time.sleep(1)
    status = end(process, number)
    deadline = time.monotonic() + 60
    while any(map(running, workers)) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not any(map(running, workers))
    assert status == (-number if number == signal.SIGKILL else 128 + number)
    if number == signal.SIGTERM:
        assert said()[-1].endswith("error: ended by SIGTERM")
    if number != signal.SIGKILL:
        assert not any("Traceback" in line for line in said())
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


def ask_and_hide(number):
    """Stand for code in another language that makes an error of its own out of any exception."""
    try:
        os.kill(os.getpid(), number)
    except BaseException:
        raise ImportError("initialization failed") from None


@pytest.mark.parametrize(("number", "ending"), [(signal.SIGTERM, Terminated), (signal.SIGINT, KeyboardInterrupt)])
def test_a_signal_ends_it_even_where_other_code_makes_another_error_of_it(number, ending):
    with pytest.raises(ending), termination.handled():
        ask_and_hide(number)


def test_an_error_without_a_signal_stays_as_it_is():
    with pytest.raises(ImportError, match="initialization failed"), termination.handled():
        raise ImportError("initialization failed")


def test_a_signal_waits_while_the_sources_are_looked_through(monkeypatch):
    done = []

    def build_graph(*given, **options):
        os.kill(os.getpid(), signal.SIGTERM)
        done.append("whole")

    monkeypatch.setattr(sources.grimp, "build_graph", build_graph)
    with pytest.raises(Terminated), termination.handled():
        sources._graph.__wrapped__("obdistill")
    assert done == ["whole"]
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
