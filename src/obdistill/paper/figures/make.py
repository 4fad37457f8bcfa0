"""Make a figure from its csv: png and pdf with the same bytes every time, and its caption."""

import functools
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib.style
import pandas as pd
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from obdistill.core import artifacts, atomic, provenance
from obdistill.core.errors import UserError
from obdistill.paper.description import Description
from obdistill.paper.figures import claims, curves, error_curve, policy_spread, poses
from obdistill.paper.figures.style import RC
from obdistill.paper.selection import FIGURE_KIND
from obdistill.paper.settings import FigureSettings

log = logging.getLogger(__name__)
logging.getLogger("fontTools").setLevel(logging.WARNING)  # it tells of every table of every font that a pdf embeds


@dataclass(frozen=True)
class FigureSpec:
    """How a figure is drawn and described.

    Attributes
    ----------
    draw : callable
        Draws the csv.
    caption : str
        What is shown; the names in braces stand for facts of the csv's sidecar.
    notes : tuple of str
        How to read it, likewise; one that comes out empty is left out.
    """

    draw: Callable[[pd.DataFrame, FigureSettings], Figure]
    caption: str
    notes: tuple[str, ...] = ()


SCORE = "Score (0: random policy, 100: expert)"
# what each is drawn from: `obdistill.paper.figure_data`
FIGURES: dict[str, FigureSpec] = {
    "figure_1": FigureSpec(
        curves.learning_curves,
        f"{SCORE} of policies trained from scratch on the synset of each outer step ({{size}} pairs): mean over seeds, "
        "band: {level} Student-t interval over seeds; flat lines: random selection of pairs, and policies trained on "
        "the whole dataset.",
    ),
    "figure_2": FigureSpec(
        poses.distilled_pairs,
        "Pairs of synsets of {size} pairs ({method}, after outer step {step}): above, the robot in the synset's state; "
        "below, one environment step ({seconds} s) later under the synset's action{ghost}.",
        (
            "Actions are clipped to their bounds. Positions that observations leave out are 0. {drawn}",
            "From left to right: the state nearest the mean of the synset's states, then always the one farthest from "
            "those before, in normalized units.",
            "{left_out}",
        ),
    ),
    "policy_spread": FigureSpec(
        policy_spread.policy_spread,
        f"{SCORE} of each policy trained from scratch on the last synset ({{size}} pairs) or on the whole dataset: a "
        "dot is the mean over a policy's episodes, a column of dots is a seed; diamond: mean with {level} Student-t "
        "interval.",
    ),
    "recipes": FigureSpec(
        curves.variant_curves,
        f"{SCORE} of policies trained from scratch on synsets of {{size}} pairs by the settings of the distillation "
        "(line) and the method (column), against the outer step and the seconds of the distillation until then: mean "
        "over seeds with {level} Student-t band.",
    ),
    "synset_size": FigureSpec(
        curves.size_curves,
        f"{SCORE} of policies trained from scratch on the last synset of {{size}} pairs, by their number: mean with "
        "{level} Student-t interval over seeds.",
    ),
    "error_curve": FigureSpec(
        error_curve.error_curve,
        "Score against imitation error, the mean squared difference to the near-expert's actions (in [−1, 1]) on the "
        "data's states. Curve: ever longer supervised fits on all states; band: standard deviation over policies; "
        "points: synsets of {size} pairs, one per seed, means over policies; dotted: the error for {share} of the "
        "near-expert's score.",
        ("{enough}",),
    ),
    "performance_profiles": FigureSpec(
        claims.performance_profiles,
        "Performance profiles: fraction of policies trained from scratch on a synset ({size} pairs) whose mean score "
        "(0: random policy, 100: expert) is above τ; band: {level} bootstrap interval over seeds within tasks, too "
        "narrow with few seeds.",
        ("Fractions are of the last evaluated snapshots, averaged over seeds and tasks.",),
    ),
    "precision": FigureSpec(
        claims.precision,
        "Seeds, policies and episodes that a claim needs: half-width of the {level} Student-t interval of a task's "
        "mean score ({size} pairs) against the number of distillation seeds, for several numbers of policies per "
        "synset × episodes per policy; dot: what was run.",
        ("From the variance components of the last evaluated snapshots, averaged over tasks.",),
    ),
}


def describe(name: str, metadata: dict[str, Any]) -> Description:
    """Write caption, notes and counts of a figure; every number in them is taken from the csv's sidecar."""
    spec, facts = FIGURES[name], metadata["facts"]
    return Description(
        spec.caption.format(**facts),
        tuple(filter(None, (note.format(**facts) for note in spec.notes))),
        tuple(metadata["counts"]),
    )


def make_figure(name: str, data: Path, out: Path, settings: FigureSettings) -> None:
    """Make a figure: ``.png``, ``.pdf`` and a ``.json`` with its caption and inputs, beside each other.

    Parameters
    ----------
    name : str
        One of `FIGURES`.
    data : Path
        The csv to draw, made for this figure by `obdistill.paper.figure_data.make`.
    out : Path
        The png to write; the others stand beside it.
    settings : FigureSettings
        Columns and dots per inch; the rest is in the csv.

    Raises
    ------
    UserError
        If `data` is not this figure's csv.
    """
    table, facts = artifacts.read_table(data, FIGURE_KIND)
    if facts["name"] != name:
        raise UserError(f"{data}: is about {facts['name']}; the csv of {name} is needed (obd figure-data)")
    # the style is laid over matplotlib's defaults, not over the user's matplotlibrc
    with matplotlib.style.context([RC], after_reset=True):
        figure = FIGURES[name].draw(table, settings)
        FigureCanvasAgg(figure)
        # without dates and versions the bytes depend on the data alone
        save = functools.partial(figure.savefig, dpi=settings.dpi)
        atomic.write_atomically(out, lambda path: save(path, metadata={"Software": None}))
        plain: dict[str, Any] = {"CreationDate": None, "Creator": None, "Producer": None}
        atomic.write_atomically(out.with_suffix(".pdf"), lambda path: save(path, metadata=plain))
    inputs = [{"file": str(data), "sha256": facts["sha256"]}]
    metadata = {"kind": "figure", "name": name, "settings": settings.model_dump(), "inputs": inputs}
    atomic.write_json(artifacts.sidecar(out), metadata | describe(name, facts).metadata() | provenance.facts())
    log.info("%s: from %s", out, data)
