"""Figures of the paper from returns files or synsets, as png and pdf with the same bytes every time."""

import functools
import itertools
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import matplotlib.style
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import PolyCollection
from matplotlib.colors import to_rgb, to_rgba
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, MaxNLocator, NullLocator, PercentFormatter
from numpy.typing import ArrayLike

from obdistill.core import artifacts, atomic, variants
from obdistill.core import command as commands
from obdistill.core.errors import UserError
from obdistill.core.seeding import numpy_generator
from obdistill.evaluations.returns import (
    STANDARD,
    SYNSETS,
    Selection,
    by_task_and_method,
    check_cell,
    read_returns,
    select,
)
from obdistill.paper import names as display
from obdistill.paper.settings import FigureSettings
from obdistill.paper.statistics import aggregates, variance
from obdistill.paper.statistics import intervals as statistics

if TYPE_CHECKING:
    from obdistill.paper.figures import rendering

log = logging.getLogger(__name__)
logging.getLogger("fontTools").setLevel(logging.WARNING)  # it tells of every table of every font that a pdf embeds

COLUMN_WIDTH, TEXT_WIDTH = 3.3, 5.5  # inches: a column and the text of a paper
BAND, EDGE = 0.14, 0.45  # opacity of bands, and of their edges: where bands lie on each other, edges tell them apart
SCORE = "Normalized score"  # 0: random policy, 100: expert
VARIANT_LINES: list[dict[str, Any]] = [  # of a method's variants, in alphabetical order; the method itself first
    {"linestyle": "-", "marker": "o"},
    {"linestyle": (0, (4, 1.5)), "marker": "s"},
    {"linestyle": (0, (1, 1.2)), "marker": "^"},
    {"linestyle": (0, (5, 1.2, 1.2, 1.2)), "marker": "D"},
]
DESIGNS: dict[tuple[int, int], Any] = {(1, 1): ":", (10, 1): "--", (10, 10): "-", (100, 10): "-."}  # of precision
MARKERS = 8  # at most about as many along a curve
TALLEST = 0.6  # largest height over width of a panel of poses
TINTS = (1.0, 0.6, 0.35)  # of the method's color, for the parts of a robot
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


Cells = dict[str, dict[str, pd.DataFrame]]  # task -> method -> episodes, both in the order of display


