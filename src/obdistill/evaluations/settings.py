"""Settings of evaluations: of synsets and whole datasets, of near-experts, of what training costs."""

from pydantic import Field

from obdistill.core.settings import Settings
from obdistill.policies.settings import BcSettings


class EvaluateSettings(Settings):
    """Settings of an evaluation."""

    bc: BcSettings = Field(BcSettings(), description="training of the policies")
    policies: int = Field(10, ge=1, description="policies per snapshot, each from its own initialization")
    episodes: int = Field(10, ge=1, description="episodes per policy")
    last_snapshots: int | None = Field(None, ge=1, description="number of last snapshots to evaluate; null: all")
    ensemble: bool = Field(False, description="the policies of a snapshot act together, by the mean of their actions")


class NearExpertEvaluationSettings(Settings):
    """Settings of a near-expert's evaluation."""

    episodes: int = Field(10, ge=10, description="episodes of the deterministic policy")
    discount: float = Field(
        0.99, ge=0, lt=1, description="of the Monte-Carlo returns that the critics are held against"
    )


class CostSettings(Settings):
    """Settings of a measurement of cost."""

    whole_data: BcSettings = Field(BcSettings(), description="training on the whole dataset")
    synset: BcSettings = Field(BcSettings(), description="training on the synset")
    repeats: int = Field(5, ge=1, description="trainings on the synset, of which the median is taken")
