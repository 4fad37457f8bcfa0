"""Targets and weights of each objective against the near-expert's networks written out in numpy."""

import dataclasses

import numpy as np
import pytest
import torch

from helpers.small import make_small_dataset, make_small_near_expert
from obdistill.core.errors import UserError
from obdistill.near_experts.networks import linear_layers
from obdistill.synsets.objectives import OBJECTIVES, WeightSettings


def relu_network(network, inputs: np.ndarray) -> np.ndarray:
    layers = [
        (layer.weight.detach().double().numpy(), layer.bias.detach().double().numpy())
        for layer in linear_layers(network)
    ]
    for index, (weight, bias) in enumerate(layers):
        inputs = inputs @ weight.T + bias
        if index < len(layers) - 1:
            inputs = np.maximum(inputs, 0)
    return inputs


@pytest.fixture
def dataset():
    return make_small_dataset()


@pytest.fixture
def expert():
    return make_small_near_expert()


def expected(dataset, expert):
    """pi* and both q* in float64, from raw states and the near-expert's own statistics."""
    states = (dataset.transitions.observations.astype(float) - 0.5) / (2.0 + 1e-3)
    actions = np.tanh(relu_network(expert.actor, states))
    q = np.stack([relu_network(c, np.concatenate([states, actions], 1))[:, 0] for c in expert.critics])
    return actions, q


def test_dbc_regresses_on_the_datas_actions_in_policy_units(dataset):
    columns = OBJECTIVES["dbc"](dataset, None, WeightSettings())
    assert np.allclose(columns.targets, dataset.transitions.actions / 2, atol=1e-6)
    assert torch.equal(columns.weights, torch.ones(60))


def test_pbc_regresses_on_the_mean_action(dataset, expert):
    columns = OBJECTIVES["pbc"](dataset, expert, WeightSettings())
    assert np.allclose(columns.targets, expected(dataset, expert)[0], atol=1e-5)
    assert torch.equal(columns.weights, torch.ones(60))


@pytest.mark.parametrize(("critic", "reduce"), [("first", lambda q: q[0]), ("min", np.min), ("mean", np.mean)])
def test_av_pbc_weighs_as_the_paper(dataset, expert, critic, reduce):
    columns = OBJECTIVES["av_pbc"](dataset, expert, WeightSettings(form="scaled", scale=0.02, critic=critic))
    actions, q = expected(dataset, expert)
    value = q[0] if critic == "first" else reduce(q, axis=0)
    assert np.allclose(columns.targets, actions, atol=1e-5)
    assert np.allclose(columns.weights, 0.02 * value, atol=1e-5)


def test_mean_one_weights_are_not_negative_and_average_one(dataset, expert):
    columns = OBJECTIVES["av_pbc"](dataset, expert, WeightSettings(form="mean_one"))
    value = np.maximum(expected(dataset, expert)[1].min(0), 0)
    assert (value == 0).any(), "the case must have negative values"
    assert np.allclose(columns.weights, value / value.mean(), atol=1e-4)
    assert columns.weights.mean().item() == pytest.approx(1, abs=1e-5)


def test_constant_values_make_av_pbc_equal_pbc(dataset, expert):
    for critic in expert.critics:
        last = linear_layers(critic)[-1]
        torch.nn.init.zeros_(last.weight)
        torch.nn.init.constant_(last.bias, 7.0)
    weighted, plain = (OBJECTIVES[name](dataset, expert, WeightSettings()) for name in ("av_pbc", "pbc"))
    assert torch.equal(weighted.targets, plain.targets)
    assert torch.allclose(weighted.weights, plain.weights)


def test_all_values_negative_is_refused(dataset, expert):
    for critic in expert.critics:
        torch.nn.init.zeros_(linear_layers(critic)[-1].weight)
        torch.nn.init.constant_(linear_layers(critic)[-1].bias, -1.0)
    with pytest.raises(UserError, match="every action value"):
        OBJECTIVES["av_pbc"](dataset, dataclasses.replace(expert), WeightSettings())
