"""What several figures share: panels of tasks, banded curves, legends."""

from collections.abc import Iterable, Iterator
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import ArrayLike

from obdistill.paper import names
from obdistill.paper.figures.style import BAND, COLUMN_WIDTH, EDGE, TEXT_WIDTH, style
from obdistill.paper.names import Row
from obdistill.paper.settings import FigureSettings

SCORE = "Normalized score"  # 0: random policy, 100: expert


def task_panels(
    table: pd.DataFrame, settings: FigureSettings, x_label: str
) -> tuple[Figure, list[tuple[Axes, pd.DataFrame]]]:
    """Lay out one panel per task, in rows of at most `settings.columns`; returns each with its rows of the table."""
    tasks = dict(list(table.groupby("task", sort=False)))
    columns = min(settings.columns, len(tasks))
    rows = -(-len(tasks) // columns)
    width = COLUMN_WIDTH if columns == 1 else TEXT_WIDTH
    height = 2.0 if columns == 1 else 0.85 * width / columns + 0.2
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
    columns = len(shown) if figure.get_figwidth() > COLUMN_WIDTH else 3
    entries = [Line2D([], [], **style(row).options()) for row in shown]
    figure.legend(entries, [names.row_label(row) for row in shown], loc="outside upper center", ncols=columns)
