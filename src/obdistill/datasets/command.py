"""The commands ``obd dataset`` and ``obd collect``."""

from pathlib import Path

import click

from obdistill.core.command import FOLDER, checkpoint_option, out_option, stage
from obdistill.datasets.settings import CollectSettings, DatasetSettings


@stage("dataset", DatasetSettings)
@click.option("--task", required=True, metavar="NAME", help="Name of the task, e.g. hopper_medium.")
@out_option(".npz", "Dataset to write (.npz).")
@click.option(
    "--collection", "collection_folder", type=FOLDER, help="Folder that obd collect wrote, for source=collect."
)
def dataset(task: str, out: Path, collection_folder: Path | None, settings: DatasetSettings) -> None:
    """Bring a Minari or D4RL dataset into the project's form."""
    from obdistill.datasets.stage import build_dataset

    build_dataset(task, settings, out, collection_folder)


@stage("collect", CollectSettings)
@click.option("--out", type=FOLDER, required=True, help="Minari root to write into.")
@click.option("--seed", default=0, show_default=True, type=click.IntRange(min=0), help="Root seed.")
@checkpoint_option
def collect(out: Path, seed: int, settings: CollectSettings, checkpoint_minutes: float) -> None:
    """Train SAC and record D4RL-style datasets in Minari's form."""
    from obdistill.datasets.collect import collect

    collect(settings, out, seed, checkpoint_minutes)
