"""The near-expert: a policy, its critics and the normalizer they were trained with, and the file that holds them.

Shape letters: N states, S state dimension, A action dimension.
"""

import dataclasses
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from obdistill.core import artifacts
from obdistill.core.artifacts import Arrays, Artifact
from obdistill.core.errors import UserError
from obdistill.core.units import Normalizer, Task

KIND = "near_expert"
GAIN = 2**0.5  # orthogonal initialization of all layers, as in CORL's Cal-QL
ROWS_AT_ONCE = 65_536  # a whole dataset through a network in pieces: the activations of a piece take 64 MB


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


def initialize(network: nn.Sequential, generator: torch.Generator) -> nn.Sequential:
    """Draw orthogonal weights with gain sqrt(2) and set the biases to zero; returns the network."""
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


@dataclass(frozen=True)
class NearExpert:
    """A deterministic policy pi* = tanh(mean), its critics q*, and the units they work in.

    Attributes
    ----------
    task : Task
        What it was made for.
    normalizer : Normalizer
        The policy's own statistics and bounds; they may differ from those of a dataset it is used with.
    actor : Sequential
        S -> ... -> A (mean), or -> 2A (mean and log standard deviation) if the algorithm is stochastic.
    critics : Critics
        One or more.
    artifact : Artifact, optional
        The file it was read from.
    """

    task: Task
    normalizer: Normalizer
    actor: nn.Sequential
    critics: Critics
    artifact: Artifact | None = None

    @property
    def state_dim(self) -> int:
        """S."""
        return len(self.normalizer.state_mean)

    @property
    def action_dim(self) -> int:
        """A."""
        return len(self.normalizer.action_low)

    @torch.no_grad()
    def actions(self, raw_states: np.ndarray) -> Tensor:
        """Return pi*(s).

        Parameters
        ----------
        raw_states : ndarray of shape (N, S)
            States in the environment's units.

        Returns
        -------
        Tensor of shape (N, A)
            Actions in [-1, 1]; ``normalizer.raw_actions`` gives them in the environment's units.

        Raises
        ------
        UserError
            If the states have another dimension.
        """
        return torch.cat([self.actor(piece)[:, : self.action_dim].tanh() for piece in self._pieces(raw_states)])

    @torch.no_grad()
    def q(self, raw_states: np.ndarray, actions: Tensor) -> Tensor:
        """Return every critic's q*(s, a), a discounted sum of rewards.

        Parameters
        ----------
        raw_states : ndarray of shape (N, S)
            States in the environment's units.
        actions : Tensor of shape (N, A)
            Actions in [-1, 1].

        Returns
        -------
        Tensor of shape (n_critics, N)
            Values, in the environment's units of reward.

        Raises
        ------
        UserError
            If the states have another dimension.
        """
        pieces = zip(self._pieces(raw_states), actions.split(ROWS_AT_ONCE), strict=True)
        return torch.cat([self.critics(*piece) for piece in pieces], -1)

    def _pieces(self, raw_states: np.ndarray) -> tuple[Tensor, ...]:
        """Standardize states and split them."""
        if raw_states.shape[1:] != (self.state_dim,):
            raise UserError(
                f"near-expert of {self.task.name}: takes {self.state_dim} state dimensions; it was given "
                f"states of shape {raw_states.shape}"
            )
        states: tuple[Tensor, ...] = self.normalizer.states(raw_states).split(ROWS_AT_ONCE)
        return states


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


def write_near_expert(path: Path, near_expert: NearExpert, metadata: Mapping[str, Any]) -> None:
    """Write ``<path>.safetensors`` and its sidecar.

    Parameters
    ----------
    path : Path
        File to write.
    near_expert : NearExpert
        What to write: tensors ``actor.<layer>.weight``, ``actor.<layer>.bias``, ``critic_<i>.<layer>. ...`` and the
        normalizer's arrays.
    metadata : mapping
        ``algorithm``, ``settings``, ``inputs``, ``transitions`` (trained on; 0 if none), ``training``; the task and
        the architecture are added here.
    """
    networks: dict[str, nn.Module] = {"actor": near_expert.actor}
    networks |= {f"critic_{i}": critic for i, critic in enumerate(near_expert.critics)}
    arrays = near_expert.normalizer.arrays()
    for name, network in networks.items():
        for number, layer in enumerate(linear_layers(network)):
            arrays[f"{name}.{number}.weight"] = layer.weight.detach().numpy()
            arrays[f"{name}.{number}.bias"] = layer.bias.detach().numpy()
    architecture = {name: widths(network) for name, network in networks.items()}
    artifacts.write_artifact(
        path, arrays, {"kind": KIND, **near_expert.task.metadata(), "architecture": architecture, **metadata}
    )


def read_near_expert(path: Path) -> NearExpert:
    """Read a near-expert artifact.

    Raises
    ------
    UserError
        If it is missing, damaged or malformed.
    """
    arrays, metadata = artifacts.read_arrays(path, KIND)
    critics = [f"critic_{i}" for i in range(len(arrays)) if f"critic_{i}.0.weight" in arrays]
    found = assemble(
        Task.from_metadata(metadata, path),
        Normalizer.from_arrays(arrays, path),
        from_layers(_layers(arrays, "actor", path), f"{path}: actor"),
        [from_layers(_layers(arrays, name, path), f"{path}: {name}") for name in critics],
        path,
    )
    return dataclasses.replace(found, artifact=Artifact.read(path, metadata))


def assemble(
    task: Task, normalizer: Normalizer, actor: nn.Sequential, critics: Sequence[nn.Sequential], path: Path
) -> NearExpert:
    """Put a near-expert together out of parts that were read from `path`.

    Raises
    ------
    UserError
        If there is no critic, or the widths of the networks do not fit each other and the normalizer.
    """
    if not critics:
        raise UserError(f"{path}: holds no critic")
    state_dim, action_dim = len(normalizer.state_mean), len(normalizer.action_low)
    (inputs, *_, outputs) = widths(actor)
    if inputs != state_dim or outputs not in (action_dim, 2 * action_dim):
        raise UserError(
            f"{path}: actor takes {inputs} and gives {outputs} numbers; {task.env_id} has {state_dim} state dimensions "
            f"and {action_dim} action dimensions, so {action_dim} or {2 * action_dim} outputs would fit"
        )
    for number, critic in enumerate(critics):
        (inputs, *_, outputs) = widths(critic)
        if (inputs, outputs) != (state_dim + action_dim, 1):
            raise UserError(
                f"{path}: critic {number} takes {inputs} and gives {outputs} numbers; {state_dim + action_dim} and 1 "
                f"would fit {task.env_id}"
            )
    return NearExpert(task, normalizer, actor, Critics(critics))


def _layers(arrays: Arrays, name: str, path: Path) -> list[tuple[np.ndarray, np.ndarray]]:
    """Take a network's weights and biases out of an artifact's arrays."""
    found: list[tuple[np.ndarray, np.ndarray]] = []
    while (weight := f"{name}.{len(found)}.weight") in arrays:
        bias = f"{name}.{len(found)}.bias"
        if bias not in arrays:
            raise UserError(f"{path}: lacks the array {bias!r}")
        found.append((arrays[weight], arrays[bias]))
    return found
