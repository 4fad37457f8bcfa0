"""Settings of the policies that are trained on pairs."""

from typing import Literal

from pydantic import Field, model_validator

from obdistill.core.settings import Settings
from obdistill.policies.architectures import ARCHITECTURES

# each is a network of `policies.network.ARCHITECTURES`
ArchitectureName = Literal[
    "mlp_2", "mlp_2_512", "mlp_2_1024", "mlp_2_16384", "mlp_3", "mlp_4", "mlp_5", "mlp_6", "residual"
]


# of the last layer; hidden layers are always orthogonal
Start = Literal["orthogonal", "zero"]
Precision = Literal["auto", "float32", "reduced"]
RIDGE = "size of the penalty of ridge on the last layer, as a share of the hidden units' mean square"


def check_ridge(optimizer: str, architecture: str) -> None:
    """Refuse networks that the closed form cannot fit.

    Raises
    ------
    ValueError
        If the optimizer is ridge and the network has more than one hidden layer.
    """
    allowed = [name for name, form in ARCHITECTURES.items() if len(form.hidden_widths) == 1]
    if optimizer == "ridge" and architecture not in allowed:
        raise ValueError(
            f"optimizer ridge fits a network with one hidden layer; architecture {architecture!r} has more; allowed: "
            f"{', '.join(allowed)}"
        )


class TrainingSettings(Settings):
    """What the inner loop of a distillation and the training of a policy to be evaluated have in common."""

    architecture: ArchitectureName = Field(
        "mlp_4", description="policy network, e.g. mlp_4: 4 linear layers, 256 units wide (paper; others in Table 2)"
    )
    optimizer: Literal["sgd", "adam", "adamw", "ridge"] = Field(
        "sgd",
        description="optimizer (paper: sgd; others in Table 2); ridge draws the hidden layer and fits the last one in "
        "closed form, without steps",
    )
    learning_rate: float = Field(0.1, gt=0, description="learning rate of the optimizer (paper: 0.1)")
    momentum: float = Field(0.0, ge=0, lt=1, description="momentum of sgd (paper: 0)")
    epsilon: float = Field(1e-8, gt=0, description="epsilon of adam and adamw: smaller gradients make smaller steps")
    output_start: Start = Field(
        "orthogonal", description="last layer of a fresh policy: orthogonal (paper), or zero, so that all act alike"
    )


class FitSettings(TrainingSettings):
    """How a policy is trained on pairs, but for how long."""

    weight_decay: float = Field(0.01, ge=0, description="weight decay of adamw")
    batch_size: int | None = Field(None, ge=1, description="pairs per step; null: all of them (paper)")


class BcSettings(FitSettings):
    """How a policy is trained on pairs."""

    ridge: float = Field(1e-3, gt=0, description=RIDGE)
    steps: int = Field(100, ge=1, description="training steps (paper: 100)")

    @model_validator(mode="after")
    def _ridge_fits(self) -> "BcSettings":
        check_ridge(self.optimizer, self.architecture)
        return self
