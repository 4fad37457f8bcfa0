"""The figure of single policies."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from obdistill.paper import names
from obdistill.paper.figures.panels import by_row, task_panels
from obdistill.paper.figures.style import style
from obdistill.paper.settings import FigureSettings

MANY = 8  # rows whose names fit below a narrow panel


def policy_spread(table: pd.DataFrame, settings: FigureSettings) -> Figure:
    """Draw each policy's mean score as a dot, seeds side by side, and to the right the mean with its interval.

    Parameters
    ----------
    table : DataFrame
        As `obdistill.paper.figure_data.curves.policy_spread` computes it.
    settings : FigureSettings
        Columns.
    """
    crowded = len(set(names.rows_of(table))) > MANY
    figure, panels = task_panels(table, settings, "", full_width=crowded)
    for axes, of_task in panels:
        rows = names.rows_of(of_task)
        for place, (row, cell) in enumerate(by_row(of_task)):
            by_seed = cell[cell["what"] == "policy"].groupby("seed")["mean"]
            columns = np.linspace(-0.36, 0.12, by_seed.ngroups + 2)[1:-1]
            for (_, dots), column in zip(by_seed, columns, strict=True):
                at = np.full(len(dots), place + column)
                axes.plot(at, dots, "o", color=style(row).color, alpha=0.5, markeredgewidth=0)
            whole = cell[cell["what"] == "mean"].iloc[0]
            errors = [[whole["mean"] - whole["low"]], [whole["high"] - whole["mean"]]] if whole["n"] > 1 else None
            axes.errorbar(
                place + 0.3, whole["mean"], errors, fmt="D", color="black", markersize=3, linewidth=1, capsize=2
            )
        rotated = len(panels) > 1 or crowded
        axes.set_xticks(
            range(len(rows)), [names.row_label(row).replace(" (", " (" if rotated else "\n(") for row in rows]
        )
        axes.tick_params("x", length=0)
        if rotated:
            for text in axes.get_xticklabels():
                text.set(rotation=35, ha="right", rotation_mode="anchor")
        axes.grid(False, axis="x")
    return figure
