"""Checkpoints of long stages: a killed run goes on where it was, and ends with the bytes of an undisturbed one."""

import json
import logging
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from obdistill.core import artifacts
from obdistill.core.errors import UserError

Part = Tensor | nn.Module | Optimizer | torch.Generator
log = logging.getLogger(__name__)


class Resumable(Protocol):
    """What a checkpoint can hold: the number of steps done, and everything else that the next step depends on."""

    step: int

    def parts(self) -> Mapping[str, Part]:
        """Return tensors, networks, optimizers and generators by name; they are read and overwritten in place."""


def flatten(parts: Mapping[str, Part]) -> dict[str, Tensor]:
    """Return the state of some parts as tensors by dotted name.

    Options of an optimizer (learning rate, betas) are not part of its state here: they come from the settings.
    """
    tensors: dict[str, Tensor] = {}
    for name, part in parts.items():
        match part:
            case nn.Module():
                state = part.state_dict()
            case Optimizer():
                of_parameters = part.state_dict()["state"].items()
                state = {f"{index}.{key}": value for index, values in of_parameters for key, value in values.items()}
            case torch.Generator():
                state = {"state": part.get_state()}
            case _:
                state = {"value": part.detach()}
        tensors |= {f"{name}.{key}": value for key, value in state.items() if isinstance(value, Tensor)}
    return tensors


def restore(parts: Mapping[str, Part], tensors: Mapping[str, Tensor]) -> None:
    """Put a state that `flatten` has given back into the parts."""
    for name, part in parts.items():
        state = {key.removeprefix(f"{name}."): value for key, value in tensors.items() if key.startswith(f"{name}.")}
        match part:
            case nn.Module():
                part.load_state_dict(state)
            case Optimizer():
                of_parameters: dict[int, dict[str, Tensor]] = {}
                for key, value in state.items():
                    index, _, key = key.partition(".")
                    of_parameters.setdefault(int(index), {})[key] = value
                part.load_state_dict({**part.state_dict(), "state": of_parameters})
            case torch.Generator():
                part.set_state(state["state"])
            case _:
                part.detach().copy_(state["value"])


class Checkpoint:
    """A run's whole state in a file beside its output, ``checkpoint.safetensors``.

    Parameters
    ----------
    out : Path
        What the run will write.
    identity : dict
        Plain data that must be equal for a resume: settings, seed, input hashes, versions.
    minutes : float
        Time between two checkpoints.
    """

    def __init__(self, out: Path, identity: dict[str, Any], minutes: float = 3.0) -> None:
        self.path = out.with_name("checkpoint.safetensors")
        self.identity = json.loads(json.dumps(identity))
        self.minutes = minutes
        self._saved = time.monotonic()

    def save(self, run: Resumable) -> None:
        """Write the state atomically."""
        arrays = {name: tensor.cpu().numpy() for name, tensor in flatten(run.parts()).items()}
        artifacts.write_artifact(self.path, arrays, {"kind": "checkpoint", "step": run.step, "identity": self.identity})
        self._saved = time.monotonic()

    def save_if_due(self, run: Resumable) -> None:
        """Write the state if the last time was long enough ago."""
        if time.monotonic() - self._saved > 60 * self.minutes:
            self.save(run)

    def restore(self, run: Resumable) -> None:
        """Put a saved state back, if there is one that belongs to this run."""
        if not self.path.exists():
            return
        try:
            arrays, metadata = artifacts.read_arrays(self.path, "checkpoint")
        except UserError as error:
            log.warning("%s; starting from step 0", error)
            return
        if metadata.get("identity") != self.identity:
            log.warning("%s: belongs to other settings or inputs; starting from step 0", self.path)
            return
        restore(run.parts(), {name: torch.from_numpy(array.copy()) for name, array in arrays.items()})
        run.step = metadata["step"]
        log.info("%s: going on after step %d", self.path, run.step)

    def remove(self) -> None:
        """Delete the file when the run is complete."""
        self.path.unlink(missing_ok=True)
        artifacts.sidecar(self.path).unlink(missing_ok=True)
