"""Minari datasets: any with continuous states and actions, from a local folder or downloaded by Minari."""

import contextlib
import json
import logging
import math
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from obdistill.core import artifacts, atomic
from obdistill.core.errors import UserError
from obdistill.datasets import arrow, checks, files, hdf5, remembered
from obdistill.datasets.checks import Unpacking, Warn
from obdistill.datasets.env_specs import environment_of
from obdistill.datasets.files import DATA_FOLDER, HDF5_FILE, METADATA_FILE, ROOT_VARIABLE
from obdistill.datasets.settings import MinariSettings
from obdistill.datasets.source import COLLECTION_FILE, Loaded
from obdistill.datasets.space_specs import Vector, vectors
from obdistill.datasets.transitions import Transitions

SERVER_VARIABLE = "MINARI_REMOTE"  # where Minari downloads from
COLUMNS = ("observations", "actions", "rewards", "terminations", "truncations")
log = logging.getLogger(__name__)


def load(settings: MinariSettings) -> Loaded:
    """Read a Minari dataset, downloaded first if need be.

    Raises
    ------
    UserError
        If it cannot be had or is malformed.
    """
    root, name = files.minari_root(settings.root), settings.local_id
    folder = root / name
    if not (folder / DATA_FOLDER).is_dir():
        if not settings.download:
            raise UserError(f"id: {name!r}: no such dataset in {root}, and the setting download is false")
        _download(root, name, settings.server)
    if settings.sha256 is not None:
        return read(folder, name, settings.env_id, {"sha256": settings.sha256})
    return read(folder, name, settings.env_id, _collected(root, name), f"that in {COLLECTION_FILE}")


def read(
    folder: Path,
    name: str,
    env_id: str | None = None,
    known: Mapping[str, Any] | None = None,
    which: str = "the setting sha256",
) -> Loaded:
    """Read the Minari dataset in a folder.

    An episode of T steps has T + 1 observations. Its last transition is marked `terminated` if it ended in a terminal
    state, else `truncated`, whether Minari says so or the recording just stops.

    Parameters
    ----------
    folder : Path
        Folder of the dataset, which holds ``data/metadata.json``.
    name : str
        The dataset's id, for messages.
    env_id : str, optional
        The environment that the user has chosen; default: the one that the dataset names.
    known : mapping, optional
        ``sha256`` that the data files must have, and ``metadata_sha256`` of ``metadata.json``; any that is left out.
    which : str
        Where these are from, for the message.

    Raises
    ------
    UserError
        If the dataset is missing, damaged, of another kind of environment or of one that its id does not make, an
        episode is malformed, or its metadata do not fit the data.
    """
    data = folder / DATA_FOLDER
    metadata = artifacts.read_json(data / METADATA_FILE)
    found = {"sha256": _sha256(folder), "metadata_sha256": artifacts.sha256(data / METADATA_FILE)}
    if not known:
        remembered.check(_data_files(folder), found["sha256"])
        remembered.check([data / METADATA_FILE], found["metadata_sha256"])
    for key, value in found.items():
        if known and known.get(key) not in (None, value):
            raise UserError(f"{folder}: has the {key} {value}; {which} is {known[key]!s:.64}")
    _check_version(metadata, name)
    states, (actions,) = (vectors(metadata, f"{kind}_space", name) for kind in ("observation", "action"))
    warnings: list[str] = []
    used_env_id = environment_of(metadata, name, env_id, warnings.append)
    reference_returns = _reference_returns(metadata, name, warnings.append)
    transitions = _transitions(folder, metadata, states, len(actions), name)
    return Loaded(
        transitions,
        used_env_id,
        reference_returns,
        {"source": "minari", "id": name, **found},
        action_bounds=(actions.low, actions.high),
        verified=bool(known),
        observation_keys=tuple(vector.key for vector in states if vector.key),
        warnings=tuple(warnings),
    )


