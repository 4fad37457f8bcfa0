"""Policies of random features: the closed form, its limit of infinitely many units, its random layers."""

import math

import numpy as np
import pytest
import torch

from helpers.policies import pairs
from obdistill.core.errors import UserError
from obdistill.core.seeding import torch_generator
from obdistill.policies import random_features
from obdistill.policies.architectures import ARCHITECTURES
from obdistill.policies.bc import train
from obdistill.policies.network import Network
from obdistill.policies.settings import BcSettings


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_the_last_layer_minimizes_the_penalized_squared_error():
    states, actions = pairs()
    found = train(states, actions, BcSettings(architecture="mlp_2", optimizer="ridge", ridge=0.01), 2, 5)
    layers = random_features.fresh_layers(3, 256, 2, torch_generator(5, "initialisation"))
    for run in range(2):
        phi = torch.relu(states @ found.weights[0][run] + found.biases[0][run]).double().numpy()
        assert torch.equal(found.weights[0][run], layers[run, :-1])
        penalty = 0.01 * np.square(phi).sum(1).mean()
        rows = np.vstack([phi, np.sqrt(penalty) * np.eye(256)])  # the penalty as rows of least squares
        targets = np.vstack([np.arctanh(actions.double().numpy()), np.zeros((256, 1))])
        assert np.allclose(found.weights[1][run].numpy(), np.linalg.lstsq(rows, targets)[0], atol=1e-5)
        assert not found.biases[1].any()


def test_policies_interpolate_the_pairs_and_act_by_the_network():
    states, actions = pairs()
    found = train(states, actions, BcSettings(architecture="mlp_2_1024", optimizer="ridge", ridge=1e-6), 3, 0)
    network = Network(ARCHITECTURES["mlp_2_1024"], 3, len(states), 3, 1)
    acted = network.forward(found, states.expand(3, -1, -1).contiguous(), network.units())
    assert torch.allclose(acted, actions.expand(3, -1, -1), atol=0.01)


def test_actions_at_the_bounds_have_finite_sums():
    sums = random_features.sums_of(torch.tensor([-2.0, -1.0, 0.0, 0.5, 1.0]))
    assert torch.allclose(sums, torch.tensor([-5.0, -5.0, 0.0, math.atanh(0.5), 5.0]), atol=0.01)


def test_a_whole_dataset_is_too_much():
    many = random_features.MOST_PAIRS + 1
    with pytest.raises(UserError, match=r"bc.optimizer: ridge: takes 8192 pairs at most; there are 8193"):
        random_features.fit(torch.zeros(many, 2), torch.zeros(many, 1), 1e-3, torch.zeros(1, 3, 4))


def test_units_are_orthogonal_in_blocks_and_uniform():
    layers = random_features.fresh_layers(4, 12, 500, generator())
    assert layers.shape == (500, 5, 12)
    for start in (0, 5):
        block = layers[..., start : start + 5]
        assert torch.allclose(block.mT @ block, 2 * torch.eye(5).expand(500, 5, 5), atol=1e-5)
    first = layers[..., 0]
    assert first.mean(0).abs().max() < 0.15
    assert torch.allclose(first.T @ first / 500, 2 / 5 * torch.eye(5), atol=0.1)


def test_the_wide_kernel_is_that_of_many_units():
    states = torch.randn(20, 4, generator=generator(1))
    wide = random_features.wide_kernel(states, states[:7])
    assert wide.shape == (20, 7)
    phi = random_features.features(states, random_features.fresh_layers(4, 400_000, 1, generator(2))[0])
    assert torch.allclose(phi @ phi[:7].T / 400_000, wide, atol=0.02 * wide.max().item())


def test_the_kernels_gradient():
    left = torch.randn(3, 2, generator=generator(1), dtype=torch.float64).requires_grad_()
    right = torch.randn(4, 2, generator=generator(2), dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(random_features.wide_kernel, (left, right))


def test_the_kernels_gradient_is_finite_where_states_are_the_same():
    states = torch.randn(5, 3, generator=generator()).requires_grad_()
    kernel = random_features.wide_kernel(states, states)
    (gradient,) = torch.autograd.grad(kernel.diagonal().sum(), states)
    assert torch.allclose(gradient, 2 * states / 4, atol=1e-5), "the diagonal is |(s, b)|^2 / (S + 1)"
