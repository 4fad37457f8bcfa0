"""What every command shares: one line for what is the user's, the machine's or another process's doing."""

import logging
import os
import subprocess
import sys
from pathlib import Path

import click
import pytest

from obdistill.core import lock
from obdistill.core.command import FILE, out_option, stage
from obdistill.core.errors import missing_extra, out_of_memory
from obdistill.core.sources import STARTS


def run(function, *arguments: str) -> int:
    """Run a stage made of a function in this process; returns its status."""
    command = stage("made", computes=False)(out_option(".csv", "Out.")(lambda out: function()))
    try:
        command(["--out", "made.csv", *arguments], standalone_mode=False)
    except SystemExit as end:
        return int(end.code)
    return 0


@pytest.fixture(autouse=True)
def _in_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(STARTS, "made", ["obdistill.core.errors"])


def ask_for_too_much():
    import torch

    torch.empty(2**50)


class OutOfMemoryError(RuntimeError):
    """As torch.OutOfMemoryError, which says which GPU is full."""


def fill_a_gpu():
    raise OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.\nGPU 0 has 3 GiB free")


def fill_numpy():
    raise MemoryError("Unable to allocate 8.00 PiB for an array")


@pytest.mark.parametrize("cause", [ask_for_too_much, fill_a_gpu, fill_numpy])
def test_memory_that_runs_out_is_one_line(cause, capfd):
    assert run(cause) == 2
    (line,) = capfd.readouterr().err.strip().splitlines()
    assert "made: error: out of memory (" in line


def test_a_live_display_has_the_terminal_to_itself(monkeypatch, capfd):
    def say():
        logging.getLogger("made").info("step 3 of 4")

    monkeypatch.setenv("OBD_LOG_ONLY", "1")
    assert run(say, "--log", "made.log") == 0
    assert capfd.readouterr().err == ""
    assert "step 3 of 4" in Path("made.log").read_text()
    assert run(say) == 0
    assert "step 3 of 4" in capfd.readouterr().err  # there is no log to look into


@pytest.mark.parametrize(
    ("package", "line"),
    [
        ("matplotlib.figure", "made needs matplotlib: pip install 'obdistill[workflow]'"),
        ("stable_baselines3", "made needs stable-baselines3: pip install 'obdistill[collect]'"),
        ("minari", "made needs minari: pip install 'obdistill[minari]'"),
    ],
)
def test_a_missing_optional_package_is_one_line(package, line, capfd):
    def fail():
        raise ModuleNotFoundError(f"No module named {package!r}", name=package)

    assert run(fail) == 2
    assert capfd.readouterr().err.strip().endswith(f"made: error: {line}")


def test_a_missing_package_that_every_installation_has_is_a_bug(capfd):
    def fail():
        raise ModuleNotFoundError("No module named 'torch'", name="torch")

    assert run(fail) == 1
    assert "Traceback" in capfd.readouterr().err
    assert missing_extra(ModuleNotFoundError(name="minari"), "collect").endswith("pip install 'obdistill[collect]'")


def test_other_errors_of_torch_are_no_lack_of_memory():
    assert not out_of_memory(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
    assert not out_of_memory(ValueError("out of memory"))
    assert out_of_memory(MemoryError())


def test_a_second_writer_is_one_line_before_any_work(capfd, monkeypatch):
    worked = []
    with lock.output(Path("made.csv")):
        assert run(lambda: worked.append(1)) == 2
    assert "--out made.csv: another process is at work on it" in capfd.readouterr().err
    assert worked == []
    assert run(lambda: worked.append(1)) == 0
    assert worked == [1]


def test_where_locks_are_unknown_one_warning_says_so(capfd, monkeypatch):
    def no_flock(*arguments):
        raise OSError(38, os.strerror(38))

    monkeypatch.setattr(lock.fcntl, "flock", no_flock)
    assert run(lambda: None) == 0
    assert capfd.readouterr().err.count("has no locks (flock)") == 1
    assert list(Path().iterdir()) == []


def test_a_tilde_in_an_option_is_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    seen = []

    @click.command()
    @click.argument("path", type=FILE)
    def command(path: Path) -> None:
        seen.append(path)

    command(["~/a.npz"], standalone_mode=False)
    assert seen == [tmp_path / "a.npz"]


def test_a_notebooks_backend_does_not_stop_matplotlib():
    code = "from obdistill.cli import main\ntry: main(['--version'])\nexcept SystemExit: import matplotlib"
    environment = {**os.environ, "MPLBACKEND": "module://matplotlib_inline.backend_inline"}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True, capture_output=True)
