"""Tables of the paper from returns files or costs: a long csv, and the same numbers as Markdown, HTML and LaTeX."""

import functools
import itertools
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import click
import numpy as np
import pandas as pd

from obdistill.core import artifacts, atomic
from obdistill.core import command as commands
from obdistill.core.errors import UserError
from obdistill.core.seeding import numpy_generator
from obdistill.evaluations.returns import STANDARD, Selection, check_cell, read_returns, select
from obdistill.paper import names as display
from obdistill.paper import numbers as paper
from obdistill.paper.numbers import AVERAGE
from obdistill.paper.settings import TableSettings
from obdistill.paper.statistics import intervals as statistics
from obdistill.paper.statistics.intervals import Interval
from obdistill.paper.tables.cost_table import COSTS, read_costs
from obdistill.paper.tables.free_table import Cell, FreeTable, Heads, Rows
from obdistill.paper.tables.statistics_tables import AGGREGATES, VARIANCE

log = logging.getLogger(__name__)

LONG = (
    *("task", "method", "protocol", "size", "members", "mean", "low", "high", "n", "unit", *statistics.COUNTED),
    *("policy_sd", "worst_policy", "change", "change_low", "change_high", "change_n"),
    *("paper_value", "difference", "best"),
)
STYLE = """
table { border-collapse: collapse; margin: 1em auto; font: 16px/1.4 Georgia, serif; color: #111; }
p { max-width: 48em; margin: 1em auto; font: 14px/1.4 Georgia, serif; color: #111; }
th, td { padding: .35em .9em; text-align: center; font-weight: normal; }
b { font-weight: bold; } tbody th { text-align: left; } small { display: block; color: #555; }
thead { border-top: 2px solid; border-bottom: 1px solid; } tbody { border-bottom: 2px solid; }
"""
INTERVALS = {"student_t": "Student-t", "bootstrap": "bootstrap"}


@dataclass(frozen=True)
class TableSpec(Selection):
    """A table: tasks are its columns, values of a column of the returns its rows, cells are scores.

    Attributes
    ----------
    title : str
        First sentence of the caption; ``{size}`` stands for the synset sizes in the files, ``{members}`` for the
        numbers of policies that act together.
    paper_table : int
        Table of the paper with the numbers to compare with.
    rows : str
        Column of the returns whose values are the rows.
    mark_best : bool
        Whether the best synset row of each task is set in bold.
    reference : str
        Protocol that each cell is compared with, paired by distillation seed; empty: none.
    """

    title: str
    paper_table: int
    rows: str
    mark_best: bool = False
    reference: str = ""


TABLES: dict[str, TableSpec | FreeTable] = {
    "table_1": TableSpec(
        title="Score (0: random policy, 100: expert) of policies trained from scratch on a synset of {size} pairs, "
        "and of policies trained on the whole dataset.",
        paper_table=1,
        rows="method",
        where=STANDARD,
        mark_best=True,
    ),
    "table_2": TableSpec(
        title="Score (0: random policy, 100: expert) of other policy networks (trained as the standard one), and of "
        "the standard network trained by other optimizers, on Av-PBC synsets of {size} pairs that were distilled "
        "for the standard protocol.",
        paper_table=2,
        rows="protocol",
        where={"method": ("av_pbc",)},
        without={"protocol": ("ensemble",)},
        compares="protocol",
        reference="standard",
    ),
    "table_3": TableSpec(
        title="Score (0: random policy, 100: expert) of ensembles: {members} policies trained from scratch on a synset "
        "of {size} pairs act by the mean of their actions, as one policy.",
        paper_table=3,
        rows="method",
        where={"protocol": ("standard", "ensemble")},
        compares="protocol",
        reference="standard",
    ),
    "table_4": COSTS,
    "table_5": TableSpec(
        title="Score (0: random policy, 100: expert) of policies trained from scratch on Av-PBC synsets of {size} "
        "pairs, by synset size.",
        paper_table=5,
        rows="size",
        where={"method": ("av_pbc",), "protocol": ("standard",)},
        compares="size",
    ),
    "aggregates": AGGREGATES,
    "variance": VARIANCE,
}


