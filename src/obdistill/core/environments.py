"""Environments: made the same way everywhere."""

import contextlib
import functools
import logging
import math
import traceback
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import gymnasium
import mujoco
import numpy as np

from obdistill.core.errors import UserError, out_of_memory

log = logging.getLogger(__name__)


@functools.cache
def _log_once(message: str) -> None:
    log.info("MuJoCo: %s", message)


# MuJoCo would print each model's warnings at every compilation, and write them to a file in the working folder
mujoco.set_mju_user_warning(_log_once)


def make(env_id: str, **options: Any) -> "gymnasium.Env[Any, Any]":
    """Make an environment with states and actions that are vectors and actions that are bounded.

    States that are vectors with names (a Dict space) become one vector, in Gymnasium's order (`FlattenObservation`).

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
    if not env_id:
        raise UserError("env_id: missing; an evaluation needs the Gymnasium id of an environment")
    gymnasium.logger.min_level = logging.ERROR  # old versions are asked for on purpose: the paper's scores are theirs
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            env = gymnasium.make(env_id, disable_env_checker=True, **options)
    except Exception as error:  # of Gymnasium, or of whatever the id has it import and make
        raise UserError(f"env_id: {env_id!r}: {' '.join(str(error).split())}") from None
    if isinstance(env.observation_space, gymnasium.spaces.Dict):
        for key, space in _parts(env.observation_space):
            if not _is_vector(space):
                raise UserError(
                    f"env_id: {env_id!r}: its observation space has {key!r}, which is {space!s:.80}; a Dict of Boxes "
                    "with one dimension is needed"
                )
        env = gymnasium.wrappers.FlattenObservation(env)
    for name, space in (("observation", env.observation_space), ("action", env.action_space)):
        if not _is_vector(space):
            raise UserError(f"env_id: {env_id!r}: its {name} space is {space}; a Box with one dimension is needed")
    low, high = action_bounds(env)
    if not np.isfinite([low, high]).all():
        raise UserError(f"env_id: {env_id!r}: its actions are unbounded; a bounded Box is needed")
    return env


def _is_vector(space: "gymnasium.Space[Any]") -> bool:
    return isinstance(space, gymnasium.spaces.Box) and len(space.shape) == 1


def _parts(space: gymnasium.spaces.Dict, prefix: str = "") -> "Iterator[tuple[str, gymnasium.Space[Any]]]":
    """List what a Dict space holds, in its order: (key, space); keys of a Dict within are joined by ``/``."""
    for key, part in space.spaces.items():
        if isinstance(part, gymnasium.spaces.Dict):
            yield from _parts(part, f"{prefix}{key}/")
        else:
            yield f"{prefix}{key}", part


def flattened_keys(env: "gymnasium.Env[Any, Any]") -> tuple[str, ...]:
    """Return the keys whose vectors follow each other in a state; none if the environment's own states are vectors."""
    space = env.env.observation_space if isinstance(env, gymnasium.wrappers.FlattenObservation) else None
    return tuple(key for key, _ in _parts(space)) if isinstance(space, gymnasium.spaces.Dict) else ()


def max_episode_steps(env_id: str | None, default: int = 1000) -> int:
    """Return an environment's time limit in steps, `default` if it has none or is not named."""
    if env_id is None:
        return default
    with contextlib.closing(make(env_id)) as env:  # `module:Name-v0` is registered by importing the module
        return (env.spec and env.spec.max_episode_steps) or default


def check_time_limit(env: "gymnasium.Env[Any, Any]", env_id: str) -> None:
    """Check that every episode of an environment ends.

    Raises
    ------
    UserError
        If it has no time limit.
    """
    if isinstance(getattr(env.unwrapped, "max_episode_steps", None), int):
        return  # it ends episodes by itself
    layer: Any = env
    while layer is not None:
        if isinstance(layer, gymnasium.wrappers.TimeLimit):
            return
        layer = getattr(layer, "env", None)
    raise UserError(
        f"env_id: {env_id!r}: has no time limit, so an episode may never end; needed is an environment registered with "
        "max_episode_steps, or one with an attribute max_episode_steps if it ends its episodes by itself"
    )


class Faulty(Exception):
    """What an environment gives is not what it says; the message is one line without the place."""


def reset(env: "gymnasium.Env[Any, Any]", seed: int) -> np.ndarray:
    """Begin an episode.

    Returns
    -------
    ndarray of shape (state_dim,), float32 or float64
        First state; integers and other types that an environment may give become float64.

    Raises
    ------
    Faulty
        If it is no such state, or the environment fails.
    """
    answer = _answer("reset", lambda: env.reset(seed=seed))
    if not isinstance(answer, tuple) or len(answer) != 2:
        raise Faulty(f"reset gives {_kind(answer)}; (state, info) is needed")
    return _state(env, answer[0])


def step(env: "gymnasium.Env[Any, Any]", action: np.ndarray) -> tuple[np.ndarray, float, bool, bool]:
    """Take a step: state of shape (state_dim,) as in `reset`, reward, terminated, truncated.

    Raises
    ------
    Faulty
        If one of them is of another shape or no number, or the reward is not finite; one number in an array is a
        number. Whether the state is finite is for the caller to check, who has many at once.
    """
    answer = _answer("step", lambda: env.step(action))
    if not isinstance(answer, tuple) or len(answer) != 5:
        raise Faulty(f"step gives {_kind(answer)}; (state, reward, terminated, truncated, info) is needed")
    state, reward, terminated, truncated, _ = answer
    return (
        _state(env, state),
        _number(reward, "reward"),
        bool(_number(terminated, "terminated")),
        bool(_number(truncated, "truncated")),
    )


def _answer(name: str, call: Callable[[], Any]) -> Any:
    """Call an environment; what it raises becomes one line that names where."""
    try:
        return call()
    except Exception as error:
        if out_of_memory(error):
            raise
        where = traceback.extract_tb(error.__traceback__)[-1]
        text = " ".join(str(error).split())[:200]
        raise Faulty(f"{name} fails: {type(error).__name__}: {text} ({where.filename}:{where.lineno})") from error


def _state(env: "gymnasium.Env[Any, Any]", given: Any) -> np.ndarray:
    state = np.asarray(given)
    if state.dtype not in (np.float64, np.float32):
        if state.dtype.kind not in "biuf":
            raise Faulty(f"the state is {_kind(given)}; numbers are needed")
        state = state.astype(np.float64)
    if state.shape != env.observation_space.shape:
        raise Faulty(f"the state has the shape {state.shape}; {env.observation_space.shape} is needed")
    return state


def _number(given: Any, name: str) -> float:
    if isinstance(given, (float, bool)):  # as nearly all are
        number = float(given)
    else:
        array = np.asarray(given)
        if array.size != 1 or array.dtype.kind not in "biuf":
            raise Faulty(f"{name} is {_kind(given)}; one number is needed")
        number = float(array.item())
    if not math.isfinite(number):
        raise Faulty(f"{name} is {number}; a finite number is needed")
    return number


def _kind(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return f"an array of shape {value.shape} and type {value.dtype}"
    return f"{value!r:.40} ({type(value).__name__}{f' of {len(value)}' if isinstance(value, tuple) else ''})"


def action_bounds(env: "gymnasium.Env[Any, Any]") -> tuple[np.ndarray, np.ndarray]:
    """Return the lowest and the highest action, each of shape (action_dim,)."""
    space = env.action_space
    assert isinstance(space, gymnasium.spaces.Box)
    return space.low, space.high
