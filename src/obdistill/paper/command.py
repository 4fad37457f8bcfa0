"""The commands of this stage. Each imports what it runs when it runs: matplotlib and pandas take long to start."""

from pathlib import Path

import click

from obdistill.core.command import FILE, out_option, stage
from obdistill.core.errors import UserError
from obdistill.paper.selection import FIGURE_SELECTIONS, TABLE_SELECTIONS
from obdistill.paper.settings import FigureSettings, TableSettings

table_option = click.option(
    "--name", type=click.Choice(list(TABLE_SELECTIONS)), default="table_1", show_default=True, help="Which table."
)
figure_option = click.option(
    "--name", type=click.Choice(list(FIGURE_SELECTIONS)), default="figure_1", show_default=True, help="Which figure."
)


def _names_in(context: click.Context, parameter: click.Parameter, file: Path | None) -> tuple[Path, ...]:
    """Read the names of files that a file lists, one per line."""
    try:
        names = [] if file is None else file.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as error:
        raise click.BadParameter(f"{str(file)!r} cannot be read ({error})") from None
    return tuple(FILE.convert(name, parameter, context) for name in names if name)


@stage("gather", computes=False)
@out_option(".npz", "Table of all returns to write (.npz).")
@click.option("--from", "listed", type=FILE, callback=_names_in, help="File that names further RETURNS, one per line.")
@click.argument("returns", type=FILE, nargs=-1)
def gather(returns: tuple[Path, ...], listed: tuple[Path, ...], out: Path) -> None:
    """Check that files of RETURNS belong together, and bring them into one table."""
    from obdistill.paper.gather import gather

    if not returns and not listed:
        raise UserError("no file of returns is given, neither as an argument nor in a file by --from")
    gather((*returns, *listed), out)


@stage("table", TableSettings, computes=False)
@table_option
@out_option(".csv", "csv to write; .md, .html and .tex go beside it.")
@click.argument("files", type=FILE, nargs=-1, required=True)
def table(name: str, files: tuple[Path, ...], out: Path, settings: TableSettings) -> None:
    """Make a table of the paper from FILES: the gathered returns, or those of costs for table_4."""
    from obdistill.paper.tables.make import make_table

    make_table(name, files, out, settings)


@stage("figure-data", FigureSettings, computes=False)
@figure_option
@out_option(".csv", "csv to write.")
@click.argument("files", type=FILE, nargs=-1, required=True)
def figure_data(name: str, files: tuple[Path, ...], out: Path, settings: FigureSettings) -> None:
    """Compute what a figure is drawn from, from FILES: the gathered returns.

    For figure_2 FILES are synsets; for error_curve, what error-curve, synset-errors and evaluate-near-expert wrote.
    """
    from obdistill.paper.figure_data.make import make_figure_data

    make_figure_data(name, files, out, settings)


@stage("figure", FigureSettings, computes=False)
@figure_option
@out_option(".png", "png to write; .pdf and .json go beside it.")
@click.argument("data", type=FILE)
def figure(name: str, data: Path, out: Path, settings: FigureSettings) -> None:
    """Draw a figure of the paper from DATA, the csv that figure-data wrote for it."""
    from obdistill.paper.figures.make import make_figure

    make_figure(name, data, out, settings)


@stage("summary", computes=False)
@click.option("--table", type=FILE, required=True, help="csv of table_1.")
@click.option("--curves", type=FILE, required=True, help="csv that figure_1 is drawn from.")
@click.option("--tests", type=FILE, required=True, help="csv of the table variance.")
@out_option(".csv", "csv of learning curves; metrics.json and findings.json go beside it.")
def summary(table: Path, curves: Path, tests: Path, out: Path) -> None:
    """Write mean scores, learning curves and findings, for programs and for the report."""
    from obdistill.paper.summary import make_summary

    make_summary(table, curves, tests, out)
