"""Checkpoints of long stages: a killed run goes on where it was, and ends with the bytes of an undisturbed one."""

import contextlib
import hashlib
import json
import logging
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import safetensors.numpy
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from obdistill.core import artifacts
from obdistill.core.atomic import write_atomically
from obdistill.core.errors import UserError
from obdistill.core.termination import deferred, end


@runtime_checkable
class Stateful(Protocol):
    """What gives its state as tensors by name, and takes it back."""

    def state_dict(self) -> Mapping[str, Tensor]:
        """Return the state."""

    def load_state_dict(self, state: Mapping[str, Tensor]) -> object:
        """Take the state back; it may be larger or smaller than the present one."""


Part = Tensor | nn.Module | Optimizer | torch.Generator | Stateful
log = logging.getLogger(__name__)


class Resumable(Protocol):
    """What a checkpoint can hold: the number of steps done, and everything else that the next step depends on."""

    step: int

    def parts(self) -> Mapping[str, Part]:
        """Return tensors, networks, optimizers, generators and others by name; they are overwritten in place."""


def flatten(parts: Mapping[str, Part]) -> dict[str, Tensor]:
    """Return the state of some parts as tensors by dotted name.

    Options of an optimizer (learning rate, betas) are not part of its state here: they come from the settings.
    """
    tensors: dict[str, Tensor] = {}
    for name, part in parts.items():
        state: Mapping[str, Any]
        match part:
            case Optimizer():
                of_parameters = part.state_dict()["state"].items()
                state = {f"{index}.{key}": value for index, values in of_parameters for key, value in values.items()}
            case torch.Generator():
                state = {"state": part.get_state()}
            case Tensor():
                state = {"value": part.detach()}
            case _:
                state = part.state_dict()
        tensors |= {f"{name}.{key}": value for key, value in state.items() if isinstance(value, Tensor)}
    return tensors


def restore(parts: Mapping[str, Part], tensors: Mapping[str, Tensor]) -> None:
    """Put a state that `flatten` has given back into the parts."""
    for name, part in parts.items():
        state = {key.removeprefix(f"{name}."): value for key, value in tensors.items() if key.startswith(f"{name}.")}
        match part:
            case Optimizer():
                of_parameters: dict[int, dict[str, Tensor]] = {}
                for key, value in state.items():
                    index, _, key = key.partition(".")
                    of_parameters.setdefault(int(index), {})[key] = value
                part.load_state_dict({**part.state_dict(), "state": of_parameters})
            case torch.Generator():
                part.set_state(state["state"])
            case Tensor():
                part.detach().copy_(state["value"])
            case _:
                part.load_state_dict(state)


def differences(first: Any, second: Any, where: str = "") -> list[str]:
    """List where two structures of plain data differ, each as ``dotted.name: one value, other value``."""
    if isinstance(first, dict) and isinstance(second, dict):
        names = sorted(first.keys() | second.keys())
        return [
            text
            for name in names
            for text in differences(first.get(name), second.get(name), f"{where}.{name}".lstrip("."))
        ]
    return [] if first == second else [f"{where} ({first!s:.20}, now {second!s:.20})"]


class Checkpoint:
    """A run's whole state in one file beside its output, ``<name of the output>.checkpoint.safetensors``.

    The steps done, the identity of the run and a hash of all stand in the file's header.

    Parameters
    ----------
    out : Path
        What the run will write.
    identity : dict
        Plain data that must be equal for a resume: settings, seed, input hashes, versions, device, precision, hash of
        the sources.
    minutes : float
        Time between two checkpoints.
    """

    def __init__(self, out: Path, identity: dict[str, Any], minutes: float = 3.0) -> None:
        self.path = out.with_name(f"{out.stem}.checkpoint.safetensors")
        self.identity = json.loads(json.dumps(identity))
        self.minutes = minutes
        self._saved = time.monotonic()
        self._asked: list[int] = []

    def save(self, run: Resumable) -> bool:
        """Write the state atomically; a disk that does not take it is told, and no reason to end a run of days.

        Returns
        -------
        bool
            Whether it is written.
        """
        arrays = {name: np.asarray(tensor.cpu().numpy(), order="C") for name, tensor in flatten(run.parts()).items()}
        header = {"step": str(run.step), "identity": json.dumps(self.identity, sort_keys=True)}
        header["sha256"] = _hash_of(arrays, header)
        self._saved = time.monotonic()
        try:
            write_atomically(self.path, lambda to: _write(to, arrays, header))
        except UserError as error:
            log.warning("%s; going on without this checkpoint, the next is tried in %g min", error, self.minutes)
            return False
        return True

    def save_if_due(self, run: Resumable) -> None:
        """Write the state if the last time was long enough ago, or if a signal asks for the end; then it ends.

        Raises
        ------
        Terminated, KeyboardInterrupt
            After a signal, see `guard`.
        """
        due = time.monotonic() - self._saved > 60 * self.minutes
        saved = self.save(run) if due or self._asked else False
        if self._asked:
            kept = f"the same command goes on from {self.path}" if saved else "no checkpoint could be written"
            end(self._asked[0], f" after step {run.step}; {kept}")

    @contextlib.contextmanager
    def guard(self) -> Iterator[None]:
        """Have SIGTERM, SIGHUP and Ctrl-C wait for the end of a step, where `save_if_due` answers them."""
        with deferred() as self._asked:
            yield

    def restore(self, run: Resumable) -> None:
        """Put a saved state back, if there is one that belongs to this run."""
        if not self.path.exists():
            return
        try:
            step, identity, tensors = _read(self.path)
        except (OSError, ValueError, TypeError, KeyError, safetensors.SafetensorError) as error:
            log.warning("%s: damaged (%s); starting from step 0", self.path, " ".join(str(error).split()))
            return
        other = differences(identity, self.identity)
        if other:
            text = ", ".join(other[:3]) + (f" and {len(other) - 3} more" if len(other) > 3 else "")
            log.warning("%s: is of another run: %s; starting from step 0", self.path, text)
            return
        restore(run.parts(), tensors)
        run.step = step
        log.info("%s: going on after step %d", self.path, run.step)

    def remove(self) -> None:
        """Delete the file when the run is complete."""
        self.path.unlink(missing_ok=True)


def _write(path: Path, arrays: artifacts.Arrays, header: dict[str, str]) -> None:
    path.write_bytes(safetensors.numpy.save(arrays, header))


def _read(path: Path) -> tuple[int, dict[str, Any], dict[str, Tensor]]:
    """Read step, identity and state of a checkpoint.

    Raises
    ------
    OSError, ValueError, TypeError, KeyError, SafetensorError
        If it cannot be read or its hash is wrong.
    """
    data = path.read_bytes()
    arrays = safetensors.numpy.load(data)
    header = dict(json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])["__metadata__"])
    if header.pop("sha256") != _hash_of(arrays, header):
        raise ValueError("its sha256 is not the one in its header")
    tensors = {name: torch.from_numpy(array.copy()) for name, array in arrays.items()}
    return int(header["step"]), json.loads(header["identity"]), tensors


def _hash_of(arrays: artifacts.Arrays, header: Mapping[str, str]) -> str:
    found = hashlib.sha256(json.dumps([header["step"], header["identity"]]).encode())
    for name, array in sorted(arrays.items()):
        found.update(f"{name} {array.dtype} {array.shape}".encode())
        found.update(array.tobytes())
    return found.hexdigest()
