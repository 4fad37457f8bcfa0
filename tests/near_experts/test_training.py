"""What the offline-RL algorithms share: returns, batches, updates, and the end of a diverging training."""

import math

import numpy as np
import pytest
import torch

from obdistill.core.errors import UserError
from obdistill.core.units import Task
from obdistill.datasets.transitions import Transitions, make_dataset
from obdistill.near_experts.networks import mlp, orthogonal_
from obdistill.near_experts.td3_bc import Td3Bc, Td3BcSettings
from obdistill.near_experts.training import (
    Batch,
    adam,
    as_batch,
    discounted_returns,
    minimize,
    polyak_update,
    scale_of_returns,
    squared_error,
    train,
)


def make_dataset_of_three_episodes():
    """Episodes of 3, 1 and 4 steps; the first terminates, the others are cut."""
    episode = np.array([0, 0, 0, 1, 2, 2, 2, 2], np.int32)
    n = len(episode)
    rng = np.random.default_rng(0)
    terminated, truncated = np.zeros(n, bool), np.zeros(n, bool)
    terminated[2] = truncated[3] = truncated[7] = True
    states = rng.normal(size=(n, 2)).astype(np.float32)
    actions = rng.uniform(0, 4, (n, 1)).astype(np.float32)
    rewards = np.array([1, 2, 4, 8, 1, 1, 1, 1], np.float32)
    transitions = Transitions(states, actions, rewards, states + 1, terminated, truncated, episode)
    return make_dataset(Task("made", "Made-v0", (0.0, 1.0)), transitions, np.zeros(1), np.full(1, 4.0))


def test_returns_restart_in_every_episode():
    dataset = make_dataset_of_three_episodes()
    found = discounted_returns(dataset.transitions.rewards, dataset.transitions.episode, 0.5)
    assert np.allclose(found, [1 + 1 + 1, 2 + 2, 4, 8, 1.875, 1.75, 1.5, 1])


def test_returns_of_long_episodes_equal_a_loop():
    rng = np.random.default_rng(1)
    rewards, episode = rng.normal(size=500).astype(np.float32), np.repeat(np.arange(5), [1, 99, 300, 40, 60])
    expected, following = np.zeros(500), 0.0
    for t in reversed(range(500)):
        last = t == 499 or episode[t + 1] != episode[t]
        following = float(rewards[t]) + (0.0 if last else 0.99 * following)
        expected[t] = following
    assert np.allclose(discounted_returns(rewards, episode, 0.99), expected, rtol=1e-12)


def test_a_dataset_in_normalized_units():
    dataset = make_dataset_of_three_episodes()
    data = as_batch(dataset, 0.5, 10.0)
    recorded = dataset.transitions
    std = recorded.observations.std(0) + 1e-3
    assert torch.allclose(data.states.mean(0), torch.zeros(2), atol=1e-6)
    assert np.allclose(data.next_states, (recorded.next_observations - recorded.observations.mean(0)) / std, atol=1e-5)
    assert np.allclose(data.actions, recorded.actions / 2 - 1, atol=1e-6)
    assert data.not_done.tolist() == [1, 1, 0, 1, 1, 1, 1, 1]  # a cut episode goes on, a terminated one does not
    assert data.rewards.tolist() == [10, 20, 40, 80, 10, 10, 10, 10]
    assert data.returns[0] == 30
    assert data.has_next.tolist() == [1, 1, 0, 0, 1, 1, 1, 0]
    following = data.has_next.bool()
    assert torch.equal(data.next_actions[following], data.actions[1:][following[:-1]])
    assert data.td_target(torch.full((8,), 100.0), 0.5).tolist() == [60, 70, 40, 130, 60, 60, 60, 60]


def test_the_scale_of_returns():
    assert scale_of_returns(make_dataset_of_three_episodes()) == pytest.approx(1000 / (8 - 4))


def test_a_batch_keeps_rows_together():
    column = torch.arange(50.0)
    matrix = column[:, None]
    data = Batch(matrix, 2 * matrix, 3 * column, 4 * matrix, 5 * column, 6 * column, 7 * matrix, 8 * column)
    batch = data.draw(200, torch.Generator().manual_seed(0))
    rows = batch.states[:, 0]
    assert len(batch) == 200
    assert rows.unique().numel() > 40
    for factor, found in (
        (2, batch.actions[:, 0]),
        (3, batch.rewards),
        (4, batch.next_states[:, 0]),
        (6, batch.returns),
        (7, batch.next_actions[:, 0]),
        (8, batch.has_next),
    ):
        assert torch.equal(found, factor * rows)
    assert torch.equal(data.draw(200, torch.Generator().manual_seed(0)).rewards, batch.rewards)


def test_only_the_optimizers_own_networks_move():
    generator = torch.Generator().manual_seed(0)
    actor, critic = (orthogonal_(mlp((2, 4, 2)), generator) for _ in range(2))
    before = [parameter.clone() for parameter in critic.parameters()]
    states = torch.randn(5, 2, generator=generator)
    minimize(critic(actor(states)).sum(), adam(actor.parameters(), 0.1))
    assert all(torch.equal(a, b) and b.grad is None for a, b in zip(before, critic.parameters(), strict=True))
    assert all(parameter.grad is not None for parameter in actor.parameters())


def test_a_target_moves_by_its_rate():
    generator = torch.Generator().manual_seed(0)
    target, source = (orthogonal_(mlp((2, 4, 1)), generator) for _ in range(2))
    expected = [0.9 * a + 0.1 * b for a, b in zip(target.parameters(), source.parameters(), strict=True)]
    polyak_update(target, source, 0.1)
    assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(target.parameters(), expected, strict=True))


def test_the_critics_loss_is_a_mean_over_transitions_and_a_sum_over_critics():
    values = torch.tensor([[1.0, 2.0], [3.0, 5.0]])
    assert squared_error(values, torch.tensor([0.0, 2.0])).item() == (1 + 0) / 2 + (9 + 9) / 2


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [("constant", [0.4] * 4), ("cosine", [0.2 * (1 + math.cos(math.pi * step / 4)) for step in range(4)])],
)
def test_the_actors_learning_rate_follows_its_schedule(schedule, expected):
    settings = Td3BcSettings(algorithm="td3_bc", steps=4, actor_learning_rate=0.4, actor_schedule=schedule)
    learner, rates = Td3Bc(settings, 2, 1), []
    learner.update = lambda batch: {
        "rate": torch.tensor(rates.append(learner.actor_optimizer.param_groups[0]["lr"]) or 0)
    }
    train(learner, as_batch(make_dataset_of_three_episodes(), 0.99, 1.0), settings)
    assert np.allclose(rates, expected)


def test_divergence_names_step_and_setting():
    settings = Td3BcSettings(
        algorithm="td3_bc",
        steps=200,
        critic_learning_rate=1e30,
        batch_size=8,
        actor_hidden_widths=(4,),
        critic_hidden_widths=(4,),
    )
    data = as_batch(make_dataset_of_three_episodes(), 0.99, 1.0)
    with pytest.raises(UserError, match=r"td3_bc: \w+ is (nan|inf) at step \d+: .* critic_learning_rate \(1e\+30\)"):
        train(Td3Bc(settings, 2, 1), data, settings)
