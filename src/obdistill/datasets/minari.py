"""Minari datasets: any with continuous states and actions, from a local folder or downloaded by Minari."""

import hashlib
import logging
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import gymnasium
import minari
import numpy as np

from obdistill.core import artifacts
from obdistill.core.errors import UserError
from obdistill.datasets import hdf5
from obdistill.datasets.settings import MinariSettings
from obdistill.datasets.source import Loaded
from obdistill.datasets.transitions import Transitions

ROOT_VARIABLE = "MINARI_DATASETS_PATH"  # where Minari looks for its root
DATA_FOLDER, METADATA_FILE, HDF5_FILE = "data", "metadata.json", "main_data.hdf5"  # Minari's own layout
log = logging.getLogger(__name__)


def load(settings: MinariSettings) -> Loaded:
    """Read a Minari dataset, downloaded first if need be.

    Raises
    ------
    UserError
        If it cannot be had or is malformed.
    """
    root = settings.root or Path(os.environ.get(ROOT_VARIABLE) or Path.home() / ".minari" / "datasets")
    if not (root / settings.id / DATA_FOLDER).is_dir():
        if not settings.download:
            raise UserError(f"id: {settings.id!r}: no such dataset in {root}, and the setting download is false")
        _download(root, settings.id)
    return read(root / settings.id, settings.id)


def read(folder: Path, name: str) -> Loaded:
    """Read the Minari dataset in a folder.

    An episode of T steps has T + 1 observations. Its last transition is marked `terminated` if it ended in a terminal
    state, else `truncated`, whether Minari says so or the recording just stops.

    Parameters
    ----------
    folder : Path
        Folder of the dataset, which holds ``data/metadata.json``.
    name : str
        The dataset's id, for messages.

    Raises
    ------
    UserError
        If the dataset is missing, damaged, of another kind of environment, or an episode is malformed.
    """
    data = folder / DATA_FOLDER
    metadata = artifacts.read_json(data / METADATA_FILE)
    for key in ("observation_space", "action_space"):
        # Minari would build the environment to find out, that is, import whatever the file names
        if key not in metadata:
            raise UserError(f"{name}: its {METADATA_FILE} has no {key}")
    if (data / HDF5_FILE).exists():
        with hdf5.open_self_contained(data / HDF5_FILE):
            pass
    try:
        dataset = minari.MinariDataset(data)
        environment = dataset.env_spec
    except Exception as error:  # Minari checks little: damaged metadata end in errors of any type
        raise UserError(f"{name}: Minari cannot read it ({_describe(error)})") from None
    for key, space in (("observation", dataset.observation_space), ("action", dataset.action_space)):
        if not isinstance(space, gymnasium.spaces.Box) or len(space.shape) != 1:
            raise UserError(f"{name}: its {key} space is {space}; a Box with one dimension is needed")
    if environment is not None and (options := {**environment.kwargs}.keys() - {"render_mode"}):
        log.warning("%s: recorded with options %s of %s; it is made without", name, sorted(options), environment.id)
    low, high = (metadata.get(key) for key in ("ref_min_score", "ref_max_score"))
    return Loaded(
        _transitions(dataset, name),
        None if environment is None else environment.id,
        None if low is None or high is None else (float(low), float(high)),
        {"source": "minari", "id": name, "sha256": _sha256(data)},
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
    before = os.environ.get(ROOT_VARIABLE)
    with tempfile.TemporaryDirectory(prefix=".new.", dir=root) as temporary:
        os.environ[ROOT_VARIABLE] = temporary
        try:
            yield Path(temporary, name)
        finally:
            os.environ.pop(ROOT_VARIABLE)
            os.environ.update({} if before is None else {ROOT_VARIABLE: before})
        target = root / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.exists():
            target.rename(Path(temporary, "replaced"))
        Path(temporary, name).rename(target)


def _download(root: Path, name: str) -> None:
    log.info("%s is not in %s: downloading it", name, root)
    try:
        with new_dataset(root, name) as folder:
            minari.download_dataset(name)
            if not (folder / DATA_FOLDER / METADATA_FILE).is_file():
                raise FileNotFoundError("the download is incomplete")
    except Exception as error:  # of Minari, of the storage service's client or of the network
        raise UserError(f"id: {name!r}: not in {root}, and cannot be downloaded ({_describe(error)})") from None


def _transitions(dataset: minari.MinariDataset, name: str) -> Transitions:
    episodes: list[dict[str, np.ndarray]] = []
    try:
        for number, episode in enumerate(dataset.iterate_episodes()):
            episodes.append(_episode(episode, dataset, f"{name}: episode {number}"))
    except (KeyError, OSError, AssertionError, ValueError) as error:
        raise UserError(f"{name}: episode {len(episodes)} cannot be read ({_describe(error)})") from None
    if not episodes:
        raise UserError(f"{name}: holds no episode")
    columns = {key: np.concatenate([episode[key] for episode in episodes]) for key in episodes[0]}
    lengths = [len(episode["rewards"]) for episode in episodes]
    return Transitions(**columns, episode=np.repeat(np.arange(len(episodes), dtype=np.int32), lengths))


def _episode(episode: minari.EpisodeData, dataset: minari.MinariDataset, name: str) -> dict[str, np.ndarray]:
    """Check one episode and return its columns, one row per transition."""
    steps = len(episode.rewards)
    if steps == 0:
        raise UserError(f"{name}: has no step")
    shapes = {
        "observations": (steps + 1, *dataset.observation_space.shape),
        "actions": (steps, *dataset.action_space.shape),
        "rewards": (steps,),
        "terminations": (steps,),
        "truncations": (steps,),
    }
    for key, shape in shapes.items():
        found = np.shape(getattr(episode, key))
        if found != shape:
            raise UserError(f"{name}: {key} has the shape {found}; {shape} is needed for {steps} rewards")
    ended = np.flatnonzero(episode.terminations | episode.truncations)
    if len(ended) and ended[0] < steps - 1:
        raise UserError(f"{name}: ends at step {ended[0]} but goes on to step {steps - 1}")
    last = np.arange(steps) == steps - 1
    terminated = last & bool(episode.terminations[-1])
    observations = np.asarray(episode.observations, np.float32)  # (T + 1, S)
    return {
        "observations": observations[:-1],
        "actions": np.asarray(episode.actions, np.float32),
        "rewards": np.asarray(episode.rewards, np.float32),
        "next_observations": observations[1:],
        "terminated": terminated,
        "truncated": last & ~terminated,
    }


def _sha256(data: Path) -> str:
    """Hash the data files in order of their names; with HDF5 there is one, and this is its sha256."""
    digest = hashlib.sha256()
    for path in sorted(path for path in data.rglob("*") if path.is_file() and path != data / METADATA_FILE):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _describe(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
