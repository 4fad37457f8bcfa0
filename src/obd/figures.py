"""Figures of the paper from returns files alone, as png and pdf with the same bytes every time."""

import functools
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import matplotlib.style
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator
from pydantic import Field

from obd import command as commands
from obd import display, files, statistics
from obd.errors import UserError
from obd.returns import check_cell, read_returns, select
from obd.settings import Settings

log = logging.getLogger(__name__)
logging.getLogger("fontTools").setLevel(logging.WARNING)  # it tells of every table of every font that a pdf embeds

WHERE = {"protocol": ("standard", "whole_data", "near_expert")}
COLUMN_WIDTH, TEXT_WIDTH = 3.3, 5.5  # inches: a column and the text of a paper
BAND = 0.16  # opacity of bands
MARKERS = 8  # at most about as many along a curve
STYLE = {
    "font.family": "STIXGeneral",  # comes with matplotlib: the same letters on every machine
    "mathtext.fontset": "stix",
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.titlepad": 4,
    "axes.labelsize": 9,
    "axes.linewidth": 0.6,
    "axes.edgecolor": "#333333",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#E4E4E4",
    "grid.linewidth": 0.5,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "lines.linewidth": 1.4,
    "lines.markersize": 3.5,
    "legend.fontsize": 8,
    "legend.frameon": False,
    "legend.handlelength": 2.4,
    "legend.columnspacing": 1.2,
    "pdf.fonttype": 42,
}


class FigureSettings(Settings):
    """How returns become a figure."""

    confidence: float = Field(0.95, gt=0, lt=1, description="Level of the Student-t bands over seeds.")
    n_pairs: int | None = Field(None, ge=1, description="Synset size to keep, where the files hold several.")
    columns: int = Field(3, ge=1, le=6, description="Panels in a row.")
    dpi: int = Field(300, ge=50, le=1200, description="Dots per inch of the png.")


Cells = dict[str, dict[str, pd.DataFrame]]  # task -> objective -> episodes, both in the order of display


def learning_curves(cells: Cells, settings: FigureSettings, x: str = "step", x_label: str = "Outer step") -> Figure:
    """Draw score against `x`, one panel per task: mean over seeds with a Student-t band.

    Objectives with one snapshot (the random selection) are flat lines with a band; policies trained on the whole
    dataset are flat lines without.

    Parameters
    ----------
    cells : dict of dict of DataFrame
        Episodes by task and objective.
    settings : FigureSettings
        Level, size.
    x, x_label : str
        Column of the horizontal axis (averaged over seeds at each step), and its name.
    """
    figure, panels = _panels(list(cells), settings, x_label)
    for task, axes in panels.items():
        for objective, cell in cells[task].items():
            look = display.look(objective)
            curve = seed_curve(cell, settings.confidence)
            if look.synset and len(curve) > 1:
                at = cell.groupby("step")[x].mean()
                every = max(1, round(len(curve) / MARKERS))
                axes.plot(at, curve["mean"], zorder=3, markevery=(every - 1, every), **_line(look))
                axes.fill_between(at, curve["low"], curve["high"], color=look.colour, alpha=BAND, linewidth=0)
            else:
                last = curve.iloc[-1]
                axes.axhline(last["mean"], **_line(look))
                if look.synset:
                    axes.axhspan(last["low"], last["high"], color=look.colour, alpha=BAND, linewidth=0)
        axes.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: _thousands(value)))
        axes.autoscale_view()  # flat lines do not ask for it themselves
    _legend(figure, cells)
    return figure


