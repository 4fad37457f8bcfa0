"""The density of a dataset's states, estimated from distances to nearest neighbors."""

import numpy as np
import torch
from torch import Tensor

from obdistill.core.seeding import numpy_generator
from obdistill.datasets.transitions import Dataset

REFERENCES = 4096  # states that neighbors are looked for among: a seeded draw, or all if there are fewer
NEIGHBOR = 10  # the density at a state follows from the distance to its 10th neighbor
FLOOR = 1e-6  # added to distances, in standard deviations: equal states have a finite density
POWER = 0.1  # tau
PERCENTILES = (5, 95)


def rarity_weights(dataset: Dataset) -> Tensor:
    """Return p(s)^(-tau) of every state, divided by its mean: rare states count more.

    The log density is clipped to two of its percentiles first: its tails are long, and few states would count.

    Parameters
    ----------
    dataset : Dataset
        With n states.

    Returns
    -------
    Tensor of shape (n_transitions,), float32
        Positive weights of mean 1.
    """
    density = log_density(dataset)
    weights = np.exp(-POWER * density.clip(*np.percentile(density, PERCENTILES)))
    return torch.from_numpy(weights / weights.mean()).float()


def log_density(dataset: Dataset) -> np.ndarray:
    """Estimate log p(s) of every state, up to a constant: -S log r, r the distance to its k-th neighbor.

    Distances are Euclidean in normalized units. A state is not its own neighbor. The draw of the references does not
    depend on a synset's seed: the estimate belongs to the dataset.

    Parameters
    ----------
    dataset : Dataset
        With n states of S dimensions.

    Returns
    -------
    ndarray of shape (n_transitions,), float64
        Natural logarithms.
    """
    from scipy.spatial import cKDTree  # here, for most methods do not need it

    states = dataset.normalizer.states(dataset.transitions.observations).double().numpy()
    total, dims = states.shape
    references = numpy_generator(0, "density").permutation(total)[:REFERENCES]
    others = len(references) - 1
    if others < 1:
        return np.zeros(total)
    k = min(NEIGHBOR, others)
    distances, _ = cKDTree(states[references]).query(states, k=[k, k + 1])
    # a reference finds itself first, at distance 0
    own = np.isin(np.arange(total), references)
    distance = np.where(own, distances[:, 1], distances[:, 0])
    return np.asarray(-dims * np.log(distance + FLOOR))