@contextmanager
def new_dataset(root: Path, name: str) -> Iterator[Path]:
    """Give a temporary Minari root in which a dataset is made; it is moved to `root` when whole.

    Yields
    ------
    Path
        Folder ``<temporary root>/<name>``. Minari's own functions use the temporary root meanwhile.
    """
    root = root.resolve()  # Minari joins a relative root to itself
    root.mkdir(parents=True, exist_ok=True)
    with atomic.temporary_folder(root) as temporary:
        with _variable(ROOT_VARIABLE, str(temporary)):
            yield temporary / name
        target = root / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.exists():
            target.rename(temporary / "replaced")
        (temporary / name).rename(target)


@contextmanager
def _variable(name: str, value: str | None) -> Iterator[None]:
    """Set a variable of the environment for a while; None: leave it as it is."""
    before = os.environ.get(name)
    os.environ.update({} if value is None else {name: value})
    try:
        yield
    finally:
        os.environ.pop(name, None)
        os.environ.update({} if before is None else {name: before})


def _download(root: Path, name: str, server: str | None) -> None:
    import minari  # here, for it is an optional package

    log.info("%s is not in %s: downloading it", name, root)
    try:
        # the variable, for Minari asks its own server about namespaces if the server is part of the id
        with new_dataset(root, name) as folder, _variable(SERVER_VARIABLE, server):
            minari.download_dataset(name)
            if not (folder / DATA_FOLDER / METADATA_FILE).is_file():
                raise FileNotFoundError("the download is incomplete")
    except Exception as error:  # of Minari, of the storage service's client or of the network
        place = f"{server}/{name}" if server else name
        raise UserError(f"id: {place!r}: not in {root}, and cannot be downloaded ({_describe(error)})") from None


def _collected(root: Path, name: str) -> Mapping[str, Any] | None:
    """Return what ``obd collect`` has noted of a dataset, None if it has made none of that id here."""
    if not (root / COLLECTION_FILE).is_file():
        return None
    levels = artifacts.read_json(root / COLLECTION_FILE).get("levels")
    facts = levels.values() if isinstance(levels, dict) else ()
    return next((level for level in facts if isinstance(level, dict) and level.get("dataset_id") == name), None)


def _check_version(metadata: Mapping[str, Any], name: str) -> None:
    import minari  # here, for it is an optional package

    version = metadata.get("minari_version")
    if version not in minari.supported_dataset_versions:
        raise UserError(f"{name}: Minari cannot read it (it says it is of Minari {version!s:.40})")


def _reference_returns(metadata: dict[str, Any], name: str, warn: Warn) -> tuple[float, float] | None:
    """Return the reference returns that the dataset gives, None unless it gives both."""
    keys = [key for key in ("ref_min_score", "ref_max_score") if metadata.get(key) is not None]
    values = [metadata[key] for key in keys]
    for key, value in zip(keys, values, strict=True):
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise UserError(f"{name}: its {METADATA_FILE} says {key}: {json.dumps(value):.40}; a number is needed")
    if len(values) == 1:
        warn(f"{name}: its {METADATA_FILE} has {keys[0]} but not the other reference score; neither is used")
    return (float(values[0]), float(values[1])) if len(values) == 2 else None


def _count(metadata: dict[str, Any], key: str, name: str) -> int:
    value = metadata.get(key)
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise UserError(f"{name}: its {METADATA_FILE} says {key}: {json.dumps(value):.40}; a number is needed")
    return value


def _transitions(
    folder: Path, metadata: dict[str, Any], states: list[Vector], action_dim: int, name: str
) -> Transitions:
    """Read every episode, and compare their number and that of the steps with the metadata."""
    columns = (*_keys(states), *COLUMNS[1:])
    count = _count(metadata, "total_episodes", name)
    data, data_format = folder / DATA_FOLDER, metadata.get("data_format", "hdf5")
    unpacking = Unpacking(name, checks.total_size(files.files_of(folder)))
    with contextlib.ExitStack() as stack:
        if data_format == "hdf5":
            file = stack.enter_context(hdf5.open_self_contained(data / HDF5_FILE))
            there = sum(key.startswith("episode_") for key in file)
            read_episodes = _hdf5_episodes(file, columns, count, unpacking)
        elif data_format in ("arrow", "parquet"):
            there = arrow.episode_count(data)
            read_episodes = arrow.episodes(data, data_format, columns, count, unpacking)
        else:
            raise UserError(f"{name}: data_format: {data_format!s:.40}: not known; allowed: hdf5, arrow, parquet")
        if there != count:
            raise UserError(f"{name}: its {METADATA_FILE} says total_episodes: {count}; the data hold {there}")
        episodes = [
            _episode(episode, states, action_dim, f"{name}: episode {number}")
            for number, episode in enumerate(read_episodes)
        ]
    if not episodes:
        raise UserError(f"{name}: holds no episode")
    joined = {key: np.concatenate([episode[key] for episode in episodes]) for key in episodes[0]}
    lengths = [len(episode["rewards"]) for episode in episodes]
    if "total_steps" in metadata and (steps := _count(metadata, "total_steps", name)) != sum(lengths):
        raise UserError(f"{name}: its {METADATA_FILE} says total_steps: {steps}; the data hold {sum(lengths)}")
    return Transitions(**joined, episode=np.repeat(np.arange(len(episodes), dtype=np.int32), lengths))


