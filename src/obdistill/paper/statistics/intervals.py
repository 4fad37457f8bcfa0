"""Statistics of scores: intervals over seeds, spread over policies, and aggregates over tasks.

The unit of replication of a distillation is the synset's seed: policies and episodes of one synset are not independent
of each other, so they are averaged first and the interval is over what is left.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

POLICY = ["seed", "step", "policy"]
COUNTED = {"seeds": "seed", "snapshots": "step", "policies": "policy", "episodes": "episode"}
UNITS = {"seeds": ["seed"], "policies": ["seed", "policy"], "episodes": ["seed", "policy", "episode"]}


class Interval(NamedTuple):
    """A mean with its interval; `low` and `high` are NaN where `n` = 1 gives none."""

    mean: float
    low: float
    high: float
    n: int


class PolicySpread(NamedTuple):
    """Spread over the policies trained on one synset: standard deviation and the worst policy's mean score."""

    sd: float
    worst: float


def last_snapshots(episodes: pd.DataFrame, count: int) -> pd.DataFrame:
    """Keep the last `count` evaluated steps; all of them where there are fewer."""
    return episodes[episodes["step"].isin(np.sort(episodes["step"].unique())[-count:])]


def counts(episodes: pd.DataFrame) -> dict[str, int]:
    """Count the seeds, snapshots per seed, policies per snapshot and episodes per policy of one table cell."""
    return {name: int(episodes[column].nunique()) for name, column in COUNTED.items()}


def independent_scores(episodes: pd.DataFrame, distilled: bool) -> tuple[str, np.ndarray]:
    """Average the episodes of one table cell within each unit that an interval may be over.

    Parameters
    ----------
    episodes : DataFrame
        Columns seed, step, policy, episode, score; as many policies and episodes in each seed and step.
    distilled : bool
        True where each seed is a synset: then the unit is the seed, even where there is only one. Otherwise no choice
        of pairs stands above the policies: a single seed's policies, or a single policy's episodes, are the units.

    Returns
    -------
    unit : str
        ``seeds``, ``policies`` or ``episodes``.
    scores : ndarray of shape (n_units,)
        Mean score of each unit over snapshots and whatever lies below the unit.
    """
    by_unit = {unit: episodes.groupby(keys)["score"].mean().to_numpy() for unit, keys in UNITS.items()}
    unit = "seeds" if distilled else next((unit for unit, scores in by_unit.items() if len(scores) > 1), "episodes")
    return unit, by_unit[unit]


def policy_scores(episodes: pd.DataFrame) -> pd.Series:
    """Average the episodes of each policy: score by (seed, step, policy)."""
    return episodes.groupby(POLICY)["score"].mean()


def policy_spread(episodes: pd.DataFrame) -> PolicySpread:
    """Measure how much policies differ that were trained on the same synset.

    Returns
    -------
    PolicySpread
        `sd`: standard deviation (n - 1) of the policies' mean scores within a seed and snapshot, root-mean-squared over
        seeds and snapshots. It holds the noise of the episodes behind each mean. `worst`: the lowest mean score of a
        policy over all seeds and snapshots. Both NaN where a synset has one policy.
    """
    scores = policy_scores(episodes)
    variances = scores.groupby(["seed", "step"]).var(ddof=1).dropna()
    if variances.empty:
        return PolicySpread(np.nan, np.nan)
    return PolicySpread(float(np.sqrt(variances.mean())), float(scores.min()))


def student_t_interval(strata: Sequence[np.ndarray], confidence: float = 0.95) -> Interval:
    """Mean over strata (tasks) of the strata's means, with a Student-t interval.

    With one stratum this is the ordinary t interval, exact for normal values at any n >= 2. With more, the degrees
    of freedom are those of Welch (1947) and Satterthwaite (1946), as strata differ in variance and size.

    Parameters
    ----------
    strata : sequence of ndarray, each of shape (n_seeds,)
        Independent values of each stratum.
    confidence : float
        In (0, 1).

    Returns
    -------
    Interval
        `n` is the size of the smallest stratum; no interval where that is 1.
    """
    n = min(len(values) for values in strata)
    mean = float(np.mean([np.mean(values) for values in strata]))
    if n < 2:
        return Interval(mean, np.nan, np.nan, n)
    squared_errors = np.array([np.var(values, ddof=1) / len(values) for values in strata])
    if not squared_errors.any():
        return Interval(mean, mean, mean, n)
    from scipy.special import stdtrit  # here, for Snakemake imports this module at every start

    freedom = squared_errors.sum() ** 2 / sum(
        error**2 / (len(values) - 1) for error, values in zip(squared_errors, strata, strict=True)
    )
    half = stdtrit(freedom, (1 + confidence) / 2) * np.sqrt(squared_errors.sum()) / len(strata)
    return Interval(mean, float(mean - half), float(mean + half), n)


def bootstrap_interval(
    strata: Sequence[np.ndarray], rng: np.random.Generator, confidence: float = 0.95, samples: int = 2000
) -> Interval:
    """Mean over strata of the strata's means, with a stratified percentile bootstrap interval.

    It undercovers with few seeds (about 83 % instead of 95 % at n = 5): prefer `student_t_interval` there.
    """
    n = min(len(values) for values in strata)
    mean = float(np.mean([np.mean(values) for values in strata]))
    if n < 2:
        return Interval(mean, np.nan, np.nan, n)
    # resampled means of all strata at once: (samples,)
    means = np.mean([rng.choice(values, (samples, len(values))).mean(1) for values in strata], axis=0)
    return Interval(mean, *_percentiles(means, confidence), n)


