"""Tables of scores, 1, 2, 3 and 5: how they are computed, arranged and described."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

from obdistill.core.errors import UserError
from obdistill.core.methods import DEFAULT, METHODS
from obdistill.core.seeding import numpy_generator
from obdistill.paper import names
from obdistill.paper import numbers as paper
from obdistill.paper.description import COUNTED, Description, count
from obdistill.paper.episodes import check_cell
from obdistill.paper.numbers import AVERAGE
from obdistill.paper.settings import TableSettings
from obdistill.paper.statistics import intervals
from obdistill.paper.statistics.intervals import Interval
from obdistill.paper.tables.table import Cell, Heads, Rows
from obdistill.paper.teachers import weak_near_experts

LONG = (
    *("task", "method", "variant", "protocol", "size", "members", "mean", "low", "high", "n", "unit", *COUNTED),
    *("policy_sd", "worst_policy", "change", "change_low", "change_high", "change_n"),
    *("paper_value", "difference", "best"),
)
KEYS = {"method": ["method", "variant"], "protocol": ["protocol"], "size": ["size"]}  # columns that name a row
INTERVALS = {"student_t": "Student-t", "bootstrap": "bootstrap"}
Key = tuple[Any, ...]  # of a row: its values of KEYS
log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class ScoreTable:
    """A table of scores: tasks are its columns.

    Attributes
    ----------
    title : str
        Begin of the caption; ``{size}`` stands for the synset sizes in the files, ``{members}`` for the numbers of
        policies that act together.
    paper_table : int
        Table of the paper with the numbers to compare with.
    rows : str
        What the rows are: methods and their variants, protocols, or sizes.
    mark_best : bool
        Whether the best synset row of each task is set in bold.
    reference : str
        Protocol that each cell is compared with, paired by distillation seed; empty: none.
    """

    title: str
    paper_table: int
    rows: Literal["method", "protocol", "size"]
    mark_best: bool = False
    reference: str = ""

    def summarize(self, rows: pd.DataFrame, settings: TableSettings) -> pd.DataFrame:
        """Compute the long form, one row per cell.

        Parameters
        ----------
        rows : DataFrame
            The selected episodes; see `obdistill.paper.episodes.select`.
        settings : TableSettings
            Snapshots, kind and level of the interval, paper's datasets.

        Returns
        -------
        DataFrame
            task (or ``average``), method, variant, protocol, size, members (policies that act as one); mean, low, high,
            n and unit of the interval; number of seeds, snapshots per seed, policies per snapshot and episodes per
            policy; policy_sd and worst_policy (see `intervals.policy_spread`); change against the reference protocol,
            its interval, and the smallest number of seeds that both have; paper_value and difference (ours - paper);
            best (bold).

        Raises
        ------
        UserError
            If a cell would mix episodes that do not belong together, or `paper_datasets` does not fit.
        """
        episodes, reference = self._with_reference(rows)
        tasks = sorted(map(str, episodes["task"].unique()), key=names.task_position)
        columns = paper.columns(tasks, settings.paper_datasets)
        groups = dict(list(episodes.groupby(KEYS[self.rows], observed=True, sort=False)))
        cells = [
            cell
            for key in sorted(groups, key=self._position)
            for cell in self._row(key, groups[key], reference, tasks, columns, settings)
        ]
        table = pd.DataFrame(cells).reindex(columns=LONG)
        integers = ["size", "members", "n", "change_n", *COUNTED]
        table[integers] = table[integers].astype("Int64")
        floats = ["change", "change_low", "change_high", "paper_value"]
        table[floats] = table[floats].astype(float)
        table["difference"] = table["mean"] - table["paper_value"]
        table["best"] = _best(table) if self.mark_best else False
        return table

    def _row(
        self,
        key: Key,
        episodes: pd.DataFrame,
        reference: pd.DataFrame,
        tasks: list[str],
        columns: dict[str, str],
        settings: TableSettings,
    ) -> Iterator[dict[str, Any]]:
        """Compute the cells of a row, and their average where all tasks have one."""
        strata, counted, changes, printed = [], [], [], []
        name = self._name(key)
        for task in tasks:
            cell = episodes[episodes["task"] == task]
            if cell.empty:
                continue
            check_cell(cell)
            cell = intervals.last_snapshots(cell, settings.last_snapshots)
            first = cell.iloc[0]
            unit, scores = intervals.independent_scores(cell, METHODS[first["method"]].on_synset)
            spread = intervals.policy_spread(cell)
            strata.append(scores)
            changes.append(_change(cell, reference))
            shared = {column: first[column] for column in ("method", "variant", "protocol", "size", "members")}
            counted.append(shared | intervals.counts(cell) | {"unit": unit})
            printed.append(self._paper_value(key, columns.get(task)))
            yield (
                {"task": task, **counted[-1], "policy_sd": spread.sd, "worst_policy": spread.worst}
                | _interval([scores], settings, name, task)._asdict()
                | _change_interval(changes[-1:], settings, name, task)
                | {"paper_value": printed[-1]}
            )
        if len(strata) == len(tasks) > 1:
            yield (
                {"task": AVERAGE, **{column: _common([entry[column] for entry in counted]) for column in counted[0]}}
                | _interval(strata, settings, name, AVERAGE)._asdict()
                | _change_interval(changes, settings, name, AVERAGE)
                | {"paper_value": float(np.mean(printed))}
            )

    def arrange(self, table: pd.DataFrame, digits: int) -> tuple[Heads, Rows]:
        """Arrange the long form: tasks are columns, the average last."""

        def text(cell: Any) -> Cell:
            change = names.interval(cell.change_low, cell.change_high, digits)
            return Cell(
                names.number(cell.mean, digits),
                names.interval(cell.low, cell.high, digits),
                "" if np.isnan(cell.change) else f"{names.number(cell.change, digits, '+')} {change}".rstrip(),
                names.against_paper(cell.paper_value, cell.difference, digits),
                cell.best,
            )

        tasks = sorted(table["task"].unique(), key=lambda task: (task == AVERAGE, names.task_position(task)))
        rows = {}
        for key, cells in table.groupby(KEYS[self.rows], sort=False):
            by_task = {cell.task: text(cell) for cell in cells.itertuples()}
            rows[self._label(key)] = [by_task.get(task, Cell()) for task in tasks]
        return [names.task_label(task) for task in tasks], rows

    def describe(self, table: pd.DataFrame, settings: TableSettings) -> Description:
        """Write caption, notes and counts."""
        cells = table[table["task"] != AVERAGE]
        synsets = cells[[METHODS[name].on_synset for name in cells["method"]]]
        title = self.title.format(size=names.span(synsets["size"]), members=names.span(cells["members"]))
        kind = f"{names.percent(settings.confidence)} {INTERVALS[settings.interval]} interval"
        caption = [f"{title}: mean [{kind}] over the {names.last_snapshots(settings.last_snapshots)}."]
        weak = weak_near_experts(table)
        for sentence in weak:
            log.warning("%s", sentence)
        notes = [*weak, "Where fewer snapshots were evaluated, the mean is over all of them."]
        if self.mark_best:
            caption.append("Bold: best synset row, if its interval overlaps no other's.")
        if table["change"].notna().any():
            seeds = names.span(cells["change_n"].dropna())
            caption.append(f"Change: to the {self.reference} protocol.")
            notes.append(
                f"Change: difference to the {self.reference} protocol on the same snapshots of the same synsets, "
                f"{kind} over n = {seeds} seed-wise differences."
            )
        if table["paper_value"].notna().any():
            caption.append(paper.short_citation(self.paper_table))
            notes.append(f"{paper.citation(self.paper_table)} Its average is that of its numbers in these columns.")
        labels = [self._label(key) for key in cells[KEYS[self.rows]].itertuples(index=False, name=None)]
        by_label = cells.groupby(pd.Series(labels, cells.index), sort=False)
        over = [{"interval over": _interval_over(rows)} for _, rows in by_label]
        counts = tuple(row | more for row, more in zip(count(cells, labels), over, strict=True))
        return Description(" ".join(caption), tuple(notes), counts)

    def _with_reference(self, chosen: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Return the episodes of a table's cells, and those of the reference protocol that they are compared with.

        Both are of the snapshots that all protocols of a task and method have in common. The reference itself is shown
        only where protocols are the rows.
        """
        if not self.reference:
            return chosen, chosen.iloc[:0]
        protocols, here = (
            chosen.groupby(keys, observed=True)["protocol"].transform("nunique")
            for keys in (["task", "method", "variant"], ["task", "method", "variant", "step"])
        )
        common = chosen[protocols == here]
        for task in chosen["task"].unique():
            if task not in set(common["task"]):
                raise UserError(f"{chosen['file'].iloc[0]}: task {task}: its protocols have no snapshot in common")
        is_reference = common["protocol"] == self.reference
        return common if self.rows == "protocol" else common[~is_reference], common[is_reference]

    def _label(self, key: Key) -> str:
        if self.rows == "method":
            return names.row_label((key[0], key[1]))
        return names.protocol_label(key[0]) if self.rows == "protocol" else str(key[0])

    def _position(self, key: Key) -> Any:
        if self.rows == "method":
            return names.row_position((key[0], key[1]))
        return names.protocol_position(key[0]) if self.rows == "protocol" else key[0]

    def _name(self, key: Key) -> str:
        """Return what stands for a row in the seed of a bootstrap."""
        return names.row_seed((key[0], key[1])) if self.rows == "method" else str(key[0])

    def _paper_value(self, key: Key, column: str | None) -> float:
        """Return the paper's number of a cell, NaN for none; it has none of variants."""
        if self.rows == "method" and key[1] != DEFAULT:
            return np.nan
        return float(paper.numbers().get((self.paper_table, str(key[0]), column), np.nan))


