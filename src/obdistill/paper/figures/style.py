"""Colors, markers and lines of figures: one place, so that they agree everywhere."""

from dataclasses import dataclass, replace
from typing import Any

from obdistill.core.methods import DEFAULT, METHODS
from obdistill.paper.names import Row

Line = str | tuple[float, tuple[float, ...]]


@dataclass(frozen=True)
class Style:
    """How a method is drawn.

    Attributes
    ----------
    color : str
        Color of the Okabe-Ito palette (distinct under the common color-vision deficiencies), or a gray for baselines
        and selections.
    marker : str
        Matplotlib marker of a learning curve: a second cue beside the color. Empty for reference lines.
    line : str or tuple
        Matplotlib line style.
    """

    color: str
    marker: str = ""
    line: Line = "-"

    def options(self) -> dict[str, Any]:
        """Return it as matplotlib's options of a line."""
        return {"color": self.color, "linestyle": self.line, "marker": self.marker}


STYLES = {
    "random": Style("#767676", line=(0, (1, 1.2))),
    "random_relabeled": Style("#AEA296", line=(0, (3, 1.2))),
    "top_return": Style("#5A4E5A", line=(0, (2, 1, 1, 1))),
    "k_center": Style("#364236", line=(0, (5, 1, 1, 1, 1, 1))),
    "dual_ranking": Style("#BABABA", line=(0, (7, 1.5))),
    "dbc": Style("#E69F00", "s"),
    "pbc": Style("#0072B2", "^"),
    "dw_pbc": Style("#7A0000", "P"),
    "av_pbc": Style("#D55E00", "o"),
    "bc_whole": Style("#009E73", line=(0, (4, 1.5))),
    "near_expert": Style("#000000", line=(0, (6, 1.5, 1.2, 1.5))),
}
SPARE = (Style("#56B4E9", "D"), Style("#CC79A7", "v"))  # of methods without an entry above
FIT = Style("#4D4D4D", ".")  # supervised fits of a near-expert
VARIANT_LINE: Line = (0, (3, 1.2))
VARIANT_STYLES: list[dict[str, Any]] = [  # of variants compared within a method: the default, then by name
    {"linestyle": "-", "marker": "o"},
    {"linestyle": (0, (4, 1.5)), "marker": "s"},
    {"linestyle": (0, (1, 1.2)), "marker": "^"},
    {"linestyle": (0, (5, 1.2, 1.2, 1.2)), "marker": "D"},
]
COLUMN_WIDTH, TEXT_WIDTH = 3.3, 5.5  # inches: a column and the text of a paper
BAND, EDGE = 0.14, 0.45  # opacity of bands, and of their edges: where bands lie on each other, edges tell them apart
RC = {
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


def style(row: Row) -> Style:
    """Return how a method is drawn; a variant has its method's color and a dashed line."""
    method, variant = row
    others = [name for name in METHODS if name not in STYLES]
    found = STYLES[method] if method in STYLES else SPARE[others.index(method) % len(SPARE)]
    return found if variant == DEFAULT else replace(found, line=VARIANT_LINE)
