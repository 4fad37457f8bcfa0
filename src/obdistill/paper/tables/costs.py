"""Table 4, the costs of training: how it is read, computed, arranged and described."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from obdistill.core import artifacts
from obdistill.core.errors import UserError
from obdistill.paper import names
from obdistill.paper import numbers as paper
from obdistill.paper.description import Description
from obdistill.paper.settings import TableSettings
from obdistill.paper.tables.table import Cell, Heads, Rows

PAPER_TABLE = 4
COLUMNS = ("task", "cost", "value", "low", "high", "n", "paper_value", "difference")
# rows: (data, column of the costs, row of the paper's table, decimals)
ROWS = {
    f"{data}_{quantity}": (data, quantity, paper_row, digits)
    for data in ("whole_data", "synset")
    for quantity, paper_row, digits in (
        *(("size", "size", 0), ("steps", "steps", 0)),
        *(("seconds", "", 3), ("megabytes", "", 3)),
    )
}
DATA = {"whole_data": "Whole data", "synset": "Synset"}
QUANTITIES = {"size": "pairs"}  # those called other than their column


def read_costs(paths: Sequence[Path]) -> tuple[pd.DataFrame, list[dict[str, Any]]]:
    """Read files of costs (see `evaluations.cost.measure`) as one frame, and their names and hashes, both sorted.

    Columns ``times``, the seconds of each training, come from the metadata.

    Raises
    ------
    UserError
        If a file is no such file, or a task stands in two of them.
    """
    frames, inputs = [], []
    for path in sorted(paths):
        frame, metadata = artifacts.read_table(path, "cost")
        times = metadata["seconds_of_each_training"]
        frames.append(frame.assign(file=str(path), times=[times[data] for data in frame["data"]]))
        inputs.append({"file": str(path), "sha256": metadata["sha256"]})
    costs = pd.concat(frames, ignore_index=True)
    for _, row in costs[costs.duplicated(["task", "data"])].iterrows():
        raise UserError(f"{row['file']}: task {row['task']} stands in two of the files, or twice in this one")
    return costs, inputs


class CostTable:
    """Costs of training a policy: tasks are columns; pairs, steps, seconds and megabytes are rows."""

    def summarize(self, rows: pd.DataFrame, settings: TableSettings) -> pd.DataFrame:
        """Compute the long form: task, cost (one of `ROWS`), value, paper_value, difference.

        Seconds also have low and high, those of the fastest and the slowest of n trainings.
        """
        tasks = sorted(rows["task"].unique(), key=names.task_position)
        columns = paper.columns(tasks, settings.paper_datasets)
        by_data = rows.set_index(["data", "task"])
        cells = []
        for row, (data, quantity, paper_row, _) in ROWS.items():
            for task in tasks:
                column = columns.get(task) if data == "whole_data" else "synset" if task in columns else None
                printed = paper.numbers().get((PAPER_TABLE, paper_row, column), np.nan)
                cost = by_data.loc[(data, task)]
                times = cost["times"] if quantity == "seconds" else []
                spread = (min(times), max(times)) if len(times) > 1 else (np.nan, np.nan)
                cells.append((task, row, float(cost[quantity]), *spread, len(times) or None, printed))
        table = pd.DataFrame(cells, columns=COLUMNS[:-1])
        return table.assign(n=table["n"].astype("Int64"), difference=table["value"] - table["paper_value"])

    def arrange(self, table: pd.DataFrame, digits: int) -> tuple[Heads, Rows]:
        """Arrange the long form; decimals are those of `ROWS`."""
        rows = {
            _label(str(row)): [_cell(cell, ROWS[str(row)][3]) for cell in cells.itertuples()]
            for row, cells in table.groupby("cost", sort=False)
        }
        return [names.task_label(task) for task in table["task"].unique()], rows

    def describe(self, table: pd.DataFrame, settings: TableSettings) -> Description:
        """Write caption, notes and counts."""
        timed = table.dropna(subset="n")
        counts = tuple(
            {"": _label(str(row)), "timed trainings": names.span(cells["n"])}
            for row, cells in timed.groupby("cost", sort=False)
        )
        caption = (
            "Cost of training one policy by behavior cloning on the whole dataset, and on a synset of it: state-action "
            "pairs, gradient steps (0: a closed form), seconds on the same machine (median [fastest, slowest] of the "
            "timed trainings), and megabytes of states and actions."
        )
        if table["paper_value"].isna().all():
            return Description(caption, counts=counts)
        return Description(f"{caption} {paper.short_citation(PAPER_TABLE)}", (paper.citation(PAPER_TABLE),), counts)


def _label(row: str) -> str:
    data, quantity, *_ = ROWS[row]
    return f"{DATA[data]}: {QUANTITIES.get(quantity, quantity)}"


def _cell(row: Any, digits: int) -> Cell:
    printed = names.against_paper(row.paper_value, row.difference, digits)
    return Cell(names.number(row.value, digits), names.interval(row.low, row.high, digits), paper=printed)
