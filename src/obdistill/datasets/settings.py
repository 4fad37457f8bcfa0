"""Settings of datasets: where the transitions come from, and how the project collects its own."""

from pathlib import Path
from typing import Annotated, ClassVar, Literal

import pydantic
from pydantic import Field, model_validator

from obdistill.core.settings import Settings
from obdistill.datasets import d4rl_facts

Level = Literal["random", "medium", "medium_replay", "expert", "medium_expert"]
LEVELS: tuple[Level, ...] = ("random", "medium", "medium_replay", "expert", "medium_expert")
# namespaces and name of letters, digits, _ and -: an id cannot lead out of the root
MINARI_ID = r"^([A-Za-z0-9_][A-Za-z0-9_-]*/)*[A-Za-z0-9_][A-Za-z0-9_-]*-v[0-9]+$"
# the same, or such an id on a server of Minari's: hf://ORGANIZATION/ID, gcp://BUCKET/ID
MINARI_PLACE = "^((hf|gcp)://[A-Za-z0-9_][A-Za-z0-9_.-]*/)?" + MINARI_ID.removeprefix("^")


class SourceSettings(Settings):
    """Settings that every source has."""

    env_id: str | None = Field(
        None, description="Gymnasium id of the environment for evaluation; null: the source's own"
    )
    reference_returns: tuple[float, float] | None = Field(
        None,
        description="returns of a random and an expert policy (score 0 and 100); null: the source's, else D4RL's",
    )
    clip_actions: bool = Field(
        False, description="cut of actions to the environment's bounds, as most environments do themselves"
    )


class MinariSettings(SourceSettings):
    """A Minari dataset."""

    source: Literal["minari"] = Field(description="kind of the source: a Minari dataset")
    id: str = Field(
        pattern=MINARI_PLACE,
        description="Minari id, e.g. mujoco/halfcheetah/medium-v0 or hf://farama-minari/D4RL/door/human-v2",
    )
    root: Path | None = Field(None, description="folder of Minari datasets; null: Minari's own (~/.minari/datasets)")
    download: bool = Field(True, description="download by Minari if the dataset is not in the folder")
    sha256: str | None = Field(
        None,
        pattern="^[0-9a-f]{64}$",
        description="checksum that the data files must have; null: that in collection.json, else any",
    )

    @property
    def server(self) -> str | None:
        """Where it is downloaded from, as in ``MINARI_REMOTE``; None: that one, else Minari's own."""
        return "/".join(self.id.split("/")[:3]) if "://" in self.id else None

    @property
    def local_id(self) -> str:
        """The id in the folder of Minari datasets."""
        return "/".join(self.id.split("/")[3:]) if "://" in self.id else self.id


class D4rlSettings(SourceSettings):
    """A file in D4RL's layout."""

    source: Literal["d4rl"] = Field(description="kind of the source: a file in D4RL's HDF5 layout")
    file: str = Field(
        min_length=1,
        description="name of one of D4RL's sets (e.g. halfcheetah-medium-replay-v2), URL (http or https), or path",
    )
    sha256: str | None = Field(
        None, pattern="^[0-9a-f]{64}$", description="checksum that the file must have; null: any (it is recorded)"
    )
    mirrors: tuple[str, ...] = Field(
        (), description="other URLs of the same file, tried in this order if the first does not give it"
    )
    cache: Path | None = Field(None, description="folder of downloads; null: $OBD_CACHE, else ~/.cache/obd")


class CollectedSettings(SourceSettings):
    """A level of an own collection."""

    source: Literal["collect"] = Field(description="kind of the source: a dataset collected by obd collect")
    collection: str = Field(pattern="^[a-z][a-z0-9_]*$", description="name of the collection, a key of collections")
    level: Level = Field(description="dataset of the collection")


class PinnedSettings(SourceSettings):
    """Settings of a source that names no environment itself."""

    sha256: str | None = Field(
        None, pattern="^[0-9a-f]{64}$", description="checksum that the data must have; null: any (it is recorded)"
    )


class ArraysSettings(PinnedSettings):
    """Plain arrays, one row per step."""

    source: Literal["arrays"] = Field(description="kind of the source: plain arrays")
    file: Path = Field(description="path of the arrays: .npz, or .parquet")


class OgbenchSettings(PinnedSettings):
    """A file of OGBench's."""

    source: Literal["ogbench"] = Field(description="kind of the source: a file of OGBench's (.npz)")
    file: Path = Field(description="path of OGBench's file: .npz with states and terminals")
    env_id: str = Field(description="Gymnasium id of the task, e.g. ogbench:antmaze-large-singletask-task1-v0")


class LerobotSettings(PinnedSettings):
    """A dataset of LeRobot's, version 3."""

    source: Literal["lerobot"] = Field(description="kind of the source: a dataset of LeRobot's, version 3")
    folder: Path = Field(description="folder of the dataset, with meta and data in it")


# the place to add a source: its settings here, its `load` in `stage._load`
AnySettings = MinariSettings | D4rlSettings | CollectedSettings | ArraysSettings | OgbenchSettings | LerobotSettings


class DatasetSettings(pydantic.RootModel[Annotated[AnySettings, Field(discriminator="source")]]):
    """Settings of a dataset: one source and what it takes."""


class CollectSettings(Settings):
    """What to train on and what to record."""

    renamed: ClassVar = {"hidden_sizes": "hidden_widths"}

    env_id: str = Field("HalfCheetah-v5", description="Gymnasium id of the environment")
    levels: tuple[Level, ...] = Field(LEVELS, min_length=1, description="datasets to make")
    medium_steps: int = Field(200_000, ge=1, description="training steps up to the medium policy")
    medium_score: float | None = Field(
        None,
        description="mean score of the last 10 training episodes at which the medium policy is taken; "
        "null: after medium_steps",
    )
    expert_steps: int = Field(1_000_000, ge=1, description="training steps up to the expert policy")
    transitions: int = Field(1_000_000, ge=1, description="transitions of each of random, medium and expert")
    max_replay_transitions: int | None = Field(
        None,
        ge=1,
        description="most transitions of medium_replay, whole episodes spread evenly over training; null: all",
    )
    reference_returns: tuple[float, float] | None = Field(
        None, description="returns of a random and an expert policy (score 0 and 100); null: D4RL's, if it has any"
    )
    hidden_widths: tuple[Annotated[int, Field(ge=1)], ...] = Field(
        (256, 256), min_length=1, description="widths of the hidden layers of SAC's actor and critics, units"
    )
    learning_rate: float = Field(3e-4, gt=0, description="learning rate of SAC (Adam)")
    batch_size: int = Field(256, ge=1, description="transitions per step of SAC")
    discount: float = Field(0.99, gt=0, lt=1, description="discount factor of SAC")
    random_steps: int = Field(5000, ge=0, description="uniformly random steps before SAC learns")

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
