"""Optimizers and learning rates that training on pairs, the outer loop and near-experts share."""

import math
from collections.abc import Iterable
from typing import Literal

from torch import Tensor
from torch.optim import SGD, Adam, AdamW, Optimizer


def make_optimizer(
    name: Literal["sgd", "adam", "adamw"],
    leaves: Iterable[Tensor],
    learning_rate: float,
    *,
    momentum: float = 0.0,
    betas: tuple[float, float] = (0.9, 0.999),
    epsilon: float = 1e-8,
    weight_decay: float = 0.0,
) -> Optimizer:
    """Make an optimizer.

    Parameters
    ----------
    name : {"sgd", "adam", "adamw"}
        Which one.
    leaves : iterable of Tensor
        What it updates.
    learning_rate : float
        Initial learning rate; see `scale_learning_rate`.
    momentum : float
        Of sgd.
    betas : tuple of float
        Of adam and adamw.
    epsilon : float
        Of adam and adamw.
    weight_decay : float
        Of sgd (an L2 penalty) and adamw (decoupled).
    """
    match name:
        case "sgd":
            return SGD(leaves, learning_rate, momentum, weight_decay=weight_decay)
        case "adam":
            return Adam(leaves, learning_rate, betas, epsilon)
        case "adamw":
            return AdamW(leaves, learning_rate, betas, epsilon, weight_decay=weight_decay)


def scale_learning_rate(optimizer: Optimizer, factor: float) -> float:
    """Set the learning rate to a multiple of the initial one; returns it."""
    rate: float = factor * optimizer.defaults["lr"]
    for group in optimizer.param_groups:
        group["lr"] = rate
    return rate


def cosine(step: int, steps: int) -> float:
    """Return the factor of the learning rate after `step` of `steps`, falling from 1 to 0 along a half cosine."""
    return (1 + math.cos(math.pi * step / steps)) / 2
