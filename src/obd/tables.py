"""Tables of the paper from returns files alone: a long csv, and the same numbers as Markdown and LaTeX."""

import functools
import importlib.resources
import itertools
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import click
import numpy as np
import pandas as pd
from pydantic import Field

from obd import command as commands
from obd import display, files, statistics
from obd.errors import UserError
from obd.returns import check_cell, read_returns, select
from obd.seeding import numpy_generator
from obd.settings import Settings
from obd.statistics import Interval

log = logging.getLogger(__name__)

AVERAGE = "average"
LONG = (
    *("task", "objective", "protocol", "n_pairs", "mean", "low", "high", "n", "unit", *statistics.COUNTED),
    *("policy_sd", "worst_policy", "paper_value", "difference", "best"),
)
INTERVALS = {"student_t": "Student-t", "bootstrap": "bootstrap"}


class TableSettings(Settings):
    """How returns become a table."""

    last_snapshots: int = Field(5, ge=1, description="Evaluated steps that are averaged, counted from the last.")
    confidence: float = Field(0.95, gt=0, lt=1, description="Level of the intervals.")
    interval: Literal["student_t", "bootstrap"] = Field(
        "student_t", description="Kind of interval; the percentile bootstrap undercovers with few seeds."
    )
    bootstrap_samples: int = Field(2000, ge=100, description="Draws of a bootstrap interval.")
    seed: int = Field(0, ge=0, description="Seed of the bootstrap.")
    n_pairs: int | None = Field(None, ge=1, description="Synset size to keep, where the files hold several.")
    digits: int = Field(1, ge=0, le=4, description="Decimals in Markdown and LaTeX.")
    paper_datasets: dict[str, str] = Field(
        {}, description="Task -> dataset of the paper it is, e.g. {hopper: hopper-medium}: prints the paper's numbers."
    )


@dataclass(frozen=True)
class TableSpec:
    """A table of scores: tasks are its columns, values of a column of the returns its rows.

    Attributes
    ----------
    title : str
        First sentence of the caption; ``{n_pairs}`` stands for the synset sizes in the files.
    paper_table : int
        Table of the paper with the numbers to compare with.
    rows : str
        Column of the returns whose values are the rows.
    where : mapping
        Column of the returns -> values that belong to the table.
    mark_best : bool
        Whether the best synset row of each task is set in bold.
    """

    title: str
    paper_table: int
    rows: str
    where: Mapping[str, Sequence[object]]
    mark_best: bool = False


TABLES = {
    "table_1": TableSpec(
        title="Score (0: random policy, 100: expert) of policies trained from scratch on a synset of {n_pairs} pairs, "
        "and of policies trained on the whole dataset.",
        paper_table=1,
        rows="objective",
        where={"protocol": ("standard", "whole_data", "near_expert")},
        mark_best=True,
    )
}


@functools.cache
def paper_numbers() -> pd.Series:
    """Return the paper's numbers by (table, row, column), rows by the names used here.

    From Lei, Zhang and Tao, "Offline Behavior Distillation", NeurIPS 2024, https://arxiv.org/abs/2410.22728.
    """
    with (importlib.resources.files("obd") / "paper_numbers.csv").open() as file:
        numbers = pd.read_csv(file)
    return numbers.set_index(["table", "row", "column"])["value"].sort_index()


def summarise(spec: TableSpec, episodes: pd.DataFrame, settings: TableSettings) -> pd.DataFrame:
    """Compute a table in long form, one row per cell.

    Parameters
    ----------
    spec : TableSpec
        What the table is about.
    episodes : DataFrame
        As `obd.returns.read_returns` gives them.
    settings : TableSettings
        Snapshots, kind and level of the interval, paper's datasets.

    Returns
    -------
    DataFrame
        task (or ``average``), objective, protocol, n_pairs; mean, low, high, n and unit of the interval; number of
        seeds, snapshots per seed, policies per snapshot and episodes per policy; policy_sd and worst_policy (see
        `obd.statistics.policy_spread`); paper_value and difference (ours - paper); best (bold).

    Raises
    ------
    UserError
        If a cell would mix episodes that do not belong together, or `paper_datasets` does not fit.
    """
    episodes = select(episodes, spec.where, settings.n_pairs)
    tasks = sorted(episodes["task"].unique(), key=display.task_position)
    paper = _paper_columns(tasks, settings)
    cells: list[dict[str, Any]] = []
    for row in sorted(episodes[spec.rows].unique(), key=functools.partial(display.position, spec.rows)):
        in_row = episodes[episodes[spec.rows] == row]
        strata, counted = [], []
        for task in tasks:
            cell = in_row[in_row["task"] == task]
            if cell.empty:
                continue
            check_cell(cell)
            cell = statistics.last_snapshots(cell, settings.last_snapshots)
            first = cell.iloc[0]
            unit, scores = statistics.independent_scores(cell, display.look(first["objective"]).synset)
            spread = statistics.policy_spread(cell)
            strata.append(scores)
            counted.append(
                {column: first[column] for column in ("objective", "protocol", "n_pairs")}
                | statistics.counts(cell)
                | {"unit": unit}
            )
            cells.append(
                {"task": task, **counted[-1], "policy_sd": spread.sd, "worst_policy": spread.worst}
                | _interval([scores], settings, str(row), task)._asdict()
                | {"paper_value": paper_numbers().get((spec.paper_table, str(row), paper.get(task)))}
            )
        if len(strata) == len(tasks) > 1:
            printed = [cell["paper_value"] for cell in cells[-len(tasks) :]]
            cells.append(
                {"task": AVERAGE, **{key: _common([entry[key] for entry in counted]) for key in counted[0]}}
                | _interval(strata, settings, str(row), AVERAGE)._asdict()
                | {"paper_value": None if None in printed else float(np.mean(printed))}
            )
    table = pd.DataFrame(cells).reindex(columns=LONG)
    integers = ["n_pairs", "n", *statistics.COUNTED]
    table[integers] = table[integers].astype("Int64")
    table[["paper_value"]] = table[["paper_value"]].astype(float)
    table["difference"] = table["mean"] - table["paper_value"]
    table["best"] = _best(table) if spec.mark_best else False
    return table


