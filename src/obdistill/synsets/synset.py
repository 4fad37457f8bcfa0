"""The synset artifact: a few (state, action) pairs at some outer steps, with the units they live in.

A dataset artifact has the same array names without the leading snapshot axis, so whatever trains on pairs reads either.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from obdistill.core import artifacts
from obdistill.core.artifacts import Artifact
from obdistill.core.errors import UserError
from obdistill.core.methods import DEFAULT
from obdistill.core.units import Normalizer, Task
from obdistill.datasets import transitions

KIND = "synset"


@dataclass(frozen=True)
class Synset:
    """Pairs of a task at K outer steps.

    Attributes
    ----------
    task : Task
        What they are for.
    method : str
        How they were made, e.g. ``av_pbc``.
    variant : str
        Name of the distillation settings, ``default`` if nothing is compared.
    seed : int
        Distillation seed.
    steps : ndarray of shape (K,), int64
        Number of outer updates behind each snapshot, rising; 0 is the initial selection.
    observations : ndarray of shape (K, size, state_dim), float32
        Raw states.
    actions : ndarray of shape (K, size, action_dim), float32
        Raw actions (targets of a regression: they may lie outside the bounds).
    normalizer : Normalizer
        Units of the policies trained on these pairs.
    seconds_per_step : float, optional
        Time that an outer step took.
    inner : mapping, optional
        Keys of the inner loop that the pairs were distilled for; a selection has none.
    artifact : Artifact, optional
        The file it was read from.
    """

    task: Task
    method: str
    variant: str
    seed: int
    steps: np.ndarray
    observations: np.ndarray
    actions: np.ndarray
    normalizer: Normalizer
    seconds_per_step: float | None = None
    inner: Mapping[str, Any] | None = None
    artifact: Artifact | None = None

    @property
    def size(self) -> int:
        """Number of pairs."""
        return int(self.actions.shape[1])


def write_synset(path: str | Path, synset: Synset, metadata: Mapping[str, Any] | None = None) -> None:
    """Write ``<path>.npz`` and its sidecar; `metadata` holds settings, inputs and what else is to be kept."""
    arrays = {"steps": synset.steps, "observations": synset.observations, "actions": synset.actions}
    facts: dict[str, Any] = {name: getattr(synset, name) for name in ("method", "variant", "seed", "size")}
    if synset.inner is not None:
        facts["settings"] = {"inner": dict(synset.inner)}
    if synset.seconds_per_step is not None:
        facts["seconds_per_step"] = synset.seconds_per_step
    facts = {**synset.task.metadata(), **facts, **(metadata or {})}
    artifacts.write_artifact(Path(path), arrays | synset.normalizer.arrays(), {"kind": KIND, **facts})


def read_pairs(path: Path) -> Synset:
    """Read a synset, or a whole dataset as a synset with the single step 0.

    Raises
    ------
    UserError
        If the artifact is missing, damaged or of another kind.
    """
    kind = artifacts.read_sidecar(path).get("kind") if path.is_file() else None
    if kind == transitions.KIND:
        dataset = transitions.read_dataset(path)
        observations, actions = dataset.transitions.observations[None], dataset.transitions.actions[None]
        step = np.zeros(1, np.int64)
        return Synset(
            *(dataset.task, "bc_whole", DEFAULT, 0, step, observations, actions, dataset.normalizer),
            artifact=dataset.artifact,
        )
    return read_synset(path)


def read_synset(path: str | Path) -> Synset:
    """Read a synset that ``obd distill`` or `write_synset` wrote.

    Parameters
    ----------
    path : str or Path
        ``synset.npz`` or the like, with its ``.json`` beside it.

    Raises
    ------
    UserError
        If one of the two is missing or damaged, or an array has another shape.
    """
    path = Path(path)
    arrays, metadata = artifacts.read_arrays(path, KIND)
    for name, dimensions in (("steps", 1), ("observations", 3), ("actions", 3)):
        if name not in arrays or arrays[name].ndim != dimensions:
            raise UserError(f"{path}: array {name!r} is missing or not of {dimensions} dimension(s)")
        if not np.isfinite(arrays[name]).all():
            raise UserError(f"{path}: array {name!r} is not finite")
    normalizer = Normalizer.from_arrays(arrays, path)
    snapshots, pairs = arrays["observations"].shape[:2]
    shapes = {
        "steps": (snapshots,),
        "observations": (snapshots, pairs, *normalizer.state_mean.shape),
        "actions": (snapshots, pairs, *normalizer.action_low.shape),
    }
    for name, shape in shapes.items():
        if arrays[name].shape != shape or 0 in shape:
            raise UserError(f"{path}: array {name!r} has the shape {arrays[name].shape}; a non-empty {shape} is needed")
    missing = [key for key in ("method", "variant", "seed") if key not in metadata]
    if missing:
        raise UserError(f"{path}: its .json has no {missing[0]}")
    named = {name: arrays[name] for name in shapes}
    return Synset(
        Task.from_metadata(metadata, path),
        metadata["method"],
        metadata["variant"],
        metadata["seed"],
        **named,
        normalizer=normalizer,
        seconds_per_step=metadata.get("seconds_per_step"),
        inner=metadata.get("settings", {}).get("inner"),
        artifact=Artifact.read(path, metadata),
    )
