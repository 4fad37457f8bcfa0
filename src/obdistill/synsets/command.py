"""The commands ``obd select`` and ``obd distill``."""

from pathlib import Path
from typing import Any

import click

from obdistill.core.command import FILE, UserPath, checkpoint_option, dataset_option, device_option, out_option, stage
from obdistill.core.methods import DEFAULT, OBJECTIVES, SELECTIONS
from obdistill.synsets import zoo
from obdistill.synsets.settings import DistillSettings


class SynsetPath(UserPath):
    """A path, or ``zoo:NAME`` for a synset of the zoo."""

    def convert(self, value: Any, parameter: click.Parameter | None, context: click.Context | None) -> Any:
        """Find it."""
        if isinstance(value, str) and value.startswith(zoo.PREFIX):
            value = str(zoo.find(value.removeprefix(zoo.PREFIX)))
        return super().convert(value, parameter, context)


SYNSET = SynsetPath(path_type=Path, dir_okay=False)

size_option = click.option(
    "--size", type=click.IntRange(min=1), default=256, show_default=True, help="Number of pairs."
)
variant_option = click.option(
    "--variant", default=DEFAULT, show_default=True, help="Name of these settings, for tables."
)
synset_option = out_option(".npz", "Synset to write (.npz).")


@stage("select")
@dataset_option
@click.option("--near-expert", type=FILE, help="Near-expert artifact (.safetensors), for the methods that need one.")
@click.option("--method", type=click.Choice(SELECTIONS), required=True, help="Way to select.")
@variant_option
@size_option
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Seed of the selection.")
@synset_option
def select(dataset: Path, near_expert: Path | None, method: str, variant: str, size: int, seed: int, out: Path) -> None:
    """Select a synset from the states of a dataset, by a method without an outer loop."""
    from obdistill.synsets.stage import make_selection

    make_selection(dataset, near_expert, method, size, seed, out, variant)


@stage("distill", DistillSettings)
@dataset_option
@click.option("--near-expert", type=FILE, help="Near-expert artifact (.safetensors); all but dbc need it.")
@click.option("--objective", type=click.Choice(OBJECTIVES), required=True, help="Outer objective.")
@variant_option
@size_option
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Distillation seed.")
@device_option
@checkpoint_option
@synset_option
def distill(
    settings: DistillSettings,
    dataset: Path,
    near_expert: Path | None,
    objective: str,
    variant: str,
    size: int,
    seed: int,
    device: str,
    checkpoint_minutes: float,
    out: Path,
) -> None:
    """Distill a dataset into a synset by one objective."""
    from obdistill.synsets.stage import make_synset

    make_synset(dataset, near_expert, objective, size, seed, settings, out, device, checkpoint_minutes, variant)
