"""Make a table: a long csv, and the same numbers as Markdown, HTML and LaTeX."""

import logging
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from obdistill.core import artifacts, atomic
from obdistill.core.errors import UserError
from obdistill.paper.episodes import read_episodes, select
from obdistill.paper.selection import TABLE_SELECTIONS
from obdistill.paper.settings import TableSettings
from obdistill.paper.tables.aggregates import AggregateTable
from obdistill.paper.tables.costs import CostTable, read_costs
from obdistill.paper.tables.formats import html, markdown
from obdistill.paper.tables.latex import latex
from obdistill.paper.tables.scores import ScoreTable
from obdistill.paper.tables.table import Table
from obdistill.paper.tables.variance import VarianceTable

log = logging.getLogger(__name__)

# which episodes each is about: `obdistill.paper.selection`
TABLES: dict[str, Table] = {
    "table_1": ScoreTable(
        title="Score (0: random policy, 100: expert) of policies trained from scratch on a synset of {size} pairs, and "
        "on the whole dataset",
        paper_table=1,
        rows="method",
        mark_best=True,
    ),
    "table_2": ScoreTable(
        title="Score (0: random policy, 100: expert) of other policy networks, and of the standard one trained by "
        "other optimizers, on Av-PBC synsets of {size} pairs",
        paper_table=2,
        rows="protocol",
        reference="standard",
    ),
    "table_3": ScoreTable(
        title="Score (0: random policy, 100: expert) of ensembles: {members} policies trained from scratch on a synset "
        "of {size} pairs act by the mean of their actions",
        paper_table=3,
        rows="method",
        reference="standard",
    ),
    "table_4": CostTable(),
    "table_5": ScoreTable(
        title="Score (0: random policy, 100: expert) of policies trained from scratch on Av-PBC synsets of {size} "
        "pairs, by synset size",
        paper_table=5,
        rows="size",
    ),
    "aggregates": AggregateTable(),
    "variance": VarianceTable(),
}


def summarize(name: str, rows: pd.DataFrame, settings: TableSettings) -> pd.DataFrame:
    """Compute a table in long form, from episodes, of which it selects its own, or from costs."""
    selection = TABLE_SELECTIONS[name]
    chosen = select(rows, selection, settings.size) if selection.reads == "returns" else rows
    return TABLES[name].summarize(chosen, settings)


def make_table(name: str, paths: Sequence[Path], out: Path, settings: TableSettings) -> None:
    """Make a table: ``.csv`` (long form) with its sidecar, ``.md``, ``.html`` and ``.tex`` beside each other.

    Parameters
    ----------
    name : str
        One of `TABLES`.
    paths : sequence of Path
        The gathered returns, or files of costs if the table shows them.
    out : Path
        The csv to write; the others stand beside it.
    settings : TableSettings
        How to make it.

    Raises
    ------
    UserError
        If the files are not fit for the table.
    """
    if TABLE_SELECTIONS[name].reads == "costs":
        rows, inputs = read_costs(paths)
    elif len(paths) == 1:
        rows, inputs = read_episodes(paths[0])
    else:
        raise UserError(f"{paths[1]}: {name} is made from one file, the gathered returns (obd gather)")
    table = summarize(name, rows, settings)
    description = TABLES[name].describe(table, settings)
    heads, cells = TABLES[name].arrange(table, settings.digits)
    atomic.write_text(out.with_suffix(".md"), markdown(heads, cells, description))
    atomic.write_text(out.with_suffix(".html"), html(heads, cells, description))
    atomic.write_text(out.with_suffix(".tex"), latex(name, heads, cells, description))
    metadata = {"kind": "table", "name": name, "settings": settings.model_dump(), "inputs": inputs}
    artifacts.write_artifact(out, table, metadata | description.metadata())
    log.info("%s: %d cells from %d rows in %d files", out, len(table), len(rows), len(inputs))
