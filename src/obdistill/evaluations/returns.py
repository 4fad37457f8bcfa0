"""The returns artifact, one row per evaluated episode, as tables and figures read it: many files, one checked frame."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from obdistill.core import artifacts, variants
from obdistill.core.errors import UserError
from obdistill.core.methods import DEFAULT
from obdistill.paper import names as display

COLUMNS = (
    *("task", "method", "variant", "size", "seed", "protocol", "step", "policy", "policy_seed"),
    *("episode", "env_seed", "return", "length", "score"),
)
NUMBERS = ("seed", "step", "policy", "episode", "return", "score")
EPISODE = ["task", "method", "size", "seed", "protocol", "step", "policy", "episode"]  # names one row
CELL = ["task", "method", "size", "protocol"]  # what one number of a table is about

# what most tables and figures are about: the standard evaluations, with those of whole datasets or without
STANDARD = {"protocol": ("standard", "whole_data", "near_expert")}
SYNSETS = {
    "protocol": ("standard",),
    "method": tuple(name for name, look in display.METHODS.items() if look.synset),
}


def read_returns(paths: Iterable[Path]) -> tuple[pd.DataFrame, list[dict[str, Any]]]:
    """Read returns files and put them together, in an order that does not depend on that of the files.

    Parameters
    ----------
    paths : iterable of Path
        Returns files (csv with sidecar).

    Returns
    -------
    episodes : DataFrame
        The rows of all files, with three more columns: ``file``; ``members``, the number of policies that act
        together (1 unless the policy is an ensemble); ``seconds`` of the distillation up to the step, where known.
    inputs : list of dict
        Name and sha256 of every file, for the metadata of what is made from them.

    Raises
    ------
    UserError
        If a file lacks a column, holds no episode or a number that is not finite, if an episode stands in two files, or
        if one task was evaluated in two environments.
    """
    frames, inputs, environments = [], [], dict[str, tuple[str, Path]]()
    for path in paths:
        frame, metadata = artifacts.read_table(path, artifacts.RETURNS)
        check(frame, path)
        # a variant is a row of its own
        frame = frame.assign(
            method=frame["method"].where(frame["variant"] == DEFAULT, frame["method"] + "_" + frame["variant"])
        )
        task, env_id = str(frame["task"].iloc[0]), str(metadata.get("env_id"))
        other, where = environments.setdefault(task, (env_id, path))
        if other != env_id:
            raise UserError(f"{path}: task {task!r} was evaluated in {env_id}, but in {other} in {where}")
        seconds = frame["step"] * float(metadata.get("seconds_per_step", np.nan))
        frames.append(frame.assign(file=str(path), members=int(metadata.get("members", 1)), seconds=seconds))
        inputs.append({"file": str(path), "sha256": metadata["sha256"]})
    frames.sort(key=lambda frame: [_sortable(frame[key].iloc[0]) for key in EPISODE])
    inputs.sort(key=lambda entry: entry["file"])
    episodes = pd.concat(frames, ignore_index=True)
    for column in ("task", "method", "protocol", "file"):
        episodes[column] = episodes[column].astype("category")  # millions of rows share a few names
    twice = episodes.duplicated(EPISODE)
    if twice.any():
        row = episodes[twice].iloc[0]
        raise UserError(f"{row['file']}: {_name(row)} stands in two of the files, or twice in this one")
    return episodes, inputs


def check(frame: pd.DataFrame, path: Path) -> None:
    """Check one returns file.

    Raises
    ------
    UserError
        If it lacks a column, is empty, names an unknown method, or holds a number that is missing or not finite.
    """
    for column in COLUMNS:
        if column not in frame:
            raise UserError(f"{path}: lacks the column {column!r}; needed: {','.join(COLUMNS)}")
    if frame.empty:
        raise UserError(f"{path}: holds no episode")
    if frame["task"].nunique(dropna=False) > 1:
        raise UserError(f"{path}: holds the tasks {_listed(frame['task'])}; a returns file is about one task")
    for method in frame["method"].unique():
        try:
            display.look(method)
        except UserError as error:
            raise UserError(f"{path}: {error}") from None
    for column in NUMBERS:
        values = pd.to_numeric(frame[column], errors="coerce").to_numpy(float)
        bad = np.flatnonzero(~np.isfinite(values))
        if len(bad):
            raise UserError(
                f"{path}: row {bad[0] + 1}: {column} is {frame[column].iloc[bad[0]]}; a finite number is needed"
            )


@dataclass(frozen=True, kw_only=True)
class Selection:
    """What a table or figure is about.

    Attributes
    ----------
    reads : str
        Kind of the files it is made from. The other attributes choose episodes of returns.
    where : mapping
        Column of the returns -> the values to keep.
    without : mapping
        Column of the returns -> values to leave out.
    compares : str
        Column whose values are compared: a task and method with one value of it only is left out. If it is
        ``size``, synsets of all sizes are kept; ``variant`` stands for the variants of a method. Empty: none.
    """

    reads: Literal["returns", "costs", "synsets"] = "returns"
    where: Mapping[str, Sequence[object]] = field(default_factory=dict)
    without: Mapping[str, Sequence[object]] = field(default_factory=dict)
    compares: str = ""

    def of(self, rows: pd.DataFrame, size: int | None) -> pd.DataFrame:
        """Keep the rows it is about, possibly none.

        Parameters
        ----------
        rows : DataFrame
            Episodes as `read_returns` gives them, or anything else with the columns of `CELL`.
        size : int or None
            Size of the synsets to keep; rows of whole datasets stay. None keeps all sizes.
        """
        keep = pd.Series(True, rows.index)
        for column, values in self.where.items():
            keep &= rows[column].isin(list(values))
        for column, values in self.without.items():
            keep &= ~rows[column].isin(list(values))
        if size is not None and self.compares != "size":
            whole = [name for name in rows["method"].unique() if not display.look(name).synset]
            keep &= rows["method"].isin(whole) | (rows["size"] == size)
        kept = rows[keep]
        if self.compares == "variant":
            plain = kept["method"].map(lambda name: variants.split(name, display.METHODS)[0]).astype(str)
            names = kept["method"].astype(str).groupby([kept["task"].astype(str), plain])
            kept = kept[names.transform("nunique") > 1]
        elif self.compares:
            groups = kept.groupby(["task", "method"], observed=True)[self.compares]
            kept = kept[groups.transform("nunique") > 1]
        return kept


def select(episodes: pd.DataFrame, selection: Selection, size: int | None) -> pd.DataFrame:
    """Keep the episodes a table or figure is about; see `Selection.of`.

    Raises
    ------
    UserError
        If nothing is left.
    """
    kept = selection.of(episodes, size)
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
        If they mix methods, protocols or synset sizes, or if seeds were evaluated at different steps.
    """
    first = cell.iloc[0]
    for column in CELL:
        if cell[column].nunique(dropna=False) > 1:
            hint = "; choose one with --set size=N" if column == "size" else "; give the files of one only"
            raise UserError(
                f"{first['file']}: task {first['task']}, {first['method']}: {column} is "
                f"{_listed(cell[column])} in the files given, and one number cannot stand for both{hint}"
            )
    steps = cell.groupby("seed")["step"].unique().map(lambda values: tuple(sorted(values)))
    if steps.nunique() > 1:
        seed = steps.index[steps != steps.iloc[0]][0]
        raise UserError(
            f"{cell['file'][cell['seed'] == seed].iloc[0]}: task {first['task']}, {first['method']}: seed {seed} "
            f"was evaluated at other steps than seed {steps.index[0]} ({steps[seed]} against {steps.iloc[0]})"
        )


def by_task_and_method(episodes: pd.DataFrame) -> dict[str, dict[str, pd.DataFrame]]:
    """Split episodes: task -> method -> episodes, both in the order of display."""
    methods = display.in_order(episodes["method"].unique())
    cells: dict[str, dict[str, pd.DataFrame]] = {}
    for task in sorted(episodes["task"].unique(), key=display.task_position):
        of_task = episodes[episodes["task"] == task]
        found = {method: of_task[of_task["method"] == method] for method in methods}
        cells[task] = {method: cell for method, cell in found.items() if not cell.empty}
    return cells


def _sortable(value: object) -> tuple[bool, object]:
    return isinstance(value, str), value


def _listed(values: pd.Series) -> str:
    return " and ".join(str(value) for value in sorted(values.unique(), key=_sortable))


def _name(row: pd.Series) -> str:
    return ", ".join(f"{key} {row[key]}" for key in EPISODE)
