"""The commands ``obd table``, ``obd figure`` and ``obd summary``."""

from pathlib import Path
from typing import get_args

import click

from obdistill.core.command import FILE, out_option, stage
from obdistill.paper.settings import FigureName, FigureSettings, TableName, TableSettings

TABLE = click.Choice(get_args(TableName))
FIGURE = click.Choice(get_args(FigureName))


@stage("table", TableSettings, computes=False)
@click.option(
    "--name", type=click.Choice(get_args(TableName)), default="table_1", show_default=True, help="Which table."
)
@out_option(".csv", "csv to write; .md, .html and .tex go beside it.")
@click.argument("files", type=FILE, nargs=-1, required=True)
def table(name: str, files: tuple[Path, ...], out: Path, settings: TableSettings) -> None:
    """Make a table of the paper from FILES of returns, or table_4 from FILES of costs."""
    from obdistill.paper.tables.score_tables import make_table

    make_table(name, files, out, settings)


@stage("figure", FigureSettings, computes=False)
@click.option(
    "--name", type=click.Choice(get_args(FigureName)), default="figure_1", show_default=True, help="Which figure."
)
@out_option(".png", "png to write; .pdf and .json go beside it.")
@click.argument("files", type=FILE, nargs=-1, required=True)
def figure(name: str, files: tuple[Path, ...], out: Path, settings: FigureSettings) -> None:
    """Make a figure of the paper from FILES of returns, or figure_2 from FILES of synsets."""
    from obdistill.paper.figures.figures import make_figure

    make_figure(name, files, out, settings)


@stage("summary", TableSettings, computes=False)
@out_option(".csv", "csv of learning curves; metrics.json goes beside it.")
@click.argument("returns", type=FILE, nargs=-1, required=True)
def summary(returns: tuple[Path, ...], out: Path, settings: TableSettings) -> None:
    """Write mean scores and learning curves from files of RETURNS, for programs."""
    from obdistill.paper.summary import make_summary

    make_summary(returns, out, settings)
