"""What several figures share: panels of tasks, banded curves, legends."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import ArrayLike

from obdistill.paper import names
from obdistill.paper.figures.style import BAND, COLUMN_WIDTH, EDGE, TEXT_WIDTH, style
from obdistill.paper.names import Row
from obdistill.paper.settings import FigureSettings

HANDLE, LETTER, LINE = 0.45, 0.057, 0.16  # inches of a legend: its lines and gaps, a letter, the height of an entry
SCORE = "Normalized score"  # 0: random policy, 100: expert


def grid(panels: int, most: int) -> tuple[int, int]:
    """Return rows and columns, at most so many, for some panels: as few rows as need be, and as even as can be."""
    rows = -(-panels // most)
    return rows, -(-panels // rows)


def task_panels(
    table: pd.DataFrame, settings: FigureSettings, x_label: str, full_width: bool = False
) -> tuple[Figure, list[tuple[Axes, pd.DataFrame]]]:
    """Lay out one panel per task, in rows of at most `settings.columns`; returns each with its rows of the table.

    With `full_width` each panel is as wide as the text.
    """
    tasks = dict(list(table.groupby("task", sort=False)))
    rows, columns = grid(len(tasks), 1 if full_width else settings.columns)
    width = COLUMN_WIDTH if columns == 1 and not full_width else TEXT_WIDTH
    height = min(2.0, 0.85 * width / columns + 0.2)
    figure = Figure(figsize=(width, rows * height + 0.35), layout="constrained")
    panels = []
    for place, (task, of_task) in enumerate(tasks.items()):
        axes = figure.add_subplot(rows, columns, place + 1)
        axes.set_title(" ".join(names.task_label(str(task))))
        if place % columns == 0:
            axes.set_ylabel(SCORE)
        if place + columns >= len(tasks):  # no panel below
            axes.set_xlabel(x_label)
        panels.append((axes, of_task))
    return figure, panels


def by_row(table: pd.DataFrame) -> Iterator[tuple[Row, pd.DataFrame]]:
    """Split a table by method and variant, in the order in which they first appear."""
    for (method, variant), part in table.groupby(["method", "variant"], sort=False):
        yield (str(method), str(variant)), part


def banded(axes: Axes, at: ArrayLike, middle: ArrayLike, low: ArrayLike, high: ArrayLike, **line: Any) -> None:
    """Draw a curve with a band."""
    axes.plot(at, middle, zorder=3, **line)
    axes.fill_between(
        at, low, high, facecolor=to_rgba(line["color"], BAND), edgecolor=to_rgba(line["color"], EDGE), lw=0.5
    )


def legend(figure: Figure, rows: Iterable[Row]) -> None:
    """Draw a legend of methods above all panels."""
    shown = names.in_order(rows)
    legend_above(
        figure, [Line2D([], [], **style(row).options()) for row in shown], [names.row_label(row) for row in shown]
    )


def legend_above(figure: Figure, entries: Sequence[Artist], labels: Sequence[str]) -> None:
    """Draw a legend above all panels in as many columns as fit, and make room for its lines."""
    of_entry = HANDLE + LETTER * max(map(len, labels))
    columns = min(len(labels), max(1, int(figure.get_figwidth() / of_entry)))
    figure.set_figheight(figure.get_figheight() + LINE * (-(-len(labels) // columns) - 1))
    figure.legend(entries, labels, loc="outside upper center", ncols=columns)
