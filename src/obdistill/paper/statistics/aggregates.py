"""Aggregates of scores over tasks, and the probability that one method beats another."""

from collections.abc import Callable

import numpy as np
import pandas as pd

from obdistill.core.errors import UserError
from obdistill.core.seeding import numpy_generator
from obdistill.paper.names import Cells, Row, row_seed
from obdistill.paper.statistics import intervals

STATISTICS = {
    "iqm": intervals.iqm,
    "mean": intervals.mean_of_tasks,
    "median": intervals.median_of_tasks,
    "optimality_gap": intervals.optimality_gap,
}
IMPROVEMENT = "probability_of_improvement"
COLUMNS = ["statistic", "method", "variant", "other", "other_variant", "value", "low", "high", "seeds", "tasks"]


def on_every_task(cells: Cells) -> dict[Row, list[pd.DataFrame]]:
    """Regroup task -> row -> episodes as row -> episodes of each task; only rows that every task has."""
    first, *others = cells.values()
    return {row: [of_task[row] for of_task in cells.values()] for row in first if all(row in other for other in others)}


def seed_scores(strata: list[pd.DataFrame]) -> np.ndarray:
    """Average each seed's episodes: scores of shape (n_seeds, n_tasks).

    Raises
    ------
    UserError
        If tasks have unequal numbers of seeds.
    """
    columns = [intervals.independent_scores(cell, distilled=True)[1] for cell in strata]
    for cell, column in zip(strata, columns, strict=True):
        if len(column) != len(columns[0]):
            raise UserError(
                f"{cell['file'].iloc[0]}: task {cell['task'].iloc[0]}, {cell['method'].iloc[0]}: {len(column)} "
                f"seeds, but {len(columns[0])} on {strata[0]['task'].iloc[0]}; aggregates need as many on every task"
            )
    return np.stack(columns, axis=1)


def aggregate(cells: Cells, confidence: float, samples: int, seed: int) -> pd.DataFrame:
    """Compute every aggregate of every method, and the probability of improvement for every ordered pair.

    Parameters
    ----------
    cells : mapping
        As `Cells`.
    confidence : float
        In (0, 1), of the intervals.
    samples : int
        Bootstrap samples.
    seed : int
        Of the bootstrap.

    Returns
    -------
    DataFrame
        statistic, method, variant, other and other_variant (of a pair), value, low, high, seeds (of the first row) and
        tasks; no interval for one seed.

    Raises
    ------
    UserError
        If no method stands on every task, or tasks have unequal numbers of seeds.
    """
    scores = {row: seed_scores(strata) for row, strata in on_every_task(cells).items()}
    if not scores:
        raise UserError(f"tasks {', '.join(cells)}: no method has synsets for all of them; nothing to aggregate")
    wanted: list[tuple[str, Callable[..., np.ndarray], list[Row]]]
    wanted = [(name, function, [ours]) for ours in scores for name, function in STATISTICS.items()]
    wanted += [
        (IMPROVEMENT, intervals.probability_of_improvement, [ours, theirs])
        for ours in scores
        for theirs in scores
        if theirs != ours
    ]
    table = []
    for name, function, rows in wanted:
        matrices = [scores[row] for row in rows]
        rng = numpy_generator(seed, "aggregates", name, *map(row_seed, rows))
        low, high = intervals.stratified_bootstrap(function, *matrices, rng=rng, confidence=confidence, samples=samples)
        value, (n_seeds, n_tasks) = float(function(*matrices)), matrices[0].shape
        other = rows[1] if rows[1:] else (None, None)
        table.append((name, *rows[0], *other, value, low, high, n_seeds, n_tasks))
    return pd.DataFrame(table, columns=COLUMNS)
