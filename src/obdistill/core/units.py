"""(State, action) pairs with the units they live in: the contract that datasets and synsets share.

Raw units are those of the environment. Policies work in normalized units: states standardized with the statistics that
travel with the pairs, actions scaled from the environment's bounds to [-1, 1].
"""

import math
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch

from obdistill.core.artifacts import Arrays
from obdistill.core.errors import UserError

STD_FLOOR = 1e-3  # added to every standard deviation, as in the paper's code


@dataclass(frozen=True)
class Normalizer:
    """Conversion between raw and normalized units.

    Attributes
    ----------
    state_mean, state_std : ndarray of shape (state_dim,), float32
        Statistics of the raw states; `state_std` is without the floor of 1e-3.
    action_low, action_high : ndarray of shape (action_dim,), float32
        Bounds of the raw actions.
    """

    state_mean: np.ndarray
    state_std: np.ndarray
    action_low: np.ndarray
    action_high: np.ndarray

    @classmethod
    def from_arrays(cls, arrays: Arrays, path: Path) -> "Normalizer":
        """Take the four arrays out of an artifact's arrays.

        Raises
        ------
        UserError
            If one is missing, or they do not fit each other.
        """
        missing = [field.name for field in fields(cls) if field.name not in arrays]
        if missing:
            raise UserError(f"{path}: lacks the array {missing[0]!r}")
        found = cls(**{field.name: arrays[field.name] for field in fields(cls)})
        pairs = {"state_": (found.state_mean, found.state_std), "action_": (found.action_low, found.action_high)}
        for name, (first, second) in pairs.items():
            if first.ndim != 1 or first.shape != second.shape or not np.isfinite([first, second]).all():
                raise UserError(
                    f"{path}: arrays {name}* of the shapes {first.shape} and {second.shape}; two rows of finite "
                    "numbers, equally long, are needed"
                )
        return found

    def arrays(self) -> Arrays:
        """Return the four arrays by name, as artifacts store them."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def states(self, raw: np.ndarray) -> torch.Tensor:
        """Standardize raw states: (..., state_dim) -> float32 tensor of the same shape."""
        normalized = (np.asarray(raw, np.float32) - self.state_mean) / (self.state_std + np.float32(STD_FLOOR))
        return torch.from_numpy(normalized.astype(np.float32))

    def raw_states(self, normalized: torch.Tensor) -> np.ndarray:
        """Undo `states`: float32 array in the environment's units."""
        return np.asarray(normalized.numpy() * (self.state_std + np.float32(STD_FLOOR)) + self.state_mean)

    def actions(self, raw: np.ndarray) -> torch.Tensor:
        """Scale raw actions to [-1, 1]: (..., action_dim) -> float32 tensor of the same shape."""
        center, half = self._center_and_half()
        return torch.from_numpy(((np.asarray(raw, np.float32) - center) / half).astype(np.float32))

    def raw_actions(self, normalized: torch.Tensor) -> np.ndarray:
        """Undo `actions`: float32 array in the environment's units (not clipped)."""
        center, half = self._center_and_half()
        return np.asarray(normalized.numpy() * half + center)

    def _center_and_half(self) -> tuple[np.ndarray, np.ndarray]:
        return (self.action_high + self.action_low) / 2, (self.action_high - self.action_low) / 2


@dataclass(frozen=True)
class Task:
    """What is needed to score a policy.

    Attributes
    ----------
    name : str
        Name of the task in tables and paths.
    env_id : str
        Gymnasium environment id; empty if there is no environment, which only evaluations need.
    reference_returns : tuple of float, optional
        Returns of a random and of an expert policy: score = 100 (return - random) / (expert - random).
    """

    name: str
    env_id: str = ""
    reference_returns: tuple[float, float] | None = None

    @classmethod
    def from_metadata(cls, metadata: dict[str, Any], path: Path) -> "Task":
        """Take the task out of the metadata of the artifact at `path`.

        Raises
        ------
        UserError
            If they do not hold it.
        """
        try:
            name, env_id, reference = str(metadata["task"]), str(metadata["env_id"]), metadata["reference_returns"]
            if reference is None:
                return cls(name, env_id)
            low, high = (float(value) for value in reference)
        except (KeyError, TypeError, ValueError):
            raise UserError(f"{path}: its .json has no task, env_id and reference_returns [random, expert]") from None
        if not -math.inf < low < high < math.inf:
            raise UserError(
                f"{path}: reference_returns are {low} and {high}; finite numbers are needed, the first below the second"
            )
        return cls(name, env_id, (low, high))

    def metadata(self) -> dict[str, Any]:
        """Return the task as plain data for an artifact's metadata."""
        reference = None if self.reference_returns is None else list(self.reference_returns)
        return {"task": self.name, "env_id": self.env_id, "reference_returns": reference}

    def check_scorable(self) -> None:
        """Check that policies can be evaluated and scored.

        Raises
        ------
        UserError
            If there is no environment, or no reference returns.
        """
        for name in ("env_id", "reference_returns"):
            if not getattr(self, name):
                raise UserError(f"task {self.name}: has no {name}; scores need it")

    def score(self, returns: np.ndarray) -> np.ndarray:
        """Convert returns to D4RL-normalized scores (0 random, 100 expert; may lie outside).

        Raises
        ------
        UserError
            If the task has no reference returns.
        """
        if self.reference_returns is None:
            raise UserError(f"task {self.name}: has no reference_returns; scores need it")
        random, expert = self.reference_returns
        return 100 * (returns - random) / (expert - random)
