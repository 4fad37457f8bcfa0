"""The texts beside a table or figure: a short caption, notes, and the counts behind it."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import pandas as pd

from obdistill.paper import names

COUNTED = ("seeds", "snapshots", "policies", "episodes")  # snapshots per seed, policies per snapshot, and so on


@dataclass(frozen=True)
class Description:
    """What stands beside a table or figure.

    Attributes
    ----------
    caption : str
        What is shown, in at most 360 characters: three lines.
    notes : tuple of str
        How to read it, one sentence or more each.
    counts : tuple of dict
        One row each, name of the column -> text; all have the same columns, the first, without a name, is the row's.
    """

    caption: str
    notes: tuple[str, ...] = ()
    counts: tuple[dict[str, str], ...] = ()

    def metadata(self) -> dict[str, Any]:
        """Return it as plain data, for a sidecar."""
        return asdict(self)

    @classmethod
    def of(cls, metadata: Mapping[str, Any]) -> "Description":
        """Read it from a sidecar."""
        return cls(metadata["caption"], tuple(metadata["notes"]), tuple(metadata["counts"]))


def count(cells: pd.DataFrame, labels: Iterable[str], columns: Iterable[str] = COUNTED) -> tuple[dict[str, str], ...]:
    """Count what stands behind the rows of a table or the curves of a figure.

    Parameters
    ----------
    cells : DataFrame
        One row per cell, with `columns`.
    labels : iterable of str
        Row of the table that each cell belongs to; the cells of one row are counted together.
    columns : iterable of str
        What to count.
    """
    by_label = cells.groupby(pd.Series(list(labels), cells.index), sort=False)
    return tuple({"": str(label)} | {name: names.span(rows[name]) for name in columns} for label, rows in by_label)
