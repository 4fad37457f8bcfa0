"""Evaluation stage: train fresh policies on pairs by behavior cloning, and record the return of every episode."""

import dataclasses
import functools
import logging
import re
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.nn.functional import pad

from obdistill.core import artifacts, logs
from obdistill.core.command import FILE, out_option, stage
from obdistill.core.errors import UserError
from obdistill.core.seeding import child_seed, torch_generator
from obdistill.core.settings import NAME
from obdistill.core.units import Normalizer
from obdistill.evaluations.rollout import rollout
from obdistill.evaluations.settings import EvaluateSettings
from obdistill.policies.network import ARCHITECTURES, Network, Parameters, initialize
from obdistill.policies.settings import BcSettings
from obdistill.policies.unroll import Unroll
from obdistill.synsets.synset import read_pairs

# Policies act on blocks of so many states and actions: at the edges of other sizes other kernels compute, and the last
# bit of an action would depend on the number of states and on its place among them (measured with MKL on AVX2).
ROWS, COLUMNS = 4, 16
log = logging.getLogger(__name__)


def clone(states: Tensor, actions: Tensor, settings: BcSettings, policies: int, seed: int) -> Parameters:
    """Train policies on pairs by behavior cloning, all at once.

    Parameters
    ----------
    states : Tensor of shape (size, state_dim)
        Normalized states.
    actions : Tensor of shape (size, action_dim)
        Normalized actions.
    settings : BcSettings
        Architecture, optimizer, steps.
    policies : int
        Number of policies R.
    seed : int
        Seed of initializations and minibatches.

    Returns
    -------
    trained : Parameters
        Of the R trained policies.

    Raises
    ------
    UserError
        If the training diverges.
    """
    architecture = ARCHITECTURES[settings.architecture]
    dims = states.shape[1], actions.shape[1]
    initial = initialize(architecture, *dims, policies, torch_generator(seed, "initialisation"))
    if settings.optimizer == "sgd" and settings.batch_size is None:
        shape = (architecture, policies, len(states), *dims)
        unroll = Unroll(*shape, settings.steps, settings.learning_rate, settings.momentum, keep=False)
        expand = (policies, -1, -1)
        trained = unroll.train(initial, states.expand(expand).contiguous(), actions.expand(expand))
    else:
        trained = _minimize(initial, states, actions, settings, torch_generator(seed, "batches"))
    if not all(tensor.isfinite().all() for tensor in trained.tensors()):
        raise UserError(f"bc.learning_rate: {settings.learning_rate}: the training of a policy diverged; lower it")
    return trained


def _minimize(
    parameters: Parameters, states: Tensor, actions: Tensor, settings: BcSettings, generator: torch.Generator
) -> Parameters:
    """Train with any optimizer and with minibatches; an element-wise optimizer keeps stacked policies apart."""
    leaves = parameters.tensors()
    optimizer: torch.optim.Optimizer
    if settings.optimizer == "sgd":
        optimizer = torch.optim.SGD(leaves, settings.learning_rate, settings.momentum)
    elif settings.optimizer == "adam":
        optimizer = torch.optim.Adam(leaves, settings.learning_rate)
    else:
        optimizer = torch.optim.AdamW(leaves, settings.learning_rate, weight_decay=settings.weight_decay)
    runs, total = len(leaves[0]), len(states)
    size = min(settings.batch_size or total, total)
    network = Network(ARCHITECTURES[settings.architecture], runs, size, states.shape[1], actions.shape[1])
    work = network.activations(), network.activations()
    gradient = Parameters(
        [torch.empty_like(w) for w in parameters.weights], [torch.empty_like(b) for b in parameters.biases]
    )
    for leaf, slot in zip(leaves, gradient.tensors(), strict=True):
        leaf.grad = slot
    with logs.progress(settings.steps, "cloning") as meter:
        for _ in range(settings.steps):
            if size == total:
                batch = states.expand(runs, -1, -1), actions.expand(runs, -1, -1)
            else:
                rows = torch.randint(total, (runs, size), generator=generator)
                batch = states[rows], actions[rows]
            network.regression_gradient(parameters, *batch, None, *work, out=gradient)
            optimizer.step()
            meter.update()
    return parameters


