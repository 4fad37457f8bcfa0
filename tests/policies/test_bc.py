"""Behavior cloning: many policies at once equal modules trained one at a time by torch's optimizers."""

import pytest
import torch

from helpers.policies import as_module, pairs
from obdistill.core.errors import UserError
from obdistill.core.seeding import torch_generator
from obdistill.policies.adam_unroll import AdamUnroll
from obdistill.policies.architectures import ARCHITECTURES
from obdistill.policies.bc import train
from obdistill.policies.network import Network, orthogonal_policies
from obdistill.policies.settings import BcSettings


@pytest.mark.parametrize(
    ("settings", "make"),
    [
        ({"optimizer": "sgd", "learning_rate": 0.1}, lambda p: torch.optim.SGD(p, 0.1)),
        ({"optimizer": "sgd", "learning_rate": 0.05, "momentum": 0.9}, lambda p: torch.optim.SGD(p, 0.05, 0.9)),
        ({"optimizer": "adam", "learning_rate": 1e-3}, lambda p: torch.optim.Adam(p, 1e-3)),
        ({"optimizer": "adam", "learning_rate": 1e-2, "epsilon": 1e-2}, lambda p: torch.optim.Adam(p, 1e-2, eps=1e-2)),
        (
            {"optimizer": "adamw", "learning_rate": 1e-3, "weight_decay": 0.1},
            lambda p: torch.optim.AdamW(p, 1e-3, weight_decay=0.1),
        ),
    ],
)
def test_cloning_equals_a_module_trained_by_torch_optim(settings, make):
    states, actions = pairs()
    found = train(states, actions, BcSettings(architecture="mlp_3", steps=12, **settings), 2, 5)
    initial = orthogonal_policies(ARCHITECTURES["mlp_3"], 3, 1, 2, torch_generator(5, "initialisation"))
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


def test_the_inner_adam_trains_as_behavior_cloning_does():
    states, actions = pairs()
    settings = BcSettings(
        architecture="mlp_2", optimizer="adam", learning_rate=0.02, epsilon=1e-3, steps=12, output_start="zero"
    )
    found = train(states, actions, settings, 2, 5)
    generator = torch_generator(5, "initialisation")
    initial = orthogonal_policies(ARCHITECTURES["mlp_2"], 3, 1, 2, generator, zero_output=True)
    assert not initial.weights[-1].any()
    unroll = AdamUnroll(Network(ARCHITECTURES["mlp_2"], 2, len(states), 3, 1, columns=True), 12, 0.02, 1e-3)
    trained = unroll.train(initial, states.expand(2, -1, -1).contiguous(), actions.expand(2, -1, -1))
    for mine, theirs in zip(found.tensors(), trained.tensors(), strict=True):
        assert torch.allclose(mine, theirs, atol=2e-5)


def test_minibatches_are_seeded_and_learn():
    states, actions = pairs(200)
    settings = BcSettings(architecture="mlp_2", optimizer="adam", learning_rate=3e-3, steps=200, batch_size=32)
    first, again, other = (train(states, actions, settings, 1, seed) for seed in (0, 0, 1))
    assert all(torch.equal(a, b) for a, b in zip(first.tensors(), again.tensors(), strict=True))
    assert not torch.equal(first.weights[0], other.weights[0])
    error = torch.nn.functional.mse_loss(as_module(first, 0)(states), actions)
    assert error < 0.01


def test_diverging_training_names_the_setting():
    states, actions = pairs()
    with pytest.raises(UserError, match=r"bc\.learning_rate: 1e\+30"):
        train(states, actions, BcSettings(architecture="mlp_2", learning_rate=1e30, steps=5), 1, 0)
