"""The examples of docs/extending.md: git applies them to a copy of the sources, ruff accepts them, and they work."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
PAGE = (REPOSITORY / "docs/extending.md").read_text()
EXAMPLES = re.findall(r"^## (.*?)$.*?^```diff\n(.*?)^```", PAGE, re.M | re.S)
MAX_LINES = 30  # added, blank ones not counted

RUN = """
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
from click.testing import CliRunner

import obdistill.cli
from helpers.fake_returns import write_returns
from helpers.small import TASK, make_small_dataset
from obdistill.datasets.transitions import read_dataset
from obdistill.experiment.config import Config
from obdistill.core.sources import files
from obdistill.experiment.jobs import Experiment
from obdistill.near_experts.near_expert import read_near_expert
from obdistill.synsets.objectives import TARGETS_OF
from obdistill.synsets.settings import WeightSettings
from obdistill.synsets.synset import read_pairs

assert Path(obdistill.cli.__file__).is_relative_to(Path.cwd()), obdistill.cli.__file__


def run(*arguments, settings=()):
    assignments = [part for key, value in dict(settings).items() for part in ("--set", f"{key}={value}")]
    answer = CliRunner().invoke(obdistill.cli.obd, [*map(str, arguments), *assignments])
    assert answer.exit_code == 0, (arguments, answer.output)


transitions = make_small_dataset().transitions
states = {f"s{k}": column for k, column in enumerate(transitions.observations.T)}
ends = {"terminated": transitions.terminated, "truncated": transitions.truncated}
table = pd.DataFrame({**states, "a0": transitions.actions[:, 0], "reward": transitions.rewards, **ends})
table.to_csv("t.csv", index=False)
source = {"source": "csv", "file": "t.csv", "env_id": TASK.env_id, "reference_returns": list(TASK.reference_returns)}
run("dataset", "--task", "pendulum", "--out", "d/dataset.npz", settings=source)
near_expert = {"algorithm": "cloning", "steps": 200, "batch_size": 16,
               "actor_hidden_widths": [8], "critic_hidden_widths": [8]}
run("near-expert", "--dataset", "d/dataset.npz", "--out", "n/near_expert.safetensors", settings=near_expert)
distill = {"steps": 2, "snapshot_every": 1, "inner.steps": 2, "inner.architecture": "narrow", "outer.batch_size": 8}
run("distill", "--dataset", "d/dataset.npz", "--near-expert", "n/near_expert.safetensors", "--objective", "density_pbc",
    "--size", "4", "--seed", "0", "--out", "s/synset.npz", settings=distill)
assert read_pairs(Path("s/synset.npz")).method == "density_pbc"

config = Config.parse({
    "tasks": {"pendulum": {"dataset": source, "near_expert": near_expert}},
    "methods": ["pbc", "density_pbc"],
    "distill": {"inner": {"architecture": "narrow"}},
    "report": {"figures": ["score_distribution"]},
}, "test")
experiment, job = Experiment(config), SimpleNamespace(task="pendulum", method="density_pbc", variant="default")
assert experiment.dataset_files(job) == ["t.csv"]
used = [file.name for file in (*files("dataset", "csv"), *files("near-expert", "cloning"))]
assert {"csv_rows.py", "cloning.py"} <= {*used}
assert not {"d4rl.py", "iql.py"} & {*used}
assert experiment.needs_near_expert(job)
assert "weighting" not in experiment.distill_settings(job)

# clones what the data do, whose actions are noise: the mean action is best
dataset, expert = read_dataset(Path("d/dataset.npz")), read_near_expert(Path("n/near_expert.safetensors"))
found = TARGETS_OF["density_pbc"](dataset, expert, WeightSettings())
assert found.targets.equal(TARGETS_OF["pbc"](dataset, expert, WeightSettings()).targets)
# rare states weigh more: the weight rises with the distance from the middle of the data; none takes over
states = dataset.normalizer.states(dataset.transitions.observations)
assert np.corrcoef(states.norm(dim=1), found.weights)[0, 1] > 0.5
assert abs(found.weights.mean().item() - 1) < 1e-6
assert found.weights.max() < 3

paths = [write_returns(Path(f"r/{method}.csv"), lambda *numbers: sum(numbers), method=method)
         for method in ("pbc", "density_pbc")]
run("gather", "--out", "p/returns.npz", *paths)
run("figure-data", "--name", "score_distribution", "--out", "f/data.csv", "p/returns.npz")
run("figure", "--name", "score_distribution", "--out", "p/figure.png", "f/data.csv")
run("table", "--out", "p/table.csv", "p/returns.npz")
assert "Density-PBC" in Path("p/table.md").read_text()
"""


@pytest.fixture(scope="module")
def extended(tmp_path_factory):
    """A copy of the sources with all examples applied, one after the other."""
    folder = tmp_path_factory.mktemp("extended")
    shutil.copytree(REPOSITORY / "src", folder / "src", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    shutil.copy(REPOSITORY / "pyproject.toml", folder)
    for name, diff in EXAMPLES:
        command = ["git", "apply", "--verbose", "-"]
        applied = subprocess.run(command, cwd=folder, input=diff, capture_output=True, text=True, check=False)
        assert applied.returncode == 0, (name, applied.stderr)
    return folder


def test_there_is_an_example_of_each_kind():
    names = ["A dataset", "A near-expert algorithm", "An objective", "An architecture", "A figure"]
    assert [name for name, _ in EXAMPLES] == names


@pytest.mark.parametrize(("name", "diff"), EXAMPLES, ids=[name for name, _ in EXAMPLES])
def test_an_example_is_short(name, diff):
    assert 0 < len(re.findall(r"^\+(?!\+\+ )[^\n]+", diff, re.M)) <= MAX_LINES


def test_an_objective_is_two_edits():
    diff = dict(EXAMPLES)["An objective"]
    assert re.findall(r"^\+\+\+ b/src/obdistill/(.*)$", diff, re.M) == ["core/methods.py", "synsets/objectives.py"]


@pytest.mark.parametrize("arguments", [("check",), ("format", "--check")], ids=["style", "format"])
def test_the_examples_are_in_the_projects_style(extended, arguments):
    command = [sys.executable, "-m", "ruff", *arguments, "--no-cache", "src"]
    run = subprocess.run(command, cwd=extended, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout


def test_the_examples_work(extended):
    environment = {"PYTHONPATH": f"{extended / 'src'}:{REPOSITORY / 'tests'}", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", RUN]
    run = subprocess.run(command, cwd=extended, env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr[-3000:]
