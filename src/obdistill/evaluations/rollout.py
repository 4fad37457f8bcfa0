"""Rollouts: many policies in many environments at once, deterministic policies, one episode per environment."""

import functools
import multiprocessing
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol

import gymnasium
import numpy as np
import torch

from obdistill.core import environments

PARTS_PER_WORKER = 3
Policy = Callable[[np.ndarray], np.ndarray]


class Policies(Protocol):
    """P policies that act in one call, and can be shared out."""

    def __call__(self, observations: np.ndarray, /) -> np.ndarray:
        """Map raw observations (P, n, state_dim) float64 to raw actions (P, n, action_dim)."""

    def __getitem__(self, rows: slice, /) -> "Policies":
        """Return some of the policies; their actions have the same bits."""


@dataclass(frozen=True)
class Trajectory:
    """One episode of T steps.

    Attributes
    ----------
    observations : ndarray of shape (T, state_dim)
        Raw states in which actions were taken.
    rewards : ndarray of shape (T,), float64
        Rewards.
    terminated : bool
        Whether the end was a terminal state, not the time limit.
    """

    observations: np.ndarray
    rewards: np.ndarray
    terminated: bool

    def __len__(self) -> int:
        return len(self.rewards)


@dataclass(frozen=True)
class Episodes:
    """Outcome of one episode per policy and seed.

    Attributes
    ----------
    returns : ndarray of shape (policies, episodes), float64
        Undiscounted returns.
    lengths : ndarray of shape (policies, episodes), int64
        Numbers of steps.
    """

    returns: np.ndarray
    lengths: np.ndarray


def rollout(policies: Policies, env_id: str, seeds: np.ndarray, workers: int = 1) -> Episodes:
    """Run one episode for each policy and seed.

    Parameters
    ----------
    policies : Policies
        All act in one call. The action for a row must not depend on the other rows or their number; then the outcome is
        the same for any number of workers. Must be picklable if ``workers > 1``.
    env_id : str
        Gymnasium environment; its own time limit ends an episode.
    seeds : ndarray of shape (policies, episodes), int
        Reset seed of each environment.
    workers : int
        Processes to share the episodes among.

    Returns
    -------
    Episodes
        Returns and lengths of shape (policies, episodes).
    """
    if workers <= 1:
        return _run(policies, env_id, seeds)
    down, across = _parts(seeds.shape[0], seeds.shape[1], workers)
    rows = [slice(part[0], part[-1] + 1) for part in np.array_split(np.arange(len(seeds)), down)]
    bands = [
        [_pool(workers).submit(_run, policies[r], env_id, s) for s in np.array_split(seeds[r], across, 1)] for r in rows
    ]
    parts = [[part.result() for part in band] for band in bands]
    return Episodes(
        np.block([[part.returns for part in band] for band in parts]),
        np.block([[part.lengths for part in band] for band in parts]),
    )


def _parts(policies: int, episodes: int, workers: int) -> tuple[int, int]:
    """Return into how many parts to cut each axis: some for each worker, as policies that fall are done sooner.

    Few policies with many episodes each make few, large products: so the policies are cut rather than their episodes.
    """
    wanted = PARTS_PER_WORKER * workers
    down = min(policies, wanted)
    return down, min(episodes, -(-wanted // down))


def record(policy: Policy, env_id: str, seeds: np.ndarray) -> list[list[Trajectory]]:
    """Do as `rollout` does and return every state and reward, by policy and episode."""
    rows: list[list[tuple[np.ndarray, float, bool]]] = [[] for _ in range(seeds.size)]
    _run(policy, env_id, seeds, lambda i, *row: rows[i].append(row))
    trajectories = [
        Trajectory(np.stack([state for state, _, _ in row]), np.array([reward for _, reward, _ in row]), row[-1][2])
        for row in rows
    ]
    width = seeds.shape[1]
    return [trajectories[start : start + width] for start in range(0, seeds.size, width)]


@functools.cache
def _pool(workers: int) -> ProcessPoolExecutor:
    """Return processes that live as long as this one: starting them takes seconds."""
    # spawn: a forked child of a process with OpenMP threads can hang
    return ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), torch.set_num_threads, (1,))


def _environments(env_id: str, count: int) -> "list[gymnasium.Env[Any, Any]]":
    """Return environments that are used again: compiling a MuJoCo model takes as long as hundreds of its steps."""
    made = _made(env_id)
    made += [environments.make(env_id) for _ in range(count - len(made))]
    return made[:count]


@functools.lru_cache(maxsize=1)
def _made(env_id: str) -> "list[gymnasium.Env[Any, Any]]":
    """Return the list that keeps the environments of the last id."""
    return []


def _run(
    policy: Policy,
    env_id: str,
    seeds: np.ndarray,
    watch: Callable[[int, np.ndarray, float, bool], object] | None = None,
) -> Episodes:
    """Run all episodes side by side; `watch` is shown (index, state, reward, terminated) of every step."""
    policies, width = seeds.shape
    running_in = _environments(env_id, seeds.size)
    low, high = environments.action_bounds(running_in[0])
    first = [env.reset(seed=int(s))[0] for env, s in zip(running_in, seeds.flat, strict=True)]
    states = np.stack(first).reshape(policies, width, -1)
    returns, lengths = np.zeros(seeds.size), np.zeros(seeds.size, np.int64)
    running = [list(range(start, start + width)) for start in range(0, seeds.size, width)]  # by policy, in its columns
    while any(running):
        actions = np.clip(policy(states), low, high)  # (P, n, A)
        still: list[list[int]] = []
        for policy_states, policy_actions, indices in zip(states, actions, running, strict=True):
            still.append([])
            for column, i in enumerate(indices):
                state, reward, terminated, truncated, _ = running_in[i].step(policy_actions[column])
                if watch is not None:
                    watch(i, policy_states[column].copy(), float(reward), bool(terminated))
                returns[i] += float(reward)
                lengths[i] += 1
                if not (terminated or truncated):
                    # a running episode moves up to the columns that ended ones have left
                    policy_states[len(still[-1])] = state
                    still[-1].append(i)
        running = still
        longest = max(map(len, running))
        if longest < states.shape[1]:
            states = states[:, :longest].copy()
    return Episodes(returns.reshape(seeds.shape), lengths.reshape(seeds.shape))
