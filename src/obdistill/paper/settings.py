"""Names and settings of tables and figures."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from obdistill.core.settings import Settings
from obdistill.videos.settings import Rendering

# each has an entry in `paper.selection`, and in `paper.tables.make` or `paper.figures.make`, in the same order
TableName = Literal["table_1", "table_2", "table_3", "table_4", "table_5", "aggregates", "variance"]


FigureName = Literal[
    "figure_1",
    "figure_2",
    "policy_spread",
    "recipes",
    "synset_size",
    "error_curve",
    "performance_profiles",
    "precision",
]
RowName = Annotated[str, Field(pattern="^[a-z0-9_]+(/[a-z0-9_]+)?$")]


class TableSettings(Settings):
    """How returns become a table."""

    renamed: ClassVar = {"n_pairs": "size"}

    last_snapshots: int = Field(
        5, ge=1, description="evaluated snapshots that are averaged, counted from the last (paper: 5)"
    )
    confidence: float = Field(0.95, gt=0, lt=1, description="level of the intervals")
    interval: Literal["student_t", "bootstrap"] = Field(
        "student_t", description="kind of interval; the percentile bootstrap is too narrow with few seeds"
    )
    bootstrap_samples: int = Field(2000, ge=100, description="draws of a bootstrap interval")
    seed: int = Field(0, ge=0, description="seed of the bootstrap")
    size: int | None = Field(None, ge=1, description="synset size to show, one of sizes; null: the only one")
    difference: float = Field(
        5.0, gt=0, description="true difference of two methods' scores for which the table variance counts seeds"
    )
    pairs: tuple[tuple[RowName, RowName], ...] | None = Field(
        None,
        min_length=1,
        description="rows whose difference, the first less the second, the table variance tests, each by its method or "
        "as method/variant, e.g. [[av_pbc, pbc], [av_pbc/paper, pbc/paper]]; null: all methods, without variants",
    )
    digits: int = Field(1, ge=0, le=4, description="decimals in Markdown and LaTeX")
    paper_datasets: dict[str, str] = Field(
        {},
        description="task -> dataset of the paper, e.g. hopper-medium, whose numbers are printed beside ours; "
        "known for D4RL's sets",
    )


class FigureSettings(Settings):
    """How returns or synsets become a figure."""

    renamed: ClassVar = {"n_pairs": "size", "objective": "method"}

    confidence: float = Field(0.95, gt=0, lt=1, description="level of the Student-t bands over seeds")
    variants: bool = Field(True, description="whether figure_1 shows variants beside the settings of distill")
    size: int | None = Field(None, ge=1, description="synset size to show, one of sizes; null: the only one")
    last_snapshots: int = Field(
        5,
        ge=1,
        description="evaluated snapshots that performance_profiles and precision average, counted from the last",
    )
    bootstrap_samples: int = Field(2000, ge=100, description="draws of the bands of performance_profiles")
    seed: int = Field(0, ge=0, description="seed of the bootstrap")
    columns: int = Field(3, ge=1, le=6, description="panels in a row")
    dpi: int = Field(300, ge=50, le=1200, description="resolution of the png, dots per inch")
    method: str | None = Field(None, description="method whose synsets figure_2 draws; null: the last of methods")
    poses: int = Field(4, ge=1, le=12, description="pairs that figure_2 draws of each synset")
    rendering: Rendering = Field(
        "outlines",
        description="robots of figure_2: outlines, mujoco (rendered pictures; needs EGL or OSMesa), or auto: rendered "
        "where that can be done",
    )
