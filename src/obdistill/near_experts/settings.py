"""Settings of near-experts: of each offline-RL algorithm, and of an import."""

from typing import Annotated, ClassVar, Literal

import pydantic
from pydantic import Field, ValidationInfo, field_validator

from obdistill.core.settings import Settings
from obdistill.datasets.files import is_url

Widths = Annotated[tuple[Annotated[int, Field(ge=1)], ...], Field(min_length=1)]


class TrainingSettings(Settings):
    """Settings that every offline-RL algorithm has."""

    renamed: ClassVar = {"actor_widths": "actor_hidden_widths", "critic_widths": "critic_hidden_widths"}

    algorithm: str = Field(description="kind of the near-expert")
    seed: int = Field(0, ge=0, description="seed of initialization, batches and sampled actions")
    steps: int = Field(1_000_000, ge=1, description="gradient steps")
    batch_size: int = Field(256, ge=1, description="transitions per step")
    discount: float = Field(0.99, ge=0, lt=1, description="discount factor gamma")
    reward_scale: float | None = Field(
        1.0, gt=0, description="factor of the rewards in training; null: 1000 / range of the episode returns"
    )
    target_rate: float = Field(5e-3, gt=0, le=1, description="share by which target networks follow at each update")
    actor_learning_rate: float = Field(3e-4, gt=0, description="learning rate of the actor (Adam)")
    actor_schedule: Literal["constant", "cosine"] = Field(
        "constant", description="learning rate of the actor over the steps; cosine ends at 0"
    )
    critic_learning_rate: float = Field(3e-4, gt=0, description="learning rate of the critics (Adam)")
    actor_hidden_widths: Widths = Field((256, 256), description="widths of the actor's hidden layers, units")
    critic_hidden_widths: Widths = Field(
        (256, 256), description="widths of the hidden layers of each of the two critics, units"
    )


class CalQlSettings(TrainingSettings):
    """Settings of Cal-QL."""

    algorithm: Literal["cal_ql"] = Field(description="kind of the near-expert: Cal-QL (the paper's)")
    actor_learning_rate: float = Field(
        3e-5, gt=0, description="learning rate of the actor and the entropy weight (Adam)"
    )
    actor_hidden_widths: Widths = Field((256, 256, 256), description="widths of the actor's hidden layers, units")
    conservative_weight: float = Field(10.0, ge=0, description="weight of the conservative term (CQL's alpha)")
    sampled_actions: int = Field(
        10, ge=1, description="actions per state of each kind: random, of the policy, of the policy at the next state"
    )
    temperature: float = Field(1.0, gt=0, description="temperature of the conservative term's soft maximum")
    calibration: bool = Field(True, description="calibration by the data's returns; false: plain CQL")
    target_gap: float | None = Field(
        None, description="value at which a Lagrange multiplier holds the conservative term; null: no multiplier"
    )


class IqlSettings(TrainingSettings):
    """Settings of IQL; the defaults are the paper's for the MuJoCo tasks."""

    algorithm: Literal["iql"] = Field(description="kind of the near-expert: IQL")
    reward_scale: float | None = Field(
        None, gt=0, description="factor of the rewards in training; null: 1000 / range of the episode returns"
    )
    actor_schedule: Literal["constant", "cosine"] = Field(
        "cosine", description="learning rate of the actor over the steps; cosine ends at 0"
    )
    expectile: float = Field(0.7, gt=0, lt=1, description="expectile of the state value; 0.5 is the mean")
    inverse_temperature: float = Field(3.0, ge=0, description="factor of the advantages (beta of the IQL paper)")
    weight_limit: float = Field(100.0, gt=0, description="largest weight of a transition in the actor's loss")


class Td3Settings(TrainingSettings):
    """Settings of what is built on TD3."""

    target_noise: float = Field(0.2, ge=0, description="standard deviation of the noise on the target's action")
    target_noise_limit: float = Field(0.5, ge=0, description="largest size of that noise")
    steps_per_actor_update: int = Field(2, ge=1, description="critic steps per step of the actor and the targets")


class Td3BcSettings(Td3Settings):
    """Settings of TD3+BC; the defaults are the paper's."""

    algorithm: Literal["td3_bc"] = Field(description="kind of the near-expert: TD3+BC (the fastest)")
    alpha: float = Field(2.5, ge=0, description="weight of q against behavior cloning (alpha of the TD3+BC paper)")


class RebracSettings(Td3Settings):
    """Settings of ReBRAC; the defaults are the paper's, and the penalties those for halfcheetah-medium."""

    algorithm: Literal["rebrac"] = Field(description="kind of the near-expert: ReBRAC")
    batch_size: int = Field(1024, ge=1, description="transitions per step")
    actor_learning_rate: float = Field(1e-3, gt=0, description="learning rate of the actor (Adam)")
    critic_learning_rate: float = Field(1e-3, gt=0, description="learning rate of the critics (Adam)")
    actor_hidden_widths: Widths = Field((256, 256, 256), description="widths of the actor's hidden layers, units")
    critic_hidden_widths: Widths = Field(
        (256, 256, 256), description="widths of the hidden layers of each of the two critics, units"
    )
    actor_penalty: float = Field(
        1e-3, ge=0, description="weight of the policy's squared distance from the data's action in the actor's loss"
    )
    critic_penalty: float = Field(
        1e-2, ge=0, description="weight of that distance at the next state in the critics' target"
    )


class StatisticsSettings(Settings):
    """Where the state statistics of an imported policy are."""

    file: str = Field(description="JSON or .npz file with state_mean and state_std")
    key: str | None = Field(None, description="entry of the JSON file with the two; null: its top level")


class ImportSettings(Settings):
    """Settings of an import."""

    algorithm: Literal["import"] = Field(description="kind of the near-expert: a checkpoint of CORL")
    checkpoint: str = Field(
        description="path or URL (http or https) of a CORL checkpoint of CQL, Cal-QL, TD3+BC or IQL (.pt), or its "
        "weights (.npz, .safetensors)"
    )
    sha256: str | None = Field(
        None,
        pattern="^[0-9a-f]{64}$",
        validate_default=True,
        description="checksum that the checkpoint must have, needed for a URL; null: any",
    )
    statistics: StatisticsSettings | None = Field(
        None, description="state statistics of its training; null: those in the checkpoint, else those of the dataset"
    )

    @field_validator("sha256")
    @classmethod
    def _url_is_pinned(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is None and is_url(info.data.get("checkpoint", "")):
            raise ValueError("missing; a checkpoint from a URL needs it")
        return value


AnySettings = CalQlSettings | IqlSettings | Td3BcSettings | RebracSettings | ImportSettings


class NearExpertSettings(pydantic.RootModel[Annotated[AnySettings, Field(discriminator="algorithm")]]):
    """Settings of the near-expert: one algorithm and what it takes."""
