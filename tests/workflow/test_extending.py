"""The examples of docs/extending.md, applied to a copy of the sources and run."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
EXAMPLES = re.findall(r"^## (.*?)$.*?```diff\n(.*?)```", (REPOSITORY / "docs/extending.md").read_text(), re.M | re.S)
MAX_LINES = 20

RUN = """
import dataclasses, sys
from pathlib import Path

import numpy as np
from click.testing import CliRunner

import obd
from helpers.fake_returns import write_returns
from obdistill.cli import obd as cli
from obdistill.experiment.config import Config
from obdistill.datasets.transitions import read_dataset
from obdistill.near_experts.networks import read_near_expert
from obdistill.synsets.objectives import OBJECTIVES, WeightSettings
from obdistill.synsets.synset import read_pairs
from obdistill.experiment.jobs import Experiment
from helpers.small import TASK, make_small_dataset

assert Path(obd.__file__).is_relative_to(Path.cwd()), obd.__file__


def run(*arguments):
    answer = CliRunner().invoke(cli, [str(argument) for argument in arguments])
    assert answer.exit_code == 0, (arguments, answer.output)


transitions = make_small_dataset().transitions
np.savez("t.npz", **{field.name: getattr(transitions, field.name) for field in dataclasses.fields(transitions)})
source = {"source": "arrays", "file": "t.npz", "env_id": TASK.env_id, "reference_returns": list(TASK.reference_returns)}
assignments = [part for key, value in source.items() for part in ("--set", f"{key}={value}")]
run("dataset", "--task", "pendulum", "--out", "dataset.npz", *assignments)
widths = {"actor_hidden_widths": [8], "critic_hidden_widths": [8]}
near_expert = {"algorithm": "cloning", "steps": 200, "batch_size": 16, **widths}
assignments = [part for key, value in near_expert.items() for part in ("--set", f"{key}={value}")]
run("near-expert", "--dataset", "dataset.npz", "--out", "near_expert.safetensors", *assignments)
distill = ["steps=2", "snapshot_every=1", "inner.steps=2", "inner.architecture=narrow", "outer.batch_size=8"]
run("distill", "--dataset", "dataset.npz", "--near-expert", "near_expert.safetensors", "--objective", "sdw",
    "--size", "4", "--seed", "0", "--out", "synset.npz", *[part for text in distill for part in ("--set", text)])
assert read_pairs(Path("synset.npz")).method == "sdw"

config = Config.parse({
    "tasks": {"pendulum": {"dataset": source, "near_expert": near_expert}},
    "methods": ["pbc", "sdw"], "distill": {"inner": {"architecture": "narrow"}},
    "report": {"figures": ["score_distribution"]},
}, "test")
job = type("Job", (), {"task": "pendulum", "method": "sdw"})
experiment = Experiment(config)
assert experiment.dataset_files(job) == ["t.npz"]
assert [file for file in experiment.dataset_code(job) if file.endswith("arrays.py")]
assert not [file for file in experiment.dataset_code(job) if file.endswith("d4rl.py")]
assert "weighting" not in experiment.distill_settings(job)

paths = [write_returns(Path(f"{method}.csv"), lambda *numbers: sum(numbers), method=method)
         for method in ("pbc", "sdw")]
run("figure", "--name", "score_distribution", "--out", "figure.png", *paths)
run("table", "--out", "table.csv", *paths)
assert "SDW" in Path("table.md").read_text()

# clones what the data do, whose actions are noise: the mean action is best
dataset, expert = read_dataset(Path("dataset.npz")), read_near_expert(Path("near_expert.safetensors"))
columns = OBJECTIVES["sdw"](dataset, expert, WeightSettings())
assert columns.targets.equal(OBJECTIVES["pbc"](dataset, expert, WeightSettings()).targets)
# rare states weigh more: the weight rises with the distance from the middle of the data; none takes over
states = dataset.normalizer.states(dataset.transitions.observations)
assert np.corrcoef(states.norm(dim=1), columns.weights)[0, 1] > 0.5
assert abs(columns.weights.mean().item() - 1) < 1e-6
assert columns.weights.max() < 3
"""


def apply(diff: str, folder: Path) -> None:
    """Apply a diff without line numbers: what a hunk removes and keeps must stand in the file once."""
    for part in re.split(r"^--- .*\n\+\+\+ b/", diff, flags=re.M)[1:]:
        name, _, hunks = part.partition("\n")
        if not (folder / name).exists():
            (folder / name).write_text("".join(line[1:] + "\n" for line in hunks.splitlines()))
            continue
        for hunk in hunks.split("@@\n")[1:]:
            lines = hunk.removesuffix("\n").split("\n")
            old, new = ("\n".join(line[1:] for line in lines if not line.startswith(other)) for other in ("+", "-"))
            text = (folder / name).read_text()
            assert text.count(f"\n{old}\n") == 1, (name, old)
            (folder / name).write_text(text.replace(f"\n{old}\n", f"\n{new}\n"))


@pytest.fixture(scope="module")
def extended(tmp_path_factory):
    folder = tmp_path_factory.mktemp("extended")
    shutil.copytree(REPOSITORY / "src/obdistill", folder / "src/obd", ignore=shutil.ignore_patterns("__pycache__"))
    for _, diff in EXAMPLES:
        apply(diff, folder)
    return folder


@pytest.mark.parametrize(("name", "diff"), EXAMPLES)
def test_an_example_is_short(name, diff):
    assert 0 < len(re.findall(r"^\+(?!\+\+ )", diff, re.M)) <= MAX_LINES


def test_there_is_an_example_of_each_kind():
    names = ["A dataset", "A near-expert algorithm", "An method", "An architecture", "A figure"]
    assert [name for name, _ in EXAMPLES] == names


def test_the_examples_work(extended):
    environment = {"PYTHONPATH": f"{extended / 'src'}:{REPOSITORY / 'tests'}", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", RUN]
    run = subprocess.run(command, cwd=extended, env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr[-3000:]
