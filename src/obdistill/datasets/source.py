"""What every dataset source takes and gives. A new source: its settings and `load`, and one line in `stage.SOURCES`."""

from dataclasses import dataclass
from typing import Any

from obdistill.datasets.transitions import Transitions


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
