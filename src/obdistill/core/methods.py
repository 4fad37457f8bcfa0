"""The registry of methods: everything a row of a table or a curve of a figure can be about, and what each needs."""

from dataclasses import dataclass

DEFAULT = "default"  # the variant that is the settings of `distill` themselves


@dataclass(frozen=True, kw_only=True)
class Method:
    """A way to come to policies.

    Attributes
    ----------
    label : str
        Name in tables and legends.
    on_synset : bool
        Whether policies are trained on a synset; otherwise the method uses the whole dataset.
    distilled : bool
        Whether an outer loop makes the synset; then the method is an objective of `obdistill.synsets.objectives`. A
        method on a synset that is not distilled is a selection of `obdistill.synsets.selection`.
    needs_near_expert : bool
        Whether making the synset takes a near-expert; a selection that does has the near-expert's actions.
    uses_weighting : bool
        Whether the settings ``distill.weighting`` matter.
    """

    label: str
    on_synset: bool = True
    distilled: bool = True
    needs_near_expert: bool = False
    uses_weighting: bool = False


# in the order of table rows and legends
METHODS = {
    "random": Method(label="Random", distilled=False),
    "random_relabeled": Method(label="Random, relabeled", distilled=False, needs_near_expert=True),
    "top_return": Method(label="Top return", distilled=False),
    "k_center": Method(label="k-center, relabeled", distilled=False, needs_near_expert=True),
    "dual_ranking": Method(label="Dual ranking", distilled=False, needs_near_expert=True),
    "dbc": Method(label="DBC"),
    "pbc": Method(label="PBC", needs_near_expert=True),
    "dw_pbc": Method(label="DW-PBC", needs_near_expert=True),
    "av_pbc": Method(label="Av-PBC", needs_near_expert=True, uses_weighting=True),
    "bc_whole": Method(label="BC (whole)", on_synset=False, distilled=False),
    "near_expert": Method(label="OffRL (whole)", on_synset=False, distilled=False),
}
SYNSET_METHODS = tuple(name for name, method in METHODS.items() if method.on_synset)
OBJECTIVES = tuple(name for name, method in METHODS.items() if method.distilled)
SELECTIONS = tuple(name for name in SYNSET_METHODS if not METHODS[name].distilled)
PAPER_METHODS = ("random", "dbc", "pbc", "av_pbc")  # of a grid whose configuration names no methods