def _change(cell: pd.DataFrame, reference: pd.DataFrame) -> np.ndarray:
    """Return by how much each seed of a cell scores above the reference on the same synsets; (n_seeds in both,)."""
    first = cell.iloc[0]
    beside = reference[(reference[["task", "method", "variant"]] == first[["task", "method", "variant"]]).all(axis=1)]
    beside = beside[beside["step"].isin(cell["step"])]
    if beside.empty or first["protocol"] == beside["protocol"].iloc[0]:
        return np.empty(0)
    differences = cell.groupby("seed")["score"].mean() - beside.groupby("seed")["score"].mean()
    return np.asarray(differences.dropna())


def _change_interval(changes: list[np.ndarray], settings: TableSettings, *cell: str) -> dict[str, float]:
    if not all(map(len, changes)):
        return {}
    interval = _interval(changes, settings, "change", *cell)
    return {"change": interval.mean, "change_low": interval.low, "change_high": interval.high, "change_n": interval.n}


def _interval(strata: list[np.ndarray], settings: TableSettings, *cell: str) -> Interval:
    if settings.interval == "student_t":
        return intervals.student_t_interval(strata, settings.confidence)
    rng = numpy_generator(settings.seed, "table", *cell)
    return intervals.bootstrap_interval(strata, rng, settings.confidence, settings.bootstrap_samples)


def _interval_over(cells: pd.DataFrame) -> str:
    """Say how many of what the intervals of some cells are over; one value has none."""
    several = cells[cells["n"] > 1]
    return f"{names.span(several['n'])} {' or '.join(several['unit'].unique())}" if len(several) else "–"


def _common(values: list[Any]) -> Any:
    return values[0] if len(set(values)) == 1 else None


def _best(table: pd.DataFrame) -> pd.Series:
    """Mark the best synset row of each task if its interval lies above those of all other synset rows."""
    best = pd.Series(False, table.index)
    synsets = table[[METHODS[name].on_synset for name in table["method"]]]
    for _, rows in synsets.groupby("task"):
        first = rows["mean"].idxmax()
        others = rows.drop(first)
        # a missing interval (n = 1) compares as false: nothing can be said then
        best[first] = len(others) > 0 and bool((rows.loc[first, "low"] > others["high"]).all())
    return best
