"""A policy in hand: numpy in, numpy out, kept in one file that needs no other."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import safetensors
import safetensors.numpy
import torch

from obdistill.core import artifacts
from obdistill.core.atomic import replacing
from obdistill.core.errors import UserError
from obdistill.core.units import Normalizer, Task
from obdistill.policies.architectures import ARCHITECTURES
from obdistill.policies.network import Parameters
from obdistill.policies.trained import TrainedPolicies

KIND = "policy"  # also the one key of the file's header, which holds JSON


@dataclass(frozen=True)
class Policy:
    """One trained policy, or several that act as one by the mean of their actions.

    Attributes
    ----------
    members : TrainedPolicies
        The networks, as an ensemble; one alone is an ensemble of itself.
    task : Task
        What it was trained for.
    made : mapping
        Plain data: how it was trained.
    """

    members: TrainedPolicies
    task: Task
    made: Mapping[str, Any] = field(default_factory=dict)

    def __call__(self, observations: npt.ArrayLike) -> np.ndarray:
        """Act.

        Parameters
        ----------
        observations : array of shape (state_dim,) or (n, state_dim)
            One state or many, in the environment's units.

        Returns
        -------
        actions : ndarray of shape (action_dim,) or (n, action_dim), float32
            In the environment's units, within the bounds of the actions. A state's action has the same bits whatever
            the other states are.

        Raises
        ------
        UserError
            If the states have another shape.
        """
        states, normalizer = np.asarray(observations), self.members.normalizer
        if states.ndim not in (1, 2) or states.shape[-1:] != normalizer.state_mean.shape:
            s = len(normalizer.state_mean)
            raise UserError(f"observations of shape {states.shape}; ({s},) or (n, {s}) is needed")
        actions = self.members(np.atleast_2d(states)[None])[0].reshape(*states.shape[:-1], -1)
        return np.asarray(np.clip(actions, normalizer.action_low, normalizer.action_high))

    def save(self, path: str | Path) -> None:
        """Write the policy to one file.

        Parameters
        ----------
        path : str or Path
            Ends in ``.safetensors``.

        Raises
        ------
        UserError
            If it ends in something else, or cannot be written.
        """
        path = Path(path)
        if path.suffix != ".safetensors":
            raise UserError(f"{path}: ends in {path.suffix or 'nothing'!r}; .safetensors is needed")
        parameters = self.members.parameters
        arrays = self.members.normalizer.arrays()
        for layer, (weight, bias) in enumerate(zip(parameters.weights, parameters.biases, strict=True)):
            arrays |= {f"{layer}.weight": weight.numpy(), f"{layer}.bias": bias.numpy()}
        facts = {**self.task.metadata(), "architecture": self.members.architecture, "made": dict(self.made)}
        arrays = {name: np.asarray(array, order="C") for name, array in arrays.items()}
        content = safetensors.numpy.save(arrays, {KIND: json.dumps(facts, sort_keys=True)})
        with replacing(path) as to:
            to.write_bytes(content)

    @classmethod
    def load(cls, path: str | Path) -> "Policy":
        """Read a policy that `save` or ``obd train`` wrote.

        Raises
        ------
        UserError
            If the file is missing, damaged or no policy.
        """
        path = Path(path)
        arrays = artifacts.load_arrays(path) if path.suffix == ".safetensors" else {}
        facts = _header(path)
        layers = range(len([name for name in arrays if name.endswith(".weight")]))
        if facts.get("architecture") not in ARCHITECTURES or any(f"{layer}.weight" not in arrays for layer in layers):
            raise UserError(f"{path}: is no policy; obd train writes one")
        normalizer = Normalizer.from_arrays(arrays, path)
        dims = len(normalizer.state_mean), len(normalizer.action_low)
        widths = ARCHITECTURES[facts["architecture"]].widths(*dims)
        members = len(arrays["0.weight"]) if layers else 0
        shapes = Parameters.zeros(widths, members, dtype=torch.float32, device="meta")
        found: list[list[torch.Tensor]] = []
        for kind, wanted in (("weight", shapes.weights), ("bias", shapes.biases)):
            found.append([])
            for layer, tensor in enumerate(wanted):
                array = arrays.get(f"{layer}.{kind}", np.zeros(0, np.float32))
                if array.shape != tuple(tensor.shape) or array.dtype != np.float32 or not np.isfinite(array).all():
                    raise UserError(
                        f"{path}: array '{layer}.{kind}' is missing or damaged: {tuple(tensor.shape)} finite float32 "
                        "numbers are needed"
                    )
                found[-1].append(torch.from_numpy(array.copy()))
        trained = TrainedPolicies(Parameters(*found), facts["architecture"], normalizer, ensemble=True)
        return cls(trained, Task.from_metadata(facts, path), facts.get("made", {}))


def _header(path: Path) -> dict[str, Any]:
    """Return what `Policy.save` has put into a file's header; empty if it is no such file."""
    if not path.is_file():
        raise UserError(f"{path}: no such file; a policy is needed")
    try:
        with safetensors.safe_open(path, "numpy") as file:
            facts = json.loads((file.metadata() or {})[KIND])
    except (safetensors.SafetensorError, OSError, KeyError, ValueError):
        return {}
    return facts if isinstance(facts, dict) else {}
