"""The imitation errors of policies trained on synsets, ``obd synset-errors``: after the hours, what is missing.

The very policies whose returns an evaluation recorded are trained again, from its settings and seed: so that an error
and a score are of the same policy.
"""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from obdistill.core import artifacts
from obdistill.core.errors import UserError
from obdistill.core.parsing import parse
from obdistill.evaluations.imitation_error import Sample, read_inputs
from obdistill.evaluations.returns import RUN, read_returns
from obdistill.evaluations.settings import EvaluateSettings
from obdistill.evaluations.stage import train_policies
from obdistill.synsets.synset import KIND, Synset, read_synset

log = logging.getLogger(__name__)
Returns = tuple[Path, pd.DataFrame, dict[str, Any]]


def synset_errors(dataset_path: Path, near_expert_path: Path, paths: Sequence[Path], out: Path) -> None:
    """Train the policies of evaluations again and write their errors beside their scores, for the last snapshots.

    Parameters
    ----------
    dataset_path, near_expert_path : Path
        Artifacts of one task, that of the synsets.
    paths : sequence of Path
        Synsets and returns of their evaluations, in any order. Returns name their synset by its hash.
    out : Path
        Table to write, one row per policy: task, method, variant, size, seed, protocol, step, policy, error (see
        `imitation_error.Sample.errors`), episodes, return and score (means over the policy's episodes).

    Raises
    ------
    UserError
        If a file cannot be read, is of another task or another kind, or returns are given without their synset.
    """
    clock = artifacts.Clock()
    dataset, near_expert = read_inputs(dataset_path, near_expert_path)
    synsets, evaluations = _read(paths)
    for path, synset in synsets.values():
        if synset.task.name != dataset.task.name:
            raise UserError(f"{path}: is of task {synset.task.name!r}; {dataset_path} is of {dataset.task.name!r}")
    sample = Sample.of(dataset, near_expert)
    tables = []
    for path, returns, metadata in evaluations:
        sha256 = metadata["inputs"]["pairs"]["sha256"]
        if sha256 not in synsets:
            raise UserError(f"{path}: its synset, of sha256 {sha256:.12}..., is not among the files given")
        settings = parse(EvaluateSettings, metadata["settings"], str(path))
        tables.append(_errors(sample, synsets[sha256][1], returns, settings))
    files = [{"file": path.name, "sha256": sha256} for sha256, (path, _) in synsets.items()]
    files += [{"file": path.name, "sha256": metadata["sha256"]} for path, _, metadata in evaluations]
    read = artifacts.inputs(dataset=dataset.artifact, near_expert=near_expert.artifact)
    facts = {
        "kind": artifacts.SYNSET_ERRORS,
        **dataset.task.metadata(),
        "states": len(sample.states),
        "inputs": {**read, "evaluations": files},
        "threads": torch.get_num_threads(),
        "seconds": clock.seconds(),
    }
    artifacts.write_artifact(out, pd.concat(tables), facts)


def _read(paths: Sequence[Path]) -> tuple[dict[str, tuple[Path, Synset]], list[Returns]]:
    """Read synsets, by hash, and returns in the order of what they are about."""
    synsets: dict[str, tuple[Path, Synset]] = {}
    evaluations: list[Returns] = []
    for path in sorted(paths):
        if path.is_file() and artifacts.read_sidecar(path).get("kind") == KIND:
            synset = read_synset(path)
            assert synset.artifact is not None
            synsets[synset.artifact.sha256] = path, synset
        else:
            evaluations.append((path, *read_returns(path)))
    if not evaluations:
        raise UserError(f"{paths[0]}: no returns of an evaluation are among the files given")
    return synsets, sorted(evaluations, key=lambda entry: tuple(entry[1][column].iloc[0] for column in RUN))


def _errors(sample: Sample, synset: Synset, returns: pd.DataFrame, settings: EvaluateSettings) -> pd.DataFrame:
    """Make the rows of one evaluation."""
    step = returns["step"].max()
    last = returns[returns["step"] == step]
    index = int(np.flatnonzero(synset.steps == step)[0])
    seed = int(last["policy_seed"].iloc[0])
    policies = train_policies(synset, index, settings.bc, settings.policies, seed, settings.ensemble)
    about = [*RUN, "step", "policy"]
    by_policy = last.groupby(about, sort=False)
    table = by_policy[["return", "score"]].mean().reset_index()
    table.insert(len(about), "error", sample.errors(policies))
    table.insert(len(about) + 1, "episodes", by_policy.size().to_numpy())
    first = table.iloc[0]
    log.info(
        "%s (%s), %d pairs, seed %d: error %.3g, score %.1f",
        *(
            first["method"],
            first["variant"],
            first["size"],
            first["seed"],
            table["error"].mean(),
            table["score"].mean(),
        ),
    )
    return table
