"""The stage `obd distill`: what it writes, where it starts, what it refuses, determinism."""

import dataclasses
import re
import shutil

import numpy as np
import pytest
import torch

from helpers.distillation import small_settings
from helpers.small import make_small_dataset, make_small_near_expert, write_small_inputs
from obdistill.core import artifacts
from obdistill.core.errors import UserError
from obdistill.core.methods import METHODS, OBJECTIVES
from obdistill.core.units import Normalizer, Task
from obdistill.datasets.transitions import Dataset, read_dataset
from obdistill.near_experts.near_expert import read_near_expert, write_near_expert
from obdistill.near_experts.networks import Critics, mlp, orthogonal_
from obdistill.near_experts.stage import train_near_expert
from obdistill.policies.precision import resolve
from obdistill.synsets.distillation import distill
from obdistill.synsets.selection import random_rows
from obdistill.synsets.stage import make_selection, make_synset
from obdistill.synsets.synset import read_pairs, write_synset


def normalizer(states: int, actions: int = 1, low: float = -2.0, high: float = 2.0) -> Normalizer:
    bounds = (np.full(actions, bound, np.float32) for bound in (low, high))
    return Normalizer(np.zeros(states, np.float32), np.ones(states, np.float32), *bounds)


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    return write_small_inputs(tmp_path_factory.mktemp("inputs"))


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_every_objective_gives_the_same_artifact(objective, inputs, tmp_path):
    dataset, near_expert = inputs
    needs = near_expert if METHODS[objective].needs_near_expert else None
    make_synset(dataset, needs, objective, 8, 3, small_settings(), tmp_path / "synset.npz")
    synset = read_pairs(tmp_path / "synset.npz")
    assert synset.steps.tolist() == [2, 4, 6]
    assert synset.observations.shape == (len(synset.steps), 8, 3)
    assert synset.actions.shape == (len(synset.steps), 8, 1)
    assert (synset.method, synset.seed, synset.task.env_id) == (objective, 3, "Pendulum-v1")
    metrics, _ = artifacts.read_table(tmp_path / "metrics.csv", "metrics")
    assert metrics["step"].tolist() == [1, 2, 3, 4, 5, 6]
    made = artifacts.read_sidecar(tmp_path / "synset.npz")
    assert made["precision"] == resolve("auto", "cpu")
    assert (made["device"], made["threads"]) == ("cpu", torch.get_num_threads())
    assert list(made["weights"]) == ["effective_sample_size", "max", "mean", "min"]
    assert not list(tmp_path.glob("*checkpoint*"))


@pytest.mark.parametrize("objective", ["dbc", "av_pbc"])
def test_in_memory_and_in_files_the_pairs_are_the_same(objective, inputs, tmp_path):
    make_synset(*inputs, objective, 8, 3, small_settings(steps=12), tmp_path / "synset.npz")
    seen = []
    data = read_dataset(inputs[0]), read_near_expert(inputs[1])
    synset = distill(*data, objective, 8, 3, small_settings(steps=12), progress=lambda *told: seen.append(told))
    write_synset(tmp_path / "memory.npz", synset)
    assert (tmp_path / "memory.npz").read_bytes() == (tmp_path / "synset.npz").read_bytes()
    metrics, _ = artifacts.read_table(tmp_path / "metrics.csv", "metrics")
    assert [step for step, _ in seen] == [10, 12]
    assert [loss for _, loss in seen] == pytest.approx(metrics["loss"].to_numpy()[9::2], rel=1e-5)


def test_keys_are_laid_over_settings():
    data = make_small_dataset(), None, "dbc", 8, 3
    synset = distill(*data, small_settings(), steps=2, outer={"learning_rate": 0.01})
    assert synset.steps.tolist() == [2]
    assert np.array_equal(synset.actions, distill(*data, small_settings(steps=2, learning_rate=0.01)).actions)
    assert not np.array_equal(synset.actions, distill(*data, small_settings(steps=2)).actions)


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"objective": "pbc"}, "near_expert: missing; objective pbc needs one"),
        ({"objective": "random"}, "objective: 'random': not known; allowed: dbc, pbc, dw_pbc, av_pbc"),
        ({"size": 0}, "size: 0: a number >= 1 is needed"),
        ({"steps": 0}, "distill: steps: 0: should be greater than or equal to 1"),
    ],
)
def test_what_cannot_be_distilled_in_memory_is_one_line(changes, line):
    with pytest.raises(UserError, match=f"^{re.escape(line)}$"):
        distill(make_small_dataset(), **{"objective": "dbc", "size": 8, **changes})


def test_no_environment_is_needed():
    rng = np.random.default_rng(0)
    ends = np.arange(1, 61) % 20 == 0
    arrays = rng.normal(size=(60, 3)), rng.uniform(-1, 1, (60, 1)), rng.uniform(size=60), np.zeros(60), ends
    dataset = Dataset.from_arrays(*arrays)
    networks = {"actor_hidden_widths": [8], "critic_hidden_widths": [8]}
    near_expert = train_near_expert(dataset, steps=5, batch_size=8, **networks)
    synset = distill(dataset, near_expert, "pbc", 8, settings=small_settings())
    assert synset.task == Task("own")
    with pytest.raises(UserError, match=r"^near_expert: task: 'own'; the dataset has 'pendulum', and both must be"):
        distill(make_small_dataset(), near_expert, "pbc", 8)


