"""Curves of scores: over outer steps (Figure 1), over synset sizes, and of a method's variants."""

import itertools

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator

from obdistill.core.methods import DEFAULT, METHODS
from obdistill.paper import names
from obdistill.paper.figures.panels import SCORE, banded, by_row, legend, task_panels
from obdistill.paper.figures.style import BAND, TEXT_WIDTH, VARIANT_STYLES, style
from obdistill.paper.settings import FigureSettings

MARKERS = 8  # at most about as many along a curve


def learning_curves(table: pd.DataFrame, settings: FigureSettings) -> Figure:
    """Draw score against outer step, one panel per task: mean over seeds with a Student-t band.

    Methods with one snapshot (the random selection) are flat lines with a band; policies trained on the whole
    dataset are flat lines without.

    Parameters
    ----------
    table : DataFrame
        As `obdistill.paper.figure_data.curves.learning_curves` computes it.
    settings : FigureSettings
        Columns.
    """
    figure, panels = task_panels(table, settings, "Outer step")
    for axes, of_task in panels:
        for row, curve in by_row(of_task):
            look, on_synset = style(row), METHODS[row[0]].on_synset
            if on_synset and len(curve) > 1:
                every = max(1, round(len(curve) / MARKERS))
                line = {**look.options(), "markevery": (every - 1, every)}
                banded(axes, curve["step"], curve["mean"], curve["low"], curve["high"], **line)
            else:
                last = curve.iloc[-1]
                axes.axhline(last["mean"], **look.options())
                if on_synset:
                    axes.axhspan(last["low"], last["high"], color=look.color, alpha=BAND, linewidth=0)
        axes.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: _thousands(value)))
        axes.autoscale_view()  # flat lines do not ask for it themselves
    legend(figure, names.rows_of(table))
    return figure


def size_curves(table: pd.DataFrame, settings: FigureSettings) -> Figure:
    """Draw score against synset size, one panel per task: mean over seeds with its Student-t interval.

    Parameters
    ----------
    table : DataFrame
        As `obdistill.paper.figure_data.curves.size_curves` computes it.
    settings : FigureSettings
        Columns.
    """
    figure, panels = task_panels(table, settings, "Pairs in the synset")
    for axes, of_task in panels:
        for row, curve in by_row(of_task):
            errors = [curve["mean"] - curve["low"], curve["high"] - curve["mean"]]
            axes.errorbar(curve["size"], curve["mean"], errors, capsize=2, **style(row).options())
        sizes = np.unique(of_task["size"])
        axes.set_xscale("log", base=2)
        axes.set_xticks(sizes, [str(size) for size in sizes])
        axes.minorticks_off()
    legend(figure, names.rows_of(table))
    return figure


def variant_curves(table: pd.DataFrame, settings: FigureSettings) -> Figure:
    """Draw a method's variants together: one column per method, score against outer step and against seconds.

    Parameters
    ----------
    table : DataFrame
        As `obdistill.paper.figure_data.curves.learning_curves` computes it, several variants of each method.
    settings : FigureSettings
        Not used.
    """
    tasks = list(dict.fromkeys(table["task"]))
    methods = list(dict.fromkeys(method for method, _ in names.in_order(names.rows_of(table))))
    variants = sorted(set(table["variant"]), key=lambda name: (name != DEFAULT, name))
    looks = dict(zip(variants, itertools.cycle(VARIANT_STYLES), strict=False))
    rows = [(task, x) for task in tasks for x in ("step", "seconds")]
    figure = Figure(figsize=(TEXT_WIDTH, 1.6 * len(rows) + 0.4), layout="constrained")
    panels = figure.subplots(len(rows), len(methods), sharey="row", squeeze=False)
    for (task, x), of_row in zip(rows, panels, strict=True):
        for method, axes in zip(methods, of_row, strict=True):
            here = table[(table["task"] == task) & (table["method"] == method)]
            for (_, variant), curve in by_row(here):
                line = {"color": style((method, DEFAULT)).color, **looks[variant]}
                banded(axes, curve[x], curve["mean"], curve["low"], curve["high"], **line)
            axes.set_xlabel({"step": "Outer step", "seconds": "Seconds"}[x])
            axes.xaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10]))
            if x == "step":
                axes.set_title(METHODS[method].label)
        of_row[0].set_ylabel(SCORE if len(tasks) == 1 else f"{SCORE}, {' '.join(names.task_label(task))}")
    entries = [Line2D([], [], color="black", **looks[variant]) for variant in variants]
    labels = ["as configured" if variant == DEFAULT else variant.replace("_", " ") for variant in variants]
    figure.legend(entries, labels, loc="outside upper center", ncols=len(variants))
    return figure


def _thousands(value: float) -> str:
    return f"{value / 1000:g}k" if abs(value) >= 1000 else f"{value:g}"
