"""OGBench's datasets (https://arxiv.org/abs/2410.20092) with the rewards of a single task.

A file holds whole trajectories of states, the last one included: ``terminals`` is 1 at it, and its action leads
nowhere. The package ogbench computes rewards and successes from ``qpos`` for the task of the environment, e.g.
``ogbench:antmaze-large-singletask-task1-v0``. A success is a terminal state, as it is in evaluation; what follows is
another episode.
"""

import contextlib
import importlib

import numpy as np

from obdistill.core import artifacts, environments
from obdistill.core.artifacts import Arrays
from obdistill.core.errors import UserError
from obdistill.datasets import checks, files
from obdistill.datasets.rows import check_vectors
from obdistill.datasets.settings import OgbenchSettings
from obdistill.datasets.source import Loaded
from obdistill.datasets.transitions import as_floats, from_rows

NEEDED = ("observations", "actions", "terminals")
STATES = ("qpos", "qvel", "button_states")  # what rewards are computed from


def load(settings: OgbenchSettings) -> Loaded:
    """Read the file, and give it rewards.

    Raises
    ------
    UserError
        If it is missing, damaged or malformed, or the environment is no single task of OGBench's.
    """
    path = files.expand(settings.file)
    if not path.is_file():
        raise UserError(f"file: {str(path)!r}: no such file")
    files.refuse_pointer(path)
    held, sha256 = artifacts.load_arrays(path), artifacts.sha256(path)
    checks.compare_sha256(sha256, settings.sha256, str(path))
    missing = [key for key in NEEDED if key not in held]
    if missing:
        raise UserError(f"{path}: lacks {missing[0]}; it has: {', '.join(held)!s:.200}")
    check_vectors(held, str(path))
    n = len(held["observations"])
    for key in ("actions", "terminals", *STATES):
        if key in held and held[key].shape[:1] != (n,):
            found = len(np.atleast_1d(held[key]))
            raise UserError(f"{path}: observations and {key} have {n} and {found} rows; equally many are needed")
    last = checks.flags(held["terminals"].reshape(n), f"{path}: terminals")
    if not last[-1:].any():
        raise UserError(f"{path}: the last row of terminals is 0; it marks the last state of a trajectory")
    rows = {key: held[key][~last] for key in ("observations", "actions", *STATES) if key in held}
    rows["next_observations"] = held["observations"][1:][~last[:-1]]
    rewards, success = _rewards(rows, settings.env_id)
    kept = {key: as_floats(rows[key], f"{path}: {key}") for key in ("observations", "actions", "next_observations")}
    before_last = last[1:][~last[:-1]]  # rows whose next state is the last one
    transitions = from_rows({**kept, "rewards": rewards}, success, before_last, str(path))
    origin = {"source": "ogbench", "file": path.name, "sha256": sha256}
    return Loaded(transitions, settings.env_id, None, origin, verified=settings.sha256 is not None)


def _rewards(rows: Arrays, env_id: str) -> tuple[np.ndarray, np.ndarray]:
    """Return reward and success of each row, as OGBench computes them for a task: (N,) float32, (N,) bool."""
    try:
        package = importlib.import_module("ogbench.relabel_utils")
    except ImportError:
        raise UserError("source: ogbench: its rewards need the package ogbench: pip install ogbench") from None
    given = {key: rows[key] for key in STATES if key in rows}
    with contextlib.closing(environments.make(env_id)) as env:
        if getattr(env.unwrapped, "_reward_task_id", None) is None:
            raise UserError(f"env_id: {env_id!r}: is no single task; ogbench:cube-single-singletask-v0, e.g., is one")
        try:
            package.relabel_dataset(env_id.rpartition(":")[2], env, given)
        except (KeyError, IndexError, ValueError) as error:
            text = f"its rewards cannot be computed from this file ({error!r:.100})"
            raise UserError(f"env_id: {env_id!r}: {text}") from None
    return np.asarray(given["rewards"], np.float32), np.asarray(given["masks"]) == 0