def test_random_selection_holds_real_pairs_without_repeats(inputs, tmp_path):
    make_selection(inputs[0], None, "random", 60, 0, tmp_path / "synset.npz")
    synset, data = read_pairs(tmp_path / "synset.npz"), make_small_dataset().transitions
    found = np.concatenate([synset.observations[0], synset.actions[0]], 1)
    wanted = np.concatenate([data.observations, data.actions], 1)
    order = [np.abs(wanted - row).sum(1).argmin() for row in found]
    assert sorted(order) == list(range(60))
    assert np.allclose(found, wanted[order], atol=1e-5)


def test_the_random_baseline_is_where_distillation_starts():
    dataset = make_small_dataset()
    again, other = random_rows(dataset, 8, 1), random_rows(dataset, 8, 2)
    assert torch.equal(random_rows(dataset, 8, 1), again)
    assert not torch.equal(again, other)


@pytest.mark.parametrize("start", ["targets", "data"])
def test_pairs_start_at_what_the_objective_wants_or_at_the_data(start, inputs, tmp_path):
    dataset, near_expert = inputs
    settings = small_settings(steps=1, every=1, optimizer="sgd", learning_rate=1e-9).model_copy(update={"start": start})
    make_synset(dataset, near_expert, "pbc", 8, 3, settings, tmp_path / "synset.npz")
    make_selection(dataset, None, "random", 8, 3, tmp_path / "random.npz")
    synset, random = read_pairs(tmp_path / "synset.npz"), read_pairs(tmp_path / "random.npz")
    assert np.allclose(synset.observations, random.observations, atol=1e-5)
    wanted = read_near_expert(near_expert).actions(random.observations[0])
    expected = random.normalizer.raw_actions(wanted) if start == "targets" else random.actions[0]
    assert np.allclose(synset.actions[0], expected, atol=1e-5)
    assert not np.allclose(random.normalizer.raw_actions(wanted), random.actions[0], atol=1e-2), "the case to test"


def test_same_seed_same_bytes_other_seed_other_bytes(inputs, tmp_path):
    digests = []
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        make_synset(*inputs, "av_pbc", 8, seed, small_settings(), tmp_path / name / "synset.npz")
        digests.append([artifacts.sha256(tmp_path / name / file) for file in ("synset.npz", "metrics.csv")])
    assert digests[0] == digests[1]
    assert digests[0] != digests[2]


@pytest.mark.parametrize(
    ("objective", "size", "message"),
    [("pbc", 8, "--near-expert: missing"), ("dbc", 61, "size: 61: is more than the 60 transitions")],
)
def test_bad_input_is_one_line(objective, size, message, inputs, tmp_path):
    with pytest.raises(UserError, match=message):
        make_synset(inputs[0], None, objective, size, 0, small_settings(), tmp_path / "synset.npz")
    assert not list(tmp_path.iterdir())


def test_a_damaged_dataset_is_refused(inputs, tmp_path):
    for path in (inputs[0], artifacts.sidecar(inputs[0])):
        shutil.copy(path, tmp_path)
    copy = tmp_path / "dataset.npz"
    copy.write_bytes(copy.read_bytes()[:-20])
    with pytest.raises(UserError, match="damaged"):
        make_synset(copy, None, "dbc", 8, 0, small_settings(), tmp_path / "synset.npz")


@pytest.mark.parametrize(
    ("change", "sizes", "message"),
    [
        (
            {"task": Task("hopper", "Pendulum-v1", (-1200.0, -150.0))},
            (3, 1),
            "task: 'hopper'; the dataset has 'pendulum'",
        ),
        (
            {"task": Task("pendulum", "Pendulum-v0", (-1200.0, -150.0))},
            (3, 1),
            "env_id: 'Pendulum-v0'; .* 'Pendulum-v1'",
        ),
        ({"normalizer": normalizer(3, high=1.0)}, (3, 1), r"highest actions: \[1.0\]; the dataset has \[2.0\]"),
        ({"normalizer": normalizer(3, low=-1.0)}, (3, 1), r"lowest actions: \[-1.0\]; the dataset has \[-2.0\]"),
        ({"normalizer": normalizer(4)}, (4, 1), "state dimensions: 4; the dataset has 3"),
        ({"normalizer": normalizer(3, actions=2)}, (3, 2), "action dimensions: 2; the dataset has 1"),
    ],
)
def test_a_near_expert_of_something_else_is_refused(change, sizes, message, inputs, tmp_path):
    state_dim, action_dim = sizes
    generator = torch.Generator().manual_seed(0)
    actor = orthogonal_(mlp((state_dim, 8, action_dim)), generator)
    critics = Critics([orthogonal_(mlp((state_dim + action_dim, 8, 1)), generator)])
    other = dataclasses.replace(make_small_near_expert(), actor=actor, critics=critics, **change)
    write_near_expert(tmp_path / "other.safetensors", other, {})
    with pytest.raises(UserError, match=rf"other\.safetensors: {message}") as caught:
        make_synset(inputs[0], tmp_path / "other.safetensors", "pbc", 8, 0, small_settings(), tmp_path / "synset.npz")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "synset.npz").exists()
