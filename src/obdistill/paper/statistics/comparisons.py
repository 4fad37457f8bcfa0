"""The rows of the table ``variance``: where each method's variance comes from, and tests of pairs of methods."""

import itertools
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from obdistill.paper.names import Cells, Row
from obdistill.paper.numbers import AVERAGE
from obdistill.paper.statistics import intervals, variance

PARTS = ("variance", "low", "high", "share", "bound")
COLUMNS = (
    *("task", "method", "variant", "other", "other_variant", "mean", "low", "high", *variance.COUNTS),
    *(f"{level}_{part}" for level in variance.LEVELS for part in PARTS),
    *("likelihood_ratio", "p_likelihood_ratio", "p_likelihood_ratio_holm", "p_student_t", "p_student_t_holm"),
    *("seeds_needed", "seeds_needed_at_least", "smallest_difference"),
)


def decompose(
    cells: Cells, confidence: float = 0.95, difference: float = 5.0, pairs: Sequence[tuple[Row, Row]] | None = None
) -> pd.DataFrame:
    """Split the variance of each method's scores on each task, and test pairs of methods.

    Parameters
    ----------
    cells : mapping
        As `Cells`.
    confidence : float
        In (0, 1), of all intervals.
    difference : float
        True difference of two methods that is to be found, > 0, in score units.
    pairs : sequence of pairs of rows, optional
        What is tested: each row minus the other; all pairs if left out.

    Returns
    -------
    DataFrame
        One row per task, method and variant, and one per task and pair (`other` and `other_variant` are set; it is
        about the first minus the other).
        mean with its Student-t interval low, high over seeds; seeds, policies and episodes; for each level its
        variance, interval, share of the three and whether it is at its bound; for pairs the tests, also Holm-adjusted
        over the pairs of a task, the seeds needed to find `difference`, with as many policies and episodes as here and,
        at least, with any number of them, and the smallest difference that as many seeds as here find. The task
        ``average`` is about the mean of all tasks, for pairs that each of them has: Student's t alone.
    """
    rows, by_seed = [], defaultdict[tuple[Row, Row], list[pd.Series]](list)
    for task, of_task in cells.items():
        scores = {row: variance.balanced(cell) for row, cell in of_task.items()}
        for (method, variant), ours in scores.items():
            described = _describe(variance.cube(ours), confidence)
            rows.append({"task": task, "method": method, "variant": variant, **described})
        tests = []
        for pair in _pairs_of(scores) if pairs is None else pairs:
            if not all(row in scores for row in pair):
                continue
            differences = variance.paired_differences(*(scores[row] for row in pair))
            if len(differences):
                shared = variance.cube(differences)
                by_seed[pair].append(differences.groupby("seed").mean())
                row = _pair(task, pair) | _describe(shared, confidence) | variance.mean_test(shared)._asdict()
                row["seeds_needed_at_least"] = variance.seeds_needed(row["seed_variance"], difference, confidence)
                tests.append(row | _power(shared.mean((1, 2)), difference, confidence))
        rows += _holm_adjusted(tests)
    everywhere = {pair: of_tasks for pair, of_tasks in by_seed.items() if 1 < len(cells) == len(of_tasks)}
    rows += _holm_adjusted([_of_average(pair, found, difference, confidence) for pair, found in everywhere.items()])
    table = pd.DataFrame(rows).reindex(columns=COLUMNS)
    return table.astype(dict.fromkeys(variance.COUNTS, "Int64"))  # an average has no policies and episodes of its own


def _pairs_of(scores: Mapping[Row, Any]) -> list[tuple[Row, Row]]:
    """Return all pairs, the later row of a table first."""
    return [(ours, other) for other, ours in itertools.combinations(scores, 2)]


def _pair(task: str, pair: tuple[Row, Row]) -> dict[str, Any]:
    (method, variant), (other, other_variant) = pair
    return {"task": task, "method": method, "variant": variant, "other": other, "other_variant": other_variant}


def _of_average(
    pair: tuple[Row, Row], of_tasks: Sequence[pd.Series], difference: float, confidence: float
) -> dict[str, Any]:
    """Test the mean over tasks of a pair's differences, each by seed."""
    means = pd.concat(of_tasks, axis=1, join="inner").mean(axis=1).to_numpy(float)
    mean, low, high, n_seeds = intervals.student_t_interval([means], confidence)
    test = variance.mean_test(means[:, None, None])
    row = _pair(AVERAGE, pair) | {"mean": mean, "low": low, "high": high, "seeds": n_seeds}
    row |= {"p_student_t": test.p_student_t, "p_likelihood_ratio": np.nan}
    return row | _power(means, difference, confidence)


def _power(means: np.ndarray, difference: float, confidence: float) -> dict[str, float]:
    """Return what seeds' mean differences say about further runs."""
    spread = float(np.var(means, ddof=1)) if len(means) > 1 else np.nan
    return {
        "seeds_needed": variance.seeds_needed(spread, difference, confidence),
        "smallest_difference": variance.smallest_difference(spread, len(means), confidence),
    }


def _holm_adjusted(tests: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Add the p-values adjusted for the number of these tests."""
    for test in ("p_likelihood_ratio", "p_student_t"):
        for row, adjusted in zip(tests, variance.holm(np.array([row[test] for row in tests])), strict=True):
            row[f"{test}_holm"] = adjusted
    return tests


def _describe(scores: np.ndarray, confidence: float) -> dict[str, Any]:
    mean, low, high, _ = intervals.student_t_interval([scores.mean((1, 2))], confidence)
    row = {"mean": mean, "low": low, "high": high} | dict(zip(variance.COUNTS, scores.shape, strict=True))
    found = variance.components(scores, confidence)
    total = found.variance.sum()
    share = found.variance / (total if total > 0 else np.nan)
    for name, values in zip(PARTS, (*found[:3], share, found.bound), strict=True):
        row |= {f"{level}_{name}": value for level, value in zip(variance.LEVELS, values, strict=True)}
    return row
