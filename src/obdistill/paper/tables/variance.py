"""The table of variance components and of the seeds that a claim needs: how it is computed, arranged and described."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from obdistill.core.methods import DEFAULT
from obdistill.paper import names
from obdistill.paper.description import Description, count
from obdistill.paper.numbers import AVERAGE
from obdistill.paper.settings import TableSettings
from obdistill.paper.statistics import comparisons, variance
from obdistill.paper.tables.table import Cell, Heads, Rows, averaged_cells


class VarianceTable:
    """Standard deviations of seeds, policies and episodes by method, and tests of each pair of methods."""

    def summarize(self, rows: pd.DataFrame, settings: TableSettings) -> pd.DataFrame:
        """Compute the long form; see `obdistill.paper.statistics.comparisons.decompose`."""
        cells, pairs = averaged_cells(rows, settings.last_snapshots), None
        shown = {row for of_task in cells.values() for row in of_task if row[1] == DEFAULT}
        if settings.pairs is not None:
            pairs = [(names.row_of(ours), names.row_of(other)) for ours, other in settings.pairs]
            shown = {row for pair in pairs for row in pair}
        chosen = {task: {row: cell for row, cell in of_task.items() if row in shown} for task, of_task in cells.items()}
        return comparisons.decompose(chosen, settings.confidence, settings.difference, pairs)

    def arrange(self, table: pd.DataFrame, digits: int) -> tuple[Heads, Rows]:
        """Arrange the long form: tasks are columns, then their average; three rows per method, four per pair."""
        tasks = list(table["task"].unique())
        rows: Rows = {}
        for label, of_row in sorted(by_label(table), key=lambda entry: entry[1]["other"].notna().any()):
            by_task = {row.task: _texts(row, digits) for row in of_row.itertuples()}
            for pattern in next(iter(by_task.values())):
                rows[pattern.format(label)] = [by_task[task][pattern] if task in by_task else Cell() for task in tasks]
        return [names.task_label(task) for task in tasks], rows

    def describe(self, table: pd.DataFrame, settings: TableSettings) -> Description:
        """Write caption, notes and counts."""
        methods, tests = table[table["other"].isna()], table[table["other"].notna()]
        pairs = tests[tests["task"] != AVERAGE]
        caption = (
            "Standard deviation of the score (share of its variance) from distillation seeds, from policies within a "
            "seed and from episodes of a policy."
        )
        notes = [
            "By restricted maximum likelihood. 0*: at its bound, pooled with the level below; –: cannot be told from "
            "the level below. Policies are initializations. Scores are averaged over the "
            f"{names.last_snapshots(settings.last_snapshots)}."
        ]
        if len(pairs):
            level = names.percent(settings.confidence)
            caption += (
                f" Pairs of methods: mean difference [{level} Student-t interval over seeds], p, seeds needed and "
                "smallest difference found."
            )
            notes += [
                "Differences are paired by seed, policy and episode. p: of the likelihood-ratio test (of Student's t, "
                "exact for few seeds), Holm-corrected over a task's pairs.",
                f"Seeds needed: to find a true difference of {settings.difference:g} by Student's t, uncorrected, with "
                f"a probability of {names.percent(variance.POWER)}, with as many policies and episodes as here (with "
                "any number of them); few seeds tell these numbers roughly. Smallest found: the true difference that "
                "as many seeds as here find so.",
            ]
        if len(tests) > len(pairs):
            notes.append("Average: the tasks' mean, paired by seed; Student's t alone.")
        for n in sorted(set(pairs["seeds"]) - {1}):
            rate = f"{100 * variance.false_positive_rate(n):.0f} %"
            notes.append(f"With {n} seeds an uncorrected likelihood-ratio p is below 0.05 by chance in up to {rate}.")
        labels = [names.row_label(row) for row in zip(methods["method"], methods["variant"], strict=True)]
        counts = count(methods, labels, variance.COUNTS)
        counts += tuple(
            {"": label} | {name: names.span(rows[name]) for name in variance.COUNTS} for label, rows in by_label(pairs)
        )
        return Description(caption, tuple(notes), counts)


def _texts(row: Any, digits: int) -> dict[str, Cell]:
    """Write the cells of one task: pattern of the row's label -> cell."""
    if isinstance(row.other, str):
        p_values = Cell(names.p_value(row.p_likelihood_ratio_holm), f"({names.p_value(row.p_student_t_holm)})")
        needed = Cell(_seeds(row.seeds_needed), f"({_seeds(row.seeds_needed_at_least)})")
        estimate = Cell.estimate(row.mean, row.low, row.high, digits)
        smallest = Cell() if np.isnan(row.smallest_difference) else Cell(names.number(row.smallest_difference, digits))
        return {"{}": estimate, "{}, p": p_values, "{}, seeds needed": needed, "{}, smallest found": smallest}
    return {f"{{}}, {name}": _level(row, level, digits) for name, level in variance.COUNTS.items()}


def _level(row: Any, level: str, digits: int) -> Cell:
    value, share, bound = (getattr(row, f"{level}_{part}") for part in ("variance", "share", "bound"))
    if np.isnan(value):
        return Cell()
    sd = "0*" if bound else names.number(np.sqrt(value), digits)
    return Cell(sd, "" if np.isnan(share) else f"({100 * share:.0f} %)")


def by_label(table: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """Group a table by method, or by pair of methods, as it is called."""
    keys = ["method", "variant", "other", "other_variant"]
    for (method, variant, other, other_variant), rows in table.groupby(keys, sort=False, dropna=False):
        pair = [names.row_label((method, variant))]
        pair += [names.row_label((other, other_variant))] if isinstance(other, str) else []
        yield " − ".join(pair), rows


def _seeds(number: float) -> str:
    return "–" if np.isnan(number) else "> 10,000" if np.isinf(number) else names.number(number, 0)
