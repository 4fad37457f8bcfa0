"""Table 1 and Figure 1 as plain numbers for programs, e.g. ``dvc metrics show`` and ``dvc plots show``."""

from collections.abc import Sequence
from pathlib import Path

import click
import pandas as pd

from obdistill.core import artifacts, atomic
from obdistill.core import command as commands
from obdistill.evaluations.returns import read_returns, select
from obdistill.paper.figures.figures import FIGURES, arrange, seed_curve
from obdistill.paper.settings import TableSettings
from obdistill.paper.tables.score_tables import TABLES, summarize


def metrics(table: pd.DataFrame) -> dict[str, dict[str, float]]:
    """Return the mean score by task and method, from a table in long form."""
    rows = table[["task", "method", "mean"]].itertuples(index=False)
    found: dict[str, dict[str, float]] = {}
    for task, method, mean in rows:
        found.setdefault(task, {})[method] = round(float(mean), 4)
    return found


def make_summary(returns: Sequence[Path], out: Path, settings: TableSettings) -> None:
    """Write the learning curves (csv with sidecar) and, beside them, ``metrics.json``: mean scores as in Table 1.

    Parameters
    ----------
    returns : sequence of Path
        Returns files.
    out : Path
        The csv to write: task, method, step; mean, low, high over n seeds.
    settings : TableSettings
        Snapshots that a mean score is over, level of the intervals, synset size.

    Raises
    ------
    UserError
        If the files do not fit together.
    """
    episodes, inputs = read_returns(returns)
    cells = arrange(FIGURES["figure_1"], select(episodes, FIGURES["figure_1"], settings.size))
    curves = {
        (task, method): seed_curve(cell, settings.confidence)
        for task, of_task in cells.items()
        for method, cell in of_task.items()
    }
    table = pd.concat(curves, names=["task", "method", "step"]).reset_index()
    atomic.write_json(out.with_name("metrics.json"), metrics(summarize(TABLES["table_1"], episodes, settings)))
    artifacts.write_artifact(out, table, {"kind": "curves", "settings": settings.model_dump(), "inputs": inputs})


@commands.stage("summary", TableSettings, computes=False)
@commands.out_option(".csv", "csv of learning curves; metrics.json goes beside it.")
@click.argument("returns", type=commands.FILE, nargs=-1, required=True)
def command(returns: tuple[Path, ...], out: Path, settings: TableSettings) -> None:
    """Write mean scores and learning curves from files of RETURNS, for programs."""
    make_summary(returns, out, settings)
