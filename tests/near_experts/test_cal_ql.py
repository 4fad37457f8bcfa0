"""Cal-QL's pieces against torch.distributions, numpy and integrals."""

import math

import numpy as np
import pytest
import torch
from scipy.special import logsumexp
from torch.distributions import Normal, TanhTransform, TransformedDistribution

from helpers.batches import make_batch
from obdistill.near_experts.cal_ql import CalQl, CalQlSettings, calibrated, conservative_gap, tanh_gaussian
from obdistill.near_experts.training import Batch


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_actions_and_densities_are_those_of_a_squashed_gaussian():
    # moderate numbers: the reference inverts tanh, which loses digits near its limits
    output = 2 * torch.rand(50, 6, generator=generator(), dtype=torch.float64) - 1.5
    noise = torch.randn(50, 3, generator=generator(1), dtype=torch.float64)
    actions, log_densities = tanh_gaussian(output, noise)
    mean, log_std = output.chunk(2, -1)
    reference = TransformedDistribution(Normal(mean, log_std.exp()), TanhTransform(cache_size=1))
    assert torch.allclose(actions, torch.tanh(mean + log_std.exp() * noise))
    assert torch.allclose(log_densities, reference.log_prob(actions).sum(-1), rtol=1e-8)


def test_far_from_zero_densities_stay_finite_and_the_deviation_is_clipped():
    output = torch.tensor([[300.0, 50.0], [-300.0, -50.0]])
    actions, log_densities = tanh_gaussian(output, torch.ones(2, 1))
    assert actions[:, 0].tolist() == [1, -1]
    assert log_densities.isfinite().all()
    clipped = tanh_gaussian(torch.tensor([[300.0, 2.0], [-300.0, -20.0]]), torch.ones(2, 1))[1]
    assert torch.equal(log_densities, clipped)


def test_calibration_raises_policy_values_only():
    values = torch.tensor([[[-5.0, 9.0, -1.0, 4.0]], [[0.0, 0.0, 2.0, 3.0]]])  # two critics, one state, two random
    assert calibrated(values, torch.tensor([2.5]), 2).tolist() == [[[-5, 9, 2.5, 4]], [[0, 0, 2.5, 3]]]


@pytest.mark.parametrize("temperature", [1.0, 0.3])
def test_the_gap_equals_numpy(temperature):
    rng = np.random.default_rng(0)
    others, data = rng.normal(0, 30, (2, 5, 6)), rng.normal(0, 30, (2, 5))
    expected = (temperature * logsumexp(others / temperature, axis=-1) - data).mean(1)
    found = conservative_gap(torch.tensor(others), torch.tensor(data), temperature)
    assert np.allclose(found, expected, rtol=1e-12)


def test_densities_make_the_sum_an_integral():
    """log mean exp(q(a)) / p(a) estimates log of the integral of exp(q): for q(a) = 2a on [-1, 1] it is log sinh 2."""
    count = 200_000
    noise = torch.randn(1, count, 1, generator=generator())
    output = torch.tensor([0.3, -0.5]).expand(1, count, 2)
    uniform = 2 * torch.rand(1, count, generator=generator(1)) - 1
    sampled, log_densities = tanh_gaussian(output, noise)
    for actions, density in ((uniform, torch.full((1, count), -math.log(2))), (sampled[..., 0], log_densities)):
        gap = conservative_gap((2 * actions - density).unsqueeze(0), torch.zeros(1, 1), 1.0)
        assert gap.item() - math.log(count) == pytest.approx(math.log(math.sinh(2)), abs=0.02)


def make_learner(**settings) -> CalQl:
    small = {"actor_hidden_widths": (8,), "critic_hidden_widths": (8,), "sampled_actions": 3}
    return CalQl(CalQlSettings(algorithm="cal_ql", **(small | settings)), 2, 1)


def random_batch(returns: float = 0.0) -> Batch:
    draw = generator(2)
    states, next_states = torch.randn(16, 2, generator=draw), torch.randn(16, 2, generator=draw)
    actions, rewards = 2 * torch.rand(16, 1, generator=draw) - 1, torch.randn(16, generator=draw)
    return make_batch(states, actions, rewards=rewards, next_states=next_states, returns=torch.full((16,), returns))


def test_actions_are_sampled_uniformly_and_from_the_policy_at_both_states():
    learner = make_learner(sampled_actions=2000)
    output, next_output = torch.tensor([[3.0, -20.0]]), torch.tensor([[-3.0, -20.0]])
    actions, log_densities = learner._other_actions(output, next_output)
    uniform, at_state, at_next = actions[0, :, 0].split(2000)
    assert abs(uniform.mean()) < 0.05
    assert uniform.std().item() == pytest.approx(3**-0.5, abs=0.02)
    assert torch.allclose(at_state, torch.tensor(3.0).tanh())
    assert torch.allclose(at_next, torch.tensor(-3.0).tanh())
    assert torch.allclose(log_densities[0, :2000], torch.tensor(-math.log(2)))


def test_a_first_step_moves_everything_that_learns():
    learner = make_learner(target_gap=5.0)
    named = {"actor": learner.actor, "critics": learner.critics, "targets": learner.target_critics}
    before = {name: [p.clone() for p in module.parameters()] for name, module in named.items()}
    learner.update(random_batch())
    for name, module in named.items():
        for old, new in zip(before[name], module.parameters(), strict=True):
            assert not torch.equal(old, new), name
    assert learner.log_entropy_weight != 0
    assert learner.log_multiplier != 1


@pytest.mark.parametrize(("target_gap", "direction"), [(-1e3, 1), (1e3, -1)])
def test_the_multiplier_rises_while_the_gap_is_above_its_target(target_gap, direction):
    learner = make_learner(target_gap=target_gap)
    learner.update(random_batch())
    assert (learner.log_multiplier.item() - 1) * direction > 0


@pytest.mark.parametrize(("log_std", "direction"), [(-10.0, 1), (0.0, -1)])
def test_the_entropy_weight_rises_while_the_policy_is_too_certain(log_std, direction):
    learner = make_learner()
    learner.actor[-1].weight.data.zero_()
    learner.actor[-1].bias.data.copy_(torch.tensor([0.0, log_std]))
    learner.update(random_batch())
    assert learner.log_entropy_weight.item() * direction > 0


def test_high_returns_change_the_critics_only_with_calibration():
    def critics_after(calibration: bool, returns: float) -> torch.Tensor:
        learner = make_learner(calibration=calibration)
        learner.update(random_batch(returns))
        return torch.cat([parameter.detach().flatten() for parameter in learner.critics.parameters()])

    assert torch.equal(critics_after(False, -1e6), critics_after(False, 1e6))
    assert torch.equal(critics_after(True, -1e6), critics_after(False, 0.0))
    assert not torch.allclose(critics_after(True, 1e6), critics_after(False, 0.0))
