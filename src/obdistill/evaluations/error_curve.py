"""Return against imitation error, ``obd error-curve``: what error is enough, before hours are spent on synsets.

Policies are fitted to the near-expert's actions on all states of the dataset. Short fits have large errors, long ones
small errors; their returns say what an error costs.
"""

import logging
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from obdistill.core import artifacts
from obdistill.evaluations.imitation_error import Sample, read_inputs
from obdistill.evaluations.rollout import rollout
from obdistill.evaluations.settings import ErrorCurveSettings
from obdistill.evaluations.stage import environment_seeds
from obdistill.policies import bc
from obdistill.policies.trained import TrainedPolicies

SEED = 0  # of initializations, minibatches and environments
log = logging.getLogger(__name__)


def error_curve(
    dataset_path: Path, near_expert_path: Path, settings: ErrorCurveSettings, out: Path, workers: int = 1
) -> None:
    """Fit policies to a near-expert and write error and return after several numbers of steps.

    Parameters
    ----------
    dataset_path, near_expert_path : Path
        Artifacts of the same task.
    settings : ErrorCurveSettings
        The fit, policies and episodes.
    out : Path
        Table to write, one row per number of steps, policy and episode: task, steps, policy, error (see
        `imitation_error.Sample.errors`), episode, env_seed, return, length, score.
    workers : int
        Processes for the rollouts.

    Raises
    ------
    UserError
        If an artifact cannot be read, they do not fit each other, the task cannot be scored, or the fit diverges.
    """
    clock = artifacts.Clock()
    dataset, near_expert = read_inputs(dataset_path, near_expert_path)
    dataset.task.check_scorable()
    observations = dataset.transitions.observations
    states, targets = dataset.normalizer.states(observations), near_expert.actions(observations)
    sample = Sample.of(dataset, near_expert)
    env_seeds = environment_seeds(SEED, settings.policies, settings.episodes)
    fits = bc.train_in_stages(states, targets, settings.bc, settings.steps, settings.policies, SEED)
    tables = []
    for steps, parameters in zip(settings.steps, fits, strict=True):
        policies = TrainedPolicies(parameters, settings.bc.architecture, dataset.normalizer)
        errors = sample.errors(policies)
        episodes = rollout(policies, dataset.task.env_id, env_seeds, workers)
        scores = dataset.task.score(episodes.returns)
        table = {
            "task": dataset.task.name,
            "steps": steps,
            "policy": np.repeat(np.arange(settings.policies), settings.episodes),
            "error": np.repeat(errors, settings.episodes),
            "episode": np.tile(np.arange(settings.episodes), settings.policies),
            "env_seed": env_seeds.ravel(),
            "return": episodes.returns.ravel(),
            "length": episodes.lengths.ravel(),
            "score": scores.ravel(),
        }
        tables.append(pd.DataFrame(table))
        spread = scores.mean(1)
        log.info(
            "%d steps: error %.3g, score %.1f, over policies: sd %.1f, worst %.1f",
            *(steps, errors.mean(), scores.mean(), spread.std(ddof=1) if len(spread) > 1 else 0, spread.min()),
        )
    metadata = {
        "kind": artifacts.ERROR_CURVE,
        **dataset.task.metadata(),
        "settings": settings.model_dump(),
        "states": len(sample.states),
        "inputs": artifacts.inputs(dataset=dataset.artifact, near_expert=near_expert.artifact),
        "precision": "float32",
        "device": "cpu",
        "threads": torch.get_num_threads(),
        "seconds": clock.seconds(),
    }
    artifacts.write_artifact(out, pd.concat(tables), metadata)
