"""Trained policies as functions of observations: ensembles, and bits that do not depend on the batch."""

import numpy as np
import pytest

from helpers.small import HIGH
from obdistill.core.seeding import torch_generator
from obdistill.core.units import Normalizer
from obdistill.policies.architectures import ARCHITECTURES
from obdistill.policies.network import orthogonal_policies
from obdistill.policies.trained import TrainedPolicies


def test_an_ensemble_acts_by_the_mean_of_its_members():
    parameters = orthogonal_policies(ARCHITECTURES["mlp_2"], 3, 1, 4, torch_generator(5, "initialisation"))
    normalizer = Normalizer(np.ones(3, np.float32), np.full(3, 2, np.float32), -HIGH, HIGH)
    observations = np.random.default_rng(0).normal(size=(1, 6, 3))
    each = TrainedPolicies(parameters, "mlp_2", normalizer)(np.repeat(observations, 4, 0))
    together = TrainedPolicies(parameters, "mlp_2", normalizer, ensemble=True)(observations)
    assert each.shape == (4, 6, 1)
    assert each.std(0).min() > 0.01
    assert np.allclose(together, each.mean(0, keepdims=True), atol=1e-6)


@pytest.mark.parametrize("action_dim", [1, 2, 3, 6, 8, 17])
@pytest.mark.parametrize("ensemble", [False, True])
def test_a_states_action_has_the_same_bits_in_any_batch(action_dim, ensemble):
    parameters = orthogonal_policies(ARCHITECTURES["mlp_4"], 17, action_dim, 3, torch_generator(0))
    statistics = np.zeros(17, np.float32), np.ones(17, np.float32)
    bounds = np.full(action_dim, -1, np.float32), np.ones(action_dim, np.float32)
    policies = TrainedPolicies(parameters, "mlp_4", Normalizer(*statistics, *bounds), ensemble)
    observations = np.random.default_rng(0).normal(size=(1 if ensemble else 3, 11, 17))
    together = policies(observations)
    assert together.shape == (*observations.shape[:2], action_dim)
    for policy, column in np.ndindex(observations.shape[:2]):
        alone = policies[policy : policy + 1](observations[policy : policy + 1, column : column + 1])
        assert np.array_equal(alone[0, 0], together[policy, column])
