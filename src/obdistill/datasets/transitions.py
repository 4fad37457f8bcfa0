"""The dataset artifact: transitions with episode boundaries, in the environment's own units."""

import logging
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from obdistill.core import artifacts
from obdistill.core.artifacts import Artifact
from obdistill.core.errors import UserError
from obdistill.core.settings import NAME
from obdistill.core.units import Normalizer, Task
from obdistill.datasets import checks

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

    @classmethod
    def from_arrays(
        cls,
        observations: npt.ArrayLike,
        actions: npt.ArrayLike,
        rewards: npt.ArrayLike,
        terminated: npt.ArrayLike,
        truncated: npt.ArrayLike,
        *,
        next_observations: npt.ArrayLike | None = None,
        action_low: npt.ArrayLike | None = None,
        action_high: npt.ArrayLike | None = None,
        env_id: str | None = None,
        reference_returns: tuple[float, float] | None = None,
        name: str = "own",
    ) -> "Dataset":
        """Make a dataset of arrays, one row per step, episodes one after another.

        Parameters
        ----------
        observations : array of shape (n, state_dim)
            States before the action, in the environment's units.
        actions : array of shape (n, action_dim)
            Actions, in the environment's units.
        rewards : array of shape (n,)
            Rewards.
        terminated, truncated : array of shape (n,), bool or 0 and 1
            Where an episode ended in a terminal state, or was cut (time limit). Where both are set, the state was
            terminal. The last row ends an episode in any case.
        next_observations : array of shape (n, state_dim), optional
            States after the action. Without them they are those of the next row, and the last row of a truncated
            episode, whose next state nobody knows, is left out.
        action_low, action_high : float or array of shape (action_dim,), optional
            Bounds of the environment's actions; -1 and 1 if left out.
        env_id : str, optional
            Gymnasium id of the environment that policies are evaluated in. Distillation needs none.
        reference_returns : tuple of float, optional
            Returns of a random and of an expert policy, which score 0 and 100.
        name : str
            Name of the task: lower-case words joined by ``_``.

        Returns
        -------
        dataset : Dataset
            With the mean and standard deviation of `observations` as its normalizer.

        Raises
        ------
        UserError
            If shapes do not fit each other, a number is not finite or no number, a flag is neither 0 nor 1, the bounds
            are no bounds of the actions, or a name or a reference return is not allowed.
        """
        if not re.fullmatch(NAME, name):
            raise UserError(f"name: {name!r}: use lower-case words joined by _, e.g. my_robot")
        if reference_returns is not None and not -math.inf < reference_returns[0] < reference_returns[1] < math.inf:
            raise UserError(
                f"{name}: reference_returns: {list(reference_returns)}: finite numbers are needed, the first below the "
                "second"
            )
        columns = {"observations": observations, "actions": actions, "rewards": rewards}
        columns |= {} if next_observations is None else {"next_observations": next_observations}
        arrays = {key: as_floats(values, f"{name}: {key}") for key, values in columns.items()}
        terminal = checks.flags(np.asarray(terminated), f"{name}: terminated")
        transitions = from_rows(arrays, terminal, checks.flags(np.asarray(truncated), f"{name}: truncated"), name)
        transitions.check(name)
        for key in ("observations", "rewards"):
            checks.warn_of_outliers(getattr(transitions, key), f"{name}: {key}", log.warning)
        bounds = (-1.0 if action_low is None else action_low), (1.0 if action_high is None else action_high)
        low, high = (as_floats(bound, f"{name}: bounds of actions") for bound in bounds)
        return make_dataset(
            Task(name, env_id or "", reference_returns),
            transitions,
            *_checked_bounds(transitions.actions, low, high, name),
        )


