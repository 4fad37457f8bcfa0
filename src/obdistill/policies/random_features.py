"""Policies with a hidden layer that stays as it was drawn: the last layer is a ridge regression in closed form.

    pi(s) = tanh(V' phi(s)),  phi(s) = relu(W' (s, b)),  V = Phi' (Phi Phi' + ridge k H I)^-1 arctanh(a)

W is random, Phi has the features of the N pairs as rows, k is the mean of |phi|^2 / H over them. V is the exact minimum
of the squared error before the tanh with a penalty on V (https://arxiv.org/abs/2011.00050 distills datasets so). With
ever more units, Phi Phi' / H becomes the arc-cosine kernel (Cho and Saul 2009, NeurIPS), in which the initialization
no longer appears.

Shape letters: R policies, N pairs, S state dimension, A action dimension, H hidden units.
"""

import math
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from obdistill.core.errors import UserError
from obdistill.policies.network import GAIN, Parameters

LARGEST_SUM = 5.0  # actions at the bounds count as tanh(5) = 0.9999, of a finite sum
BIAS_INPUT = 3.0  # the constant that biases multiply: about as long as a standardized state, so that units end anywhere
SUMMED = 256  # units at once: longer sums of single precision are off by more than the penalty lets pass
MOST_PAIRS = 8192  # more make a system of equations that takes minutes


def sums_of(actions: Tensor) -> Tensor:
    """Return what stands before the tanh of normalized actions: arctanh, at most `LARGEST_SUM` in size."""
    limit = math.tanh(LARGEST_SUM)
    return torch.atanh(actions.clamp(-limit, limit))


def fresh_layers(state_dim: int, width: int, policies: int, generator: torch.Generator) -> Tensor:
    """Draw hidden layers: units with uniform directions, orthogonal in blocks of S + 1, all of the same length.

    Orthogonal directions spread more evenly than independent ones, so that policies differ less.

    Parameters
    ----------
    state_dim : int
        S.
    width : int
        H.
    policies : int
        R.
    generator : torch.Generator
        Source of randomness, on the CPU.

    Returns
    -------
    Tensor of shape (R, S + 1, H), float32
        Weights of the states, and in the last row of `BIAS_INPUT`.
    """
    side = state_dim + 1
    blocks = -(-width // side)
    normal = torch.randn(policies * blocks, side, side, generator=generator)
    rotations, upper = torch.linalg.qr(normal)
    rotations *= upper.diagonal(dim1=1, dim2=2).sign()[:, None]  # uniform over all rotations and reflections
    layers: Tensor = GAIN * rotations.reshape(policies, blocks, side, side).transpose(1, 2).reshape(policies, side, -1)
    return layers[..., :width]


def features(states: Tensor, layer: Tensor) -> Tensor:
    """Return the hidden units' outputs: normalized states (N, S), layer (S + 1, H) -> (N, H)."""
    return torch.addmm(BIAS_INPUT * layer[-1], states, layer[:-1]).relu()


def fit(states: Tensor, actions: Tensor, ridge: float, layers: Tensor) -> Parameters:
    """Fit the last layers.

    Parameters
    ----------
    states : Tensor of shape (N, S)
        Normalized states.
    actions : Tensor of shape (N, A)
        Normalized actions.
    ridge : float
        Size of the penalty, as a share of the features' mean square.
    layers : Tensor of shape (R, S + 1, H)
        From `fresh_layers`.

    Returns
    -------
    fitted : Parameters
        Of R networks with one hidden layer.

    Raises
    ------
    UserError
        If there are more than `MOST_PAIRS` pairs.
    """
    if len(states) > MOST_PAIRS:
        raise UserError(f"bc.optimizer: ridge: takes {MOST_PAIRS} pairs at most; there are {len(states)}")
    targets, width = sums_of(actions).double(), layers.shape[-1]
    last = []
    for layer in layers:
        phi = features(states, layer)  # (N, H)
        kernel = sum((part @ part.T).double() for part in phi.split(SUMMED, 1)) / width
        last.append(phi.T.double() @ torch.linalg.solve(with_ridge(kernel, ridge), targets) / width)
    biases = [BIAS_INPUT * layers[:, -1:], torch.zeros(len(layers), 1, actions.shape[1])]
    return Parameters([layers[:, :-1].contiguous(), torch.stack(last).float()], biases)


def with_ridge(kernel: Tensor, ridge: float) -> Tensor:
    """Add the penalty to the diagonal of a kernel matrix (N, N)."""
    return kernel + ridge * kernel.diagonal().mean() * torch.eye(len(kernel), dtype=kernel.dtype, device=kernel.device)


def wide_kernel(left: Tensor, right: Tensor) -> Tensor:
    """Return what Phi Phi' / H is for infinitely many units: normalized states (B, S) and (N, S) -> (B, N)."""
    norms = [(states.square().sum(1) + BIAS_INPUT**2).sqrt() for states in (left, right)]  # of (s, b)
    scale = torch.outer(*norms)
    cosine = torch.addmm(torch.full_like(scale, BIAS_INPUT**2), left, right.T) / scale
    angular: Tensor = _ArcCosine.apply(cosine)  # type: ignore[no-untyped-call]
    return scale * angular / (left.shape[1] + 1)


class _ArcCosine(torch.autograd.Function):
    """The arc-cosine kernel of degree 1 of unit vectors: (sqrt(1 - c^2) + (pi - arccos c) c) / pi.

    Its derivative, (pi - arccos c) / pi, is finite at c = 1, where that of its parts is not.
    """

    @staticmethod
    def forward(ctx: Any, cosine: Tensor) -> Tensor:
        cosine = cosine.clamp(-1, 1)
        slope = 1 - torch.acos(cosine) / math.pi
        ctx.save_for_backward(slope)
        return (1 - cosine * cosine).sqrt() / math.pi + slope * cosine

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        slope: Tensor = ctx.saved_tensors[0]
        return gradient * slope
