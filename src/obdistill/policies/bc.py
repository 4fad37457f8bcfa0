"""Behavior cloning: fresh policies are trained on (state, action) pairs, all at once."""

from collections.abc import Collection, Iterator

import torch
from torch import Tensor

from obdistill.core import logs
from obdistill.core.errors import UserError
from obdistill.core.seeding import torch_generator
from obdistill.policies import random_features
from obdistill.policies.architectures import ARCHITECTURES
from obdistill.policies.network import Network, Parameters, orthogonal_policies
from obdistill.policies.optimizers import make_optimizer
from obdistill.policies.settings import BcSettings, FitSettings
from obdistill.policies.unroll import Unroll


def train(states: Tensor, actions: Tensor, settings: BcSettings, policies: int, seed: int) -> Parameters:
    """Train policies on pairs.

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
    (trained,) = train_in_stages(states, actions, settings, [settings.steps], policies, seed)
    return trained


def train_in_stages(
    states: Tensor, actions: Tensor, settings: FitSettings, steps: Collection[int], policies: int, seed: int
) -> Iterator[Parameters]:
    """Train policies on pairs and give them after each of several numbers of steps of one training.

    Parameters
    ----------
    states, actions, settings, policies, seed
        As of `train`.
    steps : collection of int
        Numbers of steps, rising, each >= 1.

    Yields
    ------
    trained : Parameters
        What `train` gives for this number of steps, bit for bit; valid until the next is asked for.

    Raises
    ------
    UserError
        If the training diverges.
    """
    architecture = ARCHITECTURES[settings.architecture]
    dims = states.shape[1], actions.shape[1]
    generator = torch_generator(seed, "initialisation")
    if isinstance(settings, BcSettings) and settings.optimizer == "ridge":
        (width,) = architecture.hidden_widths
        layers = random_features.fresh_layers(dims[0], width, policies, generator)
        yield random_features.fit(states, actions, settings.ridge, layers)
        return
    initial = orthogonal_policies(architecture, *dims, policies, generator, settings.output_start == "zero")
    if settings.optimizer == "sgd" and settings.batch_size is None:  # what the inner loop of a distillation runs
        stages = _train_by_unroll(initial, states, actions, settings, steps)
    else:
        stages = _train_by_optimizer(initial, states, actions, settings, steps, torch_generator(seed, "batches"))
    for trained in stages:
        if not all(tensor.isfinite().all() for tensor in trained.tensors()):
            raise UserError(f"bc.learning_rate: {settings.learning_rate}: the training of a policy diverged; lower it")
        yield trained


def _train_by_unroll(
    initial: Parameters, states: Tensor, actions: Tensor, settings: FitSettings, steps: Collection[int]
) -> Iterator[Parameters]:
    """Train with full batches, from the start for each number of steps: these trainings are short."""
    runs = len(initial.biases[0])
    network = Network(ARCHITECTURES[settings.architecture], runs, len(states), states.shape[1], actions.shape[1])
    expanded = states.expand(runs, -1, -1).contiguous(), actions.expand(runs, -1, -1)
    for count in steps:
        unroll = Unroll(network, count, settings.learning_rate, settings.momentum, keep=False)
        yield unroll.train(initial, *expanded)


def _train_by_optimizer(
    parameters: Parameters,
    states: Tensor,
    actions: Tensor,
    settings: FitSettings,
    steps: Collection[int],
    generator: torch.Generator,
) -> Iterator[Parameters]:
    """Train with any optimizer and with minibatches; an element-wise optimizer keeps stacked policies apart."""
    assert settings.optimizer != "ridge"
    leaves = parameters.tensors()
    optimizer = make_optimizer(
        settings.optimizer,
        leaves,
        settings.learning_rate,
        momentum=settings.momentum,
        epsilon=settings.epsilon,
        weight_decay=settings.weight_decay if settings.optimizer == "adamw" else 0.0,
    )
    runs, total = len(leaves[0]), len(states)
    size = min(settings.batch_size or total, total)
    network = Network(ARCHITECTURES[settings.architecture], runs, size, states.shape[1], actions.shape[1])
    work = network.units(), network.units()
    gradient = network.parameters(runs)
    for leaf, slot in zip(leaves, gradient.tensors(), strict=True):
        leaf.grad = slot
    with logs.progress(max(steps), "cloning") as meter:
        for step in range(1, max(steps) + 1):
            if size == total:
                batch = states.expand(runs, -1, -1), actions.expand(runs, -1, -1)
            else:
                rows = torch.randint(total, (runs, size), generator=generator)
                batch = states[rows], actions[rows]
            network.regression_gradient(parameters, *batch, None, *work, out=gradient)
            optimizer.step()
            meter.update()
            if step in steps:
                yield parameters
