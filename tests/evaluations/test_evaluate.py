"""Evaluations and rollouts: many at once equal one at a time; the optimizer really changes."""

import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from helpers.policies import Gains, as_module, pairs
from helpers.small import write_small_inputs
from helpers.synsets import made_synset
from obdistill.core import artifacts, environments
from obdistill.core.errors import UserError
from obdistill.core.parsing import load_yaml
from obdistill.core.seeding import torch_generator
from obdistill.core.units import Normalizer, Task
from obdistill.evaluations.returns import COLUMNS
from obdistill.evaluations.rollout import _parts, record, rollout
from obdistill.evaluations.settings import EvaluateSettings
from obdistill.evaluations.stage import evaluate
from obdistill.experiment.config import Config
from obdistill.policies.architectures import ARCHITECTURES
from obdistill.policies.bc import train
from obdistill.policies.network import orthogonal_policies
from obdistill.policies.settings import BcSettings
from obdistill.policies.trained import TrainedPolicies
from obdistill.synsets.stage import make_selection
from obdistill.synsets.synset import write_synset

gains = Gains()


@pytest.mark.parametrize(
    ("protocol", "make"),
    [
        ("adam", lambda p, rate: torch.optim.Adam(p, rate)),
        ("adamw", lambda p, rate: torch.optim.AdamW(p, rate, weight_decay=0.01)),
        ("sgdm", lambda p, rate: torch.optim.SGD(p, rate, 0.9)),
    ],
)
@pytest.mark.parametrize("name", ["config.yaml", "config/paper.yaml"])
def test_the_optimizers_of_table_2_are_those_of_torch(name, protocol, make):
    """The authors' code trained every row of the table by the same SGD."""
    config = Config.parse(load_yaml(Path(__file__).parents[2] / name), name)
    task = next(iter(config.tasks))
    settings = config.evaluate_settings(task, "av_pbc", protocol).bc
    states, actions = pairs()
    short = settings.model_copy(update={"architecture": "mlp_2", "steps": 12})
    initial = orthogonal_policies(ARCHITECTURES["mlp_2"], 3, 1, 1, torch_generator(5, "initialisation"))
    module = as_module(initial, 0)
    optimizer = make(module.parameters(), settings.learning_rate)
    for _ in range(short.steps):
        optimizer.zero_grad()
        torch.nn.functional.mse_loss(module(states), actions).backward()
        optimizer.step()
    standard = config.evaluate.bc.model_copy(update={"architecture": "mlp_2", "steps": 12})
    found, plain = (as_module(train(states, actions, chosen, 1, 5), 0) for chosen in (short, standard))
    for mine, theirs in zip(found.parameters(), module.parameters(), strict=True):
        assert torch.allclose(mine, theirs, atol=2e-5)
    assert not torch.allclose(found[0].weight, plain[0].weight, atol=1e-3)
    # each reaches a low loss in the steps it is given
    trained = as_module(train(states, actions, settings, 1, 5), 0)
    assert torch.nn.functional.mse_loss(trained(states), actions) < 0.05 * actions.var()


@pytest.mark.parametrize("env_id", ["Pendulum-v1", "InvertedPendulum-v5"])
@pytest.mark.parametrize("workers", [1, 2, 4])
def test_rollouts_equal_a_plain_loop(env_id, workers):
    seeds = np.array([[3, 4, 5], [6, 7, 8]])
    rollout(gains, env_id, seeds[::-1] + 1, workers)  # environments are used again: nothing of this may be left
    found = rollout(gains, env_id, seeds, workers)
    for policy in range(2):
        for episode in range(3):
            env = environments.make(env_id)
            observation, _ = env.reset(seed=int(seeds[policy, episode]))
            total, length, over = 0.0, 0, False
            while not over:
                action = -(policy + 1) * observation[2:3]
                observation, reward, terminated, truncated, _ = env.step(
                    np.clip(action, *environments.action_bounds(env))
                )
                total, length, over = total + float(reward), length + 1, terminated or truncated
            assert found.returns[policy, episode] == total
            assert found.lengths[policy, episode] == length
    if env_id == "InvertedPendulum-v5":
        assert len(set(found.lengths.ravel())) > 1, "episodes of different lengths are the case to test"


@pytest.mark.parametrize(
    ("policies", "episodes", "workers", "parts"),
    [
        (10, 10, 2, (6, 1)),  # whole policies where they are enough
        (10, 10, 4, (10, 2)),
        (1, 30, 4, (1, 12)),
        (100, 1, 4, (12, 1)),
        (3, 2, 64, (3, 2)),
    ],
)
def test_every_worker_gets_some_parts(policies, episodes, workers, parts):
    assert _parts(policies, episodes, workers) == parts


