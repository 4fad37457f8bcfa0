"""The stage `obd distill`: what it writes, where it starts, what it refuses, determinism."""

import dataclasses
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
from obdistill.near_experts.near_expert import read_near_expert, write_near_expert
from obdistill.near_experts.networks import Critics, mlp, orthogonal_
from obdistill.policies.precision import resolve
from obdistill.synsets.selection import random_rows
from obdistill.synsets.stage import distill, select
from obdistill.synsets.synset import read_pairs


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
    distill(dataset, needs, objective, 8, 3, small_settings(), tmp_path / "synset.npz")
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


def test_random_selection_holds_real_pairs_without_repeats(inputs, tmp_path):
    select(inputs[0], None, "random", 60, 0, tmp_path / "synset.npz")
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
    distill(dataset, near_expert, "pbc", 8, 3, settings, tmp_path / "synset.npz")
    select(dataset, None, "random", 8, 3, tmp_path / "random.npz")
    synset, random = read_pairs(tmp_path / "synset.npz"), read_pairs(tmp_path / "random.npz")
    assert np.allclose(synset.observations, random.observations, atol=1e-5)
    wanted = read_near_expert(near_expert).actions(random.observations[0])
    expected = random.normalizer.raw_actions(wanted) if start == "targets" else random.actions[0]
    assert np.allclose(synset.actions[0], expected, atol=1e-5)
    assert not np.allclose(random.normalizer.raw_actions(wanted), random.actions[0], atol=1e-2), "the case to test"


def test_same_seed_same_bytes_other_seed_other_bytes(inputs, tmp_path):
    digests = []
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        distill(*inputs, "av_pbc", 8, seed, small_settings(), tmp_path / name / "synset.npz")
        digests.append([artifacts.sha256(tmp_path / name / file) for file in ("synset.npz", "metrics.csv")])
    assert digests[0] == digests[1]
    assert digests[0] != digests[2]


@pytest.mark.parametrize(
    ("objective", "size", "message"),
    [("pbc", 8, "--near-expert: missing"), ("dbc", 61, "size: 61: is more than the 60 transitions")],
)
def test_bad_input_is_one_line(objective, size, message, inputs, tmp_path):
    with pytest.raises(UserError, match=message):
        distill(inputs[0], None, objective, size, 0, small_settings(), tmp_path / "synset.npz")
    assert not list(tmp_path.iterdir())


def test_a_damaged_dataset_is_refused(inputs, tmp_path):
    for path in (inputs[0], artifacts.sidecar(inputs[0])):
        shutil.copy(path, tmp_path)
    copy = tmp_path / "dataset.npz"
    copy.write_bytes(copy.read_bytes()[:-20])
    with pytest.raises(UserError, match="damaged"):
        distill(copy, None, "dbc", 8, 0, small_settings(), tmp_path / "synset.npz")


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
        distill(inputs[0], tmp_path / "other.safetensors", "pbc", 8, 0, small_settings(), tmp_path / "synset.npz")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "synset.npz").exists()