def summarize(spec: TableSpec | FreeTable, rows: pd.DataFrame, settings: TableSettings) -> pd.DataFrame:
    """Compute a table in long form, one row per cell.

    Parameters
    ----------
    spec : TableSpec or FreeTable
        What the table is about.
    rows : DataFrame
        Episodes as `obdistill.evaluations.returns.read_returns` gives them, or costs as `read_costs` does.
    settings : TableSettings
        Snapshots, kind and level of the interval, paper's datasets.

    Returns
    -------
    DataFrame
        task (or ``average``), method, protocol, size, members (policies that act as one); mean, low, high, n and
        unit of the interval; number of seeds, snapshots per seed, policies per snapshot and episodes per policy;
        policy_sd and worst_policy (see `intervals.policy_spread`); change against the reference protocol, its
        interval, and the smallest number of seeds that both have; paper_value and difference (ours - paper); best
        (bold). A free table has its own columns.

    Raises
    ------
    UserError
        If a cell would mix episodes that do not belong together, or `paper_datasets` does not fit.
    """
    if isinstance(spec, FreeTable):
        return spec.summarize(select(rows, spec, settings.size) if spec.reads == "returns" else rows, settings)
    episodes, reference = _with_reference(spec, rows, settings)
    tasks = sorted(episodes["task"].unique(), key=display.task_position)
    columns = paper.columns(tasks, settings.paper_datasets)
    cells: list[dict[str, Any]] = []
    for row in sorted(episodes[spec.rows].unique(), key=functools.partial(display.position, spec.rows)):
        in_row = episodes[episodes[spec.rows] == row]
        strata, counted, changes = [], [], []
        for task in tasks:
            cell = in_row[in_row["task"] == task]
            if cell.empty:
                continue
            check_cell(cell)
            cell = statistics.last_snapshots(cell, settings.last_snapshots)
            first = cell.iloc[0]
            unit, scores = statistics.independent_scores(cell, display.look(first["method"]).synset)
            spread = statistics.policy_spread(cell)
            strata.append(scores)
            changes.append(_change(cell, reference))
            counted.append(
                {column: first[column] for column in ("method", "protocol", "size", "members")}
                | statistics.counts(cell)
                | {"unit": unit}
            )
            cells.append(
                {"task": task, **counted[-1], "policy_sd": spread.sd, "worst_policy": spread.worst}
                | _interval([scores], settings, str(row), task)._asdict()
                | _change_interval(changes[-1:], settings, str(row), task)
                | {"paper_value": paper.numbers().get((spec.paper_table, str(row), columns.get(task)))}
            )
        if len(strata) == len(tasks) > 1:
            printed = [cell["paper_value"] for cell in cells[-len(tasks) :]]
            cells.append(
                {"task": AVERAGE, **{key: _common([entry[key] for entry in counted]) for key in counted[0]}}
                | _interval(strata, settings, str(row), AVERAGE)._asdict()
                | _change_interval(changes, settings, str(row), AVERAGE)
                | {"paper_value": None if None in printed else float(np.mean(printed))}
            )
    table = pd.DataFrame(cells).reindex(columns=LONG)
    integers = ["size", "members", "n", "change_n", *statistics.COUNTED]
    table[integers] = table[integers].astype("Int64")
    floats = ["change", "change_low", "change_high", "paper_value"]
    table[floats] = table[floats].astype(float)
    table["difference"] = table["mean"] - table["paper_value"]
    table["best"] = _best(table) if spec.mark_best else False
    return table


