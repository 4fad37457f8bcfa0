"""Names, order and colors of everything that tables and figures show: one place, so that they agree everywhere."""

import functools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from obdistill.core import variants
from obdistill.paper.statistics.intervals import COUNTED


@dataclass(frozen=True)
class Look:
    """How a method is shown.

    Attributes
    ----------
    label : str
        Name in tables and legends.
    color : str
        Color of the Okabe-Ito palette (distinct under the common color-vision deficiencies), or gray for baselines.
    marker : str
        Matplotlib marker of a learning curve: a second cue beside the color. Empty for reference lines.
    line : str or tuple
        Matplotlib line style.
    synset : bool
        Whether the policies were trained on a synset (otherwise: on the whole dataset).
    """

    label: str
    color: str
    marker: str
    line: str | tuple[float, tuple[float, ...]]
    synset: bool


# in the order of table rows and legends
METHODS = {
    "random": Look("Random", "#767676", "", (0, (1, 1.2)), True),
    "dbc": Look("DBC", "#E69F00", "s", "-", True),
    "pbc": Look("PBC", "#0072B2", "^", "-", True),
    "av_pbc": Look("Av-PBC", "#D55E00", "o", "-", True),
    "bc_whole": Look("BC (whole)", "#009E73", "", (0, (4, 1.5)), False),
    "near_expert": Look("OffRL (whole)", "#000000", "", (0, (6, 1.5, 1.2, 1.5)), False),
}
# in the order of table rows; other protocols come after them, by their own names
PROTOCOLS = {
    "standard": "Standard",
    **{f"mlp_{layers}": f"{layers}-layer MLP" for layers in (2, 3, 4, 5, 6)},
    "residual": "Residual MLP",
    **{"adam": "Adam", "adamw": "AdamW", "sgdm": "SGD with momentum"},
}
COSTS = {
    f"{data}_{quantity}": f"{label}: {quantity.removeprefix('n_')}"
    for data, label in (("whole_data", "Whole data"), ("synset", "Synset"))
    for quantity in ("size", "steps", "seconds", "megabytes")
}
ENVIRONMENTS = {"halfcheetah": "HalfCheetah", "walker2d": "Walker2d"}
# in the order of table columns and panels; with the paper's short names, for wide tables
QUALITIES = {"random": "R", "medium-replay": "M-R", "medium": "M", "medium-expert": "M-E", "expert": "E"}


def look(method: str) -> Look:
    """Return how a method is shown; a variant, such as ``pbc_paper``, has its method's color and a dashed line.

    Raises
    ------
    UserError
        If the method is not known here.
    """
    name, variant = variants.split(method, METHODS)
    plain = METHODS[name]
    if not variant:
        return plain
    return replace(plain, label=f"{plain.label} ({variant.replace('_', ' ')})", line=(0, (3, 1.2)))


def in_order(methods: Iterable[str]) -> list[str]:
    """Sort methods as table rows and legends show them."""
    return sorted(set(methods), key=functools.partial(position, "method"))


def label(column: str, value: object) -> str:
    """Return the name of a table row: `value` of the returns' `column`, e.g. ``("method", "av_pbc")``."""
    if column == "method":
        return look(str(value)).label
    return (PROTOCOLS | COSTS).get(str(value), str(value).replace("_", " "))


def position(column: str, value: object) -> Any:
    """Return the sort key of a table row or a legend entry."""
    if column == "method":
        name, variant = variants.split(str(value), METHODS)
        return list(METHODS).index(name), variant
    if column == "protocol":
        return list(PROTOCOLS).index(str(value)) if value in PROTOCOLS else len(PROTOCOLS), value
    return value


def task_label(task: str) -> tuple[str, str]:
    """Split a task's name into environment and dataset: ``hopper_medium_replay`` -> ``("Hopper", "medium-replay")``."""
    environment, _, dataset = task.replace("_", "-").partition("-")
    return ENVIRONMENTS.get(environment, environment.capitalize()), dataset


def task_position(task: str) -> tuple[str, int, str]:
    """Return the sort key of a task: environment, then quality of the dataset, then name."""
    environment, dataset = task_label(task)
    return environment, list(QUALITIES).index(dataset) if dataset in QUALITIES else len(QUALITIES), task


def number(value: float, digits: int, sign: str = "") -> str:
    """Write a number with so many decimals, thousands apart, a real minus sign, and with ``sign="+"`` plus signs."""
    value = round(value, digits) + 0.0  # no minus zero
    return f"{value:{sign},.{digits}f}".replace("-", "−")


def interval(low: float, high: float, digits: int) -> str:
    """Write an interval, ``[1.2, 3.4]``; nothing for none."""
    return "" if np.isnan(low) else f"[{number(low, digits)}, {number(high, digits)}]"


def against_paper(paper_value: float, difference: float, digits: int) -> str:
    """Write the paper's number and the difference to it, ``19.2 (+1.3)``; nothing for none."""
    return "" if np.isnan(paper_value) else f"{number(paper_value, digits)} ({number(difference, digits, '+')})"


def span(values: pd.Series) -> str:
    """Return the one value, or the range of values: ``5`` or ``3–5``; a dash for none."""
    if values.empty:
        return "–"
    low, high = values.min(), values.max()
    return f"{low}" if low == high else f"{low}–{high}"


def last_snapshots(count: int) -> str:
    """Name the snapshots that scores are averaged over."""
    return "last evaluated snapshot" if count == 1 else f"last {count} evaluated snapshots (all where there are fewer)"


def counts(cells: pd.DataFrame, names: Iterable[str] = COUNTED) -> str:
    """Say how many seeds, snapshots, policies and episodes (columns of `cells`) stand behind each of some cells."""
    return " × ".join(f"{span(cells[name])} {_noun(name, cells[name].max())}" for name in names)


def sentences(texts: Mapping[str, str]) -> list[str]:
    """Write one sentence per text, naming all rows it is true of: ``DBC, PBC: 5 seeds × ...``."""
    return [
        f"{', '.join(name for name, other in texts.items() if other == text)}: {text}."
        for text in dict.fromkeys(texts.values())
    ]


def _noun(plural: str, count: int) -> str:
    if count > 1:
        return plural
    return plural.removesuffix("ies") + "y" if plural.endswith("ies") else plural.removesuffix("s")
