"""Names and settings of tables and figures."""

from typing import Literal

from pydantic import Field

from obdistill.core.settings import Settings

# each is an entry of `paper.tables.score_tables.TABLES` or `paper.figures.figures.FIGURES`, in the same order
TableName = Literal["table_1", "table_2", "table_3", "table_4", "table_5", "aggregates", "variance"]


FigureName = Literal[
    "figure_1", "figure_2", "policy_spread", "recipes", "synset_size", "performance_profiles", "precision"
]


class TableSettings(Settings):
    """How returns become a table."""

    last_snapshots: int = Field(5, ge=1, description="Evaluated steps that are averaged, counted from the last.")
    confidence: float = Field(0.95, gt=0, lt=1, description="Level of the intervals.")
    interval: Literal["student_t", "bootstrap"] = Field(
        "student_t", description="Kind of interval; the percentile bootstrap undercovers with few seeds."
    )
    bootstrap_samples: int = Field(2000, ge=100, description="Draws of a bootstrap interval.")
    seed: int = Field(0, ge=0, description="Seed of the bootstrap.")
    size: int | None = Field(None, ge=1, description="Synset size to keep, where the files hold several.")
    difference: float = Field(5.0, gt=0, description="True difference of scores that `variance` counts seeds for.")
    digits: int = Field(1, ge=0, le=4, description="Decimals in Markdown and LaTeX.")
    paper_datasets: dict[str, str] = Field(
        {}, description="Task -> dataset of the paper it is, e.g. {hopper: hopper-medium}: prints the paper's numbers."
    )


class FigureSettings(Settings):
    """How returns or synsets become a figure."""

    confidence: float = Field(0.95, gt=0, lt=1, description="Level of the Student-t bands over seeds.")
    size: int | None = Field(None, ge=1, description="Synset size to keep, where the files hold several.")
    last_snapshots: int = Field(5, ge=1, description="Evaluated steps of performance_profiles and precision.")
    bootstrap_samples: int = Field(2000, ge=100, description="Draws of the bands of performance_profiles.")
    seed: int = Field(0, ge=0, description="Seed of the bootstrap.")
    columns: int = Field(3, ge=1, le=6, description="Panels in a row.")
    dpi: int = Field(300, ge=50, le=1200, description="Dots per inch of the png.")
    method: str | None = Field(None, description="Method whose synsets to draw, where the files hold several.")
    poses: int = Field(4, ge=1, le=12, description="Pairs of a synset to draw.")
