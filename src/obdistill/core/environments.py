"""Environments: made the same way everywhere."""

import functools
import logging
import warnings
from typing import Any

import gymnasium
import mujoco
import numpy as np

from obdistill.core.errors import UserError

log = logging.getLogger(__name__)


@functools.cache
def _log_once(message: str) -> None:
    log.info("MuJoCo: %s", message)


# MuJoCo would print each model's warnings at every compilation, and write them to a file in the working folder
mujoco.set_mju_user_warning(_log_once)


def make(env_id: str, **options: Any) -> "gymnasium.Env[Any, Any]":
    """Make an environment with states and actions that are vectors and actions that are bounded.

    Parameters
    ----------
    env_id : str
        Gymnasium id, e.g. ``HalfCheetah-v5``.
    **options
        Passed to `gymnasium.make`.

    Raises
    ------
    UserError
        If there is no such environment, or its spaces do not fit.
    """
    gymnasium.logger.min_level = logging.ERROR  # old versions are asked for on purpose: the paper's scores are theirs
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            env = gymnasium.make(env_id, disable_env_checker=True, **options)
    except Exception as error:  # of Gymnasium, or of whatever the id has it import and make
        raise UserError(f"env_id: {env_id!r}: {' '.join(str(error).split())}") from None
    for name, space in (("observation", env.observation_space), ("action", env.action_space)):
        if not isinstance(space, gymnasium.spaces.Box) or len(space.shape) != 1:
            raise UserError(f"env_id: {env_id!r}: its {name} space is {space}; a Box with one dimension is needed")
    low, high = action_bounds(env)
    if not np.isfinite([low, high]).all():
        raise UserError(f"env_id: {env_id!r}: its actions are unbounded; a bounded Box is needed")
    return env


def action_bounds(env: "gymnasium.Env[Any, Any]") -> tuple[np.ndarray, np.ndarray]:
    """Return the lowest and the highest action, each of shape (action_dim,)."""
    space = env.action_space
    assert isinstance(space, gymnasium.spaces.Box)
    return space.low, space.high
