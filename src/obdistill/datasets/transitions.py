"""The dataset artifact: transitions with episode boundaries, in the environment's own units."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from obdistill.core import artifacts
from obdistill.core.artifacts import Artifact
from obdistill.core.errors import UserError
from obdistill.core.units import Normalizer, Task

KIND = "dataset"
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Transitions:
    """Transitions of whole or cut episodes, one after another.

    Attributes
    ----------
    observations, next_observations : ndarray of shape (n_transitions, state_dim), float32
        Raw states before and after the action.
    actions : ndarray of shape (n_transitions, action_dim), float32
        Raw actions.
    rewards : ndarray of shape (n_transitions,), float32
        Rewards.
    terminated, truncated : ndarray of shape (n_transitions,), bool
        True on the last transition of an episode that ended in a terminal state, or that was cut (time limit, end of
        the recording). At most one of the two is true.
    episode : ndarray of shape (n_transitions,), int32
        Index of the episode, 0, 1, 2, ... without gaps.
    """

    observations: np.ndarray
    actions: np.ndarray
    rewards: np.ndarray
    next_observations: np.ndarray
    terminated: np.ndarray
    truncated: np.ndarray
    episode: np.ndarray

    def __len__(self) -> int:
        return len(self.rewards)

    def check(self, source: str) -> None:
        """Check shapes, finiteness and episode boundaries of every episode.

        Raises
        ------
        UserError
            With one line that names the array and the first bad transition.
        """
        n = len(self)
        if n == 0:
            raise UserError(f"{source}: holds no transition")
        for field in fields(self):
            array = getattr(self, field.name)
            dimensions = 2 if field.name in ("observations", "actions", "next_observations") else 1
            if array.ndim != dimensions or len(array) != n:
                raise UserError(
                    f"{source}: {field.name} has the shape {array.shape}; "
                    f"{n} rows in {dimensions} dimension(s) are needed"
                )
            if array.dtype.kind == "f" and not np.isfinite(array).all():
                row = int(np.flatnonzero(~np.isfinite(array.reshape(n, -1)).all(1))[0])
                raise UserError(f"{source}: {field.name} is not finite at transition {row}")
        if self.next_observations.shape != self.observations.shape:
            raise UserError(
                f"{source}: next_observations {self.next_observations.shape} and observations "
                f"{self.observations.shape} differ in shape"
            )
        last = np.append(self.episode[1:] != self.episode[:-1], True)
        bad = {
            "an episode index does not count up": np.diff(self.episode, prepend=-1) * np.append(True, last[:-1])
            != np.append(True, last[:-1]),
            "terminated and truncated are both set": self.terminated & self.truncated,
            "an episode ends without a flag, or a flag stands inside one": (self.terminated | self.truncated) != last,
        }
        for message, rows in bad.items():
            if rows.any():
                raise UserError(f"{source}: {message} at transition {int(np.flatnonzero(rows)[0])}")

    def episode_returns(self) -> np.ndarray:
        """Return the undiscounted return of each episode: (n_episodes,), float64."""
        return np.bincount(self.episode, weights=self.rewards.astype(np.float64))


@dataclass(frozen=True)
class Dataset:
    """Transitions of a task, with the normalizer that belongs to them, and the file they were read from."""

    task: Task
    transitions: Transitions
    normalizer: Normalizer
    artifact: Artifact | None = None


def make_dataset(task: Task, transitions: Transitions, action_low: np.ndarray, action_high: np.ndarray) -> Dataset:
    """Put a dataset together; state statistics are those of `observations`.

    Parameters
    ----------
    task : Task
        Name, environment and reference returns.
    transitions : Transitions
        Checked here.
    action_low, action_high : ndarray of shape (action_dim,)
        Finite bounds of the environment's actions.

    Raises
    ------
    UserError
        If the transitions are malformed, or the bounds are not finite or do not fit the actions.
    """
    transitions.check(task.name)
    if action_low.shape != transitions.actions.shape[1:] or not np.isfinite([action_low, action_high]).all():
        raise UserError(
            f"{task.name}: actions of dimension {transitions.actions.shape[1:]} do not fit the finite bounds of "
            f"{task.env_id} ({action_low.shape})"
        )
    states = transitions.observations.astype(np.float64)
    normalizer = Normalizer(
        states.mean(0).astype(np.float32),
        states.std(0).astype(np.float32),
        action_low.astype(np.float32),
        action_high.astype(np.float32),
    )
    return Dataset(task, transitions, normalizer)


def write_dataset(path: Path, dataset: Dataset, metadata: Mapping[str, Any]) -> None:
    """Write ``<path>.npz`` (arrays of the transitions and of the normalizer) and its sidecar.

    Parameters
    ----------
    path : Path
        File to write, ``.npz``.
    dataset : Dataset
        What to write.
    metadata : mapping
        ``settings`` and ``source`` (where it came from, with sha256); the counts and the task are added here.
    """
    transitions = dataset.transitions
    returns = transitions.episode_returns()
    facts = {
        "transitions": len(transitions),
        "episodes": len(returns),
        "state_dim": transitions.observations.shape[1],
        "action_dim": transitions.actions.shape[1],
        "terminated": int(transitions.terminated.sum()),
        "truncated": int(transitions.truncated.sum()),
        "episode_return": {"min": float(returns.min()), "mean": float(returns.mean()), "max": float(returns.max())},
        "state_mean": dataset.normalizer.state_mean.tolist(),
        "state_std": dataset.normalizer.state_std.tolist(),
    }
    arrays = {
        field.name: getattr(transitions, field.name) for field in fields(transitions)
    } | dataset.normalizer.arrays()
    artifacts.write_artifact(path, arrays, {"kind": KIND, **dataset.task.metadata(), **facts, **metadata})
    log.info("%s: %d transitions, %d episodes, mean return %.1f", path, len(transitions), len(returns), returns.mean())


def read_dataset(path: Path) -> Dataset:
    """Read a dataset artifact.

    Raises
    ------
    UserError
        If it is missing, damaged or malformed.
    """
    arrays, metadata = artifacts.read_arrays(path, KIND)
    missing = [field.name for field in fields(Transitions) if field.name not in arrays]
    if missing:
        raise UserError(f"{path}: lacks the array {missing[0]!r}")
    transitions = Transitions(**{field.name: arrays[field.name] for field in fields(Transitions)})
    transitions.check(str(path))
    normalizer = Normalizer.from_arrays(arrays, path)
    for name, columns, rows in (
        ("state", transitions.observations, normalizer.state_mean),
        ("action", transitions.actions, normalizer.action_low),
    ):
        if columns.shape[1:] != rows.shape:
            raise UserError(f"{path}: {name}s of shape {columns.shape} do not fit the normalizer's {rows.shape}")
    return Dataset(Task.from_metadata(metadata, path), transitions, normalizer, Artifact.read(path, metadata))
