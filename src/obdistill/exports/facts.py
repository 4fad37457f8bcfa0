"""What is known of a synset that is exported: where it comes from, how good it is, whose data they were."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pandas as pd

from obdistill.core import artifacts
from obdistill.core.errors import UserError
from obdistill.datasets import transitions
from obdistill.datasets.d4rl_facts import BUILT_IN
from obdistill.evaluations.returns import read_returns
from obdistill.evaluations.train import own_settings
from obdistill.near_experts import near_expert as near_experts
from obdistill.paper.statistics.intervals import Interval, independent_scores, last_snapshots, student_t_interval
from obdistill.policies.settings import BcSettings
from obdistill.synsets.synset import Synset


@dataclass(frozen=True)
class License:
    """Terms of some data.

    Attributes
    ----------
    name : str
        SPDX identifier, e.g. ``CC-BY-4.0``.
    attribution : str
        Whom to name, in sentences; may be empty.
    """

    name: str
    attribution: str = ""


# D4RL's README: "Unless otherwise noted, all datasets are licensed under the Creative Commons Attribution 4.0 License"
D4RL = License(
    "CC-BY-4.0",
    "The dataset is part of D4RL (Fu, Kumar, Nachum, Tucker, Levine: D4RL: Datasets for Deep Data-Driven Reinforcement "
    "Learning, arXiv:2004.07219), licensed under CC BY 4.0 (https://creativecommons.org/licenses/by/4.0/). It was "
    "changed: the pairs here are synthetic and were distilled from it.",
)


@dataclass(frozen=True)
class Score:
    """A mean score.

    Attributes
    ----------
    interval : Interval
        Mean, 95 % Student-t interval and n.
    unit : str
        What was counted: ``seeds``, ``policies`` or ``episodes``.
    about : str
        What was evaluated.
    """

    interval: Interval
    unit: str
    about: str


@dataclass(frozen=True)
class Facts:
    """A synset with its last snapshot only, and what a card says of it.

    Attributes
    ----------
    synset : Synset
        The pairs.
    training : BcSettings
        How to train on them: as in the evaluation if there is one, else as they were distilled for.
    distillation : mapping
        Settings of the distillation; empty for a selection.
    source : mapping
        Where the dataset is from: ``transitions``, ``episodes`` and what its reader noted; empty if not known.
    near_expert : mapping
        ``algorithm`` and the ``settings`` of its training; empty if not known.
    scores : sequence of Score
        Of this synset, then of all seeds; empty if not known.
    license : License, optional
        None if not known.
    """

    synset: Synset
    training: BcSettings
    distillation: Mapping[str, Any] = field(default_factory=dict)
    source: Mapping[str, Any] = field(default_factory=dict)
    near_expert: Mapping[str, Any] = field(default_factory=dict)
    scores: Sequence[Score] = ()
    license: License | None = None


def last_snapshot(synset: Synset) -> Synset:
    """Return a synset with its last snapshot only."""
    rows = {name: getattr(synset, name)[-1:] for name in ("steps", "observations", "actions")}
    return replace(synset, **rows)


def gather_facts(
    synset: Synset,
    dataset: Path | None = None,
    near_expert: Path | None = None,
    returns: Sequence[Path] = (),
    license_name: str | None = None,
    attribution: str = "",
) -> Facts:
    """Gather what a card says.

    Parameters
    ----------
    synset : Synset
        As it was read from its file.
    dataset, near_expert : Path, optional
        What it was distilled from.
    returns : sequence of Path
        Evaluations of it, and of the same method's other seeds.
    license_name : str, optional
        SPDX identifier; that of D4RL's data is known, others are not.
    attribution : str
        Whom to name, with `license_name`.

    Raises
    ------
    UserError
        If a file is missing or damaged, or is not what the synset was made from, or is about something else.
    """
    made = artifacts.metadata_of(synset.artifact)
    inputs = made.get("inputs", {})
    source: dict[str, Any] = {}
    if dataset is not None:
        of_dataset = _read(dataset, transitions.KIND, inputs.get("dataset", {}), "distilled from")
        source = {**of_dataset.get("source", {}), **{key: of_dataset[key] for key in ("transitions", "episodes")}}
    algorithm: dict[str, Any] = {}
    if near_expert is not None:
        of_near_expert = _read(near_expert, near_experts.KIND, inputs.get("near_expert", {}), "distilled with")
        algorithm = {key: of_near_expert[key] for key in ("algorithm", "settings") if key in of_near_expert}
    license_given = License(license_name, attribution) if license_name else None
    scores, training = _evaluations(synset, returns)
    return Facts(
        last_snapshot(synset),
        training or own_settings(synset),
        made.get("settings", {}),
        source,
        algorithm,
        scores,
        license_given or license_of(source),
    )


def license_of(source: Mapping[str, Any]) -> License | None:
    """Return the license of a dataset by where it is from, None if it is not known: D4RL's own files have one."""
    return D4RL if source.get("url") in {url for url, _ in BUILT_IN.values()} else None


def _read(path: Path, kind: str, noted: Mapping[str, Any], how: str) -> dict[str, Any]:
    metadata = artifacts.read_metadata(path, kind)
    if noted.get("sha256") not in (None, metadata["sha256"]):
        raise UserError(f"{path}: is not the {kind.replace('_', '-')} that the synset was {how} (by its sha256)")
    return metadata


def _evaluations(synset: Synset, paths: Sequence[Path]) -> tuple[list[Score], BcSettings | None]:
    """Return the scores of the synset and of all seeds, and how the policies were trained."""
    if not paths:
        return [], None
    about = {"task": synset.task.name, "method": synset.method, "variant": synset.variant, "size": synset.size}
    frames, trainings = [], []
    for path in paths:
        frame, metadata = read_returns(path)
        for column, wanted in about.items():
            if frame[column].iloc[0] != wanted:
                raise UserError(f"{path}: {column} is {frame[column].iloc[0]}; that of the synset is {wanted}")
        pairs = metadata.get("inputs", {}).get("pairs", {}).get("sha256")
        if synset.artifact and frame["seed"].iloc[0] == synset.seed and pairs not in (None, synset.artifact.sha256):
            raise UserError(f"{path}: is about other pairs than {synset.artifact.path} (by their sha256)")
        frames.append(last_snapshots(frame, 1))
        trainings.append(metadata.get("settings", {}).get("bc", {}))
        if trainings[-1] != trainings[0]:
            raise UserError(f"{path}: its policies were trained otherwise than those of {paths[0]}")
    episodes = pd.concat(frames)
    own = episodes[episodes["seed"] == synset.seed]
    if own.empty:
        raise UserError(f"{paths[0]}: no evaluation is of the synset's seed {synset.seed}")
    found = [_score(own, False, f"this synset (seed {synset.seed})")]
    if episodes["seed"].nunique() > 1:
        found.append(_score(episodes, True, "all seeds of the method"))
    return found, BcSettings.model_validate(trainings[0])


def _score(episodes: pd.DataFrame, over_seeds: bool, about: str) -> Score:
    unit, values = independent_scores(episodes, over_seeds)
    return Score(student_t_interval([values]), unit, about)