def policy_spread(cells: Cells, settings: FigureSettings) -> Figure:
    """Draw each policy's mean score as a dot, seeds side by side, and to the right the mean with its interval.

    Parameters
    ----------
    cells : dict of dict of DataFrame
        Episodes of one snapshot by task and objective.
    settings : FigureSettings
        Level, size.
    """
    figure, panels = _panels(list(cells), settings, "")
    for task, axes in panels.items():
        for place, (objective, cell) in enumerate(cells[task].items()):
            look = display.look(objective)
            scores = statistics.policy_scores(cell)
            seeds = scores.index.unique("seed")
            for seed, column in zip(seeds, np.linspace(-0.36, 0.12, len(seeds) + 2)[1:-1], strict=True):
                dots = scores.loc[seed].to_numpy()
                at = np.full(len(dots), place + column)
                axes.plot(at, dots, "o", color=look.colour, alpha=0.5, markeredgewidth=0)
            _, units = statistics.independent_scores(cell, look.synset)
            mean, low, high, n = statistics.student_t_interval([units], settings.confidence)
            errors = [[mean - low], [high - mean]] if n > 1 else None
            axes.errorbar(place + 0.3, mean, errors, fmt="D", color="black", markersize=3, linewidth=1, capsize=2)
        axes.set_xticks(range(len(cells[task])), [display.look(name).label for name in cells[task]])
        axes.tick_params("x", length=0)
        if len(panels) > 1:
            for text in axes.get_xticklabels():
                text.set(rotation=35, ha="right", rotation_mode="anchor")
        axes.grid(False, axis="x")
    return figure


def several_policies(cell: pd.DataFrame) -> pd.DataFrame:
    """Keep the last snapshot, and nothing where it has one policy only."""
    last = statistics.last_snapshots(cell, 1)
    return last if last["policy"].nunique() > 1 else last.iloc[:0]


@dataclass(frozen=True)
class FigureSpec:
    """A figure.

    Attributes
    ----------
    draw : callable
        Draws cells.
    title : str
        First sentence of the caption; ``{n_pairs}`` and ``{level}`` stand for the values in use.
    keep : callable
        Chooses the episodes of a cell that are shown, possibly none.
    """

    draw: Callable[[Cells, FigureSettings], Figure]
    title: str
    keep: Callable[[pd.DataFrame], pd.DataFrame] = lambda cell: cell


FIGURES = {
    "figure_1": FigureSpec(
        draw=learning_curves,
        title="Score (0: random policy, 100: expert) of policies trained from scratch on the synset of each outer step "
        "({n_pairs} pairs): mean over seeds, band: {level} Student-t interval over seeds; flat lines: random selection "
        "of pairs, and policies trained on the whole dataset.",
    ),
    "policy_spread": FigureSpec(
        draw=policy_spread,
        title="Score (0: random policy, 100: expert) of each policy trained from scratch on the last synset ({n_pairs} "
        "pairs) or on the whole dataset: a dot is the mean over a policy's episodes, a column of dots is a seed; "
        "diamond: mean with {level} Student-t interval.",
        keep=several_policies,
    ),
}


def arrange(spec: FigureSpec, episodes: pd.DataFrame) -> Cells:
    """Split episodes by task and objective, each checked.

    Raises
    ------
    UserError
        If episodes of a cell do not belong together (see `obd.returns.check_cell`), or there is nothing to show.
    """
    cells: Cells = {}
    for task in sorted(episodes["task"].unique(), key=display.task_position):
        of_task = episodes[episodes["task"] == task]
        shown = {}
        for objective in sorted(of_task["objective"].unique(), key=functools.partial(display.position, "objective")):
            cell = of_task[of_task["objective"] == objective]
            check_cell(cell)
            kept = spec.keep(cell)
            if not kept.empty:
                shown[objective] = kept
        if shown:
            cells[task] = shown
    if not cells:
        raise UserError(f"{episodes['file'].iloc[0]}: the files given hold nothing to show in this figure")
    return cells


def caption(spec: FigureSpec, cells: Cells, settings: FigureSettings) -> str:
    """Write a figure's caption; every number in it is taken from the files or the settings."""
    shown = [(display.look(name), cell) for of_task in cells.values() for name, cell in of_task.items()]
    sizes = pd.Series([cell["n_pairs"].iloc[0] for look, cell in shown if look.synset])
    title = spec.title.format(n_pairs=display.span(sizes), level=f"{100 * settings.confidence:g} %")
    counts = pd.DataFrame([{"name": look.label, **statistics.counts(cell)} for look, cell in shown])
    by_name = counts.groupby("name", sort=False)
    return " ".join([title, *display.sentences({str(name): display.counts(rows) for name, rows in by_name})])


