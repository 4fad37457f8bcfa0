"""Figure 2: pairs of synsets as poses of the robot."""

import base64
import io

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from PIL import Image

from obdistill.paper import names
from obdistill.paper.figures.panels import by_row, grid
from obdistill.paper.figures.style import COLUMN_WIDTH, TEXT_WIDTH, style
from obdistill.paper.settings import FigureSettings
from obdistill.videos.outlines import tint

TALLEST = 0.6  # largest height over width of a panel


def distilled_pairs(table: pd.DataFrame, settings: FigureSettings) -> Figure:
    """Draw pairs of synsets, one panel per task: the state above, and below it the state one environment step later.

    Parameters
    ----------
    table : DataFrame
        As `outlines_table` or `pictures_table` of `obdistill.paper.figure_data.poses` makes it.
    settings : FigureSettings
        Columns.
    """
    if table.empty:
        return _nothing()
    tasks = list(table.groupby("task", sort=False))
    rows, columns = grid(len(tasks), settings.columns)
    total = COLUMN_WIDTH if columns == 1 else TEXT_WIDTH
    width = (total - 0.2) / columns - 0.08  # of a panel, in inches, without labels and gaps
    cell, draw = (_square, _draw_pictures) if "picture" in table else (_cell, _draw_pairs)
    cells = [cell(of_task) for _, of_task in tasks]
    pairs = [of_task["pair"].nunique() for _, of_task in tasks]
    flat = [2 * up / (across * n) for n, (across, up, _) in zip(pairs, cells, strict=True)]
    heights = [width * min(max(flat[i : i + columns]), TALLEST) for i in range(0, len(flat), columns)]
    figure = Figure(figsize=(total, sum(heights) + 0.28 * rows), layout="constrained")
    places = figure.add_gridspec(rows, columns, height_ratios=heights)
    for place, ((task, of_task), (across, up, middle)) in enumerate(zip(tasks, cells, strict=True)):
        axes = figure.add_subplot(places[place // columns, place % columns], anchor="N")
        ratio = 2 * width / heights[place // columns] / pairs[place]  # of a cell that fills the panel
        across, up = max(across, up * ratio), max(up, across / ratio)
        draw(axes, of_task, across, up, middle)
        left, right = -across / 2, (pairs[place] - 0.5) * across
        axes.set(xlim=(left, right), ylim=(middle - 1.5 * up, middle + up / 2), aspect="equal", xticks=[])
        axes.tick_params("y", length=0)
        axes.spines[:].set_visible(False)
        axes.grid(False)
        axes.set_title(" ".join(names.task_label(str(task))))
        labels = ["state", "next"] if place % columns == 0 else ["", ""]
        axes.set_yticks([middle, middle - up], labels, rotation=90, va="center")
    return figure


def _nothing() -> Figure:
    """Say that no robot can be drawn; the notes say why."""
    figure = Figure(figsize=(COLUMN_WIDTH, 0.4), layout="constrained")
    figure.text(0.5, 0.5, "no robot of these tasks can be drawn", ha="center", va="center")
    return figure


def _cell(of_task: pd.DataFrame) -> tuple[float, float, float]:
    """Return width and height of a box that takes any of the poses, and its middle above the ground, in meters."""
    low, high = min(of_task["y"].min(), 0.0), max(of_task["y"].max(), 0.0)  # with the ground
    return 2.2 * float(of_task["x"].abs().max()), 1.1 * float(high - low), float(high + low) / 2


def _draw_pairs(axes: Axes, of_task: pd.DataFrame, across: float, up: float, middle: float) -> None:
    ((row, _),) = by_row(of_task)
    color = to_rgb(style(row).color)
    for column, (_, pair) in enumerate(of_task.groupby("pair")):
        above, below = np.array([column * across, 0]), np.array([column * across, -up])
        state, following = (_outlines(pair[pair["moment"] == moment]) for moment in ("state", "next"))
        ghost = [points + below for points, _ in state]
        axes.add_collection(PolyCollection(ghost, facecolors="none", edgecolors="#9A9A9A", linewidths=0.4))
        for parts, shift in ((state, above), (following, below)):
            faces = [tint(color, shade) for _, shade in parts]
            moved = [points + shift for points, _ in parts]
            axes.add_collection(PolyCollection(moved, facecolors=faces, edgecolors="white", linewidths=0.4))
        if not following:
            _say_unstable(axes, below[0], below[1] + middle)
    if of_task["upright"].all():
        left, right = -across / 2, (of_task["pair"].nunique() - 0.5) * across
        axes.hlines([0, -up], left, right, color="#555555", linewidth=0.6, zorder=0)


def _square(of_task: pd.DataFrame) -> tuple[float, float, float]:
    """Return width, height and middle of a picture."""
    return 1.0, 1.0, 0.0


def _draw_pictures(axes: Axes, of_task: pd.DataFrame, across: float, up: float, middle: float) -> None:
    for column, (_, pair) in enumerate(of_task.groupby("pair")):
        shown = dict(zip(pair["moment"], pair["picture"], strict=True))
        for moment, y in (("state", 0.0), ("next", -up)):
            x = column * across
            if moment in shown:
                picture = Image.open(io.BytesIO(base64.b64decode(shown[moment])))
                axes.imshow(np.asarray(picture), extent=(x - 0.48, x + 0.48, y - 0.48, y + 0.48))
            else:
                _say_unstable(axes, x, y)


def _say_unstable(axes: Axes, x: float, y: float) -> None:
    axes.text(x, y, "unstable", fontsize=7, ha="center", va="center")


def _outlines(pose: pd.DataFrame) -> list[tuple[np.ndarray, int]]:
    """List the outlines of a pose, corners (n, 2) and shade, the farthest part first."""
    return [(part[["x", "y"]].to_numpy(), int(part["shade"].iloc[0])) for _, part in pose.groupby("part")]
