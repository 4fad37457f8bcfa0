"""Settings of evaluations: of synsets and whole datasets, of near-experts, of what training costs."""

from itertools import pairwise
from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from obdistill.core.settings import Settings
from obdistill.policies.settings import BcSettings, FitSettings


class EvaluateSettings(Settings):
    """Settings of an evaluation."""

    renamed: ClassVar = {"clone": "bc"}

    bc: BcSettings = Field(BcSettings(), description="training of the policies: behavior cloning")
    policies: int = Field(
        10, ge=1, description="policies per snapshot, each from its own initialization (paper's code: 10)"
    )
    episodes: int = Field(10, ge=1, description="episodes per policy (paper: 10)")
    last_snapshots: int | None = Field(
        None, ge=1, description="number of the last snapshots that are evaluated; null: all"
    )
    ensemble: bool = Field(
        False, description="evaluation of all policies of a snapshot as one, by the mean of their actions (Table 3)"
    )


class NearExpertEvaluationSettings(Settings):
    """Settings of a near-expert's evaluation."""

    episodes: int = Field(10, ge=10, description="episodes of the deterministic policy")
    discount: float = Field(
        0.99, ge=0, lt=1, description="discount factor of the Monte-Carlo returns that the critics are compared with"
    )


class CostSettings(Settings):
    """Settings of a measurement of cost."""

    whole_data: BcSettings = Field(BcSettings(), description="training on the whole dataset")
    synset: BcSettings = Field(BcSettings(), description="training on the synset")
    repeats: int = Field(5, ge=1, description="trainings on the synset, whose median time is taken")


class SupervisedFitSettings(FitSettings):
    """A plain supervised fit: other defaults than those of training on a synset."""

    optimizer: Literal["sgd", "adam", "adamw"] = Field("adam", description="optimizer")
    learning_rate: float = Field(1e-3, gt=0, description="learning rate of the optimizer")
    batch_size: int | None = Field(256, ge=1, description="pairs per step; null: all of them")


class ErrorCurveSettings(Settings):
    """Settings of a curve of return against imitation error."""

    steps: tuple[Annotated[int, Field(ge=1)], ...] = Field(
        (25, 50, 100, 200, 400, 1000, 2000, 4000),
        min_length=1,
        description="numbers of steps of the fit after which its policies are evaluated, rising",
    )
    bc: SupervisedFitSettings = Field(
        SupervisedFitSettings(), description="fit of the near-expert's actions on all states of the dataset"
    )
    policies: int = Field(4, ge=1, description="policies, each from its own initialization")
    episodes: int = Field(5, ge=1, description="episodes per policy and number of steps")

    @model_validator(mode="after")
    def _steps_rise(self) -> "ErrorCurveSettings":
        if any(first >= second for first, second in pairwise(self.steps)):
            raise ValueError(f"steps {list(self.steps)} must rise")
        return self
