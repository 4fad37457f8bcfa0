"""Evaluation stage: train fresh policies on pairs by behavior cloning, and record the return of every episode."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from obdistill.core import artifacts, logs
from obdistill.core.seeding import child_seed
from obdistill.evaluations.returns import lineage, returns_table
from obdistill.evaluations.rollout import Episodes, rollout
from obdistill.evaluations.settings import EvaluateSettings
from obdistill.policies import bc
from obdistill.policies.settings import BcSettings
from obdistill.policies.trained import TrainedPolicies
from obdistill.synsets.synset import Synset, read_pairs

log = logging.getLogger(__name__)


def evaluate(
    pairs_path: Path, protocol: str, seed: int, settings: EvaluateSettings, out: Path, workers: int = 1
) -> None:
    """Evaluate every wanted snapshot and write one row per episode; an ensemble is one policy, number 0.

    Parameters
    ----------
    pairs_path : Path
        Synset artifact, or dataset artifact (behavior cloning on the whole dataset).
    protocol : str
        Name of the protocol in the table, e.g. ``standard``.
    seed : int
        Seed of policy initializations and of environments (two separate children). Policy k of every snapshot and
        method starts from the same initialization and meets the same environment seeds.
    settings : EvaluateSettings
        The rest.
    out : Path
        Table to write.
    workers : int
        Processes for the rollouts.
    """
    clock = artifacts.Clock()
    pairs = read_pairs(pairs_path)
    pairs.task.check_scorable()
    chosen = range(len(pairs.steps))[-(settings.last_snapshots or len(pairs.steps)) :]
    env_seeds = environment_seeds(seed, 1 if settings.ensemble else settings.policies, settings.episodes)
    tables = []
    with logs.progress(len(chosen), "evaluating", "snapshot") as meter:
        for index in chosen:
            episodes = _evaluate_snapshot(pairs, index, settings, seed, env_seeds, workers)
            scores = pairs.task.score(episodes.returns)
            tables.append(
                returns_table(
                    task=pairs.task.name,
                    method=pairs.method,
                    variant=pairs.variant,
                    size=pairs.actions.shape[1],
                    seed=pairs.seed,
                    protocol=protocol,
                    step=int(pairs.steps[index]),
                    policy_seed=seed,
                    env_seeds=env_seeds,
                    returns=episodes.returns,
                    lengths=episodes.lengths,
                    scores=scores,
                )
            )
            spread = scores.mean(1)
            log.info(
                "step %d: score %.1f, over policies: sd %.1f, worst %.1f",
                *(pairs.steps[index], scores.mean(), spread.std(ddof=1) if len(spread) > 1 else 0, spread.min()),
            )
            meter.update()
    metadata: dict[str, Any] = {
        "kind": artifacts.RETURNS,
        **pairs.task.metadata(),
        "settings": settings.model_dump(),
        "protocol": protocol,
        "members": settings.policies if settings.ensemble else 1,
        "inputs": artifacts.inputs(pairs=pairs.artifact),
        "pairs": lineage(pairs.artifact),
        "precision": "float32",
        "device": "cpu",
        "threads": torch.get_num_threads(),
        "seconds": clock.seconds(),
    }
    if pairs.seconds_per_step is not None:
        metadata["seconds_per_step"] = pairs.seconds_per_step
    artifacts.write_artifact(out, pd.concat(tables), metadata)


def _evaluate_snapshot(
    pairs: Synset, index: int, settings: EvaluateSettings, seed: int, env_seeds: np.ndarray, workers: int
) -> Episodes:
    """Train policies on the pairs of one snapshot and roll them out."""
    policies = train_policies(pairs, index, settings.bc, settings.policies, seed, settings.ensemble)
    return rollout(policies, pairs.task.env_id, env_seeds, workers)


def train_policies(
    pairs: Synset, index: int, settings: BcSettings, policies: int, seed: int, ensemble: bool = False
) -> TrainedPolicies:
    """Train fresh policies on the pairs of a snapshot.

    Parameters
    ----------
    pairs : Synset
        What to train on.
    index : int
        Number of the snapshot; -1 is the last.
    settings : BcSettings
        The training.
    policies : int
        Number of policies, each from its own initialization.
    seed : int
        Seed of initializations and minibatches.
    ensemble : bool
        Whether they act as one, by the mean of their actions.

    Raises
    ------
    UserError
        If the training diverges.
    """
    states = pairs.normalizer.states(pairs.observations[index])
    actions = pairs.normalizer.actions(pairs.actions[index])
    trained = bc.train(states, actions, settings, policies, seed)
    return TrainedPolicies(trained, settings.architecture, pairs.normalizer, ensemble)


def environment_seeds(seed: int, policies: int, episodes: int) -> np.ndarray:
    """Return the reset seed of every episode: (policies, episodes), in [0, 2**31)."""
    return np.array(
        [[child_seed(seed, "environment", policy, k) % 2**31 for k in range(episodes)] for policy in range(policies)]
    )
