"""Minari datasets made by hand."""

import warnings
from pathlib import Path

import gymnasium
import minari
import numpy as np
from minari.data_collector import EpisodeBuffer

from obdistill.datasets.minari import new_dataset

ID = "made/by_hand-v0"


STATES = gymnasium.spaces.Box(-np.inf, np.inf, (3,), np.float64)


ACTIONS = gymnasium.spaces.Box(-2, 2, (1,), np.float32)


# length of each episode, and whether it ended in a terminal state, was truncated, or just stops
EPISODES = ((3, "terminated"), (1, "truncated"), (4, ""), (2, "terminated"), (5, "truncated"))


def buffer(index: int, steps: int, end: str) -> EpisodeBuffer:
    step = np.arange(steps + 1)
    flag = step[:-1] == steps - 1
    return EpisodeBuffer(
        id=index,
        observations=np.stack([np.full(steps + 1, index), step, 0.1 * step], 1).astype(np.float64),
        actions=(index / 10 + step[:-1] / 100)[:, None].astype(np.float32),
        rewards=(1000.0 * index + step[:-1]),
        terminations=flag & (end == "terminated"),
        truncations=flag & (end == "truncated"),
    )


def make(root: Path, env: str | None = "Pendulum-v1", **options: object) -> Path:
    """Write the hand-made dataset and return its folder."""
    with new_dataset(root, ID), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of metadata that are left out
        minari.create_dataset_from_buffers(
            ID,
            [buffer(index, *episode) for index, episode in enumerate(EPISODES)],
            env=env,
            observation_space=STATES,
            action_space=ACTIONS,
            **options,
        )
    return root / ID
