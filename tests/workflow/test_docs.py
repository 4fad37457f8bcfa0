"""The documentation says what is so: references are complete, named things exist, the tutorial's commands run."""

import csv
import importlib.util
import json
import re
import runpy
import shlex
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from obdistill.cli import obd
from obdistill.core.declarations import keys
from obdistill.experiment.jobs import Experiment
from obdistill.experiment.settings import ExperimentSettings
from obdistill.policies.policy import Policy
from obdistill.synsets.synset import read_synset

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(DOCS.glob("*.md"))]
# what the tutorial takes minutes for, in seconds
SMALLER = {
    "range(25)": "range(3)",
    "steps=3000": "steps=20",
    "steps=100 --set snapshot_every=25": "steps=2 --set snapshot_every=1 --set inner.steps=5",
    "outer.batch_size=2560": "outer.batch_size=64",
    "policies=10 --set episodes=5": "policies=2 --set episodes=1",
    "range(10)": "range(1)",
    "steps=100,\n    snapshot_every=25": "steps=2,\n    snapshot_every=1",
    '{"batch_size": 2560}': '{"batch_size": 64}',
    "episodes=5)": "episodes=1)",
}
# modules that the architecture names and that are about to be there
PLANNED = {"core/atomic"}


@pytest.fixture(scope="module")
def hooks():
    """docs/hooks.py as a module."""
    spec = importlib.util.spec_from_file_location("docs_hooks", DOCS / "hooks.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def code(page: Path) -> str:
    """All that a page shows as code."""
    text = page.read_text()
    return "\n".join([*re.findall(r"^```\w*.*?\n(.*?)^```", text, re.M | re.S), *re.findall(r"`([^`\n]+)`", text)])


def test_the_configuration_reference_is_that_of_the_settings_classes(hooks):
    reference = hooks.configuration()
    for key in keys(ExperimentSettings):
        assert f"| `{key.path}` |" in reference, key
    assert "\n### `distill`\n" in reference
    assert not reference.startswith("# ")


def test_the_command_line_reference_has_every_option(hooks):
    reference = hooks.commands()
    for name in obd.list_commands(None):
        section = reference.partition(f"## obd {name}\n")[2].partition("\n## ")[0]
        options = [option.opts[0] for option in obd.get_command(None, name).params if option.opts[0].startswith("--")]
        for option in options:
            assert f"| `{option}` |" in section, (name, option)


def test_links_out_of_the_site_become_text(hooks):
    page = type("Page", (), {"file": type("File", (), {"src_uri": "api/core.md"})})
    text = hooks.on_page_markdown("[a](../files.md#x) [b](../../config.yaml) [c](x.md)", page)
    assert text == "[a](../files.md#x) b [c](x.md)"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_and_targets_that_a_page_names_exist(page):
    shown = code(page)
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))
    assert set(re.findall(r"\bmake ([a-z][a-z-]+)", shown)) <= targets
    assert set(re.findall(r"(?<![\w/.~-])obd ([a-z][a-z-]+)", shown)) <= set(obd.list_commands(None))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_that_a_page_names_exist(page):
    found = re.findall(r"`((?:src|workflow|config|benchmarks|tests|profiles)/[\w/.]+)", page.read_text())
    missing = [path for path in found if not (ROOT / path).exists()]
    assert [path for path in missing if path.removeprefix("src/obdistill/").removesuffix(".py") not in PLANNED] == []


def test_modules_that_the_architecture_names_exist():
    rows = re.findall(r"^\| `(\w+)` \| (.*) \|$", (DOCS / "architecture.md").read_text(), re.M)
    packages = {row[0]: re.findall(r"`(\w+)/?`", row[1]) for row in rows if (ROOT / "src/obdistill" / row[0]).is_dir()}
    assert len(packages) == 10
    for package, names in packages.items():
        for name in names:
            path = ROOT / "src/obdistill" / package / name
            assert path.is_dir() or path.with_suffix(".py").exists() or f"{package}/{name}" in PLANNED, path


def test_the_site_builds_and_asks_the_network_for_nothing(tmp_path):
    pytest.importorskip("mkdocs", reason="make docs installs it")
    import subprocess

    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path)]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr[-3000:]
    pages = {page: page.read_text() for page in tmp_path.rglob("*.html")}
    assert len(pages) > 30
    loaded = r"<(?:script|link|img|iframe|source)\b[^>]*?(?:src|href)=[\"']?((?:https?:)?//[^\"' >]+)"
    assert {url for text in pages.values() for url in re.findall(loaded, text)} == set()
    assert "<!-- commands" not in pages[tmp_path / "command_line.html"]
    assert "pull_back" in pages[tmp_path / "api/policies.html"]


@pytest.fixture(scope="module")
def tutorial(tmp_path_factory):
    """The folder in which the code of docs/stages.md was run, with small settings."""
    text = (DOCS / "stages.md").read_text()
    for large, small in SMALLER.items():
        assert large in text, large
        text = text.replace(large, small)
    folder = tmp_path_factory.mktemp("tutorial")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for title, block in re.findall(r'^```(?:python|yaml|sh)(?: title="(.*?)")?\n(.*?)^```', text, re.M | re.S):
            if title:
                Path(title).write_text(block)
            else:
                for line in block.replace("\\\n", " ").splitlines():
                    run(*shlex.split(line))
    return folder


def run(program: str, *arguments: str) -> None:
    """Run one line of a tutorial in this process."""
    if program == "obd":
        answer = CliRunner().invoke(obd, arguments)
        assert answer.exit_code == 0, (arguments, answer.output)
    elif program == "python":
        runpy.run_path(arguments[0], run_name="__main__")
    else:
        assert program == "cat"
        assert Path(arguments[0]).is_file()


def test_the_tutorial_ends_with_a_table(tutorial):
    table = (tutorial / "table/table.md").read_text()
    assert re.findall(r"^\| (Random|PBC|OffRL \(whole\)) \|", table, re.M)[:3] == ["Random", "PBC", "OffRL (whole)"]


def test_the_tutorials_numpy_forward_acts_as_the_policy_does(tutorial, monkeypatch):
    monkeypatch.chdir(tutorial)
    act = runpy.run_path("forward.py")["act"]
    policy = Policy.load("policy.safetensors")
    states = np.random.default_rng(0).normal(size=(50, 3)) * [1, 1, 4]
    assert len(policy.members.parameters.biases[0]) == 10
    assert policy(states).std() > 0.01
    assert np.abs(act(states) - policy(states)).max() < 1e-6 * 4  # of a range of 4


def test_the_tutorials_script_in_python_keeps_what_it_made(tutorial):
    synset = read_synset(tutorial / "in_python.npz")
    assert (synset.task.name, synset.method, synset.size) == ("pendulum", "pbc", 32)
    assert Policy.load(tutorial / "in_python.safetensors").task == synset.task


def test_the_tutorials_configuration_is_sound(tutorial, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("my_robot").symlink_to(tutorial)
    assert Experiment.load([tutorial / "my.yaml"]).counts()["distill"] == 6


def test_everything_in_the_tutorials_files_is_defined(tutorial):
    defined = set(re.findall(r"`(\w+)`", (DOCS / "files.md").read_text()))
    found = set()
    for path in tutorial.rglob("*.csv"):
        found |= set(next(csv.reader(path.open())))
    for path in tutorial.rglob("*.npz"):
        found |= set(np.load(path).files)
    for path in tutorial.rglob("*.json"):
        metadata = json.loads(path.read_text())
        found |= set(metadata) | set(metadata.get("training", {}).get("last_step", {}))
    assert "gradient_norm" in found
    assert found <= defined, found - defined