@dataclass(frozen=True)
class TrainedPolicies:
    """R trained policies as one function of raw observations, each for itself or all as one ensemble.

    Attributes
    ----------
    parameters : Parameters
        Of the policies.
    architecture : str
        Their form.
    normalizer : Normalizer
        Their units.
    ensemble : bool
        Act by the mean of all R actions, before the environment's bounds cut anything off.
    """

    parameters: Parameters
    architecture: str
    normalizer: Normalizer
    ensemble: bool = False

    def __call__(self, observations: np.ndarray) -> np.ndarray:
        """Act: raw observations (R, n, state_dim) -> raw actions (R, n, action_dim); both have R = 1 for an ensemble.

        The action for a row has the same bits whatever the other rows are and however many.
        """
        parameters, action_dim = self._filled, self.parameters.biases[-1].shape[-1]
        members, _, columns = parameters.biases[-1].shape
        states = self.normalizer.states(observations)
        _, n, state_dim = states.shape
        states = pad(states, (0, 0, 0, -n % ROWS)).expand(members, -1, -1)  # (members, n + fill, S)
        network = Network(ARCHITECTURES[self.architecture], members, states.shape[1], state_dim, columns)
        actions = network.forward(parameters, states, network.activations())[:, :n, :action_dim]
        return self.normalizer.raw_actions(actions.mean(0, keepdim=True) if self.ensemble else actions)

    @functools.cached_property
    def _filled(self) -> Parameters:
        """The parameters with outputs that nobody reads, up to a multiple of COLUMNS."""
        fill = (0, -self.parameters.biases[-1].shape[-1] % COLUMNS)
        return Parameters(
            [*self.parameters.weights[:-1], pad(self.parameters.weights[-1], fill)],
            [*self.parameters.biases[:-1], pad(self.parameters.biases[-1], fill)],
        )

    def __getitem__(self, rows: slice) -> "TrainedPolicies":
        """Return some of the policies; an ensemble is one."""
        return self if self.ensemble else dataclasses.replace(self, parameters=self.parameters[rows])


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
    chosen = range(len(pairs.steps))[-(settings.last_snapshots or len(pairs.steps)) :]
    env_seeds = np.array(
        [
            [child_seed(seed, "environment", policy, episode) % 2**31 for episode in range(settings.episodes)]
            for policy in range(1 if settings.ensemble else settings.policies)
        ]
    )
    tables = []
    with logs.progress(len(chosen), "evaluating", "snapshot") as meter:
        for index in chosen:
            states = pairs.normalizer.states(pairs.observations[index])
            actions = pairs.normalizer.actions(pairs.actions[index])
            trained = clone(states, actions, settings.bc, settings.policies, seed)
            policy = TrainedPolicies(trained, settings.bc.architecture, pairs.normalizer, settings.ensemble)
            episodes = rollout(policy, pairs.task.env_id, env_seeds, workers)
            scores = pairs.task.score(episodes.returns)
            tables.append(
                returns_table(
                    task=pairs.task.name,
                    method=pairs.method,
                    variant=pairs.variant,
                    size=len(states),
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
    metadata = {
        "kind": artifacts.RETURNS,
        **pairs.task.metadata(),
        "settings": settings.model_dump(),
        "protocol": protocol,
        "members": settings.policies if settings.ensemble else 1,
        "inputs": artifacts.inputs(pairs=pairs.artifact),
        "threads": torch.get_num_threads(),
        "seconds": clock.seconds(),
        **({} if pairs.seconds_per_step is None else {"seconds_per_step": pairs.seconds_per_step}),
    }
    artifacts.write_artifact(out, pd.concat(tables), metadata)


def returns_table(
    *,
    task: str,
    method: str,
    variant: str,
    size: int,
    seed: int,
    protocol: str,
    step: int,
    policy_seed: int,
    env_seeds: np.ndarray,
    returns: np.ndarray,
    lengths: np.ndarray,
    scores: np.ndarray,
) -> pd.DataFrame:
    """Put returns of shape (policies, episodes) into the long form of the returns artifact, one row per episode."""
    policies, episodes = returns.shape
    return pd.DataFrame(
        {
            "task": task,
            "method": method,
            "variant": variant,
            "size": size,
            "seed": seed,
            "protocol": protocol,
            "step": step,
            "policy": np.repeat(np.arange(policies), episodes),
            "policy_seed": policy_seed,
            "episode": np.tile(np.arange(episodes), policies),
            "env_seed": env_seeds.ravel(),
            "return": returns.ravel(),
            "length": lengths.ravel(),
            "score": scores.ravel(),
        }
    )


def _protocol(context: click.Context, parameter: click.Parameter, value: str) -> str:
    if not re.fullmatch(NAME, value):
        raise click.BadParameter(f"{value!r}: use lower-case words joined by _")
    return value


@stage("evaluate", EvaluateSettings)
@click.option("--pairs", type=FILE, required=True, help="Synset or dataset artifact (.npz).")
@click.option(
    "--protocol",
    default="standard",
    show_default=True,
    callback=_protocol,
    help="Name of the protocol in the table.",
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Policy and environment seed.")
@click.option("--workers", type=click.IntRange(min=1), default=1, show_default=True, help="Processes for rollouts.")
@out_option(".csv", "Returns to write (.csv).")
def command(settings: EvaluateSettings, pairs: Path, protocol: str, seed: int, workers: int, out: Path) -> None:
    """Train policies on pairs and record the return of every episode."""
    evaluate(pairs, protocol, seed, settings, out, workers)
