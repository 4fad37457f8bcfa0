"""The report of a finished run: one page, everything inside, every text filled from files."""

import re
import shutil
import subprocess

import pytest

from helpers.workflow_copy import CONFIG, WorkflowCopy, write_inputs

FIGURES = {**CONFIG, "report": {"tables": ["table_1"], "figures": ["figure_1"]}, "methods": ["dbc"], "seeds": [0]}


@pytest.fixture(scope="module")
def workflow(tmp_path_factory):
    """A finished run of stages that only pretend, and its report."""
    workflow = WorkflowCopy.make(tmp_path_factory.mktemp("report") / "copy", FIGURES)
    write_inputs(workflow)
    for arguments in (["--quiet"], ["--report", "results/report.html"]):
        run = workflow.snakemake(*arguments)
        assert run.code == 0, run.text
    return workflow


@pytest.fixture(scope="module")
def page(workflow):
    return (workflow.folder / "results/report.html").read_text()


def test_the_report_shows_results_with_captions_from_their_files(page):
    for name in ("table_1.csv", "table_1.html", "figure_1.png", "figure_1.pdf"):
        assert page.count(f'"name": "{name}"') == 1, name
    # the caption as it was written, not as markup
    assert page.count("<p>Said *of* size</p>") == 4
    assert page.count("<p>Files it was made from: 3.</p>") == 4


def test_the_report_describes_the_experiment(page):
    for part in ("near_expert 2", "<td>torch</td><td>ccc, ddd, eee, fff, nnn, sss, ttt</td>", "snapshot_every: 10"):
        assert part in page, part
    assert "reward_scale: 1.0" in page  # a default


def test_the_report_needs_no_other_file(page):
    assert re.findall(r"""<(?:script|link|img|iframe)\b[^>]*?(?:src|href)=[\\"']*(?:https?:)?//[^"'>]*""", page) == []
    assert re.findall(r"""@import|url\(["']?(?:https?:)?//""", page) == []
    assert "<script src" not in page


@pytest.mark.skipif(shutil.which("chromium") is None, reason="chromium is not installed")
def test_the_report_opens_offline(workflow, tmp_path):
    options = [f"--user-data-dir={tmp_path}", "--host-resolver-rules=MAP * ~NOTFOUND", "--virtual-time-budget=5000"]
    command = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", *options, "--dump-dom"]
    page = (workflow.folder / "results/report.html").as_uri()
    shown = subprocess.run([*command, page], capture_output=True, text=True, check=True, timeout=120).stdout
    body = re.sub(r"<script.*?</script>", "", shown, flags=re.DOTALL)  # what scripts made, not the scripts
    for part in ("Offline behavior distillation", ">Figures</a>", ">Tables</a>", "Settings, defaults filled in"):
        assert part in body, part
