"""IQL's pieces against scipy and numpy."""

import math

import numpy as np
import pytest
import torch
from scipy.stats import expectile

from obdistill.near_experts.iql import advantage_weights, expectile_loss


def test_the_minimum_of_the_loss_is_the_expectile():
    samples = np.random.default_rng(0).gamma(2.0, size=400)
    value = torch.tensor(0.0, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([value], max_iter=100)

    def loss():
        optimizer.zero_grad()
        result = expectile_loss(torch.tensor(samples) - value, 0.8)
        result.backward()
        return result

    optimizer.step(loss)
    assert value.item() == pytest.approx(expectile(samples, 0.8), rel=1e-6)


def test_the_loss_by_hand():
    assert expectile_loss(torch.tensor([2.0, -1.0]), 0.7).item() == pytest.approx((0.7 * 4 + 0.3 * 1) / 2)


def test_weights_grow_with_the_advantage_up_to_a_limit():
    found = advantage_weights(torch.tensor([-1.0, 0.0, 0.5, 50.0, 1000.0]), 3.0, 100.0)
    assert np.allclose(found, [math.exp(-3), 1, math.exp(1.5), 100, 100])
