"""Episodes, and the wrapper of an environment that records them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import gymnasium
import numpy as np
import torch
from minari.data_collector import EpisodeBuffer
from torch import Tensor

from obdistill.core import environments
from obdistill.core.seeding import child_seed
from obdistill.datasets.settings import CollectSettings


@dataclass(frozen=True)
class Episode:
    """One recorded episode of T steps.

    Attributes
    ----------
    seed : int
        Seed of the environment's reset.
    observations : ndarray of shape (T + 1, state_dim), float32
    actions : ndarray of shape (T, action_dim), float32
    rewards : ndarray of shape (T,), float64
    terminated : bool
        Whether it ended in a terminal state.
    """

    seed: int
    observations: np.ndarray
    actions: np.ndarray
    rewards: np.ndarray
    terminated: bool

    def __len__(self) -> int:
        return len(self.rewards)

    def buffer(self, index: int) -> EpisodeBuffer:
        """Return the episode in Minari's form; an end that is no terminal state is a truncation."""
        last = np.arange(1, len(self) + 1) == len(self)
        return EpisodeBuffer(
            id=index,
            seed=self.seed,
            observations=self.observations,
            actions=self.actions,
            rewards=self.rewards.astype(np.float32),
            terminations=last & self.terminated,
            truncations=last & (not self.terminated),
        )


class Recorder(gymnasium.Wrapper[np.ndarray, np.ndarray, np.ndarray, np.ndarray]):
    """Keeps every episode, and seeds each one explicitly from `seed` and its index.

    Parameters
    ----------
    env : Env
        With float32 states.
    seed : int
        Root of the episodes' seeds.
    steps : int
        Steps that will be taken at most.
    """

    def __init__(self, env: "gymnasium.Env[np.ndarray, np.ndarray]", seed: int, steps: int) -> None:
        super().__init__(env)
        state_dim, action_dim = (space.shape[0] for space in (env.observation_space, env.action_space))  # type: ignore[index]
        self._seed = seed
        # Room for every row at once (pages that are not used cost nothing): small arrays kept one by one, between the
        # large ones that training allocates and frees, would fragment the heap by 0.1 MB per step.
        self._observations = np.empty((2 * steps + 1, state_dim), np.float32)  # a step adds one row, a reset another
        self._actions = np.empty((steps, action_dim), np.float32)
        self._rewards = np.empty(steps, np.float64)
        self._steps = 0
        self._starts: list[int] = []  # step at which each episode begins; its states begin `index` rows later
        self._terminated: list[bool] = []

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Begin the next episode; the caller's seed is ignored, so that seeds do not depend on the caller."""
        if not self._starts or self._starts[-1] < self._steps:  # else the last episode has no step: begin it again
            self._starts.append(self._steps)
            self._terminated.append(False)
        index = len(self._starts) - 1
        observation, info = self.env.reset(seed=child_seed(self._seed, index), options=options)
        self._observations[self._steps + index] = observation
        return observation, info

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Step and record."""
        observation, reward, terminated, truncated, info = self.env.step(action)
        self._actions[self._steps] = action
        self._rewards[self._steps] = reward
        self._steps += 1
        self._observations[self._steps + len(self._starts) - 1] = observation
        self._terminated[-1] = bool(terminated)
        return observation, float(reward), terminated, truncated, info

    def starts_episode(self) -> bool:
        """Tell whether the next step is the first of an episode; then nothing of the simulator needs to be saved."""
        return bool(self._starts) and self._starts[-1] == self._steps

    def episodes(self, steps: int | None = None) -> list[Episode]:
        """Return the episodes that have a step, as they were after `steps` steps in all (None: now)."""
        now = self._steps if steps is None else steps
        ends = [*self._starts[1:], self._steps]
        return [
            Episode(
                child_seed(self._seed, index),
                self._observations[start + index : min(end, now) + index + 1],
                self._actions[start : min(end, now)],
                self._rewards[start : min(end, now)],
                self._terminated[index] and end <= now,
            )
            for index, (start, end) in enumerate(zip(self._starts, ends, strict=True))
            if start < min(end, now)
        ]

    def state_dict(self) -> dict[str, Tensor]:
        """Return what has been recorded."""
        rows = self._steps + len(self._starts)
        return {
            "observations": torch.from_numpy(self._observations[:rows]),
            "actions": torch.from_numpy(self._actions[: self._steps]),
            "rewards": torch.from_numpy(self._rewards[: self._steps]),
            "starts": torch.tensor(self._starts, dtype=torch.int64),
            "terminated": torch.tensor(self._terminated, dtype=torch.bool),
        }

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Go on after what has been recorded; the running episode must have no step, for it begins again."""
        self._observations[: len(state["observations"])] = state["observations"].numpy()
        self._actions[: len(state["actions"])] = state["actions"].numpy()
        self._rewards[: len(state["rewards"])] = state["rewards"].numpy()
        self._steps = len(state["rewards"])
        self._starts, self._terminated = state["starts"].tolist(), state["terminated"].tolist()


def make_recorder(settings: CollectSettings, seed: int, steps: int) -> Recorder:
    """Make a recorder of the environment for `steps` steps at most; `seed` is the root of its episodes' seeds."""
    # float32 states: half the file, and what every policy here computes with
    return Recorder(gymnasium.wrappers.DtypeObservation(environments.make(settings.env_id), np.float32), seed, steps)