def learning_curves(cells: Cells, settings: FigureSettings, x: str = "step", x_label: str = "Outer step") -> Figure:
    """Draw score against `x`, one panel per task: mean over seeds with a Student-t band.

    Methods with one snapshot (the random selection) are flat lines with a band; policies trained on the whole
    dataset are flat lines without.

    Parameters
    ----------
    cells : dict of dict of DataFrame
        Episodes by task and method.
    settings : FigureSettings
        Level, size.
    x, x_label : str
        Column of the horizontal axis (averaged over seeds at each step), and its name.
    """
    figure, panels = _panels(list(cells), settings, x_label)
    for task, axes in panels.items():
        for method, cell in cells[task].items():
            look = display.look(method)
            curve = seed_curve(cell, settings.confidence)
            if look.synset and len(curve) > 1:
                at = cell.groupby("step")[x].mean()
                every = max(1, round(len(curve) / MARKERS))
                _banded(
                    axes, at, curve["mean"], curve["low"], curve["high"], markevery=(every - 1, every), **_line(look)
                )
            else:
                last = curve.iloc[-1]
                axes.axhline(last["mean"], **_line(look))
                if look.synset:
                    axes.axhspan(last["low"], last["high"], color=look.color, alpha=BAND, linewidth=0)
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
        Episodes of one snapshot by task and method.
    settings : FigureSettings
        Level, size.
    """
    figure, panels = _panels(list(cells), settings, "")
    for task, axes in panels.items():
        for place, (method, cell) in enumerate(cells[task].items()):
            look = display.look(method)
            scores = statistics.policy_scores(cell)
            seeds = scores.index.unique("seed")
            for seed, column in zip(seeds, np.linspace(-0.36, 0.12, len(seeds) + 2)[1:-1], strict=True):
                dots = scores.loc[seed].to_numpy()
                at = np.full(len(dots), place + column)
                axes.plot(at, dots, "o", color=look.color, alpha=0.5, markeredgewidth=0)
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


def distilled_pairs(examples: "Sequence[rendering.Example]", settings: FigureSettings) -> Figure:
    """Draw pairs of synsets, one panel per task: the state above, and below it the state one environment step later.

    Parameters
    ----------
    examples : sequence of Example
        One per task.
    settings : FigureSettings
        Size.
    """
    columns = min(settings.columns, len(examples))
    total = COLUMN_WIDTH if columns == 1 else TEXT_WIDTH
    width = (total - 0.2) / columns - 0.08  # of a panel, in inches, without labels and gaps
    cells = [_cell(example) for example in examples]
    flat = [2 * up / (across * len(example.scenes)) for example, (across, up, _) in zip(examples, cells, strict=True)]
    heights = [width * min(max(flat[i : i + columns]), TALLEST) for i in range(0, len(flat), columns)]
    figure = Figure(figsize=(total, sum(heights) + 0.28 * len(heights)), layout="constrained")
    grid = figure.add_gridspec(len(heights), columns, height_ratios=heights)
    for place, (example, (across, up, middle)) in enumerate(zip(examples, cells, strict=True)):
        axes = figure.add_subplot(grid[place // columns, place % columns], anchor="N")
        ratio = 2 * width / heights[place // columns] / len(example.scenes)  # of a cell that fills the panel
        across, up = max(across, up * ratio), max(up, across / ratio)
        _draw_pairs(axes, example, across, up, middle)
        axes.set_title(" ".join(display.task_label(example.synset.task.name)))
        names = ["state", "next"] if place % columns == 0 else ["", ""]
        axes.set_yticks([middle, middle - up], names, rotation=90, va="center")
    return figure


def _cell(example: "rendering.Example") -> tuple[float, float, float]:
    """Return width and height of a box that takes any of the poses, and its middle above the ground, in meters."""
    parts = [part.points for scene in example.scenes for part in [*scene.state, *scene.following]]
    points = np.concatenate([*parts, np.zeros((1, 2))])  # with the ground
    low, high = points[:, 1].min(), points[:, 1].max()
    return 2.2 * float(np.abs(points[:, 0]).max()), 1.1 * float(high - low), float(high + low) / 2


def _draw_pairs(axes: Axes, example: "rendering.Example", across: float, up: float, middle: float) -> None:
    color = np.array(to_rgb(display.look(example.synset.method).color))
    for column, scene in enumerate(example.scenes):
        above, below = np.array([column * across, 0]), np.array([column * across, -up])
        ghost = [part.points + below for part in scene.state]
        axes.add_collection(PolyCollection(ghost, facecolors="none", edgecolors="#9A9A9A", linewidths=0.4))
        for parts, shift in ((scene.state, above), (scene.following, below)):
            faces = [1 - (1 - color) * TINTS[part.shade % len(TINTS)] for part in parts]
            outlines = [part.points + shift for part in parts]
            axes.add_collection(PolyCollection(outlines, facecolors=faces, edgecolors="white", linewidths=0.4))
        if not scene.following:
            axes.text(below[0], below[1] + middle, "unstable", fontsize=7, ha="center", va="center")
    left, right = -across / 2, (len(example.scenes) - 0.5) * across
    if example.upright:
        axes.hlines([0, -up], left, right, color="#555555", linewidth=0.6, zorder=0)
    axes.set(xlim=(left, right), ylim=(middle - 1.5 * up, middle + up / 2), aspect="equal", xticks=[])
    axes.tick_params("y", length=0)
    axes.spines[:].set_visible(False)
    axes.grid(False)


def performance_profiles(cells: Cells, settings: FigureSettings) -> Figure:
    """Draw the fraction of policies above each score, with bootstrap bands over seeds; methods all tasks have.

    Parameters
    ----------
    cells : dict of dict of DataFrame
        Episodes of the snapshots to average by task and method.
    settings : FigureSettings
        Level, bootstrap.
    """
    figure = Figure(figsize=(COLUMN_WIDTH, 2.35), layout="constrained")
    axes = figure.add_subplot(xlabel=f"{SCORE} τ", ylabel="Policies with score > τ", ylim=(-0.02, 1.02))
    shown = aggregates.on_every_task(cells)
    scores = pd.concat([statistics.policy_scores(cell) for strata in shown.values() for cell in strata])
    thresholds = np.linspace(scores.min() - 0.02 * np.ptp(scores), scores.max(), 301)
    for place, (method, strata) in enumerate(shown.items()):
        look, rng = display.look(method), numpy_generator(settings.seed, "profile", method)
        draws = settings.confidence, settings.bootstrap_samples
        fraction, low, high = statistics.performance_profile(strata, thresholds, rng, *draws)
        # markers of different methods at different thresholds
        line = {**_line(look), "label": look.label, "markevery": (12 * place + 6, 48)}
        _banded(axes, thresholds, fraction, low, high, **line)
    axes.margins(x=0)
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    figure.legend(loc="outside upper center", ncols=4)
    return figure


def precision(cells: Cells, settings: FigureSettings) -> Figure:
    """Draw half the width of a mean's interval against the number of seeds, for several numbers of policies × episodes.

    One panel per method, from its variance components averaged over tasks; a dot shows what was run.

    Parameters
    ----------
    cells : dict of dict of DataFrame
        Episodes of the snapshots to average by task and method.
    settings : FigureSettings
        Level, columns.
    """
    names = display.in_order(name for of_task in cells.values() for name in of_task)
    rows = -(-len(names) // settings.columns)
    columns = -(-len(names) // rows)  # as even as can be
    width = COLUMN_WIDTH if columns <= 2 else TEXT_WIDTH
    figure = Figure(figsize=(width, 0.35 + rows * (0.75 * width / columns + 0.25)), layout="constrained")
    panels = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).ravel()
    seeds = np.arange(2, 51)
    for axes, name in zip(panels, names, strict=False):
        look = display.look(name)
        cubes = [variance.cube(variance.balanced(of_task[name])) for of_task in cells.values() if name in of_task]
        mean = np.mean([variance.components(cube).variance for cube in cubes], axis=0)
        axes.set_title(look.label)
        if np.isnan(mean).any():
            text = "needs two or more seeds,\npolicies and episodes"
            axes.text(0.5, 0.5, text, ha="center", va="center", size=7, transform=axes.transAxes)
            continue
        for (policies, episodes), style in DESIGNS.items():
            heights = variance.half_width(mean, seeds, policies, episodes, settings.confidence)
            axes.plot(seeds, heights, color=look.color, linestyle=style, linewidth=1.1)
        n_seeds, policies, episodes = cubes[0].shape
        run = variance.half_width(mean, np.array(n_seeds), policies, episodes, settings.confidence)
        axes.plot(n_seeds, run, "ko", zorder=4)
    for axes in panels[len(names) :]:
        axes.remove()
    panels[0].set(xscale="log", yscale="log", xlim=(2, 50), xticks=(2, 3, 5, 10, 20, 50))
    for axis, locator in (
        (panels[0].xaxis, FixedLocator([2, 3, 5, 10, 20, 50])),
        (panels[0].yaxis, LogLocator(subs=(1, 2, 5))),
    ):
        axis.set_major_locator(locator)
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axis.set_minor_locator(NullLocator())
    figure.supxlabel("Distillation seeds", size=9)
    figure.supylabel(f"Half-width of {100 * settings.confidence:g} % interval (score)", size=9)
    entries = [Line2D([], [], color="#333333", linestyle=style, linewidth=1.1) for style in DESIGNS.values()]
    labels = [f"{policies} × {episodes}" for policies, episodes in DESIGNS]
    figure.legend(entries, labels, title="Policies × episodes", loc="outside upper center", ncols=4)
    return figure


def several_policies(cell: pd.DataFrame) -> pd.DataFrame:
    """Keep the last snapshot, and nothing where it has one policy only."""
    last = statistics.last_snapshots(cell, 1)
    return last if last["policy"].nunique() > 1 else last.iloc[:0]


def size_curves(cells: Cells, settings: FigureSettings) -> Figure:
    """Draw score against synset size, one panel per task: mean over seeds with its Student-t interval.

    Parameters
    ----------
    cells : dict of dict of DataFrame
        Episodes of one snapshot and several sizes by task and method.
    settings : FigureSettings
        Level, size.
    """
    figure, panels = _panels(list(cells), settings, "Pairs in the synset")
    for task, axes in panels.items():
        sizes = sorted({int(size) for cell in cells[task].values() for size in cell["size"].unique()})
        for method, cell in cells[task].items():
            curve = seed_curve(cell, settings.confidence, "size")
            errors = [curve["mean"] - curve["low"], curve["high"] - curve["mean"]]
            axes.errorbar(curve.index, curve["mean"], errors, capsize=2, **_line(display.look(method)))
        axes.set_xscale("log", base=2)
        axes.set_xticks(sizes, [str(size) for size in sizes])
        axes.minorticks_off()
    _legend(figure, cells)
    return figure


def recipe_curves(cells: Cells, settings: FigureSettings) -> Figure:
    """Draw a method's variants together: one column per method, score against outer step and against seconds.

    Parameters
    ----------
    cells : dict of dict of DataFrame
        Episodes by task and method, several variants of each.
    settings : FigureSettings
        Level.
    """
    splits = {name: variants.split(name, display.METHODS) for of_task in cells.values() for name in of_task}
    methods = display.in_order(method for method, _ in splits.values())
    names = sorted({variant for _, variant in splits.values()})
    looks = dict(zip(names, itertools.cycle(VARIANT_LINES), strict=False))
    rows = [(task, x) for task in cells for x in ("step", "seconds")]
    figure = Figure(figsize=(TEXT_WIDTH, 1.6 * len(rows) + 0.4), layout="constrained")
    panels = figure.subplots(len(rows), len(methods), sharey="row", squeeze=False)
    for (task, x), of_row in zip(rows, panels, strict=True):
        for method, axes in zip(methods, of_row, strict=True):
            for name, cell in cells[task].items():
                if splits[name][0] != method:
                    continue
                style, color = looks[splits[name][1]], display.look(method).color
                curve, at = seed_curve(cell, settings.confidence), cell.groupby("step")[x].mean()
                _banded(axes, at, curve["mean"], curve["low"], curve["high"], color=color, **style)
            axes.set_xlabel({"step": "Outer step", "seconds": "Seconds"}[x])
            axes.xaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10]))
            if x == "step":
                axes.set_title(display.look(method).label)
        of_row[0].set_ylabel(SCORE if len(cells) == 1 else f"{SCORE}, {' '.join(display.task_label(task))}")
    entries = [Line2D([], [], color="black", **looks[name]) for name in names]
    labels = [name.replace("_", " ") or "as configured" for name in names]
    figure.legend(entries, labels, loc="outside upper center", ncols=len(names))
    return figure


def last_snapshot_of_each_size(cell: pd.DataFrame) -> pd.DataFrame:
    """Keep the last snapshot of each synset size."""
    return pd.concat([statistics.last_snapshots(of_size, 1) for _, of_size in cell.groupby("size")])


@dataclass(frozen=True)
class FigureSpec(Selection):
    """A figure.

    Attributes
    ----------
    draw : callable
        Draws cells.
    title : str
        First sentence of the caption; the names in braces stand for the values in use.
    keep : callable
        Chooses the episodes of a cell that are shown, possibly none.
    averaged : bool
        Whether only the snapshots that tables average are shown.
    """

    draw: Callable[[Any, FigureSettings], Figure]
    title: str
    keep: Callable[[pd.DataFrame], pd.DataFrame] = lambda cell: cell
    averaged: bool = False


FIGURES = {
    "figure_1": FigureSpec(
        draw=learning_curves,
        where=STANDARD,
        title="Score (0: random policy, 100: expert) of policies trained from scratch on the synset of each outer step "
        "({size} pairs): mean over seeds, band: {level} Student-t interval over seeds; flat lines: random selection "
        "of pairs, and policies trained on the whole dataset.",
    ),
    "figure_2": FigureSpec(
        draw=distilled_pairs,
        reads="synsets",
        title="Pairs of synsets of {size} pairs ({method}, after outer step {step}): above, the robot in the "
        "synset's state; below, one environment step ({seconds} s) later under the synset's action, clipped to the "
        "action bounds, with the state's outline in gray. Positions that observations leave out are 0. From left to "
        "right: the state nearest the mean of the synset's states, then always the one farthest from those before, in "
        "normalized units. Outlines are computed from MuJoCo's kinematics.",
    ),
    "policy_spread": FigureSpec(
        draw=policy_spread,
        where=STANDARD,
        title="Score (0: random policy, 100: expert) of each policy trained from scratch on the last synset ({size} "
        "pairs) or on the whole dataset: a dot is the mean over a policy's episodes, a column of dots is a seed; "
        "diamond: mean with {level} Student-t interval.",
        keep=several_policies,
    ),
    "recipes": FigureSpec(
        draw=recipe_curves,
        where={"protocol": ("standard",)},
        compares="variant",
        title="Score (0: random policy, 100: expert) of policies trained from scratch on synsets of {size} pairs by "
        "the settings of the distillation (line) and the method (column), against the outer step and the seconds of "
        "the distillation until then: mean over seeds with {level} Student-t band.",
    ),
    "synset_size": FigureSpec(
        draw=size_curves,
        where=SYNSETS,
        compares="size",
        title="Score (0: random policy, 100: expert) of policies trained from scratch on the last synset of {size} "
        "pairs, by their number: mean with {level} Student-t interval over seeds.",
        keep=last_snapshot_of_each_size,
    ),
    "performance_profiles": FigureSpec(
        draw=performance_profiles,
        where=SYNSETS,
        title="Performance profiles: fraction of policies trained from scratch on a synset ({size} pairs) whose "
        "mean score (0: random policy, 100: expert) is above τ, averaged over seeds and tasks, of the last evaluated "
        "snapshots; band: {level} bootstrap interval over seeds within tasks, too narrow with few seeds.",
        averaged=True,
    ),
    "precision": FigureSpec(
        draw=precision,
        where=SYNSETS,
        title="Seeds, policies and episodes that a claim needs: half-width of the {level} Student-t interval of a "
        "task's mean score ({size} pairs, last evaluated snapshots) against the number of distillation seeds, for "
        "several numbers of policies per synset × episodes per policy, from the variance components averaged over "
        "tasks; dot: what was run.",
        averaged=True,
    ),
}


def arrange(spec: FigureSpec, episodes: pd.DataFrame, last_snapshots: int = 5) -> Cells:
    """Split episodes by task and method, each checked; `last_snapshots` are shown where they are averaged.

    Raises
    ------
    UserError
        If episodes of a cell do not belong together (see `check_cell`), or there is nothing to show.
    """
    cells: Cells = {}
    for task, of_task in by_task_and_method(episodes).items():
        shown = {}
        for method, cell in of_task.items():
            for _, part in cell.groupby(spec.compares) if spec.compares in cell else [("", cell)]:
                check_cell(part)
            kept = spec.keep(cell)
            if spec.averaged:
                kept = statistics.last_snapshots(kept, last_snapshots)
            if not kept.empty:
                shown[method] = kept
        if shown:
            cells[task] = shown
    if not cells:
        raise UserError(f"{episodes['file'].iloc[0]}: the files given hold nothing to show in this figure")
    return cells


def caption(spec: FigureSpec, cells: Cells, settings: FigureSettings) -> str:
    """Write a figure's caption; every number in it is taken from the files or the settings."""
    shown = [(display.look(name), cell) for of_task in cells.values() for name, cell in of_task.items()]
    sizes = pd.Series([size for look, cell in shown if look.synset for size in cell["size"].unique()])
    title = spec.title.format(size=display.span(sizes), level=f"{100 * settings.confidence:g} %")
    counts = pd.DataFrame([{"name": look.label, **statistics.counts(cell)} for look, cell in shown])
    by_name = counts.groupby("name", sort=False)
    return " ".join([title, *display.sentences({str(name): display.counts(rows) for name, rows in by_name})])


