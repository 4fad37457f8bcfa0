"""Selection of real states: where distillations start, and the controls that a distilled synset is compared with.

To add one, name it in `core.methods`, write a function from (dataset, near-expert, size, seed) to rows of the dataset
and enter it in `ROWS_OF`. A selection that needs a near-expert has its actions, the others have the dataset's.
"""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from obdistill.core.errors import UserError
from obdistill.core.methods import METHODS
from obdistill.core.seeding import numpy_generator, torch_generator
from obdistill.datasets.transitions import Dataset
from obdistill.near_experts.near_expert import NearExpert
from obdistill.synsets.density import log_density

CENTER_CANDIDATES = 100_000  # states that k_center chooses from: a seeded draw, or all if there are fewer
EARLY = 0.5  # share of the longest episode's steps that dual_ranking keeps
BEST = 0.1  # share of the early transitions, those with the best ranks, that dual_ranking draws from


def select(
    method: str, dataset: Dataset, near_expert: NearExpert | None, size: int, seed: int
) -> tuple[Tensor, Tensor]:
    """Select transitions by a method and label them.

    Parameters
    ----------
    method : str
        One of `ROWS_OF`.
    dataset : Dataset
        What to select from.
    near_expert : NearExpert, optional
        Whose actions are the labels, if the method needs one.
    size : int
        Number of transitions.
    seed : int
        Seed of all draws.

    Returns
    -------
    rows : Tensor of shape (size,), int64
        Rows of the dataset, none twice.
    actions : Tensor of shape (size, action_dim)
        Normalized actions.

    Raises
    ------
    UserError
        If the size is no positive number, or the method has too few transitions to choose from.
    """
    rows = ROWS_OF[method](dataset, near_expert, size, seed)
    if not METHODS[method].needs_near_expert:
        return rows, dataset.normalizer.actions(dataset.transitions.actions[rows.numpy()])
    assert near_expert is not None
    return rows, near_expert.actions(dataset.transitions.observations[rows.numpy()])


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
    _check_size(size, total, f"transitions of {dataset.task.name}")
    return torch.randperm(total, generator=torch_generator(seed, "selection"))[:size]


def uniform(dataset: Dataset, near_expert: NearExpert | None, size: int, seed: int) -> Tensor:
    """random, random_relabeled: see `random_rows`; both have the states that distillations start from."""
    return random_rows(dataset, size, seed)


def top_return(dataset: Dataset, near_expert: NearExpert | None, size: int, seed: int) -> Tensor:
    """top_return: whole episodes in falling order of return, until there are enough transitions.

    Of the last episode the first steps are taken. Of episodes with equal returns the earlier comes first. Nothing is
    drawn, so all seeds give the same rows.
    """
    episode = dataset.transitions.episode
    _check_size(size, len(episode), f"transitions of {dataset.task.name}")
    place = np.empty(episode[-1] + 1, np.int64)  # of each episode in the order of returns
    place[np.argsort(-dataset.transitions.episode_returns(), kind="stable")] = np.arange(len(place))
    return torch.from_numpy(np.argsort(place[episode], kind="stable")[:size])


def k_center(dataset: Dataset, near_expert: NearExpert | None, size: int, seed: int) -> Tensor:
    """k_center: each next state is the one farthest from all before it; the first is drawn.

    This is the greedy 2-approximation of the k-center problem (Gonzalez 1985), by Euclidean distance of normalized
    states. Of states that are equally far the one that was drawn earlier comes first.
    """
    total = len(dataset.transitions)
    _check_size(size, min(total, CENTER_CANDIDATES), f"states of {dataset.task.name} that k_center chooses from")
    candidates = torch.randperm(total, generator=torch_generator(seed, "selection"))[:CENTER_CANDIDATES]
    states = dataset.normalizer.states(dataset.transitions.observations[candidates.numpy()]).double()
    nearest = torch.full((len(states),), torch.inf, dtype=states.dtype)  # squared distance to the chosen states
    chosen = [0]  # the candidates are in random order
    for _ in range(size - 1):
        nearest = torch.minimum(nearest, (states - states[chosen[-1]]).square().sum(1))
        nearest[chosen[-1]] = -1  # never again, even if all others are equal to a chosen one
        chosen.append(int(nearest.argmax()))
    return candidates[chosen]


def dual_ranking(dataset: Dataset, near_expert: NearExpert | None, size: int, seed: int) -> Tensor:
    """dual_ranking: early states with a high action value and a low density, drawn uniformly.

    After the stepwise dual ranking of SDR (https://arxiv.org/abs/2512.18246): keep early steps of the episodes, prefer
    a high rank of the action value and a low rank of the state density, draw uniformly. Ours are the numbers and forms
    that are not public: early is the first half of the longest episode's steps; the value is the smallest critic's
    q*(s, pi*(s)); the density is that of `log_density`; a state is as good as the worse of its two ranks, and the best
    tenth (`size` states at least) is drawn from.
    """
    from scipy.stats import rankdata  # here, for it takes a second that only this selection needs

    assert near_expert is not None
    transitions = dataset.transitions
    step = np.arange(len(transitions)) - np.searchsorted(transitions.episode, transitions.episode)
    early = np.flatnonzero(step < EARLY * (step.max() + 1))
    _check_size(size, len(early), f"early transitions of {dataset.task.name} that dual_ranking chooses from")
    value = near_expert.actions_and_q(transitions.observations[early])[1].amin(0)
    worse = np.maximum(rankdata(-value.numpy()), rankdata(log_density(dataset)[early]))  # rank 1 is the best
    best = early[np.argsort(worse, kind="stable")[: max(size, round(BEST * len(early)))]]
    return torch.from_numpy(numpy_generator(seed, "selection").permutation(best)[:size])


def _check_size(size: int, total: int, what: str) -> None:
    if size < 1:
        raise UserError(f"size: {size}: a number >= 1 is needed")
    if size > total:
        raise UserError(f"size: {size}: is more than the {total} {what}")


# the function of each selection of `core.methods`
ROWS_OF: dict[str, Callable[[Dataset, NearExpert | None, int, int], Tensor]] = {
    "random": uniform,
    "random_relabeled": uniform,
    "top_return": top_return,
    "k_center": k_center,
    "dual_ranking": dual_ranking,
}
