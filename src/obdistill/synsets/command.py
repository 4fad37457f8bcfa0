"""The command ``obd distill``."""

from pathlib import Path

import click

from obdistill.core.command import FILE, checkpoint_option, device_option, out_option, stage
from obdistill.core.methods import DEFAULT, OBJECTIVES
from obdistill.synsets.settings import RANDOM, DistillSettings


@stage("distill", DistillSettings)
@click.option("--dataset", type=FILE, required=True, help="Dataset artifact (.npz).")
@click.option("--near-expert", type=FILE, help="Near-expert artifact (.safetensors); pbc and av_pbc need it.")
@click.option(
    "--objective", type=click.Choice([RANDOM, *OBJECTIVES]), required=True, help="Outer objective, or random."
)
@click.option("--variant", default=DEFAULT, show_default=True, help="Name of these settings, for tables.")
@click.option("--size", type=click.IntRange(min=1), default=256, show_default=True, help="Number of pairs.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Distillation seed.")
@device_option
@checkpoint_option
@out_option(".npz", "Synset to write (.npz).")
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
    """Distill a dataset into a synset by one objective, or select a random synset."""
    from obdistill.synsets.stage import make_synset

    make_synset(dataset, near_expert, objective, size, seed, settings, out, device, checkpoint_minutes, variant)
