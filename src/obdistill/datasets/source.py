"""What every dataset source takes and gives. A new source: its settings and `load`, and one line in `stage.SOURCES`."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from obdistill.datasets.transitions import Transitions

COLLECTION_FILE = "collection.json"  # what `obd collect` says of the datasets in its folder


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
    observation_keys : tuple of str
        Of states that were vectors with names (a Dict space): the names in the order in which they follow each other.
    warnings : tuple of str
        What the user should know of the data.
    """

    transitions: Transitions
    env_id: str | None
    reference_returns: tuple[float, float] | None
    origin: dict[str, Any]
    action_bounds: tuple[np.ndarray, np.ndarray] | None = None
    verified: bool = False
    observation_keys: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
