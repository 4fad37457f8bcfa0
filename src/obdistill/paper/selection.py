"""What each table and figure is about. Planning and tables select by the same code; it needs no library."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from obdistill.core.methods import DEFAULT, METHODS, SYNSET_METHODS

FIGURE_KIND = "figure data"  # of the artifact that a figure is drawn from: a csv, and facts and counts of its caption
Job = Mapping[str, Any]  # with task, method, variant, protocol and size


@dataclass(frozen=True, kw_only=True)
class Selection:
    """What a table or figure is about.

    Attributes
    ----------
    reads : str
        Kind of the files it is made from. The other attributes choose cells of the returns.
    where : mapping
        Column of the returns -> the values to keep.
    without : mapping
        Column of the returns -> values to leave out.
    compares : str
        Column whose values are compared: a task, method and variant (of variants: a task and method) with one value of
        it only is left out. If it is ``size``, synsets of all sizes are kept. Empty: nothing is compared.
    """

    reads: Literal["returns", "costs", "synsets", "errors"] = "returns"
    where: Mapping[str, Sequence[object]] = field(default_factory=dict)
    without: Mapping[str, Sequence[object]] = field(default_factory=dict)
    compares: str = ""

    def keep(self, jobs: Sequence[Job], size: int | None) -> list[bool]:
        """Say of each job, or cell of the returns, whether it is shown.

        Parameters
        ----------
        jobs : sequence of mapping
            Each with task, method, variant, protocol and size.
        size : int or None
            Size of the synsets to keep; whole datasets stay. None keeps all sizes.
        """
        chosen = [self._chooses(job, size) for job in jobs]
        if not self.compares:
            return chosen
        compared = defaultdict[tuple[Any, ...], set[Any]](set)
        for job, is_chosen in zip(jobs, chosen, strict=True):
            if is_chosen:
                compared[self._group(job)].add(job[self.compares])
        return [is_chosen and len(compared[self._group(job)]) > 1 for job, is_chosen in zip(jobs, chosen, strict=True)]

    def _chooses(self, job: Job, size: int | None) -> bool:
        if any(job[column] not in values for column, values in self.where.items()):
            return False
        if any(job[column] in values for column, values in self.without.items()):
            return False
        any_size = size is None or self.compares == "size" or not METHODS[job["method"]].on_synset
        return any_size or job["size"] == size

    def _group(self, job: Job) -> tuple[Any, ...]:
        return tuple(job[column] for column in ("task", "method", "variant") if column != self.compares)


STANDARD = {"protocol": ("standard", "whole_data", "near_expert")}
SYNSETS = {"protocol": ("standard",), "method": SYNSET_METHODS, "variant": (DEFAULT,)}
AV_PBC = {"method": ("av_pbc",), "variant": (DEFAULT,)}

TABLE_SELECTIONS: dict[str, Selection] = {
    "table_1": Selection(where=STANDARD),
    "table_2": Selection(where=AV_PBC, without={"protocol": ("ensemble",)}, compares="protocol"),
    "table_3": Selection(where={"protocol": ("standard", "ensemble")}, compares="protocol"),
    "table_4": Selection(reads="costs"),
    "table_5": Selection(where={**AV_PBC, "protocol": ("standard",)}, compares="size"),
    "aggregates": Selection(where=SYNSETS),
    "variance": Selection(where={"protocol": ("standard",), "method": SYNSET_METHODS}),
}
FIGURE_SELECTIONS: dict[str, Selection] = {
    "figure_1": Selection(where=STANDARD),
    "figure_2": Selection(reads="synsets"),
    "policy_spread": Selection(where=STANDARD),
    "recipes": Selection(where={"protocol": ("standard",)}, compares="variant"),
    "synset_size": Selection(where=SYNSETS, compares="size"),
    "error_curve": Selection(reads="errors"),
    "performance_profiles": Selection(where=SYNSETS),
    "precision": Selection(where=SYNSETS),
}
