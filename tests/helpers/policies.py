"""Policies for tests: some made by hand, and trained ones as modules of torch."""

from dataclasses import dataclass

import numpy as np
import torch

from obdistill.policies.network import Parameters


def pairs(n: int = 20) -> tuple[torch.Tensor, torch.Tensor]:
    """Make normalized states of 3 dimensions and actions of 1 that follow the first."""
    generator = torch.Generator().manual_seed(0)
    states = torch.randn(n, 3, generator=generator)
    return states, torch.tanh(states[:, :1])


def as_module(parameters: Parameters, run: int) -> torch.nn.Sequential:
    """Return one policy as a module."""
    layers = []
    for weight, bias in zip(parameters.weights, parameters.biases, strict=True):
        linear = torch.nn.Linear(weight.shape[1], weight.shape[2])
        linear.weight.data, linear.bias.data = weight[run].mT.clone(), bias[run, 0].clone()
        layers += [linear, torch.nn.ReLU()]
    return torch.nn.Sequential(*layers[:-1], torch.nn.Tanh())


@dataclass(frozen=True)
class Gains:
    """Policies for a pendulum: one for each gain on the angular velocity."""

    of: tuple[float, ...] = (-1, -2)

    def __call__(self, observations: np.ndarray) -> np.ndarray:
        return np.array(self.of, observations.dtype)[:, None, None] * observations[:, :, 2:3]

    def __getitem__(self, rows: slice) -> "Gains":
        return Gains(self.of[rows])
