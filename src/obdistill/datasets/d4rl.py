"""D4RL datasets: HDF5 by built-in name, URL or path, read as D4RL's q-learning loader reads them.

D4RL (https://arxiv.org/abs/2004.07219) stores one row per step: the state before the action, the action, the reward,
and whether the episode ended there. A state after the action is the state of the next row.
"""

import contextlib
import os
import re
from pathlib import Path

import numpy as np

from obdistill.core import artifacts, environments
from obdistill.core.errors import UserError
from obdistill.datasets import download, hdf5
from obdistill.datasets.d4rl_facts import BUILT_IN
from obdistill.datasets.settings import D4rlSettings
from obdistill.datasets.source import Loaded
from obdistill.datasets.transitions import Transitions

DEFAULT_MAX_EPISODE_STEPS = 1000


def load(settings: D4rlSettings) -> Loaded:
    """Read a D4RL file, downloaded first if need be.

    Raises
    ------
    UserError
        If it cannot be had, has another checksum, or is malformed.
    """
    url, own_env_id = BUILT_IN.get(settings.file, (settings.file, None))
    env_id = settings.env_id or own_env_id
    if re.match("https?://", url):
        origin = {"source": "d4rl", "url": url}
        path = download.fetch(url, settings.cache or default_cache(), lambda file: _check(file, settings.sha256, url))
    else:
        path = Path(url)
        if not path.is_file():
            raise UserError(
                f"file: {url!r}: neither a file nor a URL nor one of D4RL's sets; those are {', '.join(BUILT_IN)}"
            )
        origin = {"source": "d4rl", "file": path.name}
        _check(path, settings.sha256, url)
    if settings.file in BUILT_IN:
        origin["name"] = settings.file
    transitions = read(path, max_episode_steps(env_id))
    return Loaded(transitions, env_id, None, {**origin, "sha256": artifacts.sha256(path)})


def default_cache() -> Path:
    """Return the folder of downloads: ``$OBD_CACHE``, else ``obd`` in the user's cache folder."""
    user_cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("OBD_CACHE") or Path(user_cache, "obd"))


def max_episode_steps(env_id: str | None) -> int:
    """Return an environment's time limit in steps, 1000 if it has none or is not named."""
    if env_id is None:
        return DEFAULT_MAX_EPISODE_STEPS
    with contextlib.closing(environments.make(env_id)) as env:  # `module:Name-v0` is registered by importing the module
        return (env.spec and env.spec.max_episode_steps) or DEFAULT_MAX_EPISODE_STEPS


def read(path: Path, max_steps: int = DEFAULT_MAX_EPISODE_STEPS) -> Transitions:
    """Read transitions as D4RL's ``qlearning_dataset`` (``terminate_on_end=False``) makes them.

    The row of a time limit and the last row of the file have no state after them, so they are dropped; the transition
    before such a row is the last of its episode and is marked `truncated`. A file without ``timeouts`` has one wherever
    an episode reaches `max_steps`. (D4RL's own count of steps in such files is one too high after a terminal state, so
    that a later time limit is seen one row too early; that is not repeated here.)

    Parameters
    ----------
    path : Path
        HDF5 with ``observations`` (N, state_dim), ``actions`` (N, action_dim), ``rewards`` (N,), ``terminals`` (N,),
        and perhaps ``timeouts`` (N,). Anything else in it is not read.
    max_steps : int
        Time limit of the environment in steps, for files without ``timeouts``.

    Raises
    ------
    UserError
        If the file is missing, damaged or malformed.
    """
    with hdf5.open_self_contained(path) as file:
        observations, actions, rewards, terminals = (
            hdf5.read_array(file, key) for key in ("observations", "actions", "rewards", "terminals")
        )
        timeouts = hdf5.read_array(file, "timeouts") if "timeouts" in file else None
    columns = {"rewards": rewards, "terminals": terminals} | ({} if timeouts is None else {"timeouts": timeouts})
    for name, column in columns.items():
        if column.shape not in ((len(observations),), (len(observations), 1)):
            raise UserError(f"{path}: {name} has the shape {column.shape}; {(len(observations),)} is needed")
    if observations.ndim != 2 or actions.ndim != 2 or len(actions) != len(observations):
        raise UserError(
            f"{path}: observations {observations.shape} and actions {actions.shape}; "
            "(N, state_dim) and (N, action_dim) are needed"
        )
    terminal = terminals.reshape(-1).astype(bool)
    timeout = _time_limits(terminal, max_steps) if timeouts is None else timeouts.reshape(-1).astype(bool)
    row = np.flatnonzero(~timeout[:-1])  # kept rows
    if len(row) == 0:
        raise UserError(f"{path}: holds no transition ({len(observations)} rows)")
    number = np.append(0, np.cumsum(terminal | timeout)[:-1])[row]  # episode of each kept row, with gaps
    last = np.append(number[1:] != number[:-1], True)
    return Transitions(
        observations=observations[row].astype(np.float32),
        actions=actions[row].astype(np.float32),
        rewards=rewards.reshape(-1)[row].astype(np.float32),
        next_observations=observations[row + 1].astype(np.float32),
        terminated=terminal[row],
        truncated=last & ~terminal[row],
        episode=(np.cumsum(last) - last).astype(np.int32),
    )


def _time_limits(terminal: np.ndarray, max_steps: int) -> np.ndarray:
    """Mark the rows at which an episode has reached `max_steps`: (N,) bool."""
    index = np.arange(len(terminal))
    after_terminal = np.append(False, terminal[:-1])
    start = np.maximum.accumulate(np.where(after_terminal, index, 0))
    marked: np.ndarray = (index - start) % max_steps == max_steps - 1
    return marked


def _check(path: Path, sha256: str | None, name: str) -> None:
    if sha256 is not None and (found := artifacts.sha256(path)) != sha256:
        raise UserError(f"{name}: has the sha256 {found}; the setting sha256 is {sha256}")
    with hdf5.open_self_contained(path, name):
        pass