def examples_caption(spec: FigureSpec, examples: "Sequence[rendering.Example]") -> str:
    """Write the caption of a figure of synsets; every number in it is taken from the files or the environments."""
    synsets = pd.DataFrame(
        {
            "size": example.synset.actions.shape[1],
            "method": f"{display.look(example.synset.method).label}, seed {example.synset.seed}",
            "step": example.synset.steps[-1],
            "seconds": example.seconds,
        }
        for example in examples
    )
    methods = ", ".join(synsets["method"].unique())
    spans = {name: display.span(synsets[name]) for name in ("size", "step", "seconds")}
    return spec.title.format(method=methods, **spans)


def seed_curve(cell: pd.DataFrame, confidence: float, x: str = "step") -> pd.DataFrame:
    """Average policies and episodes of each seed, then seeds: columns mean, low, high, n; one row per value of `x`."""
    scores = cell.groupby([x, "seed"])["score"].mean()
    intervals = {at: statistics.student_t_interval([seeds.to_numpy()], confidence) for at, seeds in scores.groupby(x)}
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
            axes.set_ylabel(SCORE)
        if place + columns >= len(tasks):  # no panel below
            axes.set_xlabel(x_label)
        panels[task] = axes
    return figure, panels


def _banded(axes: Axes, at: ArrayLike, middle: ArrayLike, low: ArrayLike, high: ArrayLike, **line: Any) -> None:
    """Draw a curve with a band."""
    axes.plot(at, middle, zorder=3, **line)
    axes.fill_between(
        at, low, high, facecolor=to_rgba(line["color"], BAND), edgecolor=to_rgba(line["color"], EDGE), lw=0.5
    )


