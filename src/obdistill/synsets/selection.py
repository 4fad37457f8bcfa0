"""Selection of real states: where distillations start, and the random baseline."""

import torch
from torch import Tensor

from obdistill.core.errors import UserError
from obdistill.core.seeding import torch_generator
from obdistill.datasets.transitions import Dataset


def random_rows(dataset: Dataset, size: int, seed: int) -> Tensor:
    """Draw transitions uniformly, without replacement.

    Parameters
    ----------
    dataset : Dataset
        What to draw from.
    size : int
        Number of transitions.
    seed : int
        Seed of the draw.

    Returns
    -------
    Tensor of shape (size,), int64
        Rows of the dataset.

    Raises
    ------
    UserError
        If it is no positive number, or the dataset has fewer transitions.
    """
    total = len(dataset.transitions)
    if size < 1:
        raise UserError(f"size: {size}: a number >= 1 is needed")
    if size > total:
        raise UserError(f"size: {size}: is more than the {total} transitions of {dataset.task.name}")
    return torch.randperm(total, generator=torch_generator(seed, "selection"))[:size]
