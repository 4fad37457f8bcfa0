"""The table of aggregates over tasks: how it is computed, arranged and described."""

import pandas as pd

from obdistill.paper import names
from obdistill.paper.description import Description, count
from obdistill.paper.settings import TableSettings
from obdistill.paper.statistics import aggregates
from obdistill.paper.tables.table import Cell, Heads, Rows, averaged_cells

LABELS = {"iqm": "IQM", "mean": "mean", "median": "median", "optimality_gap": "optimality gap"}


class AggregateTable:
    """Aggregates of each method over all tasks, and the probability that one beats another."""

    def summarize(self, rows: pd.DataFrame, settings: TableSettings) -> pd.DataFrame:
        """Compute the long form; see `obdistill.paper.statistics.aggregates.aggregate`."""
        cells = averaged_cells(rows, settings.last_snapshots)
        return aggregates.aggregate(cells, settings.confidence, settings.bootstrap_samples, settings.seed)

    def arrange(self, table: pd.DataFrame, digits: int) -> tuple[Heads, Rows]:
        """Arrange the long form: one row per method, one column per aggregate and per method to improve over."""
        rows = names.rows_of(table)
        nobody = ("", "")
        columns = [(statistic, nobody) for statistic in LABELS]
        columns += [(aggregates.IMPROVEMENT, row) for row in rows if len(rows) > 1]
        table = table.assign(other=table["other"].fillna(""), other_variant=table["other_variant"].fillna(""))
        cells = {
            ((row.method, row.variant), row.statistic, (row.other, row.other_variant)): Cell.estimate(
                row.value, row.low, row.high, 2 if row.statistic == aggregates.IMPROVEMENT else digits
            )
            for row in table.itertuples()
        }
        heads = [
            ("Score", LABELS[statistic])
            if other == nobody
            else ("Probability of improvement over", names.row_label(other))
            for statistic, other in columns
        ]
        return heads, {names.row_label(row): [cells.get((row, *key), Cell()) for key in columns] for row in rows}

    def describe(self, table: pd.DataFrame, settings: TableSettings) -> Description:
        """Write caption, notes and counts."""
        tasks = table["tasks"].iloc[0]
        caption = (
            f"Scores (0: random policy, 100: expert) over {tasks} {'task' if tasks == 1 else 'tasks'}, with "
            f"[{names.percent(settings.confidence)} bootstrap intervals over seeds within tasks; too narrow with few "
            "seeds]. Probability of improvement: that a run of the row beats one of the column on the same task."
        )
        notes = (
            f"A run is a synset's seed, averaged over its {names.last_snapshots(settings.last_snapshots)}, policies "
            "and episodes.",
            "IQM: mean of the middle half of the runs; optimality gap: mean shortfall from 100.",
        )
        labels = [names.row_label(row) for row in zip(table["method"], table["variant"], strict=True)]
        return Description(caption, notes, count(table, labels, ["seeds"]))