def _hdf5_episodes(
    file: h5py.File, columns: Iterable[str], count: int, unpacking: Unpacking
) -> Iterator[dict[str, np.ndarray]]:
    """Read the columns of each episode: T + 1 observations, T of all others."""
    for index in range(count):
        group = file.get(f"episode_{index}")
        if not isinstance(group, h5py.Group):
            raise UserError(f"{file.filename}: has no episode_{index}")
        yield {key: hdf5.read_array(group, key, unpacking) for key in columns}


def _keys(states: list[Vector]) -> list[str]:
    """Name the columns of the states: ``observations``, or ``observations/key`` of each vector with a name."""
    return [f"observations/{vector.key}".rstrip("/") for vector in states]


def _flattened(episode: dict[str, np.ndarray], states: list[Vector], name: str) -> np.ndarray:
    """Return the states, whose vectors are put one after another, as ``gymnasium.spaces.flatten`` does."""
    parts = [episode[key] for key in _keys(states)]
    if len(parts) == 1:
        return parts[0]
    rows = len(np.atleast_1d(parts[0]))
    for key, part, vector in zip(_keys(states), parts, states, strict=True):
        if part.shape != (rows, len(vector)):
            raise UserError(f"{name}: {key} has the shape {part.shape}; {(rows, len(vector))} is needed")
    return np.concatenate(parts, axis=1)


def _episode(episode: dict[str, np.ndarray], states: list[Vector], action_dim: int, name: str) -> dict[str, np.ndarray]:
    """Check one episode and return its columns, one row per transition."""
    episode = {**episode, "observations": _flattened(episode, states, name)}
    if episode["rewards"].size == 0:
        raise UserError(f"{name}: has no step")
    steps = len(np.atleast_1d(episode["rewards"]))
    shapes = {
        "observations": (steps + 1, sum(map(len, states))),
        "actions": (steps, action_dim),
        "rewards": (steps,),
        "terminations": (steps,),
        "truncations": (steps,),
    }
    for key, shape in shapes.items():
        if episode[key].shape != shape:
            raise UserError(f"{name}: {key} has the shape {episode[key].shape}; {shape} is needed for {steps} rewards")
    terminations, truncations = (checks.flags(episode[key], f"{name}: {key}") for key in COLUMNS[3:])
    ended = np.flatnonzero(terminations | truncations)
    if len(ended) and ended[0] < steps - 1:
        raise UserError(f"{name}: ends at step {ended[0]} but goes on to step {steps - 1}")
    last = np.arange(steps) == steps - 1
    terminated = last & terminations[-1]
    observations = np.asarray(episode["observations"], np.float32)  # (T + 1, S)
    return {
        "observations": observations[:-1],
        "actions": np.asarray(episode["actions"], np.float32),
        "rewards": np.asarray(episode["rewards"], np.float32),
        "next_observations": observations[1:],
        "terminated": terminated,
        "truncated": last & ~terminated,
    }


def _sha256(folder: Path) -> str:
    """Hash the data files in order of their names; with HDF5 there is one, and this is its sha256."""
    return files.sha256_of(_data_files(folder))


def _data_files(folder: Path) -> list[Path]:
    return [path for path in files.files_of(folder) if path != folder / DATA_FOLDER / METADATA_FILE]


def _describe(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
