"""The tables of statistics, `aggregates` and `variance`: how they are computed, arranged and captioned."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from obdistill.evaluations.returns import SYNSETS, by_task_and_method, check_cell
from obdistill.paper import names as display
from obdistill.paper.statistics import aggregates, variance
from obdistill.paper.statistics import intervals as statistics
from obdistill.paper.tables.free_table import Cell, FreeTable, Heads, Rows

if TYPE_CHECKING:
    from obdistill.paper.settings import TableSettings

STATISTICS = {"iqm": "IQM", "mean": "mean", "median": "median", "optimality_gap": "optimality gap"}


def _cells(episodes: pd.DataFrame, settings: "TableSettings") -> dict[str, dict[str, pd.DataFrame]]:
    """Split episodes by task and method, each checked; only the snapshots that are averaged."""
    cells = by_task_and_method(episodes)
    for of_task in cells.values():
        for method, cell in of_task.items():
            check_cell(cell)
            of_task[method] = statistics.last_snapshots(cell, settings.last_snapshots)
    return cells


def _aggregate(episodes: pd.DataFrame, settings: "TableSettings") -> pd.DataFrame:
    return aggregates.aggregate(
        _cells(episodes, settings), settings.confidence, settings.bootstrap_samples, settings.seed
    )


def _aggregates_caption(table: pd.DataFrame, settings: "TableSettings") -> str:
    tasks = table["tasks"].iloc[0]
    seeds = {
        display.look(str(name)).label: f"n = {display.counts(rows, ['seeds'])}"
        for name, rows in table.groupby("method", sort=False)
    }
    return " ".join(
        [
            f"Scores (0: random policy, 100: expert) over {tasks} {'task' if tasks == 1 else 'tasks'}. A run is a "
            f"synset's seed, averaged over its {display.last_snapshots(settings.last_snapshots)}, "
            "policies and episodes. IQM: mean of the middle half of the runs; optimality gap: mean shortfall "
            "from 100; probability of improvement: that a run of the row beats one of the column on the same task.",
            f"[{100 * settings.confidence:g} % bootstrap interval over seeds within tasks; too narrow with few seeds.]",
            *display.sentences(seeds),
        ]
    )


def _arrange_aggregates(table: pd.DataFrame, digits: int) -> tuple[Heads, Rows]:
    names = list(table["method"].unique())
    table = table.assign(other=table["other"].fillna(""))
    columns = [(statistic, "") for statistic in STATISTICS]
    columns += [(aggregates.IMPROVEMENT, name) for name in names if len(names) > 1]
    cells = {
        (row.method, row.statistic, row.other): _estimate(
            row.value, row.low, row.high, 2 if row.statistic == aggregates.IMPROVEMENT else digits
        )
        for row in table.itertuples()
    }
    heads = [
        ("Probability of improvement over", display.look(name).label) if name else ("Score", STATISTICS[statistic])
        for statistic, name in columns
    ]
    return heads, {display.look(name).label: [cells.get((name, *key), Cell()) for key in columns] for name in names}


def _decompose(episodes: pd.DataFrame, settings: "TableSettings") -> pd.DataFrame:
    return variance.decompose(_cells(episodes, settings), settings.confidence, settings.difference)


def _variance_caption(table: pd.DataFrame, settings: "TableSettings") -> str:
    methods, pairs = table[table["other"].isna()], table[table["other"].notna()]
    sentences = [
        "Standard deviation of the score (share of its variance) from distillation seeds, from policies, which are "
        "initializations, within a seed, and from episodes of a policy, by restricted maximum likelihood. 0*: at its "
        "bound, pooled with the level below; –: cannot be told from the level below. Scores are averaged over the "
        f"{display.last_snapshots(settings.last_snapshots)}.",
        *display.sentences({name: display.counts(rows, variance.COUNTS) for name, rows in _by_label(methods)}),
    ]
    if len(pairs):
        sentences.append(
            "Differences are paired by seed, policy and episode: mean "
            f"[{100 * settings.confidence:g} % Student-t interval over n = {display.span(pairs['seeds'])} seeds]; p: "
            "of the likelihood-ratio test (of Student's t, exact for few seeds), Holm-corrected over a task's pairs. "
            f"Seeds needed: to find a true difference of {settings.difference:g} by Student's t, uncorrected, with a "
            f"probability of {100 * variance.POWER:g} %, with as many policies and episodes as here (with any number "
            "of them); few seeds tell these numbers roughly."
        )
        for n in sorted(set(pairs["seeds"]) - {1}):
            rate = f"{100 * variance.false_positive_rate(n):.0f} %"
            sentences.append(
                f"With {n} seeds an uncorrected likelihood-ratio p is below 0.05 by chance in up to {rate}."
            )
    return " ".join(sentences)


def _arrange_variance(table: pd.DataFrame, digits: int) -> tuple[Heads, Rows]:
    tasks = list(table["task"].unique())

    def texts(row: Any) -> dict[str, Cell]:
        if isinstance(row.other, str):
            p_values = Cell(_p_value(row.p_likelihood_ratio_holm), f"({_p_value(row.p_student_t_holm)})")
            needed = Cell(_seeds(row.seeds_needed), f"({_seeds(row.seeds_needed_at_least)})")
            estimate = _estimate(row.mean, row.low, row.high, digits)
            return {"{}": estimate, "{}, p": p_values, "{}, seeds needed": needed}
        return {f"{{}}, {name}": _level(row, level, digits) for name, level in variance.COUNTS.items()}

    rows: Rows = {}
    for label, of_row in sorted(_by_label(table), key=lambda pair: pair[1]["other"].notna().any()):  # pairs last
        by_task = {row.task: texts(row) for row in of_row.itertuples()}
        for pattern in next(iter(by_task.values())):
            rows[pattern.format(label)] = [by_task[task][pattern] if task in by_task else Cell() for task in tasks]
    return [display.task_label(task) for task in tasks], rows


def _level(row: Any, level: str, digits: int) -> Cell:
    value, share, bound = (getattr(row, f"{level}_{part}") for part in ("variance", "share", "bound"))
    if np.isnan(value):
        return Cell()
    sd = "0*" if bound else display.number(np.sqrt(value), digits)
    return Cell(sd, "" if np.isnan(share) else f"({100 * share:.0f} %)")


def _by_label(table: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """Group a table by method, or by pair of methods, as it is called."""
    for (method, other), rows in table.groupby(["method", "other"], sort=False, dropna=False):
        pair = [display.look(name).label for name in (method, other) if isinstance(name, str)]
        yield " − ".join(pair), rows


def _estimate(value: float, low: float, high: float, digits: int) -> Cell:
    return Cell(display.number(value, digits), display.interval(low, high, digits))


def _seeds(number: float) -> str:
    return "–" if np.isnan(number) else "> 10,000" if np.isinf(number) else display.number(number, 0)


def _p_value(p: float) -> str:
    return "–" if np.isnan(p) else "< 0.001" if p < 0.001 else display.number(p, 3)


AGGREGATES = FreeTable(summarize=_aggregate, caption=_aggregates_caption, arrange=_arrange_aggregates, where=SYNSETS)
VARIANCE = FreeTable(summarize=_decompose, caption=_variance_caption, arrange=_arrange_variance, where=SYNSETS)
