"""Settings of evaluations: of synsets and whole datasets, of near-experts, of what training costs."""

from typing import ClassVar

from pydantic import Field

from obdistill.core.settings import Settings
from obdistill.policies.settings import BcSettings


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
