"""The ReLU networks of near-experts: actors and critics.

Shape letters: S state dimension, A action dimension.
"""

import itertools
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from obdistill.core.errors import UserError

GAIN = 2**0.5  # orthogonal initialization of all layers, as in CORL's Cal-QL


def mlp(widths: Sequence[int]) -> nn.Sequential:
    """Make a ReLU network without output nonlinearity; its weights are to be filled in.

    Parameters
    ----------
    widths : sequence of int
        Input, hidden and output widths: ``(17, 256, 256, 1)`` has three linear layers.
    """
    layers: list[nn.Module] = []
    for inputs, outputs in itertools.pairwise(widths):
        layers += [torch.nn.utils.skip_init(nn.Linear, inputs, outputs), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers[:-1])


def orthogonal_(network: nn.Sequential, generator: torch.Generator) -> nn.Sequential:
    """Draw orthogonal weights with gain sqrt(2) and set the biases to zero, in place; returns the network."""
    for layer in linear_layers(network):
        nn.init.orthogonal_(layer.weight, GAIN, generator=generator)
        nn.init.zeros_(layer.bias)
    return network


def scale_output(network: nn.Module, factor: float) -> None:
    """Multiply what a network gives by a factor."""
    last = linear_layers(network)[-1]
    with torch.no_grad():
        last.weight.mul_(factor)
        last.bias.mul_(factor)


def linear_layers(network: nn.Module) -> list[nn.Linear]:
    """List the linear layers, first to last."""
    return [layer for layer in network.children() if isinstance(layer, nn.Linear)]


class Critics(nn.ModuleList):
    """Action-value networks q(s, a), each (S + A) -> ... -> 1."""

    def forward(self, states: Tensor, actions: Tensor) -> Tensor:
        """Return every critic's value: (..., S), (..., A) -> (n_critics, ...)."""
        joined = torch.cat([states, actions], -1)
        rows = joined.flatten(0, -2)  # in-place ReLUs on views would be copied
        return torch.stack([critic(rows) for critic in self]).view(-1, *joined.shape[:-1])


def widths(network: nn.Module) -> list[int]:
    """Return the widths of all layers of units, input and output included."""
    layers = linear_layers(network)
    return [layers[0].in_features, *(layer.out_features for layer in layers)]


def from_layers(layers: Sequence[tuple[np.ndarray, np.ndarray]], source: str) -> nn.Sequential:
    """Make a network of given weights (out, in) and biases (out,).

    Raises
    ------
    UserError
        If there is no layer, the shapes do not follow each other, or a number is not finite.
    """
    if not layers:
        raise UserError(f"{source}: holds no layer")
    for number, (weight, bias) in enumerate(layers):
        follows = weight.ndim == 2 and bias.shape == weight.shape[:1]
        if not follows or (number and weight.shape[1:] != layers[number - 1][1].shape):
            raise UserError(
                f"{source}: the weights {weight.shape} and biases {bias.shape} of layer {number} do not fit each other "
                "or the layer before"
            )
        if not (np.isfinite(weight).all() and np.isfinite(bias).all()):
            raise UserError(f"{source}: layer {number} holds numbers that are not finite")
    network = mlp([layers[0][0].shape[1], *(len(bias) for _, bias in layers)])
    with torch.no_grad():
        for layer, (weight, bias) in zip(linear_layers(network), layers, strict=True):
            layer.weight.copy_(torch.from_numpy(weight))
            layer.bias.copy_(torch.from_numpy(bias))
    return network
