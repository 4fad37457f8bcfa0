"""Rollouts: many policies in many environments at once, deterministic policies, one episode per environment."""

import functools
import multiprocessing
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import Any

import gymnasium
import numpy as np
import torch

from obd import envs

Policy = Callable[[np.ndarray], np.ndarray]


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


def rollout(policy: Policy, env_id: str, seeds: np.ndarray, workers: int = 1) -> Episodes:
    """Run one episode for each policy and seed.

    Parameters
    ----------
    policy : callable
        Maps raw observations (policies, n, state_dim) float64 to raw actions (policies, n, action_dim): all policies
        act in one call. Must be picklable if ``workers > 1``.
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
    if workers <= 1 or seeds.shape[1] == 1:
        return _run(policy, env_id, seeds)
    shares = np.array_split(seeds, min(workers, seeds.shape[1]), axis=1)
    parts = list(_pool(workers).map(_run, [policy] * len(shares), [env_id] * len(shares), shares))
    return Episodes(
        np.concatenate([part.returns for part in parts], 1), np.concatenate([part.lengths for part in parts], 1)
    )


@functools.cache
def _pool(workers: int) -> ProcessPoolExecutor:
    """Return processes that live as long as this one: starting them takes seconds."""
    # spawn: a forked child of a process with OpenMP threads can hang
    return ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), torch.set_num_threads, (1,))


@functools.lru_cache(maxsize=1)
def _environments(env_id: str, count: int) -> "list[gymnasium.Env[Any, Any]]":
    """Return environments that are used again: compiling a MuJoCo model takes as long as hundreds of its steps."""
    return [envs.make(env_id) for _ in range(count)]


def _run(policy: Policy, env_id: str, seeds: np.ndarray) -> Episodes:
    environments = _environments(env_id, seeds.size)
    low, high = envs.action_bounds(environments[0])
    observations = np.stack([env.reset(seed=int(s))[0] for env, s in zip(environments, seeds.flat, strict=True)])
    returns, lengths = np.zeros(seeds.size), np.zeros(seeds.size, np.int64)
    running = list(range(seeds.size))
    while running:
        # finished rows stay in the batch, so that the shapes, and with them the rounding, never change
        actions = policy(observations.reshape(*seeds.shape, -1)).reshape(seeds.size, -1)
        actions = np.clip(actions, low, high)
        still = []
        for i in running:
            observation, reward, terminated, truncated, _ = environments[i].step(actions[i])
            observations[i] = observation
            returns[i] += float(reward)
            lengths[i] += 1
            if not (terminated or truncated):
                still.append(i)
        running = still
    return Episodes(returns.reshape(seeds.shape), lengths.reshape(seeds.shape))
