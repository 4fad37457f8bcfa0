"""What a Minari dataset says of its states and actions: vectors, alone or with names."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from obdistill.core.errors import UserError


@dataclass(frozen=True)
class Vector:
    """A Box with one dimension.

    Attributes
    ----------
    key : str
        Its name in a Dict space, those of a Dict within joined by ``/``; empty if it is the whole space.
    low, high : ndarray of shape (numbers,)
        Bounds, perhaps infinite.
    """

    key: str
    low: np.ndarray
    high: np.ndarray

    def __len__(self) -> int:
        return len(self.low)


def vectors(metadata: Mapping[str, Any], key: str, name: str) -> list[Vector]:
    """List the vectors of a space, in the order in which Gymnasium flattens them.

    Parameters
    ----------
    metadata : mapping
        The dataset's ``metadata.json``.
    key : str
        ``observation_space`` or ``action_space``; only the former may be a Dict.
    name : str
        The dataset's id, for messages.

    Raises
    ------
    UserError
        If it is missing, cannot be read, or holds anything but vectors.
    """
    # Minari would build the environment to find out, that is, import whatever the file names
    if key not in metadata:
        raise UserError(f"{name}: its metadata.json has no {key}")
    try:
        # not by Minari: it would make a space of any shape out of two numbers, and sort the names
        space = json.loads(metadata[key])
        found = _within(space, "", key, name) if key == "observation_space" else [_vector(space, "", key, name)]
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        text = " ".join(str(error).split()) or type(error).__name__
        raise UserError(f"{name}: its {key} cannot be read ({text})") from None
    if not found:
        raise UserError(f"{name}: its {key} is empty")
    return found


def _within(space: Mapping[str, Any], prefix: str, key: str, name: str) -> list[Vector]:
    if space["type"] != "Dict":
        return [_vector(space, prefix, key, name)]
    parts = space["subspaces"].items()
    return [found for part, inner in parts for found in _within(inner, f"{prefix}/{part}".lstrip("/"), key, name)]


def _vector(space: Mapping[str, Any], at: str, key: str, name: str) -> Vector:
    kind, shape = space["type"], space.get("shape")
    if kind == "Box":
        low, high = (np.asarray(space.get(side), np.float64) for side in ("low", "high"))
        if low.ndim == 1 and list(low.shape) == list(high.shape) == shape:
            return Vector(at, low, high)
    where = f"{key.replace('_', ' ')}{f' at {at!r}' if at else ''}"
    raise UserError(f"{name}: its {where} is {kind!s:.40} of shape {shape!s:.40}; a Box with one dimension is needed")
