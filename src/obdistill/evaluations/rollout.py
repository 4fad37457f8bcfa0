"""Rollouts: many policies in many environments at once, deterministic policies, one episode per environment."""

import functools
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from typing import Any, Protocol

import gymnasium
import numpy as np
import torch

from obdistill.core import environments, provenance
from obdistill.core.errors import UserError

PARTS_PER_WORKER = 3
Policy = Callable[[np.ndarray], np.ndarray]


class Policies(Protocol):
    """P policies that act in one call, and can be shared out."""

    def __call__(self, observations: np.ndarray, /) -> np.ndarray:
        """Map raw observations (P, n, state_dim), float32 or float64, to raw actions (P, n, action_dim)."""

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

    Raises
    ------
    UserError
        If the environment has no time limit, if it or a policy gives what is no finite number (the message names
        policy, episode and step), or if a worker is killed.
    """
    if workers <= 1:
        return _run(policies, env_id, seeds)
    provenance.note_environment(env_id)  # workers, which make it, write no results
    down, across = _parts(seeds.shape[0], seeds.shape[1], workers)
    rows, columns = (
        [slice(part[0], part[-1] + 1) for part in np.array_split(np.arange(total), pieces)]
        for total, pieces in zip(seeds.shape, (down, across), strict=True)
    )
    try:
        submit = _pool(workers).submit
        bands = [[submit(_run, policies[r], env_id, seeds[r, c], (r.start, c.start)) for c in columns] for r in rows]
        parts = [[part.result() for part in band] for band in bands]
    except BrokenProcessPool:
        _pool.cache_clear()
        raise UserError(
            f"a worker of the rollouts in {env_id} was killed; if memory ran out, use fewer --workers"
        ) from None
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
    _run(policy, env_id, seeds, watch=lambda i, *row: rows[i].append(row))
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
    return ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), _begin_worker)


def _begin_worker() -> None:
    """Prepare a worker: one thread, and an end with its parent, however that ends."""
    torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which ends its workers
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()  # waits for the end of a pipe that the system closes, after kill -9 too
    os._exit(1)


def _environments(env_id: str, count: int) -> "list[gymnasium.Env[Any, Any]]":
    """Return environments that are used again: compiling a MuJoCo model takes as long as hundreds of its steps."""
    made = _made(env_id)
    for _ in range(count - len(made)):
        env = environments.make(env_id)
        environments.check_time_limit(env, env_id)
        made.append(env)
    return made[:count]


@functools.lru_cache(maxsize=1)
def _made(env_id: str) -> "list[gymnasium.Env[Any, Any]]":
    """Return the list that keeps the environments of the last id."""
    return []


def _run(
    policy: Policy,
    env_id: str,
    seeds: np.ndarray,
    first: tuple[int, int] = (0, 0),
    watch: Callable[[int, np.ndarray, float, bool], object] | None = None,
) -> Episodes:
    """Run all episodes side by side.

    `first` is the number of the first policy and of the first episode, for messages; `watch` is shown (index, state,
    reward, terminated) of every step.
    """
    policies, width = seeds.shape
    running_in = _environments(env_id, seeds.size)
    low, high = environments.action_bounds(running_in[0])
    returns, lengths = np.zeros(seeds.size), np.zeros(seeds.size, np.int64)

    def at(i: int, problem: object) -> UserError:
        number, episode = divmod(i, width)
        return UserError(
            f"{env_id}: policy {first[0] + number}, episode {first[1] + episode} (seed {seeds.flat[i]}), step "
            f"{lengths[i]}: {problem}"
        )

    def started(i: int) -> np.ndarray:
        try:
            return environments.reset(running_in[i], int(seeds.flat[i]))
        except environments.Faulty as error:
            raise at(i, error) from None

    def checked(name: str, given: np.ndarray) -> np.ndarray:
        for i, values in _not_finite(given, running):
            raise at(i, f"the {name} is {values.tolist()!s:.80}; finite numbers are needed")
        return given

    states = np.stack([started(i) for i in range(seeds.size)]).reshape(policies, width, -1)
    running = [list(range(start, start + width)) for start in range(0, seeds.size, width)]  # by policy, in its columns
    while any(running):
        actions = np.clip(checked("action", policy(checked("state", states))), low, high)  # (P, n, A)
        still: list[list[int]] = []
        for policy_states, policy_actions, indices in zip(states, actions, running, strict=True):
            still.append([])
            for column, i in enumerate(indices):
                try:
                    state, reward, terminated, truncated = environments.step(running_in[i], policy_actions[column])
                except environments.Faulty as error:
                    raise at(i, error) from None
                if watch is not None:
                    watch(i, policy_states[column].copy(), reward, terminated)
                returns[i] += reward
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


def _not_finite(given: np.ndarray, running: list[list[int]]) -> Iterator[tuple[int, np.ndarray]]:
    """Give (index, row) of each running episode whose row of (P, n, ...) is not finite; the other rows are stale."""
    if not np.isfinite(given).all():
        for row, column in np.argwhere(~np.isfinite(given).all(-1)):
            if column < len(running[row]):
                yield running[row][column], given[row, column]
