"""The paper's own numbers, to stand beside ours."""

import functools
import importlib.resources
from collections.abc import Iterable, Mapping

import pandas as pd

from obdistill.core.errors import UserError

AVERAGE = "average"  # over the tasks of a row


def citation(table: int) -> str:
    """Return the sentence of a note that says where the paper's numbers are from."""
    return (
        f"Paper: Lei, Zhang and Tao, Offline Behavior Distillation, NeurIPS 2024, arXiv:2410.22728, Table {table}; in "
        "parentheses the difference, ours minus paper."
    )


def short_citation(table: int) -> str:
    """Return the same for a caption."""
    return f"Paper: Lei et al. (2024), Table {table} (ours minus paper)."


@functools.cache
def numbers() -> pd.Series:
    """Return the paper's numbers by (table, row, column), rows by the names used here.

    From Lei, Zhang and Tao, "Offline Behavior Distillation", NeurIPS 2024, https://arxiv.org/abs/2410.22728.
    """
    with (importlib.resources.files("obdistill.paper") / "numbers.csv").open() as file:
        table = pd.read_csv(file)
    return table.set_index(["table", "row", "column"])["value"].sort_index()


def columns(tasks: Iterable[str], datasets: Mapping[str, str]) -> dict[str, str]:
    """Return the paper's column of each task that has one.

    Raises
    ------
    UserError
        If `datasets`, task -> dataset of the paper, names one that is not the paper's.
    """
    known = numbers().index.get_level_values("column")
    for task, dataset in datasets.items():
        if dataset not in known or dataset == AVERAGE:
            allowed = ", ".join(sorted({name for name in known if "-" in name}))
            raise UserError(f"settings: paper_datasets.{task}: {dataset!r} is not one of the paper's: {allowed}")
    return {task: datasets[task] for task in tasks if task in datasets}
