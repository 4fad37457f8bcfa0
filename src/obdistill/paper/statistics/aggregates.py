"""Aggregates of scores over tasks, and the probability that one method beats another."""

from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd

from obdistill.core.errors import UserError
from obdistill.core.seeding import numpy_generator
from obdistill.paper.statistics import intervals as statistics

STATISTICS = {
    "iqm": statistics.iqm,
    "mean": statistics.mean_of_tasks,
    "median": statistics.median_of_tasks,
    "optimality_gap": statistics.optimality_gap,
}
IMPROVEMENT = "probability_of_improvement"


def on_every_task(cells: Mapping[str, Mapping[str, pd.DataFrame]]) -> dict[str, list[pd.DataFrame]]:
    """Regroup task -> method -> episodes as method -> episodes of each task; only those that every task has."""
    first, *others = cells.values()
    return {
        name: [of_task[name] for of_task in cells.values()] for name in first if all(name in other for other in others)
    }


def seed_scores(strata: list[pd.DataFrame]) -> np.ndarray:
    """Average each seed's episodes: scores of shape (n_seeds, n_tasks).

    Raises
    ------
    UserError
        If tasks have unequal numbers of seeds.
    """
    columns = [statistics.independent_scores(cell, distilled=True)[1] for cell in strata]
    for cell, column in zip(strata, columns, strict=True):
        if len(column) != len(columns[0]):
            raise UserError(
                f"{cell['file'].iloc[0]}: task {cell['task'].iloc[0]}, {cell['method'].iloc[0]}: {len(column)} "
                f"seeds, but {len(columns[0])} on {strata[0]['task'].iloc[0]}; aggregates need as many on every task"
            )
    return np.stack(columns, axis=1)


def aggregate(
    cells: Mapping[str, Mapping[str, pd.DataFrame]], confidence: float, samples: int, seed: int
) -> pd.DataFrame:
    """Compute every aggregate of every method, and the probability of improvement for every ordered pair.

    Parameters
    ----------
    cells : mapping
        Task -> method -> episodes of the snapshots that are averaged.
    confidence : float
        In (0, 1), of the intervals.
    samples : int
        Bootstrap samples.
    seed : int
        Of the bootstrap.

    Returns
    -------
    DataFrame
        statistic, method, other (of a pair), value, low, high, seeds (of `method`) and tasks; no interval for one
        seed.

    Raises
    ------
    UserError
        If no method stands on every task, or tasks have unequal numbers of seeds.
    """
    scores = {name: seed_scores(strata) for name, strata in on_every_task(cells).items()}
    if not scores:
        raise UserError(f"tasks {', '.join(cells)}: no method has synsets for all of them; nothing to aggregate")
    wanted: list[tuple[str, Callable[..., np.ndarray], list[str]]]
    wanted = [(name, function, [ours]) for ours in scores for name, function in STATISTICS.items()]
    wanted += [
        (IMPROVEMENT, statistics.probability_of_improvement, [ours, theirs])
        for ours in scores
        for theirs in scores
        if theirs != ours
    ]
    rows = []
    for name, function, names in wanted:
        matrices = [scores[method] for method in names]
        rng = numpy_generator(seed, "aggregates", name, *names)
        low, high = statistics.stratified_bootstrap(
            function, *matrices, rng=rng, confidence=confidence, samples=samples
        )
        value, (n_seeds, n_tasks) = float(function(*matrices)), matrices[0].shape
        rows.append((name, names[0], names[1] if names[1:] else None, value, low, high, n_seeds, n_tasks))
    return pd.DataFrame(rows, columns=["statistic", "method", "other", "value", "low", "high", "seeds", "tasks"])
