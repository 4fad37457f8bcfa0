"""Behavior cloning and rollouts: many at once equal one at a time; the optimizer really changes."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from helpers.small import HIGH, write_small_inputs
from obdistill.core import artifacts, environments
from obdistill.core.errors import UserError
from obdistill.core.parsing import load_yaml
from obdistill.core.seeding import torch_generator
from obdistill.core.units import Normalizer
from obdistill.evaluations.rollout import _parts, record, rollout
from obdistill.evaluations.stage import BcSettings, EvaluateSettings, TrainedPolicies, clone, evaluate
from obdistill.experiment.config import Config
from obdistill.policies.network import ARCHITECTURES, initialize
from obdistill.synsets.stage import DistillSettings, distill


def pairs(n: int = 20):
    generator = torch.Generator().manual_seed(0)
    states = torch.randn(n, 3, generator=generator)
    return states, torch.tanh(states[:, :1])


def as_module(parameters, run: int) -> torch.nn.Sequential:
    layers = []
    for weight, bias in zip(parameters.weights, parameters.biases, strict=True):
        linear = torch.nn.Linear(weight.shape[1], weight.shape[2])
        linear.weight.data, linear.bias.data = weight[run].mT.clone(), bias[run, 0].clone()
        layers += [linear, torch.nn.ReLU()]
    return torch.nn.Sequential(*layers[:-1], torch.nn.Tanh())


@pytest.mark.parametrize(
    ("settings", "make"),
    [
        ({"optimizer": "sgd", "learning_rate": 0.1}, lambda p: torch.optim.SGD(p, 0.1)),
        ({"optimizer": "sgd", "learning_rate": 0.05, "momentum": 0.9}, lambda p: torch.optim.SGD(p, 0.05, 0.9)),
        ({"optimizer": "adam", "learning_rate": 1e-3}, lambda p: torch.optim.Adam(p, 1e-3)),
        (
            {"optimizer": "adamw", "learning_rate": 1e-3, "weight_decay": 0.1},
            lambda p: torch.optim.AdamW(p, 1e-3, weight_decay=0.1),
        ),
    ],
)
def test_cloning_equals_a_module_trained_by_torch_optim(settings, make):
    states, actions = pairs()
    found = clone(states, actions, BcSettings(architecture="mlp_3", steps=12, **settings), 2, 5)
    initial = initialize(ARCHITECTURES["mlp_3"], 3, 1, 2, torch_generator(5, "initialisation"))
    for run in range(2):
        module = as_module(initial, run)
        optimizer = make(module.parameters())
        for _ in range(12):
            optimizer.zero_grad()
            torch.nn.functional.mse_loss(module(states), actions).backward()
            optimizer.step()
        trained = as_module(found, run)
        for mine, theirs in zip(trained.parameters(), module.parameters(), strict=True):
            assert torch.allclose(mine, theirs, atol=2e-5)


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
    settings = config.evaluate_settings(task, "av_pbc", protocol).clone
    states, actions = pairs()
    short = settings.model_copy(update={"architecture": "mlp_2", "steps": 12})
    initial = initialize(ARCHITECTURES["mlp_2"], 3, 1, 1, torch_generator(5, "initialisation"))
    module = as_module(initial, 0)
    optimizer = make(module.parameters(), settings.learning_rate)
    for _ in range(short.steps):
        optimizer.zero_grad()
        torch.nn.functional.mse_loss(module(states), actions).backward()
        optimizer.step()
    standard = config.evaluate.bc.model_copy(update={"architecture": "mlp_2", "steps": 12})
    found, plain = (as_module(clone(states, actions, chosen, 1, 5), 0) for chosen in (short, standard))
    for mine, theirs in zip(found.parameters(), module.parameters(), strict=True):
        assert torch.allclose(mine, theirs, atol=2e-5)
    assert not torch.allclose(found[0].weight, plain[0].weight, atol=1e-3)
    # each reaches a low loss in the steps it is given
    trained = as_module(clone(states, actions, settings, 1, 5), 0)
    assert torch.nn.functional.mse_loss(trained(states), actions) < 0.05 * actions.var()


def test_an_ensemble_acts_by_the_mean_of_its_members():
    parameters = initialize(ARCHITECTURES["mlp_2"], 3, 1, 4, torch_generator(5, "initialisation"))
    normalizer = Normalizer(np.ones(3, np.float32), np.full(3, 2, np.float32), -HIGH, HIGH)
    observations = np.random.default_rng(0).normal(size=(1, 6, 3))
    each = TrainedPolicies(parameters, "mlp_2", normalizer)(np.repeat(observations, 4, 0))
    together = TrainedPolicies(parameters, "mlp_2", normalizer, ensemble=True)(observations)
    assert each.shape == (4, 6, 1)
    assert each.std(0).min() > 0.01
    assert np.allclose(together, each.mean(0, keepdims=True), atol=1e-6)


def test_minibatches_are_seeded_and_learn():
    states, actions = pairs(200)
    settings = BcSettings(architecture="mlp_2", optimizer="adam", learning_rate=3e-3, steps=200, batch_size=32)
    first, again, other = (clone(states, actions, settings, 1, seed) for seed in (0, 0, 1))
    assert all(torch.equal(a, b) for a, b in zip(first.tensors(), again.tensors(), strict=True))
    assert not torch.equal(first.weights[0], other.weights[0])
    error = torch.nn.functional.mse_loss(as_module(first, 0)(states), actions)
    assert error < 0.01


def test_diverging_training_names_the_setting():
    states, actions = pairs()
    with pytest.raises(UserError, match=r"clone\.learning_rate: 1e\+30"):
        clone(states, actions, BcSettings(architecture="mlp_2", learning_rate=1e30, steps=5), 1, 0)


@dataclass(frozen=True)
class Gains:
    """Policies for a pendulum: one for each gain on the angular velocity."""

    of: tuple[float, ...] = (-1, -2)

    def __call__(self, observations: np.ndarray) -> np.ndarray:
        return np.array(self.of, observations.dtype)[:, None, None] * observations[:, :, 2:3]

    def __getitem__(self, rows: slice) -> "Gains":
        return Gains(self.of[rows])


gains = Gains()


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


@pytest.mark.parametrize("action_dim", [1, 2, 3, 6, 8, 17])
@pytest.mark.parametrize("ensemble", [False, True])
def test_a_states_action_has_the_same_bits_in_any_batch(action_dim, ensemble):
    parameters = initialize(ARCHITECTURES["mlp_4"], 17, action_dim, 3, torch_generator(0))
    statistics = np.zeros(17, np.float32), np.ones(17, np.float32)
    bounds = np.full(action_dim, -1, np.float32), np.ones(action_dim, np.float32)
    policies = TrainedPolicies(parameters, "mlp_4", Normalizer(*statistics, *bounds), ensemble)
    observations = np.random.default_rng(0).normal(size=(1 if ensemble else 3, 11, 17))
    together = policies(observations)
    assert together.shape == (*observations.shape[:2], action_dim)
    for policy, column in np.ndindex(observations.shape[:2]):
        alone = policies[policy : policy + 1](observations[policy : policy + 1, column : column + 1])
        assert np.array_equal(alone[0, 0], together[policy, column])


@pytest.mark.parametrize("env_id", ["HalfCheetah-v5", "Hopper-v5"])
def test_trained_policies_act_alike_alone_and_together(env_id):
    env = environments.make(env_id)
    low, high = environments.action_bounds(env)
    dims = env.observation_space.shape[0], len(low)
    parameters = initialize(ARCHITECTURES["mlp_4"], *dims, 3, torch_generator(0))
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
    settings = EvaluateSettings(clone=BcSettings(architecture="mlp_2", steps=5), policies=2, episodes=3)
    distill(dataset, None, "random", 8, 4, DistillSettings(), tmp_path / "synset.npz")
    for name in ("a.csv", "b.csv"):
        evaluate(tmp_path / "synset.npz", "standard", 7, settings, tmp_path / name)
    assert artifacts.sha256(tmp_path / "a.csv") == artifacts.sha256(tmp_path / "b.csv")
    table, metadata = artifacts.read_table(tmp_path / "a.csv", "returns")
    assert list(table) == [
        *("task", "method", "size", "seed", "protocol", "step", "policy", "policy_seed"),
        *("episode", "env_seed", "return", "length", "score"),
    ]
    assert len(table) == 6
    assert table[["task", "method", "size", "seed", "protocol", "step"]].drop_duplicates().values.tolist() == [
        ["pendulum", "random", 8, 4, "standard", 0]
    ]
    assert table["env_seed"].nunique() == 6
    assert (table["length"] == 200).all()
    score = 100 * (table["return"] + 1200) / 1050
    assert np.allclose(table["score"], score, atol=1e-2)
    assert metadata["env_id"] == "Pendulum-v1"


def test_an_ensemble_is_one_policy_in_the_table(tmp_path):
    write_small_inputs(tmp_path)
    settings = EvaluateSettings(clone=BcSettings(architecture="mlp_2", steps=5), policies=3, episodes=2, ensemble=True)
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
    settings = EvaluateSettings(clone=training, policies=1, episodes=2)
    evaluate(dataset, "whole_data", 0, settings, tmp_path / "whole.csv")
    table = pd.read_csv(tmp_path / "whole.csv")
    assert table["method"].tolist() == ["bc_whole"] * 2
    assert table["size"].tolist() == [60] * 2
