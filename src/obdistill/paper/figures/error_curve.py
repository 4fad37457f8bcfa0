"""Scores against imitation errors: the curve of supervised fits, and where synsets are on it."""

from typing import Any

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from obdistill.paper import names
from obdistill.paper.figures.panels import banded, by_row, legend_above, task_panels
from obdistill.paper.figures.style import FIT, RC, style
from obdistill.paper.settings import FigureSettings

NEAR_EXPERT = ("near_expert", "default")
ERROR = "Mean squared error on the data's states"


def error_curve(table: pd.DataFrame, settings: FigureSettings) -> Figure:
    """Draw score against error, one panel per task.

    Parameters
    ----------
    table : DataFrame
        As `obdistill.paper.figure_data.error_curve.error_curves` computes it.
    settings : FigureSettings
        Columns.
    """
    figure, panels = task_panels(table, settings, "")
    figure.supxlabel(ERROR, fontsize=RC["axes.labelsize"])
    synsets = table[table["what"] == "synset"]
    for axes, of_task in panels:
        of = dict(list(of_task.groupby("what")))
        fit = of["fit"]
        sd = fit["sd"].fillna(0)
        banded(axes, fit["error"], fit["mean"], fit["mean"] - sd, fit["mean"] + sd, **FIT.options())
        if "near_expert" in of:
            axes.axhline(of["near_expert"]["mean"].iloc[0], **style(NEAR_EXPERT).options())
            axes.axvline(of["enough"]["error"].iloc[0], color=FIT.color, linewidth=0.6, linestyle=":")
        for row, points in by_row(of.get("synset", synsets.iloc[:0])):
            axes.plot(points["error"], points["mean"], zorder=4, **_point(row))
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if len(panels) == 1 else (1,)))  # as many as fit
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.xaxis.set_minor_formatter(NullFormatter())
    entries: dict[str, dict[str, Any]] = {names.FIT: FIT.options()}
    if (table["what"] == "near_expert").any():
        entries[names.row_label(NEAR_EXPERT)] = style(NEAR_EXPERT).options()
    entries |= {names.row_label(row): _point(row) for row in names.in_order(names.rows_of(synsets))}
    handles = [Line2D([], [], **options) for options in entries.values()]
    legend_above(figure, handles, list(entries))
    return figure


def _point(row: names.Row) -> dict[str, Any]:
    """Return how a synset is marked; selections, whose lines have no markers, are crosses."""
    look = style(row)
    return {"color": look.color, "linestyle": "", "marker": look.marker or "x"}
