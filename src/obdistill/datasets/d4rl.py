"""D4RL datasets: HDF5 by built-in name, URL or path, read as D4RL's q-learning loader reads them.

D4RL (https://arxiv.org/abs/2004.07219) stores one row per step: the state before the action, the action, the reward,
and whether the episode ended there. A state after the action is the state of the next row.
"""

import logging
import re
from pathlib import Path

import numpy as np

from obdistill.core import artifacts, environments
from obdistill.core.errors import UserError
from obdistill.datasets import checks, download, files, hdf5
from obdistill.datasets.checks import Unpacking, Warn
from obdistill.datasets.d4rl_facts import BUILT_IN
from obdistill.datasets.settings import D4rlSettings
from obdistill.datasets.source import Loaded
from obdistill.datasets.transitions import Transitions

log = logging.getLogger(__name__)


def load(settings: D4rlSettings) -> Loaded:
    """Read a D4RL file, downloaded first if need be.

    Raises
    ------
    UserError
        If it cannot be had, has another checksum, or is malformed.
    """
    url, own_env_id = BUILT_IN.get(settings.file, (settings.file, None))
    env_id = settings.env_id or own_env_id
    warnings: list[str] = []
    if own_env_id and env_id != own_env_id:
        warnings.append(f"env_id: {env_id} is used; {settings.file} was recorded in {own_env_id}")
    if files.is_url(url):
        origin = {"source": "d4rl", "url": url}
        cache = files.expand(settings.cache) if settings.cache else files.default_cache()
        path = download.fetch(url, cache, lambda file: _check(file, url), settings.sha256)
    else:
        path = files.expand(url)
        if not path.is_file():
            raise UserError(
                f"file: {url!r}: neither a file nor a URL nor one of D4RL's sets; those are {', '.join(BUILT_IN)}"
            )
        origin = {"source": "d4rl", "file": path.name}
    sha256 = artifacts.sha256(path)
    checks.compare_sha256(sha256, settings.sha256, url)
    if settings.file in BUILT_IN:
        origin["name"] = settings.file
    transitions = read(path, environments.max_episode_steps(env_id), warnings.append)
    # a download is compared with its first one
    verified = settings.sha256 is not None or "url" in origin
    return Loaded(transitions, env_id, None, {**origin, "sha256": sha256}, verified=verified, warnings=tuple(warnings))


def read(path: Path, max_steps: int = 1000, warn: Warn = log.warning) -> Transitions:
    """Read transitions as D4RL's ``qlearning_dataset`` (``terminate_on_end=False``) makes them.

    The row of a time limit and the last row of the file have no state after them, so they are dropped; the transition
    before such a row is the last of its episode and is marked `truncated`. A file without ``timeouts`` has one wherever
    an episode reaches `max_steps`. (D4RL's own count of steps in such files is one too high after a terminal state, so
    that a later time limit is seen one row too early; that is not repeated here.)

    Parameters
    ----------
    path : Path
        HDF5 with ``observations`` (N, state_dim), ``actions`` (N, action_dim), ``rewards`` (N,), ``terminals`` (N,),
        and perhaps ``timeouts`` (N,); ``next_observations`` are compared only. Anything else in it is not read.
    max_steps : int
        Time limit of the environment in steps, for files without ``timeouts``.
    warn : callable
        Takes a warning, with counts, where D4RL's rule loses terminal states, or an episode seems to end unmarked.

    Raises
    ------
    UserError
        If the file is missing, damaged or malformed.
    """
    rows = _read_rows(path, warn)
    observations, rewards = rows["observations"], rows["rewards"].reshape(-1)
    terminal = checks.flags(rows["terminals"].reshape(-1), f"{path}: terminals")
    if "timeouts" in rows:
        timeout = checks.flags(rows["timeouts"].reshape(-1), f"{path}: timeouts")
    else:
        timeout = _time_limits(terminal, max_steps)
    row = np.flatnonzero(~timeout[:-1])  # kept rows
    if len(row) == 0:
        raise UserError(f"{path}: holds no transition ({len(observations)} rows)")
    if lost := int((terminal & timeout).sum()):
        warn(
            f"{path.name}: {lost} of {int(terminal.sum())} terminal states are lost: timeouts is set at the same rows, "
            "and D4RL's rule drops those"
        )
    following = rows.get("next_observations")
    known = "timeouts" in rows
    checks.warn_of_ends(
        observations, following, terminal, timeout, known, max_steps, lambda text: warn(f"{path.name}: {text}")
    )
    number = np.append(0, np.cumsum(terminal | timeout)[:-1])[row]  # episode of each kept row, with gaps
    last = np.append(number[1:] != number[:-1], True)
    return Transitions(
        observations=observations[row].astype(np.float32),
        actions=rows["actions"][row].astype(np.float32),
        rewards=rewards[row].astype(np.float32),
        next_observations=observations[row + 1].astype(np.float32),
        terminated=terminal[row],
        truncated=last & ~terminal[row],
        episode=(np.cumsum(last) - last).astype(np.int32),
    )


def _read_rows(path: Path, warn: Warn) -> dict[str, np.ndarray]:
    """Read the arrays and check that each has one row per step."""
    with hdf5.open_self_contained(path) as file:
        unpacking = Unpacking(str(path), path.stat().st_size)
        # not `in file`: that is false for a link that leads nowhere
        optional = [key for key in list(file) if key in ("timeouts", "next_observations")]
        similar = [key for key in list(file) if re.search("time.?out|time.?limit|truncat", key, re.IGNORECASE)]
        if similar and "timeouts" not in optional:
            warn(
                f"{path.name}: {', '.join(similar)!s:.100} is not read: time limits are in 'timeouts' in D4RL's layout"
            )
        rows = {
            key: hdf5.read_array(file, key, unpacking)
            for key in ("observations", "actions", "rewards", "terminals", *optional)
        }
    observations, actions = rows["observations"], rows["actions"]
    if observations.ndim != 2 or actions.ndim != 2 or len(actions) != len(observations):
        raise UserError(
            f"{path}: observations {observations.shape} and actions {actions.shape}; "
            "(N, state_dim) and (N, action_dim) are needed"
        )
    n = len(observations)
    for name in ("rewards", "terminals", "timeouts"):
        if name in rows and rows[name].shape not in ((n,), (n, 1)):
            raise UserError(f"{path}: {name} has the shape {rows[name].shape}; {(n,)} is needed")
    return rows


def _time_limits(terminal: np.ndarray, max_steps: int) -> np.ndarray:
    """Mark the rows at which an episode has reached `max_steps`: (N,) bool."""
    index = np.arange(len(terminal))
    after_terminal = np.append(False, terminal[:-1])
    start = np.maximum.accumulate(np.where(after_terminal, index, 0))
    marked: np.ndarray = (index - start) % max_steps == max_steps - 1
    return marked


def _check(path: Path, name: str) -> None:
    with hdf5.open_self_contained(path, name):
        pass
