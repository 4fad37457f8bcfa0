"""Distillation stage: from the file of a dataset to that of a synset."""

from pathlib import Path
from typing import Any

import torch

from obdistill.core import artifacts, sources
from obdistill.core.checkpoints import Checkpoint
from obdistill.core.errors import UserError
from obdistill.core.methods import DEFAULT, METHODS
from obdistill.datasets.transitions import read_dataset
from obdistill.near_experts.near_expert import NearExpert, read_near_expert
from obdistill.synsets.distillation import Distillation
from obdistill.synsets.settings import DistillSettings
from obdistill.synsets.synset import write_synset


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
        Near-expert artifact of the same task; needed by PBC and Av-PBC.
    objective : str
        ``random``, ``dbc``, ``pbc`` or ``av_pbc``; ``random`` makes no outer step.
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
    made: dict[str, Any] = {
        "settings": settings.model_dump(),
        "inputs": artifacts.inputs(dataset=dataset.artifact, near_expert=near_expert.artifact if near_expert else None),
        "device": device,
        "threads": torch.get_num_threads(),
        **distillation.facts,
    }
    checkpoint: Checkpoint | None = None
    if distillation.loop is not None:
        identity = {"objective": objective, "variant": variant, "seed": seed, "size": size}
        identity |= {"versions": artifacts.versions(), "sources": sources.digest("distill")}
        checkpoint = Checkpoint(out, made | identity, checkpoint_minutes)
    distillation.run(checkpoint)
    metrics = {"kind": "metrics", "threads": made["threads"]}
    artifacts.write_artifact(out.with_name("metrics.csv"), distillation.metrics(), metrics)
    write_synset(out, distillation.synset(), {**made, "seconds": clock.seconds()})
    if checkpoint is not None:
        checkpoint.remove()


def _read_near_expert(path: Path | None, objective: str) -> NearExpert | None:
    """Read the near-expert if the objective needs one."""
    if not METHODS[objective].needs_near_expert:
        return None
    if path is None:
        raise UserError(f"--near-expert: missing; objective {objective} needs one")
    return read_near_expert(path)
