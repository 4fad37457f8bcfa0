"""Where the variance of scores comes from, and what follows: likelihood-ratio tests, and the seeds that a claim needs.

The score of episode e of policy k on the synset of seed s, averaged over the last snapshots, is for each method

    score[s, k, e] = mean + seed[s] + policy[s, k] + episode[s, k, e],

all three normal and independent. Policy k of seed s has one initialization and one set of environment seeds for every
snapshot and every method: it is nested in its seed and crossed with both. So two methods are compared by the
differences of the scores that share seed, policy and episode. What the two share drops out of these, and what is left
has the same form: the test of their mean is that of the method in the crossed model with shared and separate
effects, but needs no equal variances. The data are balanced, hence every fit is a closed form of three mean squares,
also where a variance is at its bound of 0, and nothing has to converge.

Sources: Searle, Casella and McCulloch, "Variance Components", 1992, chapters 3 and 4; Hagmann, Meier and Riezler,
"Towards inferential reproducibility of machine learning research", ICLR 2023, https://arxiv.org/abs/2302.04054.
"""

from typing import NamedTuple

import numpy as np
import pandas as pd

from obdistill.core.errors import UserError
from obdistill.paper.statistics import intervals

COUNTS = {"seeds": "seed", "policies": "policy", "episodes": "episode"}
LEVELS = tuple(COUNTS.values())
POWER = 0.8  # of a claim, by convention


class Components(NamedTuple):
    """Variances of the levels `LEVELS`, each of shape (3,), in squared score units; NaN where data do not tell.

    Attributes
    ----------
    variance : ndarray
        Restricted maximum likelihood: unbiased (that of the analysis of variance) unless one is at its bound.
    low, high : ndarray
        Interval (see `components`).
    bound : ndarray of bool
        Whether the variance is at its bound of 0: the level's mean square is not above the one of the level below.
    """

    variance: np.ndarray
    low: np.ndarray
    high: np.ndarray
    bound: np.ndarray


class MeanTest(NamedTuple):
    """Tests of a mean of 0: likelihood ratio and its chi-squared p-value, and that of Student's t; NaN for no test."""

    likelihood_ratio: float
    p_likelihood_ratio: float
    p_student_t: float


def balanced(cell: pd.DataFrame) -> pd.Series:
    """Average the snapshots of one method on one task: score by (seed, policy, episode).

    Raises
    ------
    UserError
        If two seeds share their policies, or have unequal numbers of policies or episodes.
    """
    owners = cell.groupby("policy_seed")["seed"].nunique()
    where = f"{cell['file'].iloc[0]}: task {cell['task'].iloc[0]}, {cell['method'].iloc[0]}"
    if (owners > 1).any():
        raise UserError(
            f"{where}: policy_seed {owners.index[owners > 1][0]} stands for several seeds, and their variances cannot "
            "be told apart then; evaluate each synset with its own --seed"
        )
    scores = cell.groupby(intervals.UNITS["episodes"])["score"].mean()
    if len(scores) != np.prod([len(level) for level in scores.index.remove_unused_levels().levels]):
        raise UserError(f"{where}: has unequal numbers of policies or episodes; as many are needed for each seed")
    return scores


def cube(scores: pd.Series) -> np.ndarray:
    """Return scores by (seed, policy, episode) as an array of shape (n_seeds, n_policies, n_episodes)."""
    shape = [scores.index.unique(level).size for level in LEVELS]
    return np.asarray(scores.sort_index().to_numpy(float).reshape(shape))


def paired_differences(ours: pd.Series, theirs: pd.Series) -> pd.Series:
    """Subtract scores that share seed, policy and episode; whatever stands on one side only is left out."""
    return (ours - theirs).dropna()


