"""What all tables have in common: the protocol that each class follows, and cells as text."""

from dataclasses import dataclass
from typing import Protocol

import pandas as pd

from obdistill.paper import names
from obdistill.paper.description import Description
from obdistill.paper.episodes import Cells, by_task_and_row, check_cell
from obdistill.paper.settings import TableSettings
from obdistill.paper.statistics import intervals

Heads = list[tuple[str, str]]  # of columns: group and name


@dataclass(frozen=True)
class Cell:
    """One cell as text: mean (or any number), interval, change against the reference, the paper's number."""

    mean: str = "–"
    interval: str = ""
    change: str = ""
    paper: str = ""
    best: bool = False

    @classmethod
    def estimate(cls, value: float, low: float, high: float, digits: int) -> "Cell":
        """Make a cell of a number and its interval; NaN limits are none."""
        return cls(names.number(value, digits), names.interval(low, high, digits))

    def notes(self) -> list[str]:
        """Return what stands below the mean, each with its name."""
        parts = {"change": self.change, "paper": self.paper}
        return [f"{name} {part}" for name, part in parts.items() if part]


Rows = dict[str, list[Cell]]  # by label


class Table(Protocol):
    """A table: how it is computed, arranged and described."""

    def summarize(self, rows: pd.DataFrame, settings: TableSettings) -> pd.DataFrame:
        """Compute the long form, one row per cell, from the selected episodes or the costs."""
        ...

    def arrange(self, table: pd.DataFrame, digits: int) -> tuple[Heads, Rows]:
        """Arrange a long form as heads and rows of text, with so many decimals."""
        ...

    def describe(self, table: pd.DataFrame, settings: TableSettings) -> Description:
        """Write caption, notes and counts of a long form; every number is taken from it or from the settings."""
        ...


def averaged_cells(episodes: pd.DataFrame, last_snapshots: int) -> Cells:
    """Split episodes by task, method and variant, each cell checked, and keep the snapshots that tables average."""
    cells = by_task_and_row(episodes)
    for of_task in cells.values():
        for row, cell in of_task.items():
            check_cell(cell)
            of_task[row] = intervals.last_snapshots(cell, last_snapshots)
    return cells
