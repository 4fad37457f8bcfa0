"""The commands ``obd export`` and ``obd zoo``."""

from pathlib import Path

import click

from obdistill.core.command import FILE, FOLDER, UserPath, stage
from obdistill.exports.settings import POLICY_FORMS, SYNSET_FORMS, Form
from obdistill.synsets.command import SYNSET


@stage("export")
@click.argument("exported", metavar="SYNSET|POLICY", type=SYNSET)
@click.option(
    "--to",
    "form",
    type=click.Choice([*SYNSET_FORMS, *POLICY_FORMS]),
    required=True,
    help=f"Of a synset: {', '.join(SYNSET_FORMS)}; of a policy: {', '.join(POLICY_FORMS)}.",
)
@click.option("--dataset", type=FILE, help="Dataset that the synset was distilled from: the card names its source.")
@click.option("--near-expert", type=FILE, help="Near-expert that it was distilled with, for the card.")
@click.option(
    "--returns",
    type=FILE,
    multiple=True,
    help="Evaluation of the synset (.csv), for the card; may be repeated, for the method's other seeds.",
)
@click.option("--license", "license_name", help="SPDX name of the dataset's license (known of D4RL's data).")
@click.option("--attribution", default="", help="Whom to name, with --license.")
@click.option("--out", type=UserPath(path_type=Path), required=True, help="Folder for a synset, file for a policy.")
def export(
    exported: Path,
    form: Form,
    dataset: Path | None,
    near_expert: Path | None,
    returns: tuple[Path, ...],
    license_name: str | None,
    attribution: str,
    out: Path,
) -> None:
    """Export a SYNSET (.npz, zoo:NAME) with a card, or a POLICY (.safetensors), for other programs."""
    from obdistill.exports.stage import export

    export(exported, form, out, dataset, near_expert, returns, license_name, attribution)


@stage("zoo")
@click.option("--results", type=FOLDER, required=True, help="Folder of the finished results.")
def zoo(results: Path) -> None:
    """Copy synsets of finished results into the zoo; src/obdistill/zoo/names.csv says which."""
    from obdistill.exports.zoo import make_zoo

    make_zoo(results)
