"""Settings of near-experts: of each offline-RL algorithm, and of an import."""

from typing import Annotated, Literal

import pydantic
from pydantic import Field

from obdistill.core.settings import Settings

Widths = Annotated[tuple[Annotated[int, Field(ge=1)], ...], Field(min_length=1)]


class TrainingSettings(Settings):
    """Settings that every offline-RL algorithm has."""

    algorithm: str
    seed: int = Field(0, ge=0, description="seed of initialization, batches and sampled actions")
    steps: int = Field(1_000_000, ge=1, description="gradient steps")
    batch_size: int = Field(256, ge=1, description="transitions per step")
    discount: float = Field(0.99, ge=0, lt=1, description="discount factor gamma")
    reward_scale: float | None = Field(
        1.0, gt=0, description="rewards are multiplied by it in training; null: 1000 / range of the episode returns"
    )
    target_rate: float = Field(5e-3, gt=0, le=1, description="rate at which target networks follow, per update")
    actor_learning_rate: float = Field(3e-4, gt=0, description="Adam's learning rate of the actor")
    actor_schedule: Literal["constant", "cosine"] = Field(
        "constant", description="the actor's learning rate over the steps; cosine ends at 0"
    )
    critic_learning_rate: float = Field(3e-4, gt=0, description="Adam's learning rate of the critics")
    actor_hidden_widths: Widths = Field((256, 256), description="hidden widths of the actor")
    critic_hidden_widths: Widths = Field((256, 256), description="hidden widths of each of the two critics")


class CalQlSettings(TrainingSettings):
    """Settings of Cal-QL."""

    algorithm: Literal["cal_ql"]
    actor_learning_rate: float = Field(3e-5, gt=0, description="Adam's learning rate of the actor and the entropy")
    actor_hidden_widths: Widths = Field((256, 256, 256), description="hidden widths of the actor")
    conservative_weight: float = Field(10.0, ge=0, description="weight of the conservative term (CQL's alpha)")
    sampled_actions: int = Field(10, ge=1, description="actions per state: random, of the policy, of the policy at s'")
    temperature: float = Field(1.0, gt=0, description="temperature of the conservative term's soft maximum")
    calibration: bool = Field(True, description="hold policy values above the data's returns; false: plain CQL")
    target_gap: float | None = Field(
        None, description="let a Lagrange multiplier hold the conservative term at this value; null: none"
    )


class IqlSettings(TrainingSettings):
    """Settings of IQL; the defaults are the paper's for the MuJoCo tasks."""

    algorithm: Literal["iql"]
    reward_scale: float | None = Field(
        None, gt=0, description="rewards are multiplied by it in training; null: 1000 / range of the episode returns"
    )
    actor_schedule: Literal["constant", "cosine"] = Field(
        "cosine", description="the actor's learning rate over the steps; cosine ends at 0"
    )
    expectile: float = Field(0.7, gt=0, lt=1, description="expectile of the state value; 0.5 is the mean")
    inverse_temperature: float = Field(3.0, ge=0, description="advantages are multiplied by it (the paper's beta)")
    weight_limit: float = Field(100.0, gt=0, description="largest weight of a transition in the actor's loss")


class Td3BcSettings(TrainingSettings):
    """Settings of TD3+BC; the defaults are the paper's."""

    algorithm: Literal["td3_bc"]
    alpha: float = Field(2.5, ge=0, description="weight of q against behavior cloning (the paper's alpha)")
    target_noise: float = Field(0.2, ge=0, description="standard deviation of the noise on the target's action")
    target_noise_limit: float = Field(0.5, ge=0, description="largest size of that noise")
    steps_per_actor_update: int = Field(2, ge=1, description="critic steps per step of the actor and the targets")


class StatisticsSettings(Settings):
    """Where the state statistics of an imported policy are."""

    file: str = Field(description="JSON or .npz file that holds state_mean and state_std")
    key: str | None = Field(None, description="entry of a JSON file that holds the two; null: they are at its top")


class ImportSettings(Settings):
    """Settings of an import."""

    algorithm: Literal["import"]
    checkpoint: str = Field(description="CORL checkpoint (.pt), or the same weights as plain arrays (.npz)")
    statistics: StatisticsSettings | None = Field(
        None, description="state statistics of its training; null: those in the .npz, else those of the dataset"
    )


AnySettings = CalQlSettings | IqlSettings | Td3BcSettings | ImportSettings


class NearExpertSettings(pydantic.RootModel[Annotated[AnySettings, Field(discriminator="algorithm")]]):
    """Settings of the near-expert: one algorithm and what it takes."""
