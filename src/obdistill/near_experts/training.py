"""What the offline-RL algorithms share: data in normalized units, the training loop, targets and updates.

Shape letters: B transitions of a batch, S state dimension, A action dimension, C critics.
"""

import abc
import contextlib
import copy
import logging
import math
from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import ClassVar, get_args

import numpy as np
import torch
from scipy.signal import lfilter
from torch import Tensor, nn
from torch.optim import Adam, Optimizer
from torch.optim.swa_utils import get_ema_multi_avg_fn

from obdistill.core import logs
from obdistill.core.checkpoints import Checkpoint, Part
from obdistill.core.errors import UserError
from obdistill.core.seeding import torch_generator
from obdistill.datasets.transitions import Dataset
from obdistill.near_experts.networks import Critics, mlp, orthogonal_
from obdistill.near_experts.settings import TrainingSettings
from obdistill.policies.optimizers import cosine, scale_learning_rate

STEPS_BETWEEN_REPORTS = 20
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Batch:
    """Transitions in normalized units.

    Attributes
    ----------
    states, next_states : Tensor of shape (B, S)
        Standardized states.
    actions : Tensor of shape (B, A)
        Actions in [-1, 1].
    rewards : Tensor of shape (B,)
        Scaled rewards.
    not_done : Tensor of shape (B,)
        0 where the episode terminated, else 1; 1 where it was truncated, for its next state has a value.
    returns : Tensor of shape (B,)
        Discounted Monte-Carlo returns of the scaled rewards, see `discounted_returns`.
    next_actions : Tensor of shape (B, A)
        The data's actions at the next states; of any value where there is none.
    has_next : Tensor of shape (B,)
        1 where the data have a next action, 0 at the last transition of an episode.
    """

    states: Tensor
    actions: Tensor
    rewards: Tensor
    next_states: Tensor
    not_done: Tensor
    returns: Tensor
    next_actions: Tensor
    has_next: Tensor

    def __len__(self) -> int:
        return len(self.rewards)

    def draw(self, size: int, generator: torch.Generator) -> "Batch":
        """Draw transitions uniformly, with replacement; the generator is on the CPU."""
        rows = torch.randint(len(self), (size,), generator=generator).to(self.rewards.device)
        return Batch(*(getattr(self, field.name)[rows] for field in fields(self)))

    def to(self, device: str) -> "Batch":
        """Return the same transitions on a device."""
        return Batch(*(getattr(self, field.name).to(device) for field in fields(self)))

    def td_target(self, next_values: Tensor, discount: float) -> Tensor:
        """Return r + gamma q(s', a'), without the second term after a terminal state: (B,)."""
        return self.rewards + discount * self.not_done * next_values


def discounted_returns(rewards: np.ndarray, episode: np.ndarray, discount: float) -> np.ndarray:
    """Sum the discounted rewards from each transition to the end of its episode.

    An episode that was cut (time limit, end of the recording) counts up to the cut, with nothing added for what would
    have followed; so does CORL's Cal-QL. With rewards >= 0 the sum stays a lower bound of the value.

    Parameters
    ----------
    rewards : ndarray of shape (n_transitions,)
        Rewards.
    episode : ndarray of shape (n_transitions,)
        Index of each transition's episode, ascending.
    discount : float
        Discount factor in [0, 1].

    Returns
    -------
    ndarray of shape (n_transitions,), float64
        Monte-Carlo returns.
    """
    starts = np.flatnonzero(np.diff(episode)) + 1
    # a first-order filter, run backwards: out[t] = r[t] + discount * out[t + 1]
    pieces = [
        lfilter([1.0], [1.0, -discount], part[::-1])[::-1] for part in np.split(rewards.astype(np.float64), starts)
    ]
    return np.concatenate(pieces)


def as_batch(dataset: Dataset, discount: float, reward_scale: float) -> Batch:
    """Bring a whole dataset into normalized units."""
    transitions, normalizer = dataset.transitions, dataset.normalizer
    rewards = transitions.rewards * np.float32(reward_scale)
    returns = discounted_returns(rewards, transitions.episode, discount)
    actions = normalizer.actions(transitions.actions)
    has_next = np.append(np.diff(transitions.episode) == 0, False)
    return Batch(
        states=normalizer.states(transitions.observations),
        actions=actions,
        rewards=torch.from_numpy(rewards),
        next_states=normalizer.states(transitions.next_observations),
        not_done=torch.from_numpy((~transitions.terminated).astype(np.float32)),
        returns=torch.from_numpy(returns.astype(np.float32)),
        next_actions=actions.roll(-1, 0),
        has_next=torch.from_numpy(has_next.astype(np.float32)),
    )


def scale_of_returns(dataset: Dataset) -> float:
    """Return 1000 / (largest - smallest episode return), the scale of rewards in IQL's MuJoCo experiments.

    Raises
    ------
    UserError
        If all episodes have the same return.
    """
    returns = dataset.transitions.episode_returns()
    if np.ptp(returns) == 0:
        raise UserError("reward_scale: null: all episodes have the same return, so they give no scale; give a number")
    return float(1000 / np.ptp(returns))


