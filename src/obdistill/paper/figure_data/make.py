"""Make what a figure is drawn from: a csv of numbers, and beside it the facts and counts of its caption."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from obdistill.core import artifacts
from obdistill.core.errors import UserError
from obdistill.core.methods import DEFAULT, METHODS
from obdistill.paper import names
from obdistill.paper.description import count
from obdistill.paper.episodes import Cells, by_task_and_row, check_cell, read_episodes, select
from obdistill.paper.figure_data import claims, curves, error_curve
from obdistill.paper.selection import FIGURE_KIND, FIGURE_SELECTIONS
from obdistill.paper.settings import FigureSettings
from obdistill.paper.statistics import intervals

log = logging.getLogger(__name__)


def every_snapshot(cell: pd.DataFrame, settings: FigureSettings) -> pd.DataFrame:
    """Keep all episodes."""
    return cell


def every_snapshot_but_of_variants(cell: pd.DataFrame, settings: FigureSettings) -> pd.DataFrame:
    """Keep all episodes, and nothing of a variant if these are not to be shown."""
    return cell if settings.variants or cell["variant"].iloc[0] == DEFAULT else cell.iloc[:0]


def averaged_snapshots(cell: pd.DataFrame, settings: FigureSettings) -> pd.DataFrame:
    """Keep the snapshots that tables average."""
    return intervals.last_snapshots(cell, settings.last_snapshots)


def several_policies(cell: pd.DataFrame, settings: FigureSettings) -> pd.DataFrame:
    """Keep the last snapshot, and nothing where it has one policy only."""
    last = intervals.last_snapshots(cell, 1)
    return last if last["policy"].nunique() > 1 else last.iloc[:0]


def last_snapshot_of_each_size(cell: pd.DataFrame, settings: FigureSettings) -> pd.DataFrame:
    """Keep the last snapshot of each synset size."""
    return pd.concat([intervals.last_snapshots(of_size, 1) for _, of_size in cell.groupby("size")])


@dataclass(frozen=True)
class FigureData:
    """How the numbers of a figure of returns are computed.

    Attributes
    ----------
    compute : callable
        Makes the csv from cells.
    keep : callable
        Chooses the episodes of a cell that are shown, possibly none.
    """

    compute: Callable[[Cells, FigureSettings], pd.DataFrame]
    keep: Callable[[pd.DataFrame, FigureSettings], pd.DataFrame]


# which episodes each is about: `obdistill.paper.selection`. figure_2 and error_curve are made from other files, by
# `obdistill.paper.figure_data.poses` and `error_curve`
FIGURE_DATA: dict[str, FigureData] = {
    "figure_1": FigureData(curves.learning_curves, every_snapshot_but_of_variants),
    "policy_spread": FigureData(curves.policy_spread, several_policies),
    "recipes": FigureData(curves.timed_curves, every_snapshot),
    "synset_size": FigureData(curves.size_curves, last_snapshot_of_each_size),
    "performance_profiles": FigureData(claims.performance_profiles, averaged_snapshots),
    "precision": FigureData(claims.precision, averaged_snapshots),
}


def arrange(name: str, episodes: pd.DataFrame, settings: FigureSettings) -> Cells:
    """Split the selected episodes by task, method and variant, each cell checked; only what is shown.

    Raises
    ------
    UserError
        If episodes of a cell do not belong together (see `check_cell`), or there is nothing to show.
    """
    selection = FIGURE_SELECTIONS[name]
    cells: Cells = {}
    for task, of_task in by_task_and_row(select(episodes, selection, settings.size)).items():
        shown = {}
        for row, cell in of_task.items():
            for _, part in cell.groupby("size") if selection.compares == "size" else [("", cell)]:
                check_cell(part)
            kept = FIGURE_DATA[name].keep(cell, settings)
            if not kept.empty:
                shown[row] = kept
        if shown:
            cells[task] = shown
    if not cells:
        raise UserError(f"{episodes['file'].iloc[0]}: the files given hold nothing to show in this figure")
    return cells


def make_figure_data(name: str, paths: Sequence[Path], out: Path, settings: FigureSettings) -> None:
    """Make what a figure is drawn from: a csv with its sidecar.

    Parameters
    ----------
    name : str
        One of `FIGURE_SELECTIONS`.
    paths : sequence of Path
        The gathered returns, or what the figure is made from instead; what it does not show is left out.
    out : Path
        The csv to write.
    settings : FigureSettings
        How to compute it.

    Raises
    ------
    UserError
        If the files are not fit for the figure.
    """
    counts: tuple[dict[str, str], ...] = ()
    if FIGURE_SELECTIONS[name].reads == "synsets":
        from obdistill.paper.figure_data.poses import poses  # here, for MuJoCo and torch take longest to start

        table, facts, inputs = poses(paths, settings)
    elif FIGURE_SELECTIONS[name].reads == "errors":
        table, facts, counts, inputs = error_curve.error_curves(paths, settings)
    elif len(paths) == 1:
        episodes, inputs = read_episodes(paths[0])
        cells = arrange(name, episodes, settings)
        table, facts, counts = FIGURE_DATA[name].compute(cells, settings), _facts(cells, settings), _counts(cells)
    else:
        raise UserError(f"{paths[1]}: {name} is made from one file, the gathered returns (obd gather)")
    metadata = {"kind": FIGURE_KIND, "name": name, "settings": settings.model_dump(), "inputs": inputs}
    artifacts.write_artifact(out, table, metadata | {"facts": facts, "counts": counts})
    log.info("%s: %d rows from %d files", out, len(table), len(inputs))


def _facts(cells: Cells, settings: FigureSettings) -> dict[str, str]:
    """Return what a caption says of the numbers."""
    synsets = [cell for of_task in cells.values() for row, cell in of_task.items() if METHODS[row[0]].on_synset]
    sizes = {int(size) for cell in synsets for size in cell["size"].unique()}
    return {"size": names.span(sizes), "level": names.percent(settings.confidence)}


def _counts(cells: Cells) -> tuple[dict[str, str], ...]:
    shown = [(names.row_label(row), cell) for of_task in cells.values() for row, cell in of_task.items()]
    return count(pd.DataFrame([intervals.counts(cell) for _, cell in shown]), [label for label, _ in shown])
