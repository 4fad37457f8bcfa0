"""The table of costs, Table 4: how it is read, computed, arranged and captioned."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from obdistill.core import artifacts
from obdistill.core.errors import UserError
from obdistill.paper import names as display
from obdistill.paper import numbers as paper
from obdistill.paper.tables.free_table import Cell, FreeTable, Heads, Rows

if TYPE_CHECKING:
    from obdistill.paper.settings import TableSettings

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


def _summarize(costs: pd.DataFrame, settings: "TableSettings") -> pd.DataFrame:
    """Compute the long form: task, cost (one of `ROWS`), value, paper_value, difference.

    Seconds also have low and high, those of the fastest and the slowest of n trainings.
    """
    tasks = sorted(costs["task"].unique(), key=display.task_position)
    columns = paper.columns(tasks, settings.paper_datasets)
    by_data = costs.set_index(["data", "task"])
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


def _caption(table: pd.DataFrame, settings: "TableSettings") -> str:
    n = {row: display.span(cells["n"].dropna()) for row, cells in table.groupby("cost")}
    text = (
        "Cost of training one policy by behavior cloning on the whole dataset, and on a synset of it: state-action "
        "pairs, gradient steps, seconds of training on the same machine (median [fastest, slowest] of n = "
        f"{n['whole_data_seconds']} for the whole data, n = {n['synset_seconds']} for the synset), and megabytes of "
        "states and actions."
    )
    return f"{text} {paper.citation(PAPER_TABLE)}." if table["paper_value"].notna().any() else text


def _arrange(table: pd.DataFrame, digits: int) -> tuple[Heads, Rows]:
    rows = {
        display.label("cost", row): [_cell(cell, ROWS[row][3]) for cell in cells.itertuples()]
        for row, cells in table.groupby("cost", sort=False)
    }
    return [display.task_label(task) for task in table["task"].unique()], rows


def _cell(row: Any, digits: int) -> Cell:
    printed = display.against_paper(row.paper_value, row.difference, digits)
    return Cell(display.number(row.value, digits), display.interval(row.low, row.high, digits), paper=printed)


COSTS = FreeTable(summarize=_summarize, caption=_caption, arrange=_arrange, reads="costs")
