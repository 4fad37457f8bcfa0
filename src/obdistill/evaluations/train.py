"""Policies to keep: trained on a synset, evaluated by a few episodes, written to a file by ``obd train``."""

import dataclasses
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from obdistill.core import artifacts
from obdistill.core.errors import UserError
from obdistill.core.parsing import overlaid
from obdistill.evaluations.rollout import rollout
from obdistill.evaluations.stage import environment_seeds, train_policies
from obdistill.policies.policy import Policy
from obdistill.policies.settings import BcSettings
from obdistill.synsets.synset import Synset, read_pairs

log = logging.getLogger(__name__)


def train(synset: Synset, policies: int = 1, seed: int = 0, settings: BcSettings | None = None, **keys: Any) -> Policy:
    """Train a policy on the last snapshot of a synset, by the same behavior cloning as ``obd evaluate``.

    Parameters
    ----------
    synset : Synset
        What to train on.
    policies : int
        Number of fresh policies; several act as one, by the mean of their actions.
    seed : int
        Seed of initializations and minibatches.
    settings : BcSettings, optional
        The training; if left out, the one that the synset was distilled for (`own_settings`).
    **keys
        Keys of `BcSettings` that differ, e.g. ``optimizer="adam", learning_rate=1e-3``.

    Returns
    -------
    policy : Policy
        Callable: states in, actions out.

    Raises
    ------
    UserError
        If a setting or a number is not allowed, or the training diverges.
    """
    for name, number, least in (("policies", policies, 1), ("seed", seed, 0)):
        if number < least:
            raise UserError(f"{name}: {number}: a number >= {least} is needed")
    chosen = overlaid(BcSettings, settings or own_settings(synset), keys, "bc")
    made = {
        "settings": chosen.model_dump(),
        "policies": policies,
        "seed": seed,
        "pick": "mean",
        "synset": {"method": synset.method, "variant": synset.variant, "seed": synset.seed, "size": synset.size},
        "step": int(synset.steps[-1]),
        "inputs": artifacts.inputs(pairs=synset.artifact),
        "versions": artifacts.versions(),
    }
    return Policy(train_policies(synset, -1, chosen, policies, seed, ensemble=True), synset.task, made)


def own_settings(synset: Synset) -> BcSettings:
    """Return the training that a synset was made for: that of its distillation's inner loop.

    A selection has none: then the paper's, 100 full-batch SGD steps.
    """
    inner = synset.inner or {}
    return overlaid(BcSettings, None, {key: inner[key] for key in inner if key in BcSettings.model_fields}, "inner")


def evaluate(
    policy: Policy | Callable[[np.ndarray], np.ndarray],
    env_id: str | None = None,
    episodes: int = 10,
    seed: int = 0,
) -> np.ndarray:
    """Roll a policy out.

    Parameters
    ----------
    policy : Policy or callable
        Maps states (n, state_dim) to actions (n, action_dim), both in the environment's units.
    env_id : str, optional
        Gymnasium id of the environment; default: that of the policy's task.
    episodes : int
        Number of episodes.
    seed : int
        Seed of the environment's resets; 0 gives the first policy's episodes of ``obd evaluate``.

    Returns
    -------
    returns : ndarray of shape (episodes,), float64
        Undiscounted return of each episode; ``policy.task.score`` makes scores of them.

    Raises
    ------
    UserError
        If no environment is known, it cannot be made or has no time limit, or what it or the policy gives is not
        finite.
    """
    if episodes < 1:
        raise UserError(f"episodes: {episodes}: a number >= 1 is needed")
    of_task = policy.task.env_id if isinstance(policy, Policy) else ""
    seeds = environment_seeds(seed, 1, episodes)
    return np.asarray(rollout(_One(policy), env_id or of_task, seeds).returns[0])


@dataclasses.dataclass(frozen=True)
class _One:
    """A policy in the form that rollouts take: states (1, n, state_dim) -> actions (1, n, action_dim)."""

    policy: Callable[[np.ndarray], np.ndarray]

    def __call__(self, observations: np.ndarray) -> np.ndarray:
        return self.policy(observations[0])[None]

    def __getitem__(self, rows: slice) -> "_One":
        return self


def pick_best(policy: Policy, env_id: str | None = None, episodes: int = 5, seed: int = 0) -> Policy:
    """Choose the member of an ensemble with the highest mean return: this uses the environment.

    The mean return of the chosen one is too high by chance; evaluate it with another seed.

    Parameters
    ----------
    policy : Policy
        What `train` gives for several policies.
    env_id : str, optional
        Gymnasium id of the environment; default: that of the policy's task.
    episodes : int
        Episodes for each member; all meet the same resets.
    seed : int
        Seed of the environment's resets.

    Returns
    -------
    policy : Policy
        One member; ``made`` says how it was chosen.

    Raises
    ------
    UserError
        As `evaluate` does.
    """
    parameters = policy.members.parameters
    members = [
        dataclasses.replace(policy, members=dataclasses.replace(policy.members, parameters=parameters[k : k + 1]))
        for k in range(len(parameters.biases[0]))
    ]
    means = [float(evaluate(member, env_id, episodes, seed).mean()) for member in members]
    chosen = int(np.argmax(means))
    facts = {
        "pick": "best",
        "uses_environment": env_id or policy.task.env_id,
        "episodes": episodes,
        "environment_seed": seed,
        "chosen": chosen,
        "mean_returns": means,
    }
    return dataclasses.replace(members[chosen], made={**policy.made, **facts})


def make_policy(
    pairs_path: Path,
    settings: BcSettings,
    out: Path,
    policies: int = 1,
    seed: int = 0,
    pick: str = "mean",
    env_id: str | None = None,
    episodes: int = 5,
) -> None:
    """Train a policy on the file of a synset, or of a whole dataset, and write it.

    Parameters
    ----------
    pairs_path : Path
        Synset or dataset.
    settings : BcSettings
        The training; where all are defaults, the one that the synset was distilled for.
    out : Path
        ``.safetensors`` file to write.
    policies : int
        Number of fresh policies.
    seed : int
        Seed of the policies and, for ``best``, of the environment.
    pick : {"mean", "best"}
        All together by the mean of their actions, or the one that `pick_best` chooses.
    env_id, episodes
        For ``best``.

    Raises
    ------
    UserError
        If the file cannot be read, the training diverges, or there is no environment to choose in.
    """
    policy = train(read_pairs(pairs_path), policies, seed, None if settings == BcSettings() else settings)
    if pick == "best":
        policy = pick_best(policy, env_id, episodes, seed)
        means = policy.made["mean_returns"]
        log.info(
            "policy %d of %d: mean return %.1f in the %d episodes of %s that it was chosen by (too high by chance)",
            *(policy.made["chosen"], len(means), max(means), episodes, policy.made["uses_environment"]),
        )
    policy.save(out)
    log.info("%s: %s", out, "one policy" if policies == 1 or pick == "best" else f"mean of {policies} policies")
