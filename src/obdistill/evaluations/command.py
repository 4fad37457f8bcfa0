"""The commands ``obd evaluate``, ``train``, ``evaluate-near-expert``, ``cost``, ``error-curve``, ``synset-errors``."""

import re
from pathlib import Path

import click

from obdistill.core.command import FILE, dataset_option, out_option, stage
from obdistill.core.settings import NAME
from obdistill.evaluations.settings import (
    CostSettings,
    ErrorCurveSettings,
    EvaluateSettings,
    NearExpertEvaluationSettings,
)
from obdistill.policies.settings import BcSettings
from obdistill.synsets.command import SYNSET

near_expert_option = click.option(
    "--near-expert", type=FILE, required=True, help="Near-expert artifact (.safetensors)."
)
workers_option = click.option(
    "--workers", type=click.IntRange(min=1), default=1, show_default=True, help="Processes for rollouts."
)


def _protocol(context: click.Context, parameter: click.Parameter, value: str) -> str:
    if not re.fullmatch(NAME, value):
        raise click.BadParameter(f"{value!r}: use lower-case words joined by _")
    return value


@stage("evaluate", EvaluateSettings)
@click.option("--pairs", type=SYNSET, required=True, help="Synset (.npz, zoo:NAME) or dataset (.npz).")
@click.option(
    "--protocol",
    default="standard",
    show_default=True,
    callback=_protocol,
    help="Name of the protocol in the table.",
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Policy and environment seed.")
@workers_option
@out_option(".csv", "Returns to write (.csv).")
def evaluate(settings: EvaluateSettings, pairs: Path, protocol: str, seed: int, workers: int, out: Path) -> None:
    """Train policies on pairs and record the return of every episode."""
    from obdistill.evaluations.stage import evaluate

    evaluate(pairs, protocol, seed, settings, out, workers)


@stage("train", BcSettings)
@click.argument("synset", type=SYNSET)
@click.option("--policies", type=click.IntRange(min=1), default=1, show_default=True, help="Fresh policies to train.")
@click.option(
    "--pick",
    type=click.Choice(["mean", "best"]),
    default="mean",
    show_default=True,
    help="Of several: act by the mean of their actions, or keep the best in a few episodes (uses the environment).",
)
@click.option("--env-id", help="Environment for --pick best (default: the synset's).")
@click.option(
    "--episodes",
    type=click.IntRange(min=1),
    default=5,
    show_default=True,
    help="Episodes of each policy for --pick best.",
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Policy and environment seed.")
@out_option(".safetensors", "Policy to write (.safetensors).")
def train(
    settings: BcSettings,
    synset: Path,
    policies: int,
    pick: str,
    env_id: str | None,
    episodes: int,
    seed: int,
    out: Path,
) -> None:
    """Train a policy on SYNSET (.npz, zoo:NAME) and keep it in one file.

    Without settings, it is trained as the synset was distilled for.
    """
    from obdistill.evaluations.train import make_policy

    make_policy(synset, settings, out, policies, seed, pick, env_id, episodes)


@stage("evaluate-near-expert", NearExpertEvaluationSettings)
@near_expert_option
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Seed of the environments.")
@out_option(".csv", "Returns to write (.csv).")
def evaluate_near_expert(near_expert: Path, seed: int, settings: NearExpertEvaluationSettings, out: Path) -> None:
    """Evaluate a near-expert: returns, and its critics against Monte-Carlo returns."""
    from obdistill.evaluations.near_expert import evaluate_near_expert

    evaluate_near_expert(near_expert, seed, settings, out)


@stage("cost", CostSettings)
@dataset_option
@click.option("--synset", type=FILE, required=True, help="Synset artifact (.npz) of the same task.")
@out_option(".csv", "Table to write (.csv).")
def cost(settings: CostSettings, dataset: Path, synset: Path, out: Path) -> None:
    """Time the training of a policy on a whole dataset and on a synset."""
    from obdistill.evaluations.cost import measure

    measure(dataset, synset, settings, out)


@stage("error-curve", ErrorCurveSettings)
@dataset_option
@near_expert_option
@workers_option
@out_option(".csv", "Table to write (.csv).")
def error_curve(settings: ErrorCurveSettings, dataset: Path, near_expert: Path, workers: int, out: Path) -> None:
    """Fit policies to a near-expert on all states, and hold their returns against their errors."""
    from obdistill.evaluations.error_curve import error_curve

    error_curve(dataset, near_expert, settings, out, workers)


@stage("synset-errors")
@dataset_option
@near_expert_option
@out_option(".csv", "Table to write (.csv).")
@click.argument("files", type=FILE, nargs=-1, required=True)
def synset_errors(files: tuple[Path, ...], dataset: Path, near_expert: Path, out: Path) -> None:
    """Measure the errors of the policies of evaluations; FILES are synsets and the returns of these."""
    from obdistill.evaluations.synset_errors import synset_errors

    synset_errors(dataset, near_expert, files, out)
