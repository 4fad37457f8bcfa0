"""Settings of datasets: where the transitions come from, and how the project collects its own."""

from pathlib import Path
from typing import Annotated, Literal

import pydantic
from pydantic import Field, model_validator

from obdistill.core.settings import Settings
from obdistill.datasets import d4rl_facts

Level = Literal["random", "medium", "medium_replay", "expert", "medium_expert"]
LEVELS: tuple[Level, ...] = ("random", "medium", "medium_replay", "expert", "medium_expert")
# namespaces and name of letters, digits, _ and -: an id cannot lead out of the root
MINARI_ID = r"^([A-Za-z0-9_][A-Za-z0-9_-]*/)*[A-Za-z0-9_][A-Za-z0-9_-]*-v[0-9]+$"


class SourceSettings(Settings):
    """Settings that every source has."""

    env_id: str | None = Field(None, description="Gymnasium id of the evaluation; default: the source's own.")
    reference_returns: tuple[float, float] | None = Field(
        None,
        description="Returns of a random and an expert policy (score 0 and 100); default: the source's, else D4RL's.",
    )


class MinariSettings(SourceSettings):
    """A Minari dataset."""

    source: Literal["minari"] = Field(description="A Minari dataset.")
    id: str = Field(pattern=MINARI_ID, description="Minari id, e.g. mujoco/halfcheetah/medium-v0.")
    root: Path | None = Field(
        None, description="Folder of Minari datasets; default: Minari's own (~/.minari/datasets)."
    )
    download: bool = Field(True, description="Let Minari download the dataset if it is not in the folder.")


class D4rlSettings(SourceSettings):
    """A file in D4RL's layout."""

    source: Literal["d4rl"] = Field(description="D4RL's HDF5 layout.")
    file: str = Field(
        min_length=1, description="D4RL's name (e.g. halfcheetah-medium-replay-v2), a http(s) URL, or a path."
    )
    sha256: str | None = Field(
        None, pattern="^[0-9a-f]{64}$", description="Checksum that the file must have; default: any (it is recorded)."
    )
    cache: Path | None = Field(None, description="Folder of downloads; default: $OBD_CACHE, else ~/.cache/obd.")


class CollectedSettings(SourceSettings):
    """A level of an own collection."""

    source: Literal["collect"] = Field(description="A dataset of an own collection.")
    collection: str = Field(pattern="^[a-z][a-z0-9_]*$", description="Name of the collection in the configuration.")
    level: Level = Field(description="Which of its datasets.")


# the place to add a source: its settings here, its `load` in `stage._load`
AnySettings = MinariSettings | D4rlSettings | CollectedSettings


class DatasetSettings(pydantic.RootModel[Annotated[AnySettings, Field(discriminator="source")]]):
    """Settings of a dataset: one source and what it takes."""


class CollectSettings(Settings):
    """What to train on and what to record."""

    env_id: str = Field("HalfCheetah-v5", description="Gymnasium environment id.")
    levels: tuple[Level, ...] = Field(LEVELS, min_length=1, description="Datasets to make.")
    medium_steps: int = Field(200_000, ge=1, description="Training steps up to the medium policy.")
    medium_score: float | None = Field(
        None, description="Take the medium policy earlier, once the last 10 training episodes reach this mean score."
    )
    expert_steps: int = Field(1_000_000, ge=1, description="Training steps up to the expert policy.")
    transitions: int = Field(1_000_000, ge=1, description="Transitions of random, of medium and of expert.")
    max_replay_transitions: int | None = Field(
        None,
        ge=1,
        description="Keep whole episodes of medium_replay, evenly over training, up to this many transitions.",
    )
    reference_returns: tuple[float, float] | None = Field(
        None, description="Returns of a random and an expert policy (score 0 and 100); default: D4RL's, if it has any."
    )
    hidden_widths: tuple[Annotated[int, Field(ge=1)], ...] = Field(
        (256, 256), min_length=1, description="Hidden layers of SAC's actor and critics."
    )
    learning_rate: float = Field(3e-4, gt=0, description="SAC's learning rate (Adam).")
    batch_size: int = Field(256, ge=1, description="SAC's batch size.")
    discount: float = Field(0.99, gt=0, lt=1, description="SAC's discount factor.")
    random_steps: int = Field(5000, ge=0, description="Uniformly random steps before SAC learns.")

    @model_validator(mode="after")
    def _check(self) -> "CollectSettings":
        if len(set(self.levels)) != len(self.levels):
            raise ValueError("levels: names a level twice")
        if self.needs_expert and self.expert_steps < self.medium_steps:
            raise ValueError(f"expert_steps ({self.expert_steps}) must be at least medium_steps ({self.medium_steps})")
        if self.medium_score is not None and self.returns_for_scores is None:
            raise ValueError(f"medium_score needs reference_returns: D4RL has none for {self.env_id}")
        return self

    @property
    def needs_expert(self) -> bool:
        """Whether a wanted level needs the full training."""
        return bool({"expert", "medium_expert"} & set(self.levels))

    @property
    def returns_for_scores(self) -> tuple[float, float] | None:
        """Reference returns: the setting, else D4RL's, else None."""
        return self.reference_returns or d4rl_facts.reference_returns(self.env_id)