def sums_of_squares(scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Split the sum of squares about the mean by level.

    Parameters
    ----------
    scores : ndarray of shape (n_seeds, n_policies, n_episodes)
        Balanced scores.

    Returns
    -------
    squares, freedom : ndarray of shape (3,)
        Sum of squares and degrees of freedom of seeds, of policies within seeds, and of episodes within policies.
    """
    n_seeds, n_policies, n_episodes = scores.shape
    policies = scores.mean(2, keepdims=True)
    seeds = policies.mean(1, keepdims=True)
    squares = [
        n_policies * n_episodes * ((seeds - seeds.mean()) ** 2).sum(),
        n_episodes * ((policies - seeds) ** 2).sum(),
        ((scores - policies) ** 2).sum(),
    ]
    freedom = [n_seeds - 1, n_seeds * (n_policies - 1), n_seeds * n_policies * (n_episodes - 1)]
    return np.array(squares), np.array(freedom)


def components(scores: np.ndarray, confidence: float = 0.95) -> Components:
    """Estimate the variance of seeds, policies and episodes.

    A level's variance needs two or more of it, and two or more of the level below: else the two cannot be told apart,
    and it is NaN. Where a mean square is below that of the level under it, the maximum of the restricted likelihood is
    at a variance of 0, with the mean squares pooled.

    Parameters
    ----------
    scores : ndarray of shape (n_seeds, n_policies, n_episodes)
        Balanced scores.
    confidence : float
        In (0, 1), of the intervals: exact for episodes, for the others that of Williams (1962) and Tukey (1951), cut at
        0, which covers a little more than it says.
    """
    from scipy.special import chdtri, fdtri

    squares, freedom = sums_of_squares(scores)
    per = np.cumprod([1, *scores.shape[:0:-1]])[::-1]  # episodes behind one seed, one policy, one episode
    expected = _ordered(squares, freedom)
    variance = np.append(expected[:-1] - expected[1:], expected[-1]) / per
    tails = (1 - confidence) / 2, (1 + confidence) / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        quantiles = [chdtri(freedom, tail) for tail in tails]  # upper, then lower
        # what the level below may contribute to a level's sum of squares, at most and at least
        below = freedom[:-1] * squares[1:] / freedom[1:]
        noise = [np.append(below * fdtri(freedom[:-1], freedom[1:], 1 - tail), 0) for tail in tails]
        low, high = (np.maximum(squares - n, 0) / (per * q) for n, q in zip(noise, quantiles, strict=True))
    low, high = (np.where(np.isnan(variance), np.nan, limit) for limit in (low, high))
    bound = np.isfinite(variance) & np.append(expected[:-1] == expected[1:], False)
    return Components(variance, low, high, bound)


def mean_test(differences: np.ndarray) -> MeanTest:
    """Test whether the mean of balanced differences, (n_seeds, n_policies, n_episodes), is 0.

    The likelihood ratio compares the fits by maximum likelihood with and without a mean, variances free in both and not
    below 0; its p-value is that of a chi-squared variable with 1 degree of freedom, which is too small with few seeds
    (see `false_positive_rate`). Student's t of the seeds' means tests the same and is exact for any number of seeds.
    """
    from scipy.special import chdtrc, stdtr

    squares, freedom = sums_of_squares(differences)
    n_seeds = len(differences)
    seeds = differences.mean((1, 2))
    if n_seeds < 2 or np.ptp(seeds) == 0:
        return MeanTest(np.nan, np.nan, np.nan)
    first = np.array([1, 0, 0])
    weights = freedom + first  # maximum likelihood: the mean takes no degree of freedom
    with_mean = _ordered(squares, weights)
    without_mean = _ordered(squares + first * differences.size * seeds.mean() ** 2, weights)
    # the fits' log determinants; their quadratic forms are equal (the number of scores)
    changed = without_mean > with_mean
    ratio = float(weights[changed] @ np.log(without_mean[changed] / with_mean[changed]))
    t = seeds.mean() / (seeds.std(ddof=1) / np.sqrt(n_seeds))
    return MeanTest(ratio, float(chdtrc(1, max(ratio, 0.0))), float(2 * stdtr(n_seeds - 1, -abs(t))))


def false_positive_rate(n_seeds: int, level: float = 0.05) -> float:
    """Probability that the likelihood-ratio test finds a difference where none is, all variances above their bound."""
    from scipy.special import chdtri, stdtr

    t = np.sqrt((n_seeds - 1) * np.expm1(chdtri(1, level) / n_seeds))  # the ratio is n log(1 + t^2 / (n - 1))
    return float(2 * stdtr(n_seeds - 1, -t))


def holm(p_values: np.ndarray) -> np.ndarray:
    """Adjust p-values for their number (Holm, 1979); NaN ones are no tests and stay."""
    adjusted, tests = p_values.copy(), np.flatnonzero(~np.isnan(p_values))
    ranked = tests[np.argsort(p_values[tests])]
    steps = p_values[ranked] * np.arange(len(ranked), 0, -1)
    adjusted[ranked] = np.minimum(np.maximum.accumulate(steps), 1)
    return adjusted


def seeds_needed(variance: float, difference: float, confidence: float = 0.95) -> float:
    """Return the smallest number of seeds with which the paired Student's t finds a difference at a power of `POWER`.

    Parameters
    ----------
    variance : float
        Of one seed's difference of means, >= 0, in squared score units.
    difference : float
        True mean difference, > 0, in score units.
    confidence : float
        In (0, 1): 1 less the level of the two-sided test.

    Returns
    -------
    float
        At least 2; infinite for more than 10,000, NaN for an unknown variance.
    """
    from scipy.special import nctdtr, stdtrit

    if np.isnan(variance):
        return np.nan
    n_seeds = np.arange(2, 10_001)
    with np.errstate(divide="ignore"):
        shift = np.minimum(difference * np.sqrt(n_seeds / variance), 1e3)
    t = stdtrit(n_seeds - 1, (1 + confidence) / 2)
    missed = np.nan_to_num(nctdtr(n_seeds - 1, shift, t) - nctdtr(n_seeds - 1, shift, -t))  # NaN: too small a number
    found = missed <= 1 - POWER
    return float(n_seeds[found.argmax()]) if found.any() else np.inf


def smallest_difference(variance: float, n_seeds: int, confidence: float = 0.95) -> float:
    """Return the true mean difference that the paired Student's t finds at a power of `POWER`.

    Parameters
    ----------
    variance : float
        Of one seed's difference of means, >= 0, in squared score units; NaN for one seed.
    n_seeds : int
        Number of seeds, >= 1.
    confidence : float
        In (0, 1): 1 less the level of the two-sided test.

    Returns
    -------
    float
        In score units; NaN for an unknown variance.
    """
    from scipy.special import nctdtrinc, stdtrit

    if np.isnan(variance):
        return np.nan
    noncentrality = nctdtrinc(n_seeds - 1, 1 - POWER, stdtrit(n_seeds - 1, (1 + confidence) / 2))
    return float(noncentrality * np.sqrt(variance / n_seeds))


def half_width(
    variance: np.ndarray, n_seeds: np.ndarray, n_policies: int, n_episodes: int, confidence: float = 0.95
) -> np.ndarray:
    """Half the width of a Student-t interval of a mean, at the expected squared standard error.

    Parameters
    ----------
    variance : ndarray of shape (3,)
        Of seeds, policies and episodes.
    n_seeds : ndarray of int
        Each >= 2.
    n_policies, n_episodes : int
        Policies per synset and episodes per policy, >= 1.
    confidence : float
        In (0, 1).

    Returns
    -------
    ndarray
        For each number of seeds, in score units.
    """
    from scipy.special import stdtrit

    of_seed = variance @ [1, 1 / n_policies, 1 / (n_policies * n_episodes)]
    return np.asarray(stdtrit(n_seeds - 1, (1 + confidence) / 2) * np.sqrt(of_seed / n_seeds))


def _ordered(squares: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Fit the expected mean squares, which do not increase from level to level; NaN where a weight is 0.

    Pooling neighbors that are out of order gives the maximum of the likelihood within the bounds (Robertson, Wright
    and Dykstra, "Order Restricted Statistical Inference", 1988, section 1.5).
    """
    from scipy.optimize import isotonic_regression

    fitted, used = np.full(3, np.nan), weights > 0
    if used.any():
        means = squares[used] / weights[used]
        fitted[used] = isotonic_regression(means, weights=weights[used], increasing=False).x
    return fitted
