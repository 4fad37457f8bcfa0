"""Names and order of everything that tables and figures show: one place, so that they agree everywhere."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from obdistill.core.methods import DEFAULT, METHODS

Row = tuple[str, str]  # method and variant: a row of a table, a curve of a figure
Cells = Mapping[str, Mapping[Row, pd.DataFrame]]  # task -> row -> episodes of the snapshots that are averaged

# in the order of table rows; other protocols come after them, by their own names
PROTOCOLS = {
    "standard": "Standard",
    **{f"mlp_{layers}": f"{layers}-layer MLP" for layers in (2, 3, 4, 5, 6)},
    "residual": "Residual MLP",
    **{"adam": "Adam", "adamw": "AdamW", "sgdm": "SGD with momentum"},
}
FIT = "Supervised fit"  # of a near-expert, where a method's label would be
ENVIRONMENTS = {"halfcheetah": "HalfCheetah", "walker2d": "Walker2d"}
# in the order of table columns and panels; with the paper's short names, for wide tables
QUALITIES = {"random": "R", "medium-replay": "M-R", "medium": "M", "medium-expert": "M-E", "expert": "E"}


def row_label(row: Row) -> str:
    """Return the name of a method, and in parentheses of its variant: ``PBC``, ``PBC (paper)``."""
    method, variant = row
    label = METHODS[method].label
    return label if variant == DEFAULT else f"{label} ({variant.replace('_', ' ')})"


def row_of(name: str) -> Row:
    """Read the name of a row in a configuration: ``av_pbc``, or ``av_pbc/paper`` for a variant."""
    method, _, variant = name.partition("/")
    return method, variant or DEFAULT


def row_position(row: Row) -> tuple[int, bool, str]:
    """Return the sort key of a row: methods as they are registered, the default variant first."""
    method, variant = row
    return list(METHODS).index(method), variant != DEFAULT, variant


def row_seed(row: Row) -> str:
    """Return what stands for a row in the seed of a bootstrap."""
    method, variant = row
    return method if variant == DEFAULT else f"{method}_{variant}"


def in_order(rows: Iterable[Row]) -> list[Row]:
    """Sort methods and their variants as table rows and legends show them."""
    return sorted(set(rows), key=row_position)


def rows_of(table: pd.DataFrame) -> list[Row]:
    """List the methods and variants of a table in the order in which they first appear."""
    pairs = zip(table["method"], table["variant"], strict=True)
    return list(dict.fromkeys((str(method), str(variant)) for method, variant in pairs))


def protocol_label(protocol: str) -> str:
    """Return the name of a protocol."""
    return PROTOCOLS.get(protocol, protocol.replace("_", " "))


def protocol_position(protocol: str) -> tuple[int, str]:
    """Return the sort key of a protocol."""
    return list(PROTOCOLS).index(protocol) if protocol in PROTOCOLS else len(PROTOCOLS), protocol


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


def percent(fraction: float) -> str:
    """Write a level, ``95 %``."""
    return f"{100 * fraction:g} %"


def span(values: Iterable[Any]) -> str:
    """Return the one value, or the range of values: ``5`` or ``3–5``; a dash for none."""
    found = sorted(set(values))
    if not found:
        return "–"
    return f"{found[0]}" if len(found) == 1 else f"{found[0]}–{found[-1]}"


def last_snapshots(count: int) -> str:
    """Name the snapshots that scores are averaged over."""
    return "last evaluated snapshot" if count == 1 else f"last {count} evaluated snapshots"


def p_with_sign(p: float) -> str:
    """Write a p-value for a sentence: ``p = 0.031``, ``p < 0.001``."""
    return f"p {p_value(p)}" if p < 0.001 else f"p = {p_value(p)}"


def p_value(p: float) -> str:
    """Write a p-value; a dash for none."""
    return "–" if np.isnan(p) else "< 0.001" if p < 0.001 else number(p, 3)
