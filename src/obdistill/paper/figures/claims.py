"""The figures about claims: performance profiles, and the precision that designs would reach."""

from typing import Any

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullLocator, PercentFormatter

from obdistill.paper import names
from obdistill.paper.figures.panels import SCORE, banded, by_row, grid, legend_above
from obdistill.paper.figures.style import COLUMN_WIDTH, TEXT_WIDTH, style
from obdistill.paper.settings import FigureSettings

LINES: tuple[Any, ...] = (":", "--", "-", "-.")  # of the designs, in the order of the table
SEEDS = [2, 3, 5, 10, 20, 50]  # ticks


def performance_profiles(table: pd.DataFrame, settings: FigureSettings) -> Figure:
    """Draw the fraction of policies above each score, with bootstrap bands over seeds.

    Parameters
    ----------
    table : DataFrame
        As `obdistill.paper.figure_data.claims.performance_profiles` computes it.
    settings : FigureSettings
        Not used.
    """
    figure = Figure(figsize=(COLUMN_WIDTH, 2.35), layout="constrained")
    axes = figure.add_subplot(xlabel=f"{SCORE} τ", ylabel="Policies with score > τ", ylim=(-0.02, 1.02))
    for place, (row, profile) in enumerate(by_row(table)):
        # markers of different methods at different thresholds
        line = {**style(row).options(), "label": names.row_label(row), "markevery": (12 * place + 6, 48)}
        banded(axes, profile["threshold"], profile["fraction"], profile["low"], profile["high"], **line)
    axes.margins(x=0)
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    legend_above(figure, *axes.get_legend_handles_labels())
    return figure


def precision(table: pd.DataFrame, settings: FigureSettings) -> Figure:
    """Draw half the width of a mean's interval against the number of seeds, for several numbers of policies × episodes.

    One panel per method; a dot shows what was run.

    Parameters
    ----------
    table : DataFrame
        As `obdistill.paper.figure_data.claims.precision` computes it.
    settings : FigureSettings
        Columns.
    """
    parts = list(by_row(table))
    rows, columns = grid(len(parts), settings.columns)
    width = COLUMN_WIDTH if columns <= 2 else TEXT_WIDTH
    figure = Figure(figsize=(width, 0.35 + rows * (0.75 * width / columns + 0.25)), layout="constrained")
    panels = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).ravel()
    planned = table[~table["was_run"]].dropna(subset="half_width")
    designs = list(dict.fromkeys(zip(planned["policies"].astype(int), planned["episodes"].astype(int), strict=True)))
    lines = dict(zip(designs, LINES, strict=False))
    for axes, (row, of_row) in zip(panels, parts, strict=False):
        axes.set_title(names.row_label(row))
        if of_row["half_width"].isna().any():
            text = "needs two or more seeds,\npolicies and episodes"
            axes.text(0.5, 0.5, text, ha="center", va="center", size=7, transform=axes.transAxes)
            continue
        for design, curve in of_row[~of_row["was_run"]].groupby(["policies", "episodes"], sort=False):
            options = {"color": style(row).color, "linestyle": lines[design], "linewidth": 1.1}
            axes.plot(curve["seeds"], curve["half_width"], **options)
        run = of_row[of_row["was_run"]]
        axes.plot(run["seeds"], run["half_width"], "ko", zorder=4)
    for axes in panels[len(parts) :]:
        axes.remove()
    panels[0].set(xscale="log", yscale="log", xlim=(SEEDS[0], SEEDS[-1]), xticks=SEEDS)
    for axis, locator in ((panels[0].xaxis, FixedLocator(SEEDS)), (panels[0].yaxis, LogLocator(subs=(1, 2, 5)))):
        axis.set_major_locator(locator)
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axis.set_minor_locator(NullLocator())
    figure.supxlabel("Distillation seeds", size=9)
    figure.supylabel("Half-width of interval (score)", size=9)
    entries = [Line2D([], [], color="#333333", linestyle=line, linewidth=1.1) for line in lines.values()]
    labels = [f"{policies} × {episodes}" for policies, episodes in lines]
    figure.legend(entries, labels, title="Policies × episodes", loc="outside upper center", ncols=4)
    return figure
