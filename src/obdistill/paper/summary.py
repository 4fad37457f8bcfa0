"""Table 1 and Figure 1 as plain numbers for programs (``dvc metrics show``, ``dvc plots show``), and what they show."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from obdistill.core import artifacts, atomic
from obdistill.core.errors import UserError
from obdistill.paper import names
from obdistill.paper.selection import FIGURE_KIND
from obdistill.paper.teachers import weak_near_experts

CURVES = ["task", "method", "variant", "step", "mean", "low", "high", "n"]


def metrics(table: pd.DataFrame) -> dict[str, dict[str, dict[str, float]]]:
    """Return the mean score by task, method and variant, from Table 1 in long form."""
    found: dict[str, dict[str, dict[str, float]]] = {}
    for task, method, variant, mean in table[["task", "method", "variant", "mean"]].itertuples(index=False):
        found.setdefault(task, {}).setdefault(method, {})[variant] = round(float(mean), 4)
    return found


def findings(tests: pd.DataFrame, level: float = 0.05) -> list[str]:
    """Say in sentences which methods differ, by how much, with interval and number of seeds.

    Parameters
    ----------
    tests : DataFrame
        The table ``variance`` in long form; its rows about pairs of methods are read.
    level : float
        In (0, 1): a difference is called one if the Holm-corrected p of Student's t is below.
    """
    sentences = []
    for task, pairs in tests[tests["other"].notna()].groupby("task", sort=False):
        where = " ".join(names.task_label(str(task))).rstrip()
        for pair in pairs.itertuples():
            ours, theirs = (pair.method, pair.variant), (pair.other, pair.other_variant)
            sentences.append(f"{where}: {_finding(pair, names.row_label(ours), names.row_label(theirs), level)}")
    return sentences


def _finding(pair: Any, ours: str, theirs: str, level: float) -> str:
    """Write the sentence of one pair; the one with the higher mean comes first."""
    mean, low, high = pair.mean, pair.low, pair.high
    if mean < 0:
        ours, theirs, mean, low, high = theirs, ours, -mean, -high, -low
    by, seeds = names.number(mean, 1), f"n = {pair.seeds} {'seed' if pair.seeds == 1 else 'seeds'}"
    p = pair.p_student_t_holm
    if np.isnan(p):
        return f"{ours} scores {by} more than {theirs} ({seeds}: no interval, no test)."
    about = f"{names.interval(low, high, 1)}, {seeds}, {names.p_with_sign(p)}"
    if p < level:
        return f"{ours} scores {by} more than {theirs} ({about})."
    return f"{ours} and {theirs} are not shown to differ: {by} ({about})."


def make_summary(table_1: Path, figure_1: Path, tests: Path, out: Path) -> None:
    """Write the learning curves (csv with sidecar) and, beside them, ``metrics.json`` and ``findings.json``.

    Parameters
    ----------
    table_1, tests : Path
        The csv files of ``table_1`` and ``variance``.
    figure_1 : Path
        The csv that Figure 1 is drawn from.
    out : Path
        The csv to write: task, method, variant, step; mean, low, high over n seeds.

    Raises
    ------
    UserError
        If a file is missing or another one.
    """
    scores, scores_facts = artifacts.read_table(table_1, "table")
    curves, curves_facts = artifacts.read_table(figure_1, FIGURE_KIND)
    pairs, pairs_facts = artifacts.read_table(tests, "table")
    read = {"table_1": (table_1, scores_facts), "figure_1": (figure_1, curves_facts), "variance": (tests, pairs_facts)}
    for name, (path, facts) in read.items():
        if facts["name"] != name:
            raise UserError(f"{path}: is about {facts['name']}; {name} is needed")
    inputs = [{"file": str(path), "sha256": facts["sha256"]} for path, facts in read.values()]
    confidence = names.percent(pairs_facts["settings"]["confidence"])
    said = {
        "findings": [*weak_near_experts(scores), *findings(pairs)],
        "note": f"Differences are paired by seed, policy and episode; in brackets {confidence} Student-t intervals "
        "over seeds; p of Student's t, Holm-corrected over a task's pairs; below 0.05 methods are called different.",
    }
    atomic.write_json(out.with_name("metrics.json"), metrics(scores))
    atomic.write_json(out.with_name("findings.json"), said)
    artifacts.write_artifact(out, curves[CURVES], {"kind": "curves", "inputs": inputs})