def _interval(strata: list[np.ndarray], settings: TableSettings, *cell: str) -> Interval:
    if settings.interval == "student_t":
        return statistics.student_t_interval(strata, settings.confidence)
    rng = numpy_generator(settings.seed, "table", *cell)
    return statistics.bootstrap_interval(strata, rng, settings.confidence, settings.bootstrap_samples)


def _paper_columns(tasks: list[str], settings: TableSettings) -> dict[str, str]:
    known = paper_numbers().index.get_level_values("column")
    for task, dataset in settings.paper_datasets.items():
        if dataset not in known or dataset == AVERAGE:
            allowed = ", ".join(sorted({name for name in known if "-" in name}))
            raise UserError(f"settings: paper_datasets.{task}: {dataset!r} is not one of the paper's: {allowed}")
    return {task: settings.paper_datasets[task] for task in tasks if task in settings.paper_datasets}


def _common(values: list[Any]) -> Any:
    return values[0] if len(set(values)) == 1 else None


def _best(table: pd.DataFrame) -> pd.Series:
    """Mark the best synset row of each task if its interval lies above those of all other synset rows."""
    best = pd.Series(False, table.index)
    synsets = table[[display.look(name).synset for name in table["objective"]]]
    for _, rows in synsets.groupby("task"):
        first = rows["mean"].idxmax()
        others = rows.drop(first)
        # a missing interval (n = 1) compares as false: nothing can be said then
        best[first] = len(others) > 0 and bool((rows.loc[first, "low"] > others["high"]).all())
    return best


def caption(spec: TableSpec, table: pd.DataFrame, settings: TableSettings) -> str:
    """Write a table's caption; every number in it is taken from the table or the settings."""
    cells = table[table["task"] != AVERAGE]
    synsets = cells[[display.look(name).synset for name in cells["objective"]]]
    level = f"{100 * settings.confidence:g} %"
    sentences = [
        spec.title.format(n_pairs=display.span(synsets["n_pairs"])),
        f"Mean [{level} {INTERVALS[settings.interval]} interval] over the last {settings.last_snapshots} evaluated "
        "snapshots (all where there are fewer).",
    ]
    by_row = cells.groupby(spec.rows, sort=False)
    sentences += display.sentences({display.label(spec.rows, row): _counts(in_row) for row, in_row in by_row})
    if spec.mark_best:
        sentences.append(
            "Bold: best synset row of a column, if its interval does not overlap that of any other synset row."
        )
    if table["paper_value"].notna().any():
        sentences.append(
            f"Paper: Lei et al. (NeurIPS 2024, arXiv:2410.22728), Table {spec.paper_table}, with the difference (ours "
            "minus paper); its average is that of its numbers in these columns."
        )
    return " ".join(sentences)


def _counts(cells: pd.DataFrame) -> str:
    units = " or ".join(dict.fromkeys(cells["unit"]))
    interval = "no interval" if (cells["n"] == 1).all() else f"interval over n = {display.span(cells['n'])} {units}"
    return f"{display.counts(cells)}, {interval}"


@dataclass(frozen=True)
class _Cell:
    """One cell as text: mean, interval and the paper's number, the latter two possibly empty."""

    mean: str = "–"
    interval: str = ""
    paper: str = ""
    best: bool = False


