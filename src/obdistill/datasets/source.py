"""What every dataset source takes and gives. A new source: its settings and `load`, and one line in `stage.SOURCES`."""

from dataclasses import dataclass
from typing import Any, Literal

from pydantic import Field

from obdistill.core.settings import Settings
from obdistill.datasets.transitions import Transitions

Level = Literal["random", "medium", "medium_replay", "expert", "medium_expert"]
LEVELS: tuple[Level, ...] = ("random", "medium", "medium_replay", "expert", "medium_expert")


class SourceSettings(Settings):
    """Settings that every source has."""

    env_id: str | None = Field(None, description="Gymnasium id of the evaluation; default: the source's own.")
    reference_returns: tuple[float, float] | None = Field(
        None,
        description="Returns of a random and an expert policy (score 0 and 100); default: the source's, else D4RL's.",
    )


@dataclass(frozen=True)
class Loaded:
    """What a source gives.

    Attributes
    ----------
    transitions : Transitions
        The data.
    env_id : str or None
        Environment the data come from, None if the source does not say.
    reference_returns : tuple of float, or None
        Returns of a random and an expert policy, None if the source does not say.
    origin : dict
        Plain data for the artifact's metadata: where the data come from, with sha256.
    """

    transitions: Transitions
    env_id: str | None
    reference_returns: tuple[float, float] | None
    origin: dict[str, Any]