def _line(look: display.Look) -> dict[str, Any]:
    return {"color": look.color, "linestyle": look.line, "marker": look.marker}


def _legend(figure: Figure, cells: Cells) -> None:
    looks = [display.look(name) for name in display.in_order(name for of_task in cells.values() for name in of_task)]
    columns = len(looks) if figure.get_figwidth() > COLUMN_WIDTH else 3
    entries = [Line2D([], [], **_line(look)) for look in looks]
    figure.legend(entries, [look.label for look in looks], loc="outside upper center", ncols=columns)


def _thousands(value: float) -> str:
    return f"{value / 1000:g}k" if abs(value) >= 1000 else f"{value:g}"


def make_figure(name: str, paths: Sequence[Path], out: Path, settings: FigureSettings) -> None:
    """Make a figure: ``.png``, ``.pdf`` and a ``.json`` with its caption and inputs, beside each other.

    Parameters
    ----------
    name : str
        One of `FIGURES`.
    paths : sequence of Path
        Returns files, or synsets if the figure shows them; those that the figure does not show are left out.
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
    spec = FIGURES[name]
    shown: Cells | list[rendering.Example]
    if spec.reads == "synsets":
        from obdistill.paper.figures.rendering import (
            read_examples,  # here, for MuJoCo and torch take longer to start than all the rest
        )

        shown, inputs = read_examples(paths, settings.poses, settings.method, settings.size)
        text = examples_caption(spec, shown)
    else:
        episodes, inputs = read_returns(paths)
        shown = arrange(spec, select(episodes, spec, settings.size), settings.last_snapshots)
        text = caption(spec, shown, settings)
    # the style is laid over matplotlib's defaults, not over the user's matplotlibrc
    with matplotlib.style.context([STYLE], after_reset=True):
        figure = spec.draw(shown, settings)
        FigureCanvasAgg(figure)
        # without dates and versions the bytes depend on the data alone
        save = functools.partial(figure.savefig, dpi=settings.dpi)
        atomic.write_atomically(out, lambda path: save(path, metadata={"Software": None}))
        plain: dict[str, Any] = {"CreationDate": None, "Creator": None, "Producer": None}
        atomic.write_atomically(out.with_suffix(".pdf"), lambda path: save(path, metadata=plain))
    metadata = {"kind": "figure", "name": name, "caption": text, "settings": settings.model_dump(), "inputs": inputs}
    atomic.write_json(artifacts.sidecar(out), metadata)
    log.info("%s: from %d files", out, len(inputs))


@commands.stage("figure", FigureSettings, computes=False)
@click.option("--name", type=click.Choice(list(FIGURES)), default="figure_1", show_default=True, help="Which figure.")
@commands.out_option(".png", "png to write; .pdf and .json go beside it.")
@click.argument("files", type=commands.FILE, nargs=-1, required=True)
def command(name: str, files: tuple[Path, ...], out: Path, settings: FigureSettings) -> None:
    """Make a figure of the paper from FILES of returns, or figure_2 from FILES of synsets."""
    make_figure(name, files, out, settings)
