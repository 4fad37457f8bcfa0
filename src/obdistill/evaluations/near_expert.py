"""Evaluation of a near-expert: its returns, and its critics against Monte-Carlo returns."""

import functools
import logging
from pathlib import Path

import numpy as np
import torch

from obdistill.core import artifacts
from obdistill.core.errors import UserError
from obdistill.core.methods import DEFAULT
from obdistill.evaluations.returns import lineage, returns_table
from obdistill.evaluations.rollout import Trajectory, record
from obdistill.evaluations.settings import NearExpertEvaluationSettings
from obdistill.evaluations.stage import environment_seeds
from obdistill.near_experts.near_expert import NearExpert, read_near_expert
from obdistill.near_experts.training import discounted_returns

CUT_WEIGHT = 0.01  # a return counts if what was cut off after it has less than this share of the discounted horizon
log = logging.getLogger(__name__)


def evaluate_near_expert(near_expert_path: Path, seed: int, settings: NearExpertEvaluationSettings, out: Path) -> None:
    """Roll a near-expert out and write its returns, with the comparison of its critics in the sidecar.

    Parameters
    ----------
    near_expert_path : Path
        Near-expert artifact.
    seed : int
        Seed of the environments.
    settings : NearExpertEvaluationSettings
        Episodes and discount.
    out : Path
        Returns to write (``.csv``).

    Raises
    ------
    UserError
        If the near-expert cannot be read or does not fit its environment.
    """
    clock = artifacts.Clock()
    near_expert = read_near_expert(near_expert_path)
    near_expert.task.check_scorable()
    made = artifacts.metadata_of(near_expert.artifact)
    for key in ("algorithm", "settings", "transitions"):
        if key not in made:
            raise UserError(f"{near_expert_path}: its .json has no {key}")
    env_seeds = environment_seeds(seed, 1, settings.episodes)
    log.info("%d episodes of %s", settings.episodes, near_expert.task.env_id)
    (trajectories,) = record(functools.partial(_act, near_expert), near_expert.task.env_id, env_seeds)
    returns = np.array([trajectory.rewards.sum() for trajectory in trajectories])
    scores = near_expert.task.score(returns)
    table = returns_table(
        task=near_expert.task.name,
        method="near_expert",
        variant=DEFAULT,
        size=made["transitions"],
        seed=seed,
        protocol="near_expert",
        step=0,
        policy_seed=made["settings"].get("seed", 0),
        env_seeds=env_seeds,
        returns=returns[None],
        lengths=np.array([[len(trajectory) for trajectory in trajectories]]),
        scores=scores[None],
    )
    metadata = {
        "kind": artifacts.RETURNS,
        **near_expert.task.metadata(),
        "algorithm": made["algorithm"],
        "settings": settings.model_dump(),
        "protocol": "near_expert",
        "return": _mean_and_sd(returns),
        "score": _mean_and_sd(scores),
        "critics": compare_critics(near_expert, trajectories, settings.discount),
        "inputs": artifacts.inputs(near_expert=near_expert.artifact),
        "near_expert": lineage(near_expert.artifact),
        "precision": "float32",
        "device": "cpu",
        "threads": torch.get_num_threads(),
        "seconds": clock.seconds(),
    }
    artifacts.write_artifact(out, table, metadata)
    log.info("%s: score %.1f, sd %.1f over %d episodes", out, scores.mean(), scores.std(ddof=1), len(scores))


def _act(near_expert: NearExpert, observations: np.ndarray) -> np.ndarray:
    """Act as `obdistill.evaluations.rollout` asks: raw states (1, n, state_dim) -> raw actions (1, n, action_dim)."""
    return near_expert.normalizer.raw_actions(near_expert.actions(observations[0]))[None]


def compare_critics(
    near_expert: NearExpert, trajectories: list[Trajectory], discount: float
) -> dict[str, dict[str, float | int | None]]:
    """Hold every critic's q(s, pi(s)) against the discounted returns that followed.

    A return that the time limit cut short is too low, so states are left out from which the cut has a weight
    discount^(steps left) of 0.01 or more; after a terminal state nothing is missing, and all states count.

    Parameters
    ----------
    near_expert : NearExpert
        Policy and critics.
    trajectories : list of Trajectory
        Episodes of the policy.
    discount : float
        Discount factor.

    Returns
    -------
    dict
        By critic: number of ``states``, ``mean_return``, ``mean_q``, ``bias`` (their difference) and Pearson
        ``correlation``; None where there are too few states to say.
    """
    returns, values = [np.zeros(0)], [np.zeros((len(near_expert.critics), 0))]
    for trajectory in trajectories:
        left = np.arange(len(trajectory), 0, -1)
        counts = np.full(len(trajectory), True) if trajectory.terminated else discount**left < CUT_WEIGHT
        one_episode = np.zeros(len(trajectory), int)
        returns.append(discounted_returns(trajectory.rewards, one_episode, discount)[counts])
        q = near_expert.q(trajectory.observations, near_expert.actions(trajectory.observations))
        values.append(q.numpy().astype(np.float64)[:, counts])
    truth, estimates = np.concatenate(returns), np.concatenate(values, 1)  # (n,), (n_critics, n)
    return {f"critic_{index}": _agreement(truth, estimate) for index, estimate in enumerate(estimates)}


def _agreement(truth: np.ndarray, estimate: np.ndarray) -> dict[str, float | int | None]:
    if len(truth) == 0:
        return {"states": 0, "mean_return": None, "mean_q": None, "bias": None, "correlation": None}
    varied = truth.std() > 0 and estimate.std() > 0
    return {
        "states": len(truth),
        "mean_return": float(truth.mean()),
        "mean_q": float(estimate.mean()),
        "bias": float((estimate - truth).mean()),
        "correlation": float(np.corrcoef(truth, estimate)[0, 1]) if varied else None,
    }


def _mean_and_sd(values: np.ndarray) -> dict[str, float]:
    return {"mean": float(values.mean()), "sd": float(values.std(ddof=1))}
