"""What every dataset source takes and gives. A new source: its settings and `load`, and one line in `stage.SOURCES`."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from pydantic import Field

from obdistill.core.settings import Settings
from obdistill.datasets.transitions import Transitions

Level = Literal["random", "medium", "medium_replay", "expert", "medium_expert"]
COLLECTION_FILE = "collection.json"  # what `obd collect` says of the datasets in its folder
LEVELS: tuple[Level, ...] = ("random", "medium", "medium_replay", "expert", "medium_expert")


class SourceSettings(Settings):
    """Settings that every source has."""

    env_id: str | None = Field(None, description="Gymnasium id of the evaluation; default: the source's own.")
    reference_returns: tuple[float, float] | None = Field(
        None,
        description="Returns of a random and an expert policy (score 0 and 100); default: the source's, else D4RL's.",
    )
    clip_actions: bool = Field(
        False, description="Cut actions to the environment's bounds, as most environments do themselves."
    )


@dataclass(frozen=True)
class Loaded:
    """What a source gives.

    Attributes
    ----------
    transitions : Transitions
        The data.
    env_id : str or None
        Environment to evaluate in: the one in the settings, else the one that the data name, None if they do not.
    reference_returns : tuple of float, or None
        Returns of a random and an expert policy, None if the source does not say.
    origin : dict
        Plain data for the artifact's metadata: where the data come from, with sha256.
    action_bounds : tuple of ndarray of shape (action_dim,), or None
        Lowest and highest action of the environment that recorded the data, None if the source does not say.
    verified : bool
        Whether the data have been compared with a checksum that was known before.
    warnings : tuple of str
        What the user should know of the data.
    """

    transitions: Transitions
    env_id: str | None
    reference_returns: tuple[float, float] | None
    origin: dict[str, Any]
    action_bounds: tuple[np.ndarray, np.ndarray] | None = None
    verified: bool = False
    warnings: tuple[str, ...] = ()
