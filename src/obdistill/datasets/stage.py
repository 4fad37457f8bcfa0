"""The stage ``obd dataset``: a dataset of any source becomes the project's artifact."""

import contextlib
import dataclasses
import logging
import re
from pathlib import Path

import numpy as np

from obdistill.core import artifacts, environments
from obdistill.core.errors import UserError
from obdistill.core.settings import NAME
from obdistill.core.units import Task
from obdistill.datasets import arrays, checks, d4rl, lerobot, ogbench
from obdistill.datasets import collected as collection
from obdistill.datasets import minari as minari_source
from obdistill.datasets.checks import Warn
from obdistill.datasets.d4rl_facts import reference_returns
from obdistill.datasets.settings import (
    AnySettings,
    ArraysSettings,
    CollectedSettings,
    D4rlSettings,
    DatasetSettings,
    LerobotSettings,
    MinariSettings,
    OgbenchSettings,
)
from obdistill.datasets.source import Loaded
from obdistill.datasets.transitions import Transitions, make_dataset, write_dataset

log = logging.getLogger(__name__)


def build_dataset(task_name: str, settings: DatasetSettings, out: Path, collection_folder: Path | None = None) -> None:
    """Bring a dataset into the project's form and write it.

    Parameters
    ----------
    task_name : str
        Name of the task in tables and paths: lower-case words joined by ``_``.
    settings : DatasetSettings
        The source and its settings.
    out : Path
        ``.npz`` file to write.
    collection_folder : Path, optional
        Where ``obd collect`` has written; needed by the source ``collect``.

    Raises
    ------
    UserError
        If the name is no task name, the source cannot be read or is malformed, the environment does not fit the data,
        or nobody knows its reference returns.
    """
    clock = artifacts.Clock()
    if not re.fullmatch(NAME, task_name):
        raise UserError(f"task: {task_name!r}: use lower-case words joined by _, e.g. halfcheetah_medium_replay")
    found = read_source(task_name, settings, collection_folder)
    loaded, reference = found.loaded, found.reference_returns
    if reference is None:
        raise UserError(
            f"{task_name}: reference_returns: missing; neither the data nor D4RL have any for {found.env_id}"
        )
    if not reference[0] < reference[1]:
        raise UserError(f"{task_name}: reference_returns: {list(reference)}: the first must be below the second")
    dataset = make_dataset(Task(task_name, found.env_id, reference), found.transitions, *found.action_bounds)
    metadata = {
        "settings": settings.model_dump(mode="json"),
        "source": loaded.origin,
        "warnings": list(found.warnings),
        "seconds": clock.seconds(),
    }
    write_dataset(out, dataset, metadata)
    if not loaded.verified and "sha256" in type(settings.root).model_fields:
        log.info("sha256 of the source: %s; set sha256 to it, and a damaged source is noticed", loaded.origin["sha256"])
    for warning in found.warnings:  # last, so that they are not overlooked
        log.warning("%s: %s", task_name, warning)


@dataclasses.dataclass(frozen=True)
class Found:
    """A source that was read and compared with its environment.

    Attributes
    ----------
    loaded : Loaded
        What the source gave.
    transitions : Transitions
        The data, with actions cut to the bounds if that is set.
    env_id : str
        Environment to evaluate in.
    action_bounds : tuple of ndarray of shape (action_dim,)
        Its lowest and highest action.
    reference_returns : tuple of float, or None
        Of the settings, else the source's, else D4RL's.
    warnings : list of str
        What looks wrong in the data.
    """

    loaded: Loaded
    transitions: Transitions
    env_id: str
    action_bounds: tuple[np.ndarray, np.ndarray]
    reference_returns: tuple[float, float] | None
    warnings: list[str]


def read_source(task_name: str, settings: DatasetSettings, collection_folder: Path | None = None) -> Found:
    """Read the source of a dataset, and check that the data are those of the environment.

    Parameters
    ----------
    task_name, settings, collection_folder
        As of `build_dataset`.

    Raises
    ------
    UserError
        If the source cannot be read or is malformed, or the environment does not fit the data.
    """
    chosen = settings.root
    if chosen.env_id is not None:
        environments.make(chosen.env_id).close()  # a wrong id shall not cost a download
    loaded = _load(chosen, collection_folder)
    env_id = chosen.env_id or loaded.env_id
    if chosen.env_id is None and ":" in (env_id or ""):
        raise UserError(
            f"{task_name}: env_id: {env_id!r} is what the data name; it imports a module, so set it yourself"
        )
    if env_id is None:
        raise UserError(f"{task_name}: env_id: missing; the data do not name their environment")
    with contextlib.closing(environments.make(env_id)) as env:
        needed, bounds = env.observation_space.shape, environments.action_bounds(env)
        keys = environments.flattened_keys(env)
    found = loaded.transitions.observations.shape[1:]
    if loaded.observation_keys and keys and loaded.observation_keys != keys:
        raise UserError(
            f"{task_name}: states of {', '.join(loaded.observation_keys)} are not those of {env_id}, {', '.join(keys)}"
        )
    if found != needed:
        raise UserError(f"{task_name}: observations of shape {found} are not those of {env_id}, {needed}")
    warnings = list(loaded.warnings)
    transitions = _checked(loaded, chosen, env_id, bounds, task_name, warnings.append)
    reference = chosen.reference_returns or loaded.reference_returns or reference_returns(env_id)
    return Found(loaded, transitions, env_id, bounds, reference, warnings)


def _checked(
    loaded: Loaded, chosen: AnySettings, env_id: str, bounds: tuple[np.ndarray, np.ndarray], task_name: str, warn: Warn
) -> Transitions:
    """Return the transitions, with actions cut if that is set; raise if they are not those of the environment."""
    transitions = loaded.transitions
    transitions.check(task_name)
    for name in ("observations", "rewards"):
        checks.warn_of_outliers(getattr(transitions, name), name, warn)
    if transitions.actions.shape[1:] != bounds[0].shape:
        return transitions  # make_dataset tells
    recorded = loaded.action_bounds
    if recorded is not None and np.isfinite(recorded).all() and not np.allclose(recorded, bounds, rtol=1e-4):
        low, high = (side.tolist() for side in recorded)
        text = f"recorded with actions from {low!s:.80} to {high!s:.80}; those of {env_id} have other bounds"
        if chosen.env_id is None:
            raise UserError(f"{task_name}: {text}; set env_id to {env_id!r} to use it all the same")
        warn(text)
    actions = checks.fit_actions(transitions.actions, *bounds, chosen.clip_actions, env_id, warn)
    return dataclasses.replace(transitions, actions=actions.astype(np.float32))


def _load(settings: AnySettings, collection_folder: Path | None) -> Loaded:
    match settings:
        case MinariSettings():
            return minari_source.load(settings)
        case D4rlSettings():
            return d4rl.load(settings)
        case ArraysSettings():
            return arrays.load(settings)
        case OgbenchSettings():
            return ogbench.load(settings)
        case LerobotSettings():
            return lerobot.load(settings)
        case CollectedSettings():
            if collection_folder is None:
                raise UserError("--collection: missing; the source 'collect' needs the folder that obd collect wrote")
            return collection.load(settings, collection_folder)