def _checked_bounds(actions: np.ndarray, low: np.ndarray, high: np.ndarray, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the bounds, one for each dimension of actions, if they are bounds of these actions."""
    shape = actions.shape[1:]
    if any(bound.shape not in ((), shape) for bound in (low, high)) or not (low < high).all():
        raise UserError(
            f"{name}: action_low {low.tolist()!s:.80} and action_high {high.tolist()!s:.80}: numbers or arrays of "
            f"shape {shape} are needed, the first below the second"
        )
    beyond = np.abs(actions - (high + low) / 2) / ((high - low) / 2) - 1
    if (beyond > checks.ROUNDING).any():
        raise UserError(
            f"{name}: actions range from {actions.min():.4g} to {actions.max():.4g}; action_low and action_high are "
            f"{low.min():.4g} and {high.max():.4g}"
        )
    return np.broadcast_to(low, shape), np.broadcast_to(high, shape)


def as_floats(values: npt.ArrayLike, name: str) -> np.ndarray:
    """Return an array of float32; raises UserError if the values are no numbers, or no array."""
    try:
        return np.asarray(values, np.float32)
    except (TypeError, ValueError) as error:
        raise UserError(f"{name}: no array of numbers ({' '.join(str(error).split())})") from None


def from_rows(arrays: artifacts.Arrays, terminated: np.ndarray, truncated: np.ndarray, name: str) -> Transitions:
    """Cut rows into episodes, and give each row its next state where the arrays hold none.

    Parameters
    ----------
    arrays : dict of ndarray
        ``observations``, ``actions``, ``rewards`` and perhaps ``next_observations``, float32, n rows each. Without the
        last, the last row of a truncated episode, whose next state nobody knows, is left out.
    terminated, truncated : ndarray of shape (n,), bool
        Where an episode ended in a terminal state, or was cut. Where both are set, the state was terminal.
    name : str
        What messages call the data.

    Raises
    ------
    UserError
        If shapes do not fit each other, or no transition is left.
    """
    observations, n = arrays["observations"], len(np.atleast_1d(arrays["observations"]))
    for key, values in {**arrays, "terminated": terminated, "truncated": truncated}.items():
        dimensions = 2 if key in ("observations", "actions", "next_observations") else 1
        if values.ndim != dimensions or len(values) != n or n == 0:
            raise UserError(
                f"{name}: {key} has the shape {values.shape}; "
                f"{n or 'some'} rows in {dimensions} dimension(s) are needed"
            )
    last = terminated | truncated | (np.arange(n) == n - 1)
    episode = np.cumsum(last) - last
    rows = np.arange(n)
    if "next_observations" not in arrays:
        # no state follows a terminal one; any does, for it has no value
        following = np.where(terminated[:, None], observations, np.roll(observations, -1, axis=0))
        arrays = {**arrays, "next_observations": following}
        rows = np.flatnonzero(terminated | ~last)
        if len(rows) == 0:
            raise UserError(f"{name}: holds no transition: every row is the last of a truncated episode")
    episode = episode[rows]
    last = np.append(episode[1:] != episode[:-1], True)
    return Transitions(
        **{key: values[rows] for key, values in arrays.items()},
        terminated=terminated[rows],
        truncated=last & ~terminated[rows],
        episode=(np.cumsum(last) - last).astype(np.int32),
    )


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


def write_dataset(path: str | Path, dataset: Dataset, metadata: Mapping[str, Any] | None = None) -> None:
    """Write ``<path>.npz`` (arrays of the transitions and of the normalizer) and its sidecar.

    Parameters
    ----------
    path : str or Path
        File to write, ``.npz``.
    dataset : Dataset
        What to write.
    metadata : mapping, optional
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
    facts |= {**dataset.task.metadata(), **(metadata or {})}
    artifacts.write_artifact(Path(path), arrays, {"kind": KIND, **facts})
    log.info("%s: %d transitions, %d episodes, mean return %.1f", path, len(transitions), len(returns), returns.mean())


def read_dataset(path: str | Path) -> Dataset:
    """Read a dataset that ``obd dataset`` or `write_dataset` wrote.

    Parameters
    ----------
    path : str or Path
        The ``.npz`` file; its ``.json`` must be beside it.

    Raises
    ------
    UserError
        If it is missing, damaged or malformed.
    """
    path = Path(path)
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
