"""Arrays with one row per step, of any plain file: checked, and cut into episodes."""

import numpy as np

from obdistill.core import environments
from obdistill.core.artifacts import Arrays
from obdistill.core.errors import UserError
from obdistill.datasets import checks
from obdistill.datasets.checks import Warn
from obdistill.datasets.transitions import Transitions, as_floats, from_rows


def check_vectors(arrays: Arrays, name: str) -> None:
    """Check that observations and actions are vectors of numbers.

    Parameters
    ----------
    arrays : dict of ndarray
        With ``observations`` and ``actions``, one row per step.
    name : str
        What messages call the data.

    Raises
    ------
    UserError
        If they are images, or discrete.
    """
    for key in ("observations", "actions"):
        values = arrays[key]
        if values.ndim > 2:
            raise UserError(f"{name}: {key} has the shape {values.shape}: images are not supported; vectors are needed")
        if values.ndim < 2:
            raise UserError(f"{name}: {key} has the shape {values.shape}; vectors, one row per step, are needed")
        if key == "actions" and values.dtype.kind in "iub":
            raise UserError(f"{name}: actions are of type {values.dtype}: discrete actions are not supported")


def to_transitions(arrays: Arrays, env_id: str | None, name: str, warn: Warn) -> Transitions:
    """Check arrays and cut them into episodes.

    Parameters
    ----------
    arrays : dict of ndarray
        ``observations`` (N, state_dim), ``actions`` (N, action_dim), ``rewards`` (N,) or (N, 1), ``terminated``, and
        perhaps ``truncated`` and ``next_observations``; see `transitions.from_rows`.
    env_id : str or None
        Environment of the data, whose time limit is compared with the episodes.
    name : str
        What messages call the data.
    warn : callable
        Takes a warning where an episode seems to end unmarked, or is longer than the time limit.

    Raises
    ------
    UserError
        If an array has the wrong shape, holds no numbers, or a flag is neither 0 nor 1.
    """
    check_vectors(arrays, name)
    n = len(arrays["observations"])
    columns = {}
    for key, values in arrays.items():
        if key in ("rewards", "terminated", "truncated") and values.shape == (n, 1):
            values = values[:, 0]
        columns[key] = values
    known = "truncated" in columns
    terminated = checks.flags(columns.pop("terminated"), f"{name}: terminated")
    truncated = checks.flags(columns.pop("truncated", np.zeros(n, bool)), f"{name}: truncated")
    floats = {key: as_floats(values, f"{name}: {key}") for key, values in columns.items()}
    transitions = from_rows(floats, terminated, truncated, name)
    limit = environments.max_episode_steps(env_id)
    following = floats.get("next_observations")
    checks.warn_of_ends(
        floats["observations"], following, terminated, truncated, known, limit, lambda text: warn(f"{name}: {text}")
    )
    return transitions
