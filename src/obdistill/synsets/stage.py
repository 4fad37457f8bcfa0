"""The stage of synsets: from the file of a dataset to that of a synset, by an outer loop or by selection alone."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from obdistill.core import artifacts, sources
from obdistill.core.checkpoints import Checkpoint
from obdistill.core.errors import UserError
from obdistill.core.methods import DEFAULT, METHODS
from obdistill.datasets.transitions import Dataset, read_dataset
from obdistill.near_experts.near_expert import NearExpert, read_near_expert
from obdistill.synsets import selection
from obdistill.synsets.distillation import Distillation
from obdistill.synsets.outer_loop import METRICS
from obdistill.synsets.settings import DistillSettings
from obdistill.synsets.synset import Synset, write_synset


def make_synset(
    dataset_path: Path,
    near_expert_path: Path | None,
    objective: str,
    size: int,
    seed: int,
    settings: DistillSettings,
    out: Path,
    device: str = "cpu",
    checkpoint_minutes: float = 3.0,
    variant: str = DEFAULT,
) -> None:
    """Distill a dataset into a synset and write it, with ``metrics.csv`` beside it.

    Parameters
    ----------
    dataset_path : Path
        Dataset artifact.
    near_expert_path : Path, optional
        Near-expert artifact of the same task, for the objectives that need one.
    objective : str
        One of `core.methods.OBJECTIVES`.
    size : int
        Number of pairs.
    seed : int
        Seed of the selection, the initializations and the outer batches.
    settings : DistillSettings
        The rest.
    out : Path
        Synset to write.
    device : str
        Torch device.
    checkpoint_minutes : float
        Minutes between two checkpoints of the whole state.
    variant : str
        Name of these settings, by which the synset is known.

    Raises
    ------
    UserError
        If an input is missing or does not fit, or the run diverges.
    """
    clock = artifacts.Clock()
    dataset = read_dataset(dataset_path)
    near_expert = _read_near_expert(near_expert_path, objective)
    distillation = Distillation(dataset, near_expert, objective, size, seed, settings, device, variant)
    made = {"settings": settings.model_dump(), **_made_with(dataset, near_expert, device), **distillation.facts}
    identity = {"objective": objective, "variant": variant, "seed": seed, "size": size}
    identity |= {"versions": artifacts.versions(), "sources": sources.digest("distill")}
    checkpoint = Checkpoint(out, made | identity, checkpoint_minutes)
    distillation.run(checkpoint)
    _write(out, distillation.synset(), distillation.metrics(), made, clock)
    checkpoint.remove()


def make_selection(
    dataset_path: Path,
    near_expert_path: Path | None,
    method: str,
    size: int,
    seed: int,
    out: Path,
    variant: str = DEFAULT,
) -> None:
    """Select a synset of one snapshot, step 0, and write it, with an empty ``metrics.csv`` beside it.

    Parameters
    ----------
    method : str
        One of `core.methods.SELECTIONS`.
    dataset_path, near_expert_path, size, seed, out, variant
        As for `make_synset`.

    Raises
    ------
    UserError
        If an input is missing or does not fit, or there are too few transitions.
    """
    clock = artifacts.Clock()
    dataset = read_dataset(dataset_path)
    near_expert = _read_near_expert(near_expert_path, method)
    if near_expert is not None:
        near_expert.check_fits(dataset)
    rows, actions = selection.select(method, dataset, near_expert, size, seed)
    states = dataset.normalizer.states(dataset.transitions.observations[rows.numpy()])
    raw = _raw(dataset, states[None], actions[None])
    synset = Synset(dataset.task, method, variant, seed, np.zeros(1, np.int64), *raw, dataset.normalizer)
    made = {"settings": {}, **_made_with(dataset, near_expert, "cpu")}
    _write(out, synset, pd.DataFrame(columns=METRICS), made, clock)


def _made_with(dataset: Dataset, near_expert: NearExpert | None, device: str) -> dict[str, Any]:
    read = artifacts.inputs(dataset=dataset.artifact, near_expert=near_expert.artifact if near_expert else None)
    return {"inputs": read, "device": device, "threads": torch.get_num_threads()}


def _raw(dataset: Dataset, states: Tensor, actions: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Return snapshots (K, size, S) and (K, size, A) in the environment's units."""
    return dataset.normalizer.raw_states(states), dataset.normalizer.raw_actions(actions)


def _write(out: Path, synset: Synset, metrics: pd.DataFrame, made: dict[str, Any], clock: artifacts.Clock) -> None:
    artifacts.write_artifact(out.with_name("metrics.csv"), metrics, {"kind": "metrics", "threads": made["threads"]})
    write_synset(out, synset, {**made, "seconds": clock.seconds()})


def _read_near_expert(path: Path | None, method: str) -> NearExpert | None:
    """Read the near-expert if the method needs one."""
    if not METHODS[method].needs_near_expert:
        return None
    if path is None:
        raise UserError(f"--near-expert: missing; {method} needs one")
    return read_near_expert(path)
