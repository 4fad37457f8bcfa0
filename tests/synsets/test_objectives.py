"""Targets and weights of each objective against the near-expert's networks written out in numpy."""

import numpy as np
import pytest
import torch

from helpers.small import make_small_dataset, make_small_near_expert
from obdistill.core.errors import UserError
from obdistill.near_experts.networks import linear_layers
from obdistill.synsets.objectives import TARGETS_OF, action_value_weights, describe_weights
from obdistill.synsets.settings import WeightSettings


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
    found = TARGETS_OF["dbc"](dataset, None, WeightSettings())
    assert np.allclose(found.targets, dataset.transitions.actions / 2, atol=1e-6)
    assert torch.equal(found.weights, torch.ones(60))


def test_pbc_regresses_on_the_mean_action(dataset, expert):
    found = TARGETS_OF["pbc"](dataset, expert, WeightSettings())
    assert np.allclose(found.targets, expected(dataset, expert)[0], atol=1e-5)
    assert torch.equal(found.weights, torch.ones(60))


def test_dw_pbc_weighs_rare_states_more(dataset, expert):
    found = TARGETS_OF["dw_pbc"](dataset, expert, WeightSettings())
    assert np.allclose(found.targets, expected(dataset, expert)[0], atol=1e-5)
    states = dataset.transitions.observations.astype(float)
    states = (states - states.mean(0)) / (states.std(0) + 1e-3)
    distance = np.sort(np.linalg.norm(states[:, None] - states[None], axis=-1), axis=1)[:, 10]  # column 0 is itself
    weights = np.clip(distance, *np.percentile(distance, [5, 95])) ** 0.3  # p = r^-3, to the power of -0.1
    assert np.allclose(found.weights, weights / weights.mean(), rtol=1e-2), "percentiles of r and of log r differ"
    assert found.weights.mean().item() == pytest.approx(1, abs=1e-6)
    assert 30 < describe_weights(found.weights)["effective_sample_size"] < 60


@pytest.mark.parametrize(("critic", "reduce"), [("first", lambda q: q[0]), ("min", np.min), ("mean", np.mean)])
def test_av_pbc_weighs_as_the_paper(dataset, expert, critic, reduce):
    found = TARGETS_OF["av_pbc"](dataset, expert, WeightSettings(form="scaled", scale=0.02, critic=critic))
    actions, q = expected(dataset, expert)
    value = q[0] if critic == "first" else reduce(q, axis=0)
    assert np.allclose(found.targets, actions, atol=1e-5)
    assert np.allclose(found.weights, 0.02 * value, atol=1e-5)


def test_mean_one_weights_are_not_negative_and_average_one(dataset, expert):
    found = TARGETS_OF["av_pbc"](dataset, expert, WeightSettings(form="mean_one"))
    value = np.maximum(expected(dataset, expert)[1].min(0), 0)
    assert (value == 0).any(), "the case must have negative values"
    assert np.allclose(found.weights, value / value.mean(), atol=1e-4)
    assert found.weights.mean().item() == pytest.approx(1, abs=1e-5)


def test_constant_values_make_av_pbc_equal_pbc(dataset, expert):
    for critic in expert.critics:
        last = linear_layers(critic)[-1]
        torch.nn.init.zeros_(last.weight)
        torch.nn.init.constant_(last.bias, 7.0)
    weighted, plain = (TARGETS_OF[name](dataset, expert, WeightSettings()) for name in ("av_pbc", "pbc"))
    assert torch.equal(weighted.targets, plain.targets)
    assert torch.allclose(weighted.weights, plain.weights)


@pytest.mark.parametrize("form", ["mean_one", "scaled"])
def test_all_values_negative_is_refused_with_what_helps(dataset, expert, form):
    for critic in expert.critics:
        torch.nn.init.zeros_(linear_layers(critic)[-1].weight)
        torch.nn.init.constant_(linear_layers(critic)[-1].bias, -1.0)
    with pytest.raises(UserError, match=rf"weighting\.form: '{form}': no action value .* use form 'shifted' or .* pbc"):
        TARGETS_OF["av_pbc"](dataset, expert, WeightSettings(form=form))


def test_shifted_weights_do_not_change_with_a_constant_in_the_values(dataset, expert):
    shifted = WeightSettings(form="shifted")
    before = TARGETS_OF["av_pbc"](dataset, expert, shifted).weights
    for critic in expert.critics:
        linear_layers(critic)[-1].bias.data -= 100
    after = TARGETS_OF["av_pbc"](dataset, expert, shifted).weights
    value = expected(dataset, expert)[1].min(0)
    assert (value < 0).all(), "the case that has no other weights"
    assert np.allclose(after, (value - value.min()) / (value - value.min()).mean(), atol=1e-3)
    assert torch.allclose(before, after, atol=1e-3)
    assert (after.argsort() == torch.from_numpy(value).argsort()).all(), "the order of the states is that of q"


def test_shifted_weights_of_equal_values_are_those_of_pbc():
    assert torch.equal(action_value_weights(torch.full((5,), -3.0), WeightSettings(form="shifted")), torch.ones(5))


def test_few_states_that_count_are_warned_of(caplog):
    even = describe_weights(torch.ones(100))
    assert even == {"mean": 1.0, "min": 1.0, "max": 1.0, "effective_sample_size": pytest.approx(100)}
    assert not caplog.messages
    weights = torch.zeros(100)
    weights[:4] = 25.0
    assert describe_weights(weights)["effective_sample_size"] == pytest.approx(4)
    assert caplog.messages == [
        "weighting: the effective sample size is 4 of 100 states (4 %): few states count; consider weighting.form "
        "shifted, or objective pbc"
    ]


def test_negative_weights_are_warned_of(caplog):
    describe_weights(torch.tensor([-1.0, 2.0, 3.0]))
    assert len(caplog.messages) == 1
    assert "1 of 3 weights are negative" in caplog.messages[0]