def seed_curve(cell: pd.DataFrame, confidence: float) -> pd.DataFrame:
    """Average policies and episodes of each seed, then seeds: columns mean, low, high, n; one row per step."""
    scores = cell.groupby(["step", "seed"])["score"].mean()
    intervals = {
        step: statistics.student_t_interval([seeds.to_numpy()], confidence) for step, seeds in scores.groupby("step")
    }
    return pd.DataFrame(intervals.values(), index=list(intervals))


def _panels(tasks: list[str], settings: FigureSettings, x_label: str) -> tuple[Figure, dict[str, Axes]]:
    """Lay out one panel per task, in rows of at most `settings.columns`."""
    columns = min(settings.columns, len(tasks))
    rows = -(-len(tasks) // columns)
    width = COLUMN_WIDTH if columns == 1 else TEXT_WIDTH
    height = 2.0 if columns == 1 else 0.85 * width / columns + 0.2
    figure = Figure(figsize=(width, rows * height + 0.35), layout="constrained")
    panels = {}
    for place, task in enumerate(tasks):
        axes = figure.add_subplot(rows, columns, place + 1)
        axes.set_title(" ".join(display.task_label(task)))
        if place % columns == 0:
            axes.set_ylabel("Score")
        if place + columns >= len(tasks):  # no panel below
            axes.set_xlabel(x_label)
        panels[task] = axes
    return figure, panels


def _line(look: display.Look) -> dict[str, Any]:
    return {"color": look.colour, "linestyle": look.line, "marker": look.marker}


def _legend(figure: Figure, cells: Cells) -> None:
    looks = [look for name, look in display.OBJECTIVES.items() if any(name in of_task for of_task in cells.values())]
    columns = len(looks) if figure.get_figwidth() > COLUMN_WIDTH else 3
    entries = [Line2D([], [], **_line(look)) for look in looks]
    figure.legend(entries, [look.label for look in looks], loc="outside upper center", ncols=columns)


def _thousands(value: float) -> str:
    return f"{value / 1000:g}k" if abs(value) >= 1000 else f"{value:g}"


def make_figure(name: str, returns: Sequence[Path], out: Path, settings: FigureSettings) -> None:
    """Make a figure: ``.png``, ``.pdf`` and a ``.json`` with its caption and inputs, beside each other.

    Parameters
    ----------
    name : str
        One of `FIGURES`.
    returns : sequence of Path
        Returns files; those that the figure does not show are left out.
    out : Path
        The png to write; the others stand beside it.
    settings : FigureSettings
        How to make it.

    Raises
    ------
    UserError
        If `out` is no png, or the files are not fit for the figure.
    """
    if out.suffix != ".png":
        raise UserError(f"--out {out}: ends in {out.suffix or 'nothing'!r}; .png is needed")
    episodes, inputs = read_returns(returns)
    episodes = select(episodes, WHERE, settings.n_pairs)
    spec = FIGURES[name]
    cells = arrange(spec, episodes)
    text = caption(spec, cells, settings)
    # the style is laid over matplotlib's defaults, not over the user's matplotlibrc
    with matplotlib.style.context([STYLE], after_reset=True):
        figure = spec.draw(cells, settings)
        FigureCanvasAgg(figure)
        # without dates and versions the bytes depend on the data alone
        save = functools.partial(figure.savefig, dpi=settings.dpi)
        files.write_atomically(out, lambda path: save(path, metadata={"Software": None}))
        plain: dict[str, Any] = {"CreationDate": None, "Creator": None, "Producer": None}
        files.write_atomically(out.with_suffix(".pdf"), lambda path: save(path, metadata=plain))
    metadata = {"kind": "figure", "name": name, "caption": text, "settings": settings.model_dump(), "inputs": inputs}
    files.write_json(files.sidecar(out), metadata)
    log.info("%s: %d episodes in %d files", out, len(episodes), len(inputs))


@commands.stage("figure", FigureSettings)
@click.option("--name", type=click.Choice(list(FIGURES)), default="figure_1", show_default=True, help="Which figure.")
@commands.out_option(".png", "png to write; .pdf and .json go beside it.")
@click.argument("returns", type=commands.FILE, nargs=-1, required=True)
def command(name: str, returns: tuple[Path, ...], out: Path, settings: FigureSettings) -> None:
    """Make a figure of the paper from RETURNS files."""
    make_figure(name, returns, out, settings)
