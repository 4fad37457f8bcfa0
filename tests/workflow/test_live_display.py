"""The live display of `make run`: running jobs with the last line of their logs, in a terminal only."""

import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from snakemake_logger_plugin_obd import RunningJobs, job_name, last_line

SNAKEFILE = """
rule distill:
    output: "done"
    log: "logs/synsets/hopper/seed0.log"
    shell:
        "echo '12:00:00 distill: distilling: 3/60 steps, 00:09 left, loss 0.25' > {log}; sleep 2; touch {output}"
"""
COMMAND = ["snakemake", "--cores", "1", "--nolock", "--logger", "obd"]
LINE = "distilling: 3/60 steps, 00:09 left, loss 0.25"


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "Snakefile").write_text(SNAKEFILE)
    return tmp_path


def environment() -> dict[str, str]:
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    return os.environ | {"PATH": path, "TERM": "xterm", "COLUMNS": "100", "LINES": "30"}


def test_a_terminal_shows_steps_loss_and_time_left_of_what_runs(folder):
    ours, theirs = pty.openpty()
    run = subprocess.Popen(COMMAND, cwd=folder, env=environment(), stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    shown = b""
    try:
        while piece := os.read(ours, 65536):
            shown += piece
    except OSError:  # the other end is closed
        pass
    os.close(ours)
    assert run.wait() == 0, shown
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown.decode())
    assert "Running jobs" in text
    assert re.search(rf"synsets/hopper/seed0 .*\n.*{LINE}", text)
    assert "distill" in text.partition("Workflow Progress")[2]


def test_elsewhere_nothing_is_drawn(folder):
    run = subprocess.run(COMMAND, cwd=folder, env=environment(), capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert "\x1b[" not in run.stdout + run.stderr
    assert LINE not in run.stderr


def test_a_log_that_is_not_there_or_not_whole_is_no_error(tmp_path):
    log = tmp_path / "seed0.log"
    assert last_line(log) == ""
    log.write_text("12:00:00 distill: first\n12:00:05 distill: sec")
    assert last_line(log) == "first"
    log.write_text("x" * 5000 + "\n12:00:05 distill: a: b\n")
    assert last_line(log) == "a: b"
    assert last_line(log, log.stat().st_mtime + 1) == ""  # of an earlier run
    assert job_name(Path("logs/synsets/hopper/seed0.log")) == "synsets/hopper/seed0"


def test_nothing_runs_nothing_is_drawn():
    console = Console(width=80)
    with console.capture() as shown:
        console.print(RunningJobs(), end="")
    assert shown.get().strip() == ""
