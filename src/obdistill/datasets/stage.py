"""The stage ``obd dataset``: a dataset of any source becomes the project's artifact."""

import re
from pathlib import Path

import click

from obdistill.core import artifacts, environments
from obdistill.core.command import FOLDER, out_option, stage
from obdistill.core.errors import UserError
from obdistill.core.settings import NAME
from obdistill.core.units import Task
from obdistill.datasets import collected as collection
from obdistill.datasets import d4rl
from obdistill.datasets import minari as minari_source
from obdistill.datasets.d4rl_facts import reference_returns
from obdistill.datasets.settings import AnySettings, CollectedSettings, D4rlSettings, DatasetSettings, MinariSettings
from obdistill.datasets.source import Loaded
from obdistill.datasets.transitions import make_dataset, write_dataset


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
    reference = chosen.reference_returns or loaded.reference_returns or reference_returns(env_id)
    if reference is None:
        raise UserError(f"{task_name}: reference_returns: missing; neither the data nor D4RL have any for {env_id}")
    if reference[0] >= reference[1]:
        raise UserError(f"{task_name}: reference_returns: {list(reference)}: the first must be below the second")
    env = environments.make(env_id)
    needed, bounds = env.observation_space.shape, environments.action_bounds(env)
    env.close()
    found = loaded.transitions.observations.shape[1:]
    if found != needed:
        raise UserError(f"{task_name}: observations of shape {found} are not those of {env_id}, {needed}")
    dataset = make_dataset(Task(task_name, env_id, reference), loaded.transitions, *bounds)
    metadata = {
        "settings": settings.model_dump(mode="json"),
        "source": loaded.origin,
        "seconds": clock.seconds(),
    }
    write_dataset(out, dataset, metadata)


def _load(settings: AnySettings, collection_folder: Path | None) -> Loaded:
    match settings:
        case MinariSettings():
            return minari_source.load(settings)
        case D4rlSettings():
            return d4rl.load(settings)
        case CollectedSettings():
            if collection_folder is None:
                raise UserError("--collection: missing; the source 'collect' needs the folder that obd collect wrote")
            return collection.load(settings, collection_folder)


@stage("dataset", DatasetSettings, computes=False)
@click.option("--task", "task_name", required=True, metavar="NAME", help="Name of the task, e.g. hopper_medium.")
@out_option(".npz", "Dataset to write (.npz).")
@click.option(
    "--collection",
    "collection_folder",
    type=FOLDER,
    help="Folder that obd collect wrote, for source=collect.",
)
def command(task_name: str, out: Path, collection_folder: Path | None, settings: DatasetSettings) -> None:
    """Bring a Minari or D4RL dataset into the project's form."""
    build_dataset(task_name, settings, out, collection_folder)