def iqm(scores: np.ndarray) -> np.ndarray:
    """Interquartile mean of all runs of all tasks: the mean without the lowest and the highest quarter.

    Parameters
    ----------
    scores : ndarray of shape (..., n_seeds, n_tasks)
        Seed-level scores. All aggregates reduce the last two axes; axes before them are bootstrap samples.

    Notes
    -----
    As many whole runs are cut from each end as fit into a quarter: none of fewer than four. As the other aggregates
    from Agarwal et al., "Deep reinforcement learning at the edge of the statistical precipice", NeurIPS 2021,
    https://arxiv.org/abs/2108.13264.
    """
    runs = np.sort(scores.reshape(*scores.shape[:-2], -1), -1)
    cut = runs.shape[-1] // 4
    return np.asarray(runs[..., cut : runs.shape[-1] - cut].mean(-1))


def mean_of_tasks(scores: np.ndarray) -> np.ndarray:
    """Mean over tasks of the tasks' means; `scores` as for `iqm`."""
    return np.asarray(scores.mean((-2, -1)))


def median_of_tasks(scores: np.ndarray) -> np.ndarray:
    """Median over tasks of the tasks' means; `scores` as for `iqm`."""
    return np.asarray(np.median(scores.mean(-2), -1))


def optimality_gap(scores: np.ndarray, target: float = 100.0) -> np.ndarray:
    """Mean amount by which runs fall short of `target`; runs above it count as 0; `scores` as for `iqm`."""
    return np.asarray(np.maximum(target - scores, 0).mean((-2, -1)))


def probability_of_improvement(ours: np.ndarray, theirs: np.ndarray) -> np.ndarray:
    """Probability that a run of ours beats a run of theirs on a random task; ties count half.

    Parameters
    ----------
    ours, theirs : ndarray of shape (..., n_seeds, n_tasks)
        Seed-level scores; the numbers of seeds may differ.
    """
    pairs = ours[..., :, None, :] - theirs[..., None, :, :]  # (..., n_ours, n_theirs, n_tasks)
    return np.asarray((0.5 + 0.5 * np.sign(pairs)).mean((-3, -2, -1)))


def stratified_bootstrap(
    statistic: Callable[..., np.ndarray],
    *scores: np.ndarray,
    rng: np.random.Generator,
    confidence: float = 0.95,
    samples: int = 2000,
) -> tuple[float, float]:
    """Percentile interval of an aggregate: runs are drawn again within each task, tasks stay.

    Parameters
    ----------
    statistic : callable
        Maps as many stacks of score matrices as are given to numbers, e.g. `iqm`.
    *scores : ndarray of shape (n_seeds, n_tasks)
        Seed-level scores of one method, or of two.
    rng : Generator
        Decides the draws.
    confidence : float
        In (0, 1).
    samples : int
        Number of bootstrap samples.

    Returns
    -------
    low, high : float
        NaN where a method has one seed.
    """
    if min(len(matrix) for matrix in scores) < 2:
        return np.nan, np.nan
    drawn = (rng.integers(len(matrix), size=(samples, *matrix.shape)) for matrix in scores)
    stacks = (np.take_along_axis(matrix[None], rows, 1) for matrix, rows in zip(scores, drawn, strict=True))
    return _percentiles(statistic(*stacks), confidence)


def performance_profile(
    strata: Sequence[pd.DataFrame], thresholds: np.ndarray, rng: np.random.Generator, confidence: float, samples: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Fraction of policies whose mean score is above each threshold, averaged over seeds, then over strata (tasks).

    Parameters
    ----------
    strata : sequence of DataFrame
        Episodes of each task.
    thresholds : ndarray of shape (n_thresholds,)
        Scores.
    rng : Generator
        Decides the draws.
    confidence : float
        In (0, 1): level of the band at each threshold.
    samples : int
        Bootstrap samples. Seeds are drawn again, each with all its policies: these are not independent of each other.

    Returns
    -------
    fraction, low, high : ndarray of shape (n_thresholds,)
        The band is NaN where a task has one seed.
    """
    fractions, means = [], np.zeros((samples, len(thresholds)))
    for episodes in strata:
        seeds = [scores.to_numpy() for _, scores in policy_scores(episodes).groupby("seed")]
        above = np.stack([(scores[:, None] > thresholds).mean(0) for scores in seeds])  # (n_seeds, n_thresholds)
        fractions.append(above.mean(0))
        drawn = rng.multinomial(len(seeds), np.full(len(seeds), 1 / len(seeds)), samples)  # how often each seed
        means += drawn @ above / len(seeds) / len(strata) if len(seeds) > 1 else np.nan
    low, high = np.quantile(means, [(1 - confidence) / 2, (1 + confidence) / 2], axis=0)
    return np.mean(fractions, axis=0), low, high


def _percentiles(values: np.ndarray, confidence: float) -> tuple[float, float]:
    low, high = np.quantile(values, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)
