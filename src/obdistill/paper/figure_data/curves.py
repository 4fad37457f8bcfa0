"""What the figures of scores are drawn from: curves over steps and sizes, and the scores of single policies."""

import pandas as pd

from obdistill.core.methods import METHODS
from obdistill.paper.episodes import Cells
from obdistill.paper.names import Row
from obdistill.paper.settings import FigureSettings
from obdistill.paper.statistics import intervals


def seed_curve(cell: pd.DataFrame, confidence: float, x: str = "step") -> pd.DataFrame:
    """Average policies and episodes of each seed, then seeds: columns `x`, mean, low, high, n.

    One row per value of `x`; low and high are the limits of a Student-t interval over the n seeds, NaN for one seed.
    """
    scores = cell.groupby([x, "seed"])["score"].mean()
    found = {at: intervals.student_t_interval([seeds.to_numpy()], confidence) for at, seeds in scores.groupby(x)}
    return pd.DataFrame(found.values(), index=pd.Index(found, name=x)).reset_index()


def learning_curves(cells: Cells, settings: FigureSettings) -> pd.DataFrame:
    """Compute score against outer step.

    Returns
    -------
    DataFrame
        task, method, variant, step, and mean, low, high, n as `seed_curve` says.
    """
    curves = [_named(seed_curve(cell, settings.confidence), task, row) for task, row, cell in _each(cells)]
    return pd.concat(curves, ignore_index=True)


def timed_curves(cells: Cells, settings: FigureSettings) -> pd.DataFrame:
    """Compute score against outer step and time.

    Returns
    -------
    DataFrame
        As `learning_curves`, with seconds of the distillation until a step (mean over seeds) behind it.
    """
    curves = []
    for task, row, cell in _each(cells):
        curve = seed_curve(cell, settings.confidence)
        seconds = cell.groupby("step")["seconds"].mean()
        curve.insert(1, "seconds", curve["step"].map(seconds))
        curves.append(_named(curve, task, row))
    return pd.concat(curves, ignore_index=True)


def size_curves(cells: Cells, settings: FigureSettings) -> pd.DataFrame:
    """Compute score against synset size: task, method, variant, size, and as `seed_curve` says."""
    curves = [_named(seed_curve(cell, settings.confidence, "size"), task, row) for task, row, cell in _each(cells)]
    return pd.concat(curves, ignore_index=True)


def policy_spread(cells: Cells, settings: FigureSettings) -> pd.DataFrame:
    """Compute the mean score of each policy and of all.

    Returns
    -------
    DataFrame
        task, method, variant, what (``policy`` or ``mean``); of a policy its seed, policy and mean; of the mean also
        low, high, n, as in tables.
    """
    parts = []
    for task, row, cell in _each(cells):
        scores = intervals.policy_scores(cell).rename("mean").reset_index()[["seed", "policy", "mean"]]
        _, units = intervals.independent_scores(cell, METHODS[row[0]].on_synset)
        whole = pd.DataFrame([intervals.student_t_interval([units], settings.confidence)])
        both = pd.concat([scores.assign(what="policy"), whole.assign(what="mean")], ignore_index=True)
        both[["seed", "policy", "n"]] = both[["seed", "policy", "n"]].astype("Int64")
        parts.append(_named(both[["what", "seed", "policy", "mean", "low", "high", "n"]], task, row))
    return pd.concat(parts, ignore_index=True)


def _each(cells: Cells) -> list[tuple[str, Row, pd.DataFrame]]:
    return [(task, row, cell) for task, of_task in cells.items() for row, cell in of_task.items()]


def _named(table: pd.DataFrame, task: str, row: Row) -> pd.DataFrame:
    about = {"task": task, "method": row[0], "variant": row[1]}
    return pd.concat([pd.DataFrame(about, index=table.index), table], axis=1)