class Learner(abc.ABC):
    """An offline-RL algorithm: an actor, two critics, their targets and optimizers, and one step of training.

    What a step depends on is kept in attributes that are networks, optimizers, generators or tensors, and in `step`:
    those are what a checkpoint holds.

    Parameters
    ----------
    settings : TrainingSettings
        Of the algorithm.
    state_dim, action_dim : int
        S and A.
    device : str
        Torch device.
    """

    outputs_per_action: ClassVar[int] = 1  # 2 for a stochastic actor: mean and log standard deviation
    critic_layer_norm: ClassVar[bool] = False  # after each ReLU of the critics

    def __init__(self, settings: TrainingSettings, state_dim: int, action_dim: int, device: str = "cpu") -> None:
        self.device = device
        self.step = 0  # steps done
        self.batches = torch_generator(settings.seed, "near_expert", "batches")
        self.noise = torch_generator(settings.seed, "near_expert", "noise", device=device)
        generator = torch_generator(settings.seed, "near_expert", "initialisation")
        actor_widths = (state_dim, *settings.actor_hidden_widths, self.outputs_per_action * action_dim)
        critic_widths = (state_dim + action_dim, *settings.critic_hidden_widths, 1)
        self.actor = orthogonal_(mlp(actor_widths), generator).to(device)
        critics = (mlp(critic_widths, self.critic_layer_norm) for _ in range(2))
        self.critics = Critics(orthogonal_(critic, generator) for critic in critics).to(device)
        self.target_critics = copy.deepcopy(self.critics)
        self.actor_optimizer = adam(self.actor.parameters(), settings.actor_learning_rate)
        self.critic_optimizer = adam(self.critics.parameters(), settings.critic_learning_rate)

    @abc.abstractmethod
    def update(self, batch: Batch) -> dict[str, Tensor]:
        """Take the step after `step`; returns what to report, scalars by name."""

    def parts(self) -> dict[str, Part]:
        """Return what the next step depends on, for checkpoints."""
        return {name: part for name, part in vars(self).items() if isinstance(part, get_args(Part))}


def adam(parameters: Iterable[Tensor], learning_rate: float) -> Adam:
    """Make the optimizer all networks are trained with."""
    return Adam(parameters, lr=learning_rate, fused=True)


def minimize(loss: Tensor, optimizer: Optimizer) -> None:
    """Take one step on the optimizer's own parameters; other networks in the loss get no gradient."""
    optimizer.zero_grad()
    loss.backward(inputs=[parameter for group in optimizer.param_groups for parameter in group["params"]])
    optimizer.step()


def polyak_update(target: nn.Module, source: nn.Module, rate: float) -> None:
    """Move the target's parameters by `rate` of the way to the source's."""
    get_ema_multi_avg_fn(1 - rate)(list(target.parameters()), list(source.parameters()), None)


def squared_error(values: Tensor, targets: Tensor) -> Tensor:
    """Return the critics' loss, the mean squared error summed over critics: (C, B), (B,) -> scalar."""
    return (values - targets).square().mean(-1).sum()


def train(
    learner: Learner, data: Batch, settings: TrainingSettings, checkpoint: Checkpoint | None = None
) -> dict[str, float]:
    """Run an algorithm on a dataset.

    Parameters
    ----------
    learner : Learner
        Updated in place.
    data : Batch
        The whole dataset.
    settings : TrainingSettings
        ``steps``, ``batch_size`` and ``actor_schedule`` are used here.
    checkpoint : Checkpoint, optional
        Where a killed run goes on; none is kept if left out.

    Returns
    -------
    dict of float
        What the last step reported.

    Raises
    ------
    UserError
        If a loss is no longer finite; the message names the step and the settings to change.
    """
    values: dict[str, float] = {}
    if checkpoint is not None:
        checkpoint.restore(learner)
    guard = contextlib.nullcontext() if checkpoint is None else checkpoint.guard()
    with logs.progress(settings.steps, settings.algorithm, initial=learner.step) as meter, guard:
        for step in range(learner.step + 1, settings.steps + 1):
            factor = cosine(step - 1, settings.steps) if settings.actor_schedule == "cosine" else 1.0
            scale_learning_rate(learner.actor_optimizer, factor)
            report = learner.update(data.draw(settings.batch_size, learner.batches))
            learner.step = step
            # one transfer for all of them
            values = dict(zip(report, torch.stack(list(report.values())).tolist(), strict=True))
            for name, value in values.items():
                if not math.isfinite(value):
                    raise UserError(
                        f"{settings.algorithm}: {name} is {value} at step {step}: training diverged; lower "
                        f"critic_learning_rate ({settings.critic_learning_rate:g}) or actor_learning_rate "
                        f"({settings.actor_learning_rate:g})"
                    )
            if step % STEPS_BETWEEN_REPORTS == 0:
                meter.set_postfix({name: f"{value:.4g}" for name, value in values.items()}, refresh=False)
            meter.update()
            if checkpoint is not None and step < settings.steps:  # the last step's report is not in a checkpoint
                checkpoint.save_if_due(learner)
    return values