@pytest.mark.parametrize("env_id", ["HalfCheetah-v5", "Hopper-v5"])
def test_trained_policies_act_alike_alone_and_together(env_id):
    env = environments.make(env_id)
    low, high = environments.action_bounds(env)
    dims = env.observation_space.shape[0], len(low)
    parameters = orthogonal_policies(ARCHITECTURES["mlp_4"], *dims, 3, torch_generator(0))
    normalizer = Normalizer(np.zeros(dims[0], np.float32), np.ones(dims[0], np.float32), low, high)
    together = TrainedPolicies(parameters, "mlp_4", normalizer)
    seeds = np.arange(12).reshape(3, 4)
    found = rollout(together, env_id, seeds)
    shared = rollout(together, env_id, seeds, workers=2)
    assert (found.returns == shared.returns).all()
    for policy in range(3):
        alone = TrainedPolicies(parameters[policy : policy + 1], "mlp_4", normalizer)
        for episode in range(2):
            observation, _ = env.reset(seed=int(seeds[policy, episode]))
            total, over = 0.0, False
            while not over:
                action = np.clip(alone(observation[None, None])[0, 0], low, high)
                observation, reward, terminated, truncated, _ = env.step(action)
                total, over = total + float(reward), terminated or truncated
            assert found.returns[policy, episode] == total


def test_recording_keeps_every_step_of_every_episode():
    seeds = np.array([[3, 4, 5], [6, 7, 8]])
    plain, recorded = rollout(gains, "InvertedPendulum-v5", seeds), record(gains, "InvertedPendulum-v5", seeds)
    assert [[len(trajectory) for trajectory in row] for row in recorded] == plain.lengths.tolist()
    assert [[trajectory.rewards.sum() for trajectory in row] for row in recorded] == plain.returns.tolist()
    env = environments.make("InvertedPendulum-v5")
    observation, _ = env.reset(seed=7)
    trajectory = recorded[1][1]
    for state in trajectory.observations:
        assert (state == observation).all()
        observation, _, terminated, _, _ = env.step(np.clip(-2 * observation[2:3], *environments.action_bounds(env)))
    assert terminated == trajectory.terminated


def test_evaluation_writes_one_row_per_episode_and_the_same_bytes(tmp_path):
    dataset, _ = write_small_inputs(tmp_path)
    settings = EvaluateSettings(bc=BcSettings(architecture="mlp_2", steps=5), policies=2, episodes=3)
    make_selection(dataset, None, "random", 8, 4, tmp_path / "synset.npz")
    for name in ("a.csv", "b.csv"):
        evaluate(tmp_path / "synset.npz", "standard", 7, settings, tmp_path / name)
    assert artifacts.sha256(tmp_path / "a.csv") == artifacts.sha256(tmp_path / "b.csv")
    table, metadata = artifacts.read_table(tmp_path / "a.csv", "returns")
    assert list(table) == list(COLUMNS)
    assert len(table) == 6
    assert table[list(COLUMNS)[:7]].drop_duplicates().values.tolist() == [
        ["pendulum", "random", "default", 8, 4, "standard", 0]
    ]
    assert table["env_seed"].nunique() == 6
    assert (table["length"] == 200).all()
    score = 100 * (table["return"] + 1200) / 1050
    assert np.allclose(table["score"], score, atol=1e-2)
    assert metadata["env_id"] == "Pendulum-v1"
    assert (metadata["precision"], metadata["device"], metadata["threads"]) == ("float32", "cpu", 1)
    made = artifacts.read_sidecar(tmp_path / "synset.npz")
    assert metadata["pairs"] == {key: made[key] for key in ("settings", "inputs", "device", "threads", "versions")}


def test_an_ensemble_is_one_policy_in_the_table(tmp_path):
    write_small_inputs(tmp_path)
    settings = EvaluateSettings(bc=BcSettings(architecture="mlp_2", steps=5), policies=3, episodes=2, ensemble=True)
    evaluate(tmp_path / "dataset.npz", "ensemble", 7, settings, tmp_path / "ensemble.csv")
    table, metadata = artifacts.read_table(tmp_path / "ensemble.csv", "returns")
    assert table["policy"].tolist() == [0, 0]
    assert table["env_seed"].nunique() == 2
    assert metadata["members"] == 3
    alone = tmp_path / "alone.csv"
    evaluate(tmp_path / "dataset.npz", "standard", 7, settings.model_copy(update={"ensemble": False}), alone)
    apart = pd.read_csv(alone)
    assert apart["env_seed"].tolist()[:2] == table["env_seed"].tolist()  # it meets what policy 0 meets
    assert artifacts.read_table(alone, "returns")[1]["members"] == 1


def test_a_whole_dataset_is_evaluated_like_a_synset(tmp_path):
    dataset, _ = write_small_inputs(tmp_path)
    training = BcSettings(architecture="mlp_2", optimizer="adam", learning_rate=1e-3, steps=5, batch_size=16)
    settings = EvaluateSettings(bc=training, policies=1, episodes=2)
    evaluate(dataset, "whole_data", 0, settings, tmp_path / "whole.csv")
    table = pd.read_csv(tmp_path / "whole.csv")
    assert table["method"].tolist() == ["bc_whole"] * 2
    assert table["size"].tolist() == [60] * 2


@pytest.mark.parametrize(
    ("task", "missing"), [(Task("own"), "env_id"), (Task("own", "Pendulum-v1"), "reference_returns")]
)
def test_pairs_that_cannot_be_scored_are_refused_before_any_training(tmp_path, task, missing):
    write_synset(tmp_path / "synset.npz", dataclasses.replace(made_synset("Pendulum-v1"), task=task))
    settings = EvaluateSettings(bc=BcSettings(learning_rate=1e9))  # would diverge
    with pytest.raises(UserError, match=f"^task own: has no {missing}; scores need it$"):
        evaluate(tmp_path / "synset.npz", "standard", 7, settings, tmp_path / "returns.csv")
