"""Settings of a distillation: inner loop, outer loop, weights of Av-PBC."""

from typing import Literal

from pydantic import Field, model_validator

from obdistill.core.settings import Settings
from obdistill.policies.settings import ArchitectureName, Precision

RANDOM = "random"  # the baseline's name among the objectives


class InnerSettings(Settings):
    """The inner loop: behavior cloning of a fresh policy on the synset."""

    architecture: ArchitectureName = Field("mlp_4", description="policy network")
    steps: int = Field(100, ge=1, description="full-batch SGD steps T")
    learning_rate: float = Field(0.1, gt=0, description="of the inner SGD")
    momentum: float = Field(0.0, ge=0, lt=1, description="of the inner SGD")


class OuterSettings(Settings):
    """The outer loop: descent on the synset."""

    optimizer: Literal["sgd", "adam"] = Field("adam", description="sgd with momentum as in the paper, or Adam")
    learning_rate: float = Field(0.2, gt=0, description="initial learning rate (paper: 0.1 with sgd)")
    momentum: float = Field(0.9, ge=0, lt=1, description="of sgd, or Adam's beta_1")
    second_momentum: float = Field(0.999, ge=0, lt=1, description="Adam's beta_2")
    weight_decay: float = Field(
        0.02,
        ge=0,
        description="pull of the normalized pairs towards 0, times the learning rate: AdamW's, or sgd's L2 penalty",
    )
    schedule: Literal["constant", "cosine", "inverse_sqrt"] = Field(
        "inverse_sqrt", description="learning rate over the outer steps: cosine falls to 0 at the last; see decay_steps"
    )
    decay_steps: int = Field(
        50,
        ge=1,
        description="of inverse_sqrt: the rate is learning_rate / sqrt(1 + step / decay_steps), at any length",
    )
    clip: float | None = Field(None, gt=0, description="largest gradient norm (paper: 2); null: no clipping")
    adaptive_clip: float | None = Field(
        2.0,
        gt=0,
        description="k: a gradient of norm g > k m, m the median of the last 50 norms, is scaled by (k m / g)^2; "
        "null: none is",
    )
    batch_size: int = Field(10240, ge=1, description="dataset states per outer step (paper's code: 2560)")
    initializations: int = Field(1, ge=1, description="fresh policies per outer step; their gradients are averaged")
    averaging: float = Field(
        0.15,
        ge=0,
        le=1,
        description="eta of polynomial-decay iterate averaging (Shamir & Zhang 2013): a snapshot is about the mean of "
        "the last eta fraction of iterates; 0: the last one",
    )


class WeightSettings(Settings):
    """How Av-PBC turns action values into weights."""

    form: Literal["scaled", "mean_one", "shifted"] = Field(
        "mean_one",
        description="scaled: scale * q, as the paper (not normalized, not clipped); mean_one: max(q, 0) / its mean; "
        "shifted: (q - min q) / its mean, which a constant added to the rewards does not change",
    )
    scale: float = Field(0.02, gt=0, description="factor of the form scaled (0.02 in the paper's code)")
    critic: Literal["first", "min", "mean"] = Field(
        "min", description="which of the two critics: the first (the paper's code), their minimum or mean"
    )


class DistillSettings(Settings):
    """Settings of a distillation."""

    steps: int = Field(1000, ge=1, description="outer steps")
    snapshot_every: int = Field(100, ge=1, description="outer steps between two snapshots; the last step is always one")
    start: Literal["targets", "data"] = Field(
        "targets",
        description="actions of the random real states that the pairs start from: the objective's targets "
        "there, or the dataset's (paper)",
    )
    inner: InnerSettings = Field(InnerSettings(), description="inner loop")
    outer: OuterSettings = Field(OuterSettings(), description="outer loop")
    weighting: WeightSettings = Field(WeightSettings(), description="weights of Av-PBC")
    precision: Precision = Field(
        "auto",
        description="of matrix products: float32; reduced (bfloat16 on CPUs, TensorFloat32 on GPUs; sums are float32); "
        "auto: reduced where it is faster, which is on GPUs and CPUs with AMX",
    )

    @model_validator(mode="after")
    def _snapshots_fit(self) -> "DistillSettings":
        if self.snapshot_every > self.steps:
            raise ValueError(f"snapshot_every {self.snapshot_every} is more than steps {self.steps}")
        return self

    def snapshot_steps(self) -> list[int]:
        """Return the outer steps after which a snapshot is kept, the last included."""
        return sorted({*range(self.snapshot_every, self.steps + 1, self.snapshot_every), self.steps})
