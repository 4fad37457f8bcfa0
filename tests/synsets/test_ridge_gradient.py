"""Distillation through policies of random features: the expected loss, its gradient, the outer loop on it."""

import pydantic
import pytest
import torch

from obdistill.core.errors import UserError
from obdistill.policies import random_features
from obdistill.synsets.objectives import RegressionTargets
from obdistill.synsets.outer_loop import OuterLoop, OuterProblem
from obdistill.synsets.ridge_gradient import RidgeGradient
from obdistill.synsets.settings import DistillSettings, InnerSettings, OuterSettings

INNER = InnerSettings(architecture="mlp_2_1024", optimizer="ridge", ridge=0.01)


def drawn(seed: int, *shapes: tuple[int, ...]) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(shape, generator=generator, dtype=torch.float64) for shape in shapes]


def test_the_variance_is_that_of_fresh_policies():
    """Against 200 policies of 1024 units: the mean within its standard error, the variance to a tenth."""
    states, sums, at = (tensor.float() for tensor in drawn(0, (12, 3), (12, 2), (60, 3)))
    generator = torch.Generator().manual_seed(1)
    gradient = RidgeGradient(DistillSettings(inner=INNER))
    units = random_features.fresh_layers(3, 8192, 1, generator)[0]
    output, variance = gradient.predict(states, sums, units, at)
    fitted = random_features.fit(states, sums.tanh(), 0.01, random_features.fresh_layers(3, 1024, 200, generator))
    found = torch.relu(at @ fitted.weights[0] + fitted.biases[0]) @ fitted.weights[1]
    scatter = (found - output.atanh()).square().mean()
    assert scatter.item() == pytest.approx(variance.mean().item(), rel=0.1)
    assert (found.mean(0) - output.atanh()).square().mean() < 0.03 * scatter


def test_gradients_are_those_of_the_loss():
    states, sums, outer_states, targets, weights = drawn(3, (5, 3), (5, 2), (1, 7, 3), (1, 7, 2), (1, 7, 1))
    units = random_features.fresh_layers(3, 50, 1, torch.Generator().manual_seed(0))[0].double()
    gradient = RidgeGradient(DistillSettings(inner=INNER), torch.float64)
    batch = outer_states, targets, weights.abs()
    loss, *found = gradient(units, states, sums, batch)
    for leaf, mine in zip((states, sums), found, strict=True):
        for index in ((0, 0), (2, 1), (4, 0)):
            step = torch.zeros_like(leaf)
            step[index] = 1e-6
            pair = (states + step, sums) if leaf is states else (states, sums + step)
            back = (states - step, sums) if leaf is states else (states, sums - step)
            slope = (gradient(units, *pair, batch)[0] - gradient(units, *back, batch)[0]) / 2e-6
            assert mine[index].item() == pytest.approx(slope.item(), rel=1e-4, abs=1e-8)
    output, variance = gradient.predict(states, sums, units, outer_states[0])
    error = (output - targets[0]).square() + (1 - output**2).square() * variance
    assert loss.item() == pytest.approx((batch[2][0] * error).mean().item(), rel=1e-12)


def test_the_loop_lowers_the_loss_and_gives_actions_within_the_bounds():
    generator = torch.Generator().manual_seed(9)
    states = torch.randn(400, 3, generator=generator)
    targets = torch.tanh(3 * states[:, :1]).sign()  # at the bounds
    settings = DistillSettings(
        steps=60, snapshot_every=60, inner=INNER, outer=OuterSettings(batch_size=100, schedule="cosine")
    )
    problem = OuterProblem(states, RegressionTargets(targets, torch.ones(400)))
    loop = OuterLoop(settings, problem, (states[:16], targets[:16]), 0)
    for _ in range(60):
        loop.advance()
    loop.check()
    assert loop.metrics[-10:, 1].mean() < 0.7 * loop.metrics[:3, 1].mean()
    assert loop.snapshot_actions.abs().max() < 1
    expected = random_features.sums_of(loop.snapshot_actions[0])
    assert torch.allclose(expected, loop.mean_actions.clamp(-5, 5), atol=2e-3), "what a policy is then fitted to"


def test_a_ridge_too_small_for_the_pairs_is_named():
    """A pair that comes twice makes the kernel singular."""
    states, sums, at = (tensor.float() for tensor in drawn(0, (6, 3), (6, 2), (4, 3)))
    states, sums = states.repeat(40, 1), sums.repeat(40, 1)
    units = random_features.fresh_layers(3, 16, 1, torch.Generator().manual_seed(0))[0]
    inner = INNER.model_copy(update={"ridge": 1e-12})
    with pytest.raises(UserError, match=r"inner\.ridge: 1e-12: too small for these pairs in float32; take 1e-6"):
        RidgeGradient(DistillSettings(inner=inner)).predict(states, sums, units, at)
    output, _ = RidgeGradient(DistillSettings(inner=inner)).predict(states * torch.nan, sums, units, at)
    assert output.isnan().all()  # stopped by the outer loop, with the step's number


def test_networks_with_more_hidden_layers_are_refused():
    with pytest.raises(pydantic.ValidationError, match=r"optimizer ridge fits a network with one hidden layer"):
        InnerSettings(architecture="mlp_4", optimizer="ridge")
