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
from obdistill.datasets.transitions import Dataset
from obdistill.near_experts.networks import Critics, Layer, from_layers, layer_norms, linear_layers, widths

KIND = "near_expert"
ROWS_AT_ONCE = 65_536  # a whole dataset through a network in pieces: the activations of a piece take 64 MB


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
        return self._act(self._pieces(raw_states))

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
        return self._value(self._pieces(raw_states), actions)

    def actions_and_q(self, raw_states: np.ndarray) -> tuple[Tensor, Tensor]:
        """Return pi*(s) and every critic's q*(s, pi*(s)), as `actions` and `q` do; the states are normalized once."""
        pieces = self._pieces(raw_states)
        actions = self._act(pieces)
        return actions, self._value(pieces, actions)

    @torch.no_grad()
    def _act(self, pieces: tuple[Tensor, ...]) -> Tensor:
        return torch.cat([self.actor(piece)[:, : self.action_dim].tanh() for piece in pieces])

    @torch.no_grad()
    def _value(self, pieces: tuple[Tensor, ...], actions: Tensor) -> Tensor:
        pairs = zip(pieces, actions.split(ROWS_AT_ONCE), strict=True)
        return torch.cat([self.critics(*pair) for pair in pairs], -1)

    def _pieces(self, raw_states: np.ndarray) -> tuple[Tensor, ...]:
        """Standardize states and split them."""
        if raw_states.shape[1:] != (self.state_dim,):
            raise UserError(
                f"near-expert of {self.task.name}: takes {self.state_dim} state dimensions; it was given "
                f"states of shape {raw_states.shape}"
            )
        states: tuple[Tensor, ...] = self.normalizer.states(raw_states).split(ROWS_AT_ONCE)
        return states

    def check_fits(self, dataset: Dataset) -> None:
        """Check that it was made for the task of a dataset.

        Parameters
        ----------
        dataset : Dataset
            What it is to be used with.

        Raises
        ------
        UserError
            If task, environment, numbers of dimensions or action bounds differ: one line with the first that does.
        """
        theirs = dataset.normalizer
        pairs = {
            "task": (self.task.name, dataset.task.name),
            "env_id": (self.task.env_id, dataset.task.env_id),
            "state dimensions": (self.state_dim, len(theirs.state_mean)),
            "action dimensions": (self.action_dim, len(theirs.action_low)),
            "lowest actions": (self.normalizer.action_low.tolist(), theirs.action_low.tolist()),
            "highest actions": (self.normalizer.action_high.tolist(), theirs.action_high.tolist()),
        }
        where = "near_expert" if self.artifact is None else self.artifact.path
        for name, (mine, wanted) in pairs.items():
            if mine != wanted:
                raise UserError(f"{where}: {name}: {mine!r}; the dataset has {wanted!r}, and both must be the same")


def write_near_expert(path: str | Path, near_expert: NearExpert, metadata: Mapping[str, Any] | None = None) -> None:
    """Write ``<path>.safetensors`` and its sidecar.

    Parameters
    ----------
    path : str or Path
        File to write.
    near_expert : NearExpert
        What to write: tensors ``actor.<layer>.weight``, ``actor.<layer>.bias``, ``critic_<i>.<layer>. ...``, those of
        layer normalizations as ``<network>.<layer>.norm. ...``, and the normalizer's arrays.
    metadata : mapping, optional
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
        for number, norm in enumerate(layer_norms(network)):
            arrays[f"{name}.{number}.norm.weight"] = norm.weight.detach().numpy()
            arrays[f"{name}.{number}.norm.bias"] = norm.bias.detach().numpy()
    architecture = {name: widths(network) for name, network in networks.items()}
    facts = {**near_expert.task.metadata(), "architecture": architecture, **(metadata or {})}
    artifacts.write_artifact(Path(path), arrays, {"kind": KIND, **facts})


def read_near_expert(path: str | Path) -> NearExpert:
    """Read a near-expert that ``obd near-expert`` wrote.

    Parameters
    ----------
    path : str or Path
        The ``.safetensors`` file, beside its ``.json``.

    Raises
    ------
    UserError
        If one of them is missing, or its contents are damaged or no near-expert.
    """
    path = Path(path)
    arrays, metadata = artifacts.read_arrays(path, KIND)
    critics = [f"critic_{i}" for i in range(len(arrays)) if f"critic_{i}.0.weight" in arrays]
    found = assemble(
        Task.from_metadata(metadata, path),
        Normalizer.from_arrays(arrays, path),
        _network(arrays, "actor", path),
        [_network(arrays, name, path) for name in critics],
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


def _network(arrays: Arrays, name: str, path: Path) -> nn.Sequential:
    """Make a network of an artifact's arrays."""
    depth = next(number for number in itertools.count() if f"{name}.{number}.weight" not in arrays)
    layers = [_layer(arrays, f"{name}.{number}", path) for number in range(depth)]
    is_normalized = any(f"{name}.{number}.norm.weight" in arrays for number in range(depth))
    norms = [_layer(arrays, f"{name}.{number}.norm", path) for number in range(depth - 1) if is_normalized]
    return from_layers(layers, f"{path}: {name}", norms)


def _layer(arrays: Arrays, name: str, path: Path) -> Layer:
    """Take a layer's weight and bias out of an artifact's arrays."""
    keys = f"{name}.weight", f"{name}.bias"
    for key in keys:
        if key not in arrays:
            raise UserError(f"{path}: lacks the array {key!r}")
    return arrays[keys[0]], arrays[keys[1]]