def _grid(spec: TableSpec, table: pd.DataFrame, digits: int) -> tuple[list[str], dict[str, list[_Cell]]]:
    """Arrange a long table: tasks, and by row label the cells of these tasks."""

    def text(cell: Any) -> _Cell:
        number = functools.partial(_number, digits=digits)
        return _Cell(
            number(cell.mean),
            "" if np.isnan(cell.low) else f"[{number(cell.low)}, {number(cell.high)}]",
            "" if np.isnan(cell.paper_value) else f"{number(cell.paper_value)} ({number(cell.difference, sign='+')})",
            cell.best,
        )

    tasks = sorted(table["task"].unique(), key=lambda task: (task == AVERAGE, display.task_position(task)))
    rows = {}
    for row, cells in table.groupby(spec.rows, sort=False):
        by_task = {cell.task: text(cell) for cell in cells.itertuples()}
        rows[display.label(spec.rows, row)] = [by_task.get(task, _Cell()) for task in tasks]
    return tasks, rows


def _number(value: float, digits: int, sign: str = "") -> str:
    value = round(value, digits) + 0.0  # no minus zero
    return f"{value:{sign}.{digits}f}".replace("-", "−")


def _heads(tasks: list[str]) -> list[tuple[str, str]]:
    return [("Average", "") if task == AVERAGE else display.task_label(task) for task in tasks]


def markdown(spec: TableSpec, table: pd.DataFrame, text: str, digits: int) -> str:
    """Render a long table as Markdown (GitHub flavour), with its caption."""
    tasks, rows = _grid(spec, table, digits)

    def cell(shown: _Cell) -> str:
        mean = f"**{shown.mean}**" if shown.best else shown.mean
        return f"{mean} {shown.interval}".rstrip() + (f"<br>paper {shown.paper}" if shown.paper else "")

    lines = [["", *(" ".join(head).rstrip() for head in _heads(tasks))], ["---", *["---:"] * len(tasks)]]
    lines += [[label, *map(cell, cells)] for label, cells in rows.items()]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + f"\n\n{text}\n"


def latex(name: str, spec: TableSpec, table: pd.DataFrame, text: str, digits: int) -> str:
    """Render a long table as a LaTeX ``table`` (package booktabs), with its caption."""
    tasks, rows = _grid(spec, table, digits)
    heads = _heads(tasks)
    wide = len(tasks) > 4
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
        for prefix, parts in (("", [c.interval for c in cells]), ("paper", [c.paper for c in cells])):
            if any(parts):
                lines.append([rf"\hfill {{\tiny {prefix}}}" if prefix else ""])
                lines[-1] += [rf"{{\tiny {_escape(part)}}}" if part else "" for part in parts]
        body.append("\n".join(" & ".join(line) + r" \\" for line in lines))
    return "\n".join(
        [
            r"% needs \usepackage{booktabs}",
            r"\begin{table}",
            rf"\caption{{{_escape(text)}}}",
            rf"\label{{tab:{name}}}",
            r"\centering",
            r"\scriptsize" if wide else r"\small",
            r"\setlength{\tabcolsep}{3pt}",
            rf"\begin{{tabular}}{{l{'c' * len(tasks)}}}",
            r"\toprule",
            " & ".join(["", *above]) + r" \\",
            " ".join(rules),
            " & ".join(["", *(_escape(dataset) for _, dataset in heads)]) + r" \\",
            r"\midrule",
            "\n\\addlinespace\n".join(body),
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{table}",
            "",
        ]
    )


def _escape(text: str) -> str:
    special = {"\\": r"\textbackslash{}", "−": "$-$", "–": "--", "×": r"$\times$", " %": r"\,\%"}
    special |= {character: f"\\{character}" for character in "%&#_${}"}
    pieces = []
    while text:
        found = next((key for key in special if text.startswith(key)), None)
        pieces.append(special[found] if found else text[0])
        text = text[len(found or text[0]) :]
    return "".join(pieces)


def make_table(name: str, returns: Sequence[Path], out: Path, settings: TableSettings) -> None:
    """Make a table: ``.csv`` (long form) with its sidecar, ``.md`` and ``.tex`` beside each other.

    Parameters
    ----------
    name : str
        One of `TABLES`.
    returns : sequence of Path
        Returns files; those that the table does not show are left out.
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
    episodes, inputs = read_returns(returns)
    table = summarise(spec, episodes, settings)
    text = caption(spec, table, settings)
    files.write_text(out.with_suffix(".md"), markdown(spec, table, text, settings.digits))
    files.write_text(out.with_suffix(".tex"), latex(name, spec, table, text, settings.digits))
    metadata = {"kind": "table", "name": name, "caption": text, "settings": settings.model_dump(), "inputs": inputs}
    files.write_artefact(out, table, metadata)
    log.info("%s: %d cells from %d episodes in %d files", out, len(table), len(episodes), len(inputs))


@commands.stage("table", TableSettings)
@click.option("--name", type=click.Choice(list(TABLES)), default="table_1", show_default=True, help="Which table.")
@commands.out_option(".csv", "csv to write; .md and .tex go beside it.")
@click.argument("returns", type=commands.FILE, nargs=-1, required=True)
def command(name: str, returns: tuple[Path, ...], out: Path, settings: TableSettings) -> None:
    """Make a table of the paper from RETURNS files."""
    make_table(name, returns, out, settings)
