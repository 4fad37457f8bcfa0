"""Settings of a distillation: inner loop, outer loop, weights of Av-PBC."""

from typing import ClassVar, Literal

from pydantic import Field, model_validator

from obdistill.core.settings import Settings
from obdistill.policies.settings import RIDGE, Precision, TrainingSettings, check_ridge


class InnerSettings(TrainingSettings):
    """The inner loop: behavior cloning of a fresh policy on the synset."""

    optimizer: Literal["sgd", "adam", "ridge"] = Field(
        "sgd",
        description="inner optimizer: sgd (paper), adam, or ridge, which draws the hidden layer and fits the last one "
        "in closed form, without steps",
    )
    ridge: float = Field(1e-3, gt=0, description=RIDGE)
    steps: int = Field(100, ge=1, description="full-batch steps (paper: 100)")

    @model_validator(mode="after")
    def _ridge_fits(self) -> "InnerSettings":
        check_ridge(self.optimizer, self.architecture)
        return self


class OuterSettings(Settings):
    """The outer loop: descent on the synset."""

    renamed: ClassVar = {
        "average": "averaging",
        "damp_spikes": "adaptive_clip",
        "initialisations": "initializations",
    }

    optimizer: Literal["sgd", "adam"] = Field("adam", description="optimizer: sgd with momentum (paper), or adam")
    learning_rate: float = Field(0.2, gt=0, description="learning rate at the start (paper: 0.1 with sgd)")
    momentum: float = Field(0.9, ge=0, lt=1, description="momentum of sgd, or beta_1 of adam")
    second_momentum: float = Field(0.999, ge=0, lt=1, description="beta_2 of adam")
    weight_decay: float = Field(
        0.02,
        ge=0,
        description="pull of the normalized pairs towards 0, as AdamW's, or as an L2 penalty with sgd (paper: 0)",
    )
    schedule: Literal["constant", "cosine", "inverse_sqrt"] = Field(
        "inverse_sqrt",
        description="learning rate over the outer steps: constant (paper), cosine (0 at the last), or inverse_sqrt "
        "(see decay_steps)",
    )
    decay_steps: int = Field(
        50,
        ge=1,
        description="outer steps k of inverse_sqrt, whose rate is learning_rate / sqrt(1 + step / k)",
    )
    warmup_steps: int = Field(
        0, ge=0, description="outer steps in which the learning rate rises in proportion to the step; 0: none (paper)"
    )
    clip: float | None = Field(None, gt=0, description="largest gradient norm (paper: 2); null: none")
    adaptive_clip: float | None = Field(
        2.0,
        gt=0,
        description="k: a gradient of norm g above k m, m the median of the last 50 norms, is scaled by (k m / g)^2; "
        "null: none (paper)",
    )
    batch_size: int = Field(10240, ge=1, description="states of the dataset per outer step (paper's code: 2560)")
    initializations: int = Field(
        1, ge=1, description="fresh policies per outer step, whose gradients are averaged (paper: 1)"
    )
    averaging: float = Field(
        0.15,
        ge=0,
        le=1,
        description="share of the steps so far over whose synsets a snapshot is about the mean; 0: none (paper)",
    )


class WeightSettings(Settings):
    """How Av-PBC turns action values into weights."""

    form: Literal["scaled", "mean_one", "shifted"] = Field(
        "mean_one",
        description="form of the weights: scaled is scale * q (paper), mean_one is max(q, 0) divided by its mean, "
        "shifted is q - min q divided by its mean, which a constant added to the rewards does not change",
    )
    scale: float = Field(0.02, gt=0, description="factor of the form scaled (paper's code: 0.02)")
    critic: Literal["first", "min", "mean"] = Field(
        "min", description="q of the two critics: first (paper's code), min or mean"
    )


class DistillSettings(Settings):
    """Settings of a distillation."""

    steps: int = Field(1000, ge=1, description="outer steps (paper: 20000 to 200000)")
    snapshot_every: int = Field(
        100,
        ge=1,
        description="outer steps between two snapshots, at most steps; the last step is always one (paper: 1000)",
    )
    start: Literal["targets", "data"] = Field(
        "targets",
        description="actions of the real states that the pairs start from: the method's targets there, or the "
        "dataset's (paper)",
    )
    inner: InnerSettings = Field(InnerSettings(), description="inner loop")
    outer: OuterSettings = Field(OuterSettings(), description="outer loop")
    weighting: WeightSettings = Field(WeightSettings(), description="weights of Av-PBC")
    precision: Precision = Field(
        "auto",
        description="precision of matrix products: float32, reduced (bfloat16 on CPUs, TensorFloat32 on GPUs; sums are "
        "float32), or auto: reduced where it is faster, on GPUs, CPUs with AMX and AMD's with AVX-512",
    )

    @model_validator(mode="after")
    def _snapshots_fit(self) -> "DistillSettings":
        if self.snapshot_every > self.steps:
            raise ValueError(f"snapshot_every {self.snapshot_every} is more than steps {self.steps}")
        return self


PROTOCOL = DistillSettings(
    inner=InnerSettings(architecture="mlp_2_16384", optimizer="ridge"),
    outer=OuterSettings(learning_rate=0.1, schedule="cosine", warmup_steps=20, batch_size=1536),
)
"""The project protocol (docs/protocol.md), one for all tasks and methods."""
