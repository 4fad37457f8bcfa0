"""Tables that are not one score per task and row, and the cells of any table."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd

from obdistill.evaluations.returns import Selection

if TYPE_CHECKING:
    from obdistill.paper.settings import TableSettings

Heads = list[tuple[str, str]]  # of columns: group and name


@dataclass(frozen=True)
class Cell:
    """One cell as text: mean (or any number), interval, change against the reference, the paper's number."""

    mean: str = "–"
    interval: str = ""
    change: str = ""
    paper: str = ""
    best: bool = False

    def notes(self) -> list[str]:
        """Return what stands below the mean, each with its name."""
        parts = {"change": self.change, "paper": self.paper}
        return [f"{name} {part}" for name, part in parts.items() if part]


Rows = dict[str, list[Cell]]  # by label


@dataclass(frozen=True)
class FreeTable(Selection):
    """A table that is not one score per task and row.

    Attributes
    ----------
    summarize : callable
        Computes the long form from the episodes selected, or from the costs.
    caption : callable
        Writes the caption of a long form.
    arrange : callable
        Arranges a long form as heads and rows of text, with so many decimals.
    """

    summarize: Callable[[pd.DataFrame, "TableSettings"], pd.DataFrame]
    caption: Callable[[pd.DataFrame, "TableSettings"], str]
    arrange: Callable[[pd.DataFrame, int], tuple[Heads, Rows]]
