"""The ReLU networks of near-experts: actors and critics.

Shape letters: S state dimension, A action dimension.
"""

import itertools
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from obdistill.core.errors import UserError

Layer = tuple[np.ndarray, np.ndarray]  # weight and bias
GAIN = 2**0.5  # orthogonal initialization of all layers, as in CORL's Cal-QL


def mlp(widths: Sequence[int], layer_norm: bool = False) -> nn.Sequential:
    """Make a ReLU network without output nonlinearity; the weights of its linear layers are to be filled in.

    Parameters
    ----------
    widths : sequence of int
        Input, hidden and output widths: ``(17, 256, 256, 1)`` has three linear layers.
    layer_norm : bool
        Layer normalization after each ReLU, with scale 1 and offset 0 at the start.
    """
    layers: list[nn.Module] = []
    for inputs, outputs in itertools.pairwise(widths):
        linear = torch.nn.utils.skip_init(nn.Linear, inputs, outputs)
        layers += [linear, nn.ReLU(inplace=True), *([nn.LayerNorm(outputs)] if layer_norm else [])]
    return nn.Sequential(*layers[: -2 if layer_norm else -1])


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


def layer_norms(network: nn.Module) -> list[nn.LayerNorm]:
    """List the layer normalizations, first to last: none, or one per hidden layer."""
    return [layer for layer in network.children() if isinstance(layer, nn.LayerNorm)]


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


def from_layers(layers: Sequence[Layer], source: str, norms: Sequence[Layer] = ()) -> nn.Sequential:
    """Make a network of given weights and biases.

    Parameters
    ----------
    layers : sequence of pairs of ndarray
        Weights (out, in) and biases (out,) of the linear layers.
    source : str
        Where they are from, for messages.
    norms : sequence of pairs of ndarray
        Scales and offsets (out,) of the layer normalizations: none, or one pair per hidden layer.

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
    for number, (norm, (_, bias)) in enumerate(zip(norms, layers, strict=False)):
        if any(part.shape != bias.shape or not np.isfinite(part).all() for part in norm):
            shapes = " and ".join(str(part.shape) for part in norm)
            raise UserError(
                f"{source}: the layer norm {number} has the shapes {shapes}; {bias.shape} of finite numbers are needed"
            )
    network = mlp([layers[0][0].shape[1], *(len(bias) for _, bias in layers)], layer_norm=bool(norms))
    with torch.no_grad():
        modules: list[nn.Linear | nn.LayerNorm] = [*linear_layers(network), *layer_norms(network)]
        for module, (weight, bias) in zip(modules, [*layers, *norms], strict=True):
            module.weight.copy_(torch.from_numpy(weight))
            module.bias.copy_(torch.from_numpy(bias))
    return network