def _with_reference(
    spec: TableSpec, episodes: pd.DataFrame, settings: TableSettings
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the episodes of a table's cells, and those of the reference protocol that they are compared with.

    Both are of the snapshots that all protocols of a task and method have in common. The reference itself is shown
    only where protocols are the rows.
    """
    chosen = select(episodes, spec, settings.size)
    if not spec.reference:
        return chosen, chosen.iloc[:0]
    protocols, here = (
        chosen.groupby(keys, observed=True)["protocol"].transform("nunique")
        for keys in (["task", "method"], ["task", "method", "step"])
    )
    common = chosen[protocols == here]
    for task in chosen["task"].unique():
        if task not in set(common["task"]):
            raise UserError(f"{chosen['file'].iloc[0]}: task {task}: its protocols have no snapshot in common")
    is_reference = common["protocol"] == spec.reference
    return common if spec.rows == "protocol" else common[~is_reference], common[is_reference]


def _change(cell: pd.DataFrame, reference: pd.DataFrame) -> np.ndarray:
    """Return by how much each seed of a cell scores above the reference on the same synsets; (n_seeds in both,)."""
    first = cell.iloc[0]
    beside = reference[(reference["task"] == first["task"]) & (reference["method"] == first["method"])]
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
        return statistics.student_t_interval(strata, settings.confidence)
    rng = numpy_generator(settings.seed, "table", *cell)
    return statistics.bootstrap_interval(strata, rng, settings.confidence, settings.bootstrap_samples)


def _common(values: list[Any]) -> Any:
    return values[0] if len(set(values)) == 1 else None


def _best(table: pd.DataFrame) -> pd.Series:
    """Mark the best synset row of each task if its interval lies above those of all other synset rows."""
    best = pd.Series(False, table.index)
    synsets = table[[display.look(name).synset for name in table["method"]]]
    for _, rows in synsets.groupby("task"):
        first = rows["mean"].idxmax()
        others = rows.drop(first)
        # a missing interval (n = 1) compares as false: nothing can be said then
        best[first] = len(others) > 0 and bool((rows.loc[first, "low"] > others["high"]).all())
    return best


def caption(spec: TableSpec | FreeTable, table: pd.DataFrame, settings: TableSettings) -> str:
    """Write a table's caption; every number in it is taken from the table or the settings."""
    if isinstance(spec, FreeTable):
        return spec.caption(table, settings)
    cells = table[table["task"] != AVERAGE]
    synsets = cells[[display.look(name).synset for name in cells["method"]]]
    level = f"{100 * settings.confidence:g} %"
    sentences = [
        spec.title.format(size=display.span(synsets["size"]), members=display.span(cells["members"])),
        f"Mean [{level} {INTERVALS[settings.interval]} interval] over the "
        f"{display.last_snapshots(settings.last_snapshots)}.",
    ]
    by_row = cells.groupby(spec.rows, sort=False)
    sentences += display.sentences({display.label(spec.rows, row): _counts(in_row) for row, in_row in by_row})
    if spec.mark_best:
        sentences.append(
            "Bold: best synset row of a column, if its interval does not overlap that of any other synset row."
        )
    if table["change"].notna().any():
        seeds = display.span(cells["change_n"].dropna())
        sentences.append(
            f"Change: difference to the {spec.reference} protocol on the same snapshots of the same synsets, "
            f"{level} {INTERVALS[settings.interval]} interval over n = {seeds} seed-wise differences."
        )
    if table["paper_value"].notna().any():
        sentences.append(f"{paper.citation(spec.paper_table)}; its average is that of its numbers in these columns.")
    return " ".join(sentences)


def _counts(cells: pd.DataFrame) -> str:
    units = " or ".join(dict.fromkeys(cells["unit"]))
    interval = "no interval" if (cells["n"] == 1).all() else f"interval over n = {display.span(cells['n'])} {units}"
    return f"{display.counts(cells)}, {interval}"


def _grid(spec: TableSpec | FreeTable, table: pd.DataFrame, digits: int) -> tuple[Heads, Rows]:
    """Arrange a long table: heads of columns, and by row label the cells of these columns."""
    if isinstance(spec, FreeTable):
        return spec.arrange(table, digits)

    def text(cell: Any) -> Cell:
        change = display.interval(cell.change_low, cell.change_high, digits)
        return Cell(
            display.number(cell.mean, digits),
            display.interval(cell.low, cell.high, digits),
            "" if np.isnan(cell.change) else f"{display.number(cell.change, digits, '+')} {change}".rstrip(),
            display.against_paper(cell.paper_value, cell.difference, digits),
            cell.best,
        )

    tasks = sorted(table["task"].unique(), key=lambda task: (task == AVERAGE, display.task_position(task)))
    rows = {}
    for row, cells in table.groupby(spec.rows, sort=False):
        by_task = {cell.task: text(cell) for cell in cells.itertuples()}
        rows[display.label(spec.rows, row)] = [by_task.get(task, Cell()) for task in tasks]
    return _heads(tasks), rows


def _heads(tasks: list[str]) -> list[tuple[str, str]]:
    return [("Average", "") if task == AVERAGE else display.task_label(task) for task in tasks]


def markdown(spec: TableSpec | FreeTable, table: pd.DataFrame, text: str, digits: int) -> str:
    """Render a long table as Markdown (GitHub flavor), with its caption."""
    heads, rows = _grid(spec, table, digits)

    def cell(shown: Cell) -> str:
        mean = f"**{shown.mean}**" if shown.best else shown.mean
        return "<br>".join([f"{mean} {shown.interval}".rstrip(), *shown.notes()])

    lines = [["", *(" ".join(head).rstrip() for head in heads)], ["---", *["---:"] * len(heads)]]
    lines += [[label, *map(cell, cells)] for label, cells in rows.items()]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + f"\n\n{text}\n"


def html(spec: TableSpec | FreeTable, table: pd.DataFrame, text: str, digits: int) -> str:
    """Render a long table as an HTML page that needs no other file, with its caption."""
    heads, rows = _grid(spec, table, digits)

    def cell(shown: Cell) -> str:
        small = [shown.interval] if shown.interval else []
        mean = f"<b>{shown.mean}</b>" if shown.best else shown.mean
        return f"<td>{mean}{''.join(f'<small>{escape(part)}</small>' for part in [*small, *shown.notes()])}</td>"

    above = "".join(f"<th>{escape(group)}<small>{escape(name)}</small></th>" for group, name in heads)
    body = [f"<tr><th>{escape(label)}</th>{''.join(map(cell, cells))}</tr>" for label, cells in rows.items()]
    return "\n".join(
        [
            f'<!doctype html><html lang="en"><meta charset="utf-8"><style>{STYLE}</style>',
            f"<table><thead><tr><th></th>{above}</tr></thead>",
            *("<tbody>", *body, "</tbody></table>"),
            f"<p>{escape(text)}</p></html>\n",
        ]
    )


def latex(name: str, spec: TableSpec | FreeTable, table: pd.DataFrame, text: str, digits: int) -> str:
    """Render a long table as a LaTeX ``table`` (package booktabs), with its caption."""
    heads, rows = _grid(spec, table, digits)
    wide, long = len(heads) > 4, len(rows) > 12
    if wide:
        names = {dataset: display.QUALITIES[dataset] for _, dataset in heads if dataset in display.QUALITIES}
        heads = [(environment, names.get(dataset, dataset)) for environment, dataset in heads]
        text += "".join(f" {short}: {dataset}." for dataset, short in names.items())
    above, rules, column = [], [], 2
    for environment, group in itertools.groupby(heads, key=lambda head: head[0]):
        width = len(list(group))
        above.append(rf"\multicolumn{{{width}}}{{c}}{{{_escape(environment)}}}")
        rules += [rf"\cmidrule(lr){{{column}-{column + width - 1}}}"] if environment != "Average" else []
        column += width
    body = []
    for label, cells in rows.items():
        means = [rf"\textbf{{{_escape(cell.mean)}}}" if cell.best else _escape(cell.mean) for cell in cells]
        lines = [[_escape(label), *means]]
        below = {"": "interval", "change": "change", "paper": "paper"}
        for prefix, parts in ((prefix, [getattr(cell, part) for cell in cells]) for prefix, part in below.items()):
            if any(parts):
                lines.append([rf"\hfill {{\tiny {prefix}}}" if prefix else ""])
                lines[-1] += [rf"{{\tiny {_escape(part)}}}" if part else "" for part in parts]
        body.append("\n".join(" & ".join(line) + r" \\" for line in lines))
    return "\n".join(
        [
            r"% needs \usepackage{booktabs, graphicx}" if wide else r"% needs \usepackage{booktabs}",
            r"\begin{table}",
            rf"\caption{{{_escape(text)}}}",
            rf"\label{{tab:{name}}}",
            r"\centering",
            r"\scriptsize" if wide or long else r"\small",
            r"\setlength{\tabcolsep}{3pt}",
            (r"\resizebox{\linewidth}{!}{" if wide else "") + rf"\begin{{tabular}}{{l{'c' * len(heads)}}}",
            r"\toprule",
            " & ".join(["", *above]) + r" \\",
            " ".join(rules),
            " & ".join(["", *(_escape(dataset) for _, dataset in heads)]) + r" \\",
            r"\midrule",
            ("\n" if long else "\n\\addlinespace\n").join(body),
            r"\bottomrule",
            r"\end{tabular}" + ("}" if wide else ""),
            r"\end{table}",
            "",
        ]
    )


def _escape(text: str) -> str:
    special = {"\\": r"\textbackslash{}", "−": "$-$", "–": "--", "×": r"$\times$", " %": r"\,\%", "<": "$<$"}
    special |= {character: f"\\{character}" for character in "%&#_${}"}
    pieces = []
    while text:
        found = next((key for key in special if text.startswith(key)), None)
        pieces.append(special[found] if found else text[0])
        text = text[len(found or text[0]) :]
    return "".join(pieces)


def make_table(name: str, paths: Sequence[Path], out: Path, settings: TableSettings) -> None:
    """Make a table: ``.csv`` (long form) with its sidecar, ``.md``, ``.html`` and ``.tex`` beside each other.

    Parameters
    ----------
    name : str
        One of `TABLES`.
    paths : sequence of Path
        Returns files, or files of costs if the table shows them; rows that the table does not show are left out.
    out : Path
        The csv to write; the others stand beside it.
    settings : TableSettings
        How to make it.

    Raises
    ------
    UserError
        If `out` is no csv, or the files are not fit for the table.
    """
    if out.suffix != ".csv":
        raise UserError(f"--out {out}: ends in {out.suffix or 'nothing'!r}; .csv is needed")
    spec = TABLES[name]
    rows, inputs = read_costs(paths) if spec.reads == "costs" else read_returns(paths)
    table = summarize(spec, rows, settings)
    text = caption(spec, table, settings)
    atomic.write_text(out.with_suffix(".md"), markdown(spec, table, text, settings.digits))
    atomic.write_text(out.with_suffix(".html"), html(spec, table, text, settings.digits))
    atomic.write_text(out.with_suffix(".tex"), latex(name, spec, table, text, settings.digits))
    metadata = {"kind": "table", "name": name, "caption": text, "settings": settings.model_dump(), "inputs": inputs}
    artifacts.write_artifact(out, table, metadata)
    log.info("%s: %d cells from %d rows in %d files", out, len(table), len(rows), len(inputs))


@commands.stage("table", TableSettings, computes=False)
@click.option("--name", type=click.Choice(list(TABLES)), default="table_1", show_default=True, help="Which table.")
@commands.out_option(".csv", "csv to write; .md, .html and .tex go beside it.")
@click.argument("files", type=commands.FILE, nargs=-1, required=True)
def command(name: str, files: tuple[Path, ...], out: Path, settings: TableSettings) -> None:
    """Make a table of the paper from FILES of returns, or table_4 from FILES of costs."""
    make_table(name, files, out, settings)
