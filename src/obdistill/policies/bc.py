"""Behavior cloning: fresh policies are trained on (state, action) pairs, all at once."""

import torch
from torch import Tensor

from obdistill.core import logs
from obdistill.core.errors import UserError
from obdistill.core.seeding import torch_generator
from obdistill.policies.architectures import ARCHITECTURES
from obdistill.policies.network import Network, Parameters, orthogonal_policies
from obdistill.policies.optimizers import make_optimizer
from obdistill.policies.settings import BcSettings
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
    architecture = ARCHITECTURES[settings.architecture]
    dims = states.shape[1], actions.shape[1]
    generator = torch_generator(seed, "initialisation")
    initial = orthogonal_policies(architecture, *dims, policies, generator, settings.output_start == "zero")
    if settings.optimizer == "sgd" and settings.batch_size is None:  # what the inner loop of a distillation runs
        network = Network(architecture, policies, len(states), *dims)
        unroll = Unroll(network, settings.steps, settings.learning_rate, settings.momentum, keep=False)
        expand = (policies, -1, -1)
        trained = unroll.train(initial, states.expand(expand).contiguous(), actions.expand(expand))
    else:
        trained = _train_by_optimizer(initial, states, actions, settings, torch_generator(seed, "batches"))
    if not all(tensor.isfinite().all() for tensor in trained.tensors()):
        raise UserError(f"bc.learning_rate: {settings.learning_rate}: the training of a policy diverged; lower it")
    return trained


def _train_by_optimizer(
    parameters: Parameters, states: Tensor, actions: Tensor, settings: BcSettings, generator: torch.Generator
) -> Parameters:
    """Train with any optimizer and with minibatches; an element-wise optimizer keeps stacked policies apart."""
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
