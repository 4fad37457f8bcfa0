"""The report of a finished run: one page that opens with the result, every text and number filled from files."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pandas as pd
import pytest

from helpers.fake_returns import gather_into, write_experiment
from helpers.workflow_copy import CONFIG, WorkflowCopy, write_inputs
from obdistill.paper.figure_data.make import make_figure_data
from obdistill.paper.figures.make import make_figure
from obdistill.paper.settings import FigureSettings, TableSettings
from obdistill.paper.summary import make_summary
from obdistill.paper.tables.make import make_table

CHOSEN = {**CONFIG, "report": {"tables": ["table_1"], "figures": ["figure_1"]}, "methods": ["dbc"], "seeds": [0]}
NEEDS_CHROMIUM = pytest.mark.skipif(shutil.which("chromium") is None, reason="chromium is not installed")


def write_paper(folder):
    """Make tables and figures of a made-up experiment, in place of those of stages that only pretend."""
    tasks = ("hopper_medium", "walker2d_medium")
    files = write_experiment(folder / "made", tasks, n_seeds=3, steps=(500, 1000), policies=3, episodes=2)
    paper = folder / "results/paper"
    gathered = [gather_into(paper, files)]
    for name in ("table_1", "variance"):
        make_table(name, gathered, paper / f"{name}.csv", TableSettings())
    data = paper / "figure_data/figure_1.csv"
    make_figure_data("figure_1", gathered, data, FigureSettings())
    make_figure("figure_1", data, paper / "figure_1.png", FigureSettings(dpi=100))
    make_summary(paper / "table_1.csv", data, paper / "variance.csv", paper / "learning_curves.csv")


@pytest.fixture(scope="module")
def workflow(tmp_path_factory):
    """A finished run of stages that only pretend, but for tables and figures, and its report."""
    workflow = WorkflowCopy.make(tmp_path_factory.mktemp("report") / "copy", CHOSEN)
    write_inputs(workflow)
    run = workflow.snakemake("--quiet")
    assert run.code == 0, run.text
    write_paper(workflow.folder)
    run = workflow.snakemake("--report", "results/report.html")
    assert run.code == 0, run.text
    return workflow


@pytest.fixture(scope="module")
def page(workflow):
    return (workflow.folder / "results/report.html").read_text()


def test_the_report_shows_results_with_captions_from_their_files(workflow, page):
    for name in ("table_1.html", "figure_1.png", "figure_1.pdf"):
        assert page.count(f'"name": "{name}"') == 1, name
    assert '"name": "table_1.csv"' not in page  # a table opens as a table
    for name in ("table_1", "figure_1"):
        caption = json.loads((workflow.folder / f"results/paper/{name}.json").read_text())["caption"]
        assert caption in page


def test_the_report_describes_the_experiment(page):
    for part in ("near_expert 2", "<td>torch</td><td>", "snapshot_every: 10"):
        assert part in page, part
    assert "reward_scale: 1.0" in page  # a default


def test_the_report_has_no_message_of_docutils(page):
    assert "system-message" not in page
    assert "System Message" not in page
    assert "problematic" not in page


def test_the_report_needs_no_other_file(page):
    assert re.findall(r"""<(?:script|link|img|iframe)\b[^>]*?(?:src|href)=[\\"']*(?:https?:)?//[^"'>]*""", page) == []
    assert re.findall(r"""@import|url\(["']?(?:https?:)?//""", page) == []
    assert "<script src" not in page


def opened(page: Path, profile: Path) -> str:
    """Open a page in a browser without a network; returns what its scripts made, not the scripts."""
    options = [f"--user-data-dir={profile}", "--host-resolver-rules=MAP * ~NOTFOUND", "--virtual-time-budget=5000"]
    command = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", *options, "--dump-dom", page.as_uri()]
    shown = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout
    return re.sub(r"<(script|style).*?</\1>", "", shown, flags=re.DOTALL)


@NEEDS_CHROMIUM
def test_the_report_opens_with_the_result(workflow, tmp_path):
    body = opened(workflow.folder / "results/report.html", tmp_path)
    text = re.sub(r"<[^>]*>", " ", body)
    paper = workflow.folder / "results/paper"
    for mean in pd.read_csv(paper / "table_1.csv")["mean"]:
        assert f"{mean:.1f}" in text, mean
    findings = json.loads((paper / "findings.json").read_text())["findings"]
    assert len(findings) == 3 * 6  # two tasks and their average, pairs of four methods
    positions = [text.index(part) for part in ("Hopper", *findings, "Jobs: ", "Settings, defaults filled in")]
    assert positions == sorted(positions)
    assert body.index('<img src="data:image/png;base64,') < body.index("<table>") < body.index(findings[0])
    assert "Figures" in text
    assert "Tables" in text


@NEEDS_CHROMIUM
def test_a_table_opens_as_a_table(workflow, tmp_path):
    body = opened(workflow.folder / "results/paper/table_1.html", tmp_path)
    rows = re.findall(r"<tr><th>(.*?)</th><td>", body)
    assert rows[:6] == ["Random", "DBC", "PBC", "Av-PBC", "BC (whole)", "OffRL (whole)"]
