"""The gathered table of all returns, as tables and figures read it: which episodes they show, and do these fit."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from obdistill.core import artifacts
from obdistill.core.errors import UserError
from obdistill.evaluations.returns import CELL
from obdistill.paper import names
from obdistill.paper.gather import KIND
from obdistill.paper.names import Row
from obdistill.paper.selection import Selection

Cells = dict[str, dict[Row, pd.DataFrame]]  # task -> (method, variant) -> episodes, both in the order of tables


def read_episodes(path: Path) -> tuple[pd.DataFrame, list[dict[str, Any]]]:
    """Read the gathered table.

    Returns
    -------
    episodes : DataFrame
        The columns of returns files, and three more: ``file``; ``members``, the number of policies that act together
        (1 unless the policy is an ensemble); ``seconds`` of the distillation up to the step, where known.
    inputs : list of dict
        Name and sha256 of the table, for the metadata of what is made from it.

    Raises
    ------
    UserError
        If it is missing, damaged or of another kind.
    """
    arrays, metadata = artifacts.read_arrays(path, KIND)
    return episodes_of(arrays, metadata["inputs"]), [{"file": str(path), "sha256": metadata["sha256"]}]


def episodes_of(arrays: artifacts.Arrays, inputs: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Make a frame of episodes out of the arrays of the gathered table and its inputs; see `read_episodes`."""
    runs = {name.removeprefix("run_"): values for name, values in arrays.items() if name.startswith("run_")}
    frame = {
        name.removeprefix("episode_"): values.astype(np.int64) if values.dtype.kind == "i" else values
        for name, values in arrays.items()
        if name.startswith("episode_")
    }
    run = frame.pop("run")
    for name, values in runs.items():
        if values.dtype.kind == "U":  # millions of rows share a few names
            found, codes = np.unique(values, return_inverse=True)
            frame[name] = pd.Categorical.from_codes(codes[run], found.astype(object))
        else:
            frame[name] = (values.astype(np.int64) if values.dtype.kind == "i" else values)[run]
    episodes = pd.DataFrame(frame)
    paces = {str(entry["file"]): float(entry.get("seconds_per_step", np.nan)) for entry in inputs}
    pace = np.array([paces[str(file)] for file in runs["file"]])  # (files,)
    episodes["seconds"] = episodes["step"] * pace[run]
    return episodes


def select(episodes: pd.DataFrame, selection: Selection, size: int | None) -> pd.DataFrame:
    """Keep the episodes that a table or figure is about; see `Selection.keep`.

    Raises
    ------
    UserError
        If nothing is left.
    """
    number = episodes.groupby(list(CELL), observed=True, sort=False).ngroup()
    jobs = episodes[list(CELL)][~number.duplicated()].to_dict("records")
    kept = episodes[np.array(selection.keep(jobs, size))[number]]
    if kept.empty:
        wanted = [f"{column} in {', '.join(map(str, values))}" for column, values in selection.where.items()]
        wanted += [] if size is None or selection.compares == "size" else [f"size {size}"]
        wanted += [f"more than one {selection.compares}"] if selection.compares else []
        raise UserError(f"{episodes['file'].iloc[0]}: no episode in the files given has {' and '.join(wanted)}")
    return kept


def check_cell(cell: pd.DataFrame) -> None:
    """Check that episodes which are about to be averaged belong together.

    Raises
    ------
    UserError
        If they mix methods, variants, protocols or synset sizes, or if seeds were evaluated at different steps.
    """
    first = cell.iloc[0]
    about = f"task {first['task']}, {first['method']}"
    for column in CELL:
        found = sorted(cell[column].unique())
        if len(found) > 1:
            hint = "; choose one with --set size=N" if column == "size" else "; give the files of one only"
            raise UserError(
                f"{first['file']}: {about}: {column} is {' and '.join(map(str, found))} in the files given, and one "
                f"number cannot stand for both{hint}"
            )
    steps = cell.groupby("seed")["step"].unique().map(lambda values: tuple(sorted(values.tolist())))
    if steps.nunique() > 1:
        seed = steps.index[steps != steps.iloc[0]][0]
        raise UserError(
            f"{cell['file'][cell['seed'] == seed].iloc[0]}: {about}: seed {seed} was evaluated at other steps than "
            f"seed {steps.index[0]} ({steps[seed]} against {steps.iloc[0]})"
        )


def by_task_and_row(episodes: pd.DataFrame) -> Cells:
    """Split episodes: task -> (method, variant) -> episodes, both in the order of tables."""
    cells: Cells = {}
    groups = dict(list(episodes.groupby(["task", "method", "variant"], observed=True, sort=False)))
    for task in sorted({str(task) for task, *_ in groups}, key=names.task_position):
        rows = names.in_order((method, variant) for owner, method, variant in groups if owner == task)
        cells[task] = {row: groups[task, *row] for row in rows}
    return cells
