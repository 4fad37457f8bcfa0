"""What the figure of scores against imitation errors is drawn from: supervised fits, near-experts and synsets."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from obdistill.core import artifacts
from obdistill.core.errors import UserError
from obdistill.core.methods import DEFAULT
from obdistill.evaluations.returns import read_returns
from obdistill.paper import names
from obdistill.paper.settings import FigureSettings

ENOUGH = 0.9  # share of the near-expert's score for which an error is named
# kinds of files -> columns that name a point of the figure, beside the task
POINTS = {
    artifacts.ERROR_CURVE: ["steps"],
    artifacts.RETURNS: ["method", "variant"],
    artifacts.SYNSET_ERRORS: ["method", "variant", "size", "seed"],
}
WHAT = dict(zip(POINTS, ("fit", "near_expert", "synset"), strict=True))
COLUMNS = ["task", "what", "method", "variant", "size", "seed", "steps", "error", "mean", "sd", "policies", "episodes"]
Counts = tuple[dict[str, str], ...]


def error_curves(
    paths: Sequence[Path], settings: FigureSettings
) -> tuple[pd.DataFrame, dict[str, str], Counts, list[dict[str, Any]]]:
    """Compute mean errors and scores.

    Parameters
    ----------
    paths : sequence of Path
        What ``obd error-curve`` wrote, one file per task. Beside it, if there are any, what ``obd synset-errors`` wrote
        and the returns of near-experts, for the same tasks; others are left out.
    settings : FigureSettings
        Size of the synsets; null: all.

    Returns
    -------
    table : DataFrame
        Columns `COLUMNS`. what is ``fit`` (one row per number of steps), ``near_expert``, ``enough`` (error is `enough`
        for the score mean) or ``synset`` (one row per method, variant, size and seed). mean and sd are over the
        policies' mean scores.
    facts, counts
        Of the caption.
    inputs : list of dict
        Name and sha256 of every file.

    Raises
    ------
    UserError
        If a file is of another kind, a task has two curves, or there is none.
    """
    policies: dict[str, list[pd.DataFrame]] = {kind: [] for kind in POINTS}
    inputs = []
    for path in sorted(paths):
        kind = artifacts.read_sidecar(path).get("kind")
        if kind not in POINTS:
            raise UserError(f"{path}: is a {kind}; needed: {', '.join(POINTS)}")
        table, metadata = read_returns(path) if kind == artifacts.RETURNS else artifacts.read_table(path, kind)
        if kind == artifacts.ERROR_CURVE and any(table["task"][0] in set(other["task"]) for other in policies[kind]):
            raise UserError(f"{path}: task {table['task'][0]}: its curve is also in another file; give one per task")
        shown = _by_policy(table, kind, settings.size)
        policies[kind] += [] if shown.empty else [shown]
        inputs.append({"file": str(path), "sha256": metadata["sha256"]})
    if not policies[artifacts.ERROR_CURVE]:
        raise UserError(f"{paths[0]}: no error curve is among the files given; obd error-curve writes one")
    table = pd.concat(_averaged(kind, pd.concat(found)) for kind, found in policies.items() if found)
    table = table[table["task"].isin(table["task"][table["what"] == "fit"])]
    table = pd.concat([table, *_enough_of_each(table)]).reindex(columns=COLUMNS)
    table = table.sort_values(["task", "what", "method", "variant"], key=_position, kind="stable", ignore_index=True)
    table = table.astype(dict.fromkeys(["size", "seed", "steps", "policies", "episodes"], "Int64"))
    said = [_sentence(str(task), rows) for task, rows in table.groupby("task", sort=False)]
    facts = {"size": names.span(table["size"].dropna()), "share": names.percent(ENOUGH), "enough": " ".join(said)}
    return table, facts, _counts(table), inputs


def enough(errors: np.ndarray, scores: np.ndarray, wanted: float) -> float:
    """Find the error at and below which fits score at least `wanted`.

    Parameters
    ----------
    errors, scores : ndarray of shape (n,)
        Of longer and longer fits.
    wanted : float
        A score.

    Returns
    -------
    float
        Between two fits linear in the logarithm of the error; that of the first fit if all score enough, NaN if the
        last does not.
    """
    below = np.flatnonzero(scores < wanted)
    if len(below) == 0:
        return float(errors[0])
    last = below[-1]
    if last + 1 == len(scores):
        return np.nan
    share = (wanted - scores[last]) / (scores[last + 1] - scores[last])
    return float(errors[last] ** (1 - share) * errors[last + 1] ** share)


def _by_policy(table: pd.DataFrame, kind: str, size: int | None) -> pd.DataFrame:
    """Average the episodes of each policy that is shown: columns of the point, error, score, episodes."""
    if kind == artifacts.SYNSET_ERRORS:
        return table if size is None else table[table["size"] == size]
    if kind == artifacts.RETURNS:
        table = table[table["method"] == "near_expert"].assign(error=np.nan)
    found = table.groupby(["task", *POINTS[kind], "policy"], sort=False)
    return found.agg(error=("error", "first"), score=("score", "mean"), episodes=("episode", "size")).reset_index()


def _averaged(kind: str, policies: pd.DataFrame) -> pd.DataFrame:
    """Average the policies of each point."""
    points = policies.groupby(["task", *POINTS[kind]], sort=False)
    over = {"sd": ("score", "std"), "policies": ("score", "size"), "episodes": ("episodes", "first")}
    return points.agg(error=("error", "mean"), mean=("score", "mean"), **over).reset_index().assign(what=WHAT[kind])


def _enough_of_each(table: pd.DataFrame) -> Iterator[pd.DataFrame]:
    """Make the row ``enough`` of each task that has a near-expert."""
    experts = table[table["what"] == "near_expert"]
    for task, score in zip(experts["task"], experts["mean"], strict=True):
        fits = table[(table["task"] == task) & (table["what"] == "fit")]
        error = enough(fits["error"].to_numpy(), fits["mean"].to_numpy(), ENOUGH * score)
        yield pd.DataFrame([{"task": task, "what": "enough", "error": error, "mean": ENOUGH * score}])


def _position(column: pd.Series) -> pd.Series:
    """Return sort keys: tasks and methods in the order of tables, the kinds of points in that of `POINTS`."""
    match column.name:
        case "task":
            order = sorted(column.unique(), key=names.task_position)
        case "what":
            order = ["fit", "near_expert", "enough", "synset"]
        case "method":
            order = [method for method, _ in names.in_order((name, DEFAULT) for name in column.dropna())]
        case _:
            order = sorted(column.dropna().unique(), key=lambda name: (name != DEFAULT, name))
    return column.map({name: place for place, name in enumerate(order)})


def _sentence(task: str, rows: pd.DataFrame) -> str:
    """Say what error is enough on a task, and what errors its synsets have."""
    of = dict(list(rows.groupby("what")))
    if "enough" in of:
        limit, share = of["enough"]["error"].iloc[0], names.percent(ENOUGH)
        said = f"no fit reaches {share}" if np.isnan(limit) else f"an error of {limit:.2g} or less gives {share}"
        said += f" of the near-expert's score of {names.number(of['near_expert']['mean'].iloc[0], 1)}"
    else:
        errors = of["fit"]["error"]
        said = f"fits have errors from {errors.max():.2g} to {errors.min():.2g}"
    if "synset" in of:
        by_row = of["synset"].groupby(["method", "variant"], sort=False)["error"].mean()
        errors = [f"{names.row_label(row)} {error:.2g}" for row, error in by_row.items()]
        said += f"; mean errors of synsets: {', '.join(errors)}"
    return f"{' '.join(names.task_label(task))}: {said}."


def _counts(table: pd.DataFrame) -> Counts:
    """Count the seeds of each task, policies and episodes behind the points."""
    shown = table[table["what"] != "enough"]
    rows = zip(shown["method"], shown["variant"], strict=True)
    labels = [names.FIT if pd.isna(row[0]) else names.row_label(row) for row in rows]
    return tuple(
        {"": str(label), "seeds": names.span(points.groupby("task")["seed"].nunique().replace(0, 1))}
        | {name: names.span(points[name]) for name in ("policies", "episodes")}
        for label, points in shown.groupby(labels, sort=False)
    )
