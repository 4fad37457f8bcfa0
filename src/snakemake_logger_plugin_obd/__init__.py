"""``snakemake --logger obd``: the live display of snakemake-logger-plugin-rich, and above it what running jobs do.

Snakemake finds it by the name of this package.
"""

import os
from itertools import chain
from logging import LogRecord
from pathlib import Path

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.text import Text
from snakemake_interface_logger_plugins.common import LogEvent
from snakemake_logger_plugin_rich import LogHandler as RichLogHandler

TAIL = 1000  # bytes at the end of a log in which its last line is looked for


class RunningJobs:
    """The jobs that run now, each with the last line of its log; read anew whenever it is drawn."""

    def __init__(self) -> None:
        self.logs: dict[int, tuple[Path, float]] = {}  # of a job: its log, and when it started

    def hear(self, record: LogRecord) -> None:
        """Follow a job from its start to its end."""
        event = getattr(record, "event", None)
        if event == LogEvent.JOB_INFO:
            for log in list(record.__dict__.get("log") or [])[:1]:
                self.logs[record.__dict__["jobid"]] = Path(log), record.created
        elif event in (LogEvent.JOB_FINISHED, LogEvent.JOB_ERROR):
            facts = record.__dict__
            self.logs.pop(facts["job_id" if "job_id" in facts else "jobid"], None)

    def __rich__(self) -> RenderableType:
        if not self.logs:
            return Group()
        jobs = list(self.logs.values())
        lines = [(Text(job_name(log), "bold blue"), Text(last_line(log, start))) for log, start in jobs]
        return Panel(Group(*chain(*lines)), title="Running jobs", border_style="dim", padding=(0, 1))


def job_name(log: Path) -> str:
    """Return what a job's log is called, without the folder of all logs."""
    return str(log.with_suffix("")).removeprefix("logs/")


def last_line(log: Path, since: float = 0.0) -> str:
    """Return the last whole line of a log without its time and stage; nothing if none was written since then."""
    try:
        if log.stat().st_mtime < since:  # of an earlier run
            return ""
        with log.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - TAIL))
            lines = file.read().decode(errors="replace").rpartition("\n")[0].splitlines()
    except OSError:  # the job has not begun
        return ""
    return lines[-1].partition(": ")[2] if lines else ""


class LogHandler(RichLogHandler):  # type: ignore[misc]
    """The display; its base and `RunningJobs` hear of the same events."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.jobs = RunningJobs()
        # above: a low terminal cuts the display at its lower end
        self.live_display.update(Group(self.jobs, self.live_display.renderable))

    def emit(self, record: LogRecord) -> None:
        """Take note of jobs that start and end, and show the rest."""
        self.jobs.hear(record)
        super().emit(record)
