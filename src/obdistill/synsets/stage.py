"""Distillation stage: a dataset becomes a synset, by an outer loop or, for the baseline, by random selection alone."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from obdistill.core import artifacts, sources
from obdistill.core.checkpoints import Checkpoint
from obdistill.core.errors import UserError
from obdistill.core.methods import DEFAULT, METHODS
from obdistill.datasets.transitions import Dataset, read_dataset
from obdistill.near_experts.near_expert import NearExpert, read_near_expert
from obdistill.synsets.objectives import TARGETS_OF, describe_weights
from obdistill.synsets.outer_loop import METRICS, OuterLoop, OuterProblem, run
from obdistill.synsets.selection import random_rows
from obdistill.synsets.settings import RANDOM, DistillSettings
from obdistill.synsets.synset import Synset, write_synset


def distill(
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
    near_expert = _read_near_expert(near_expert_path, objective, dataset)
    made: dict[str, Any] = {
        "settings": settings.model_dump(),
        "inputs": artifacts.inputs(dataset=dataset.artifact, near_expert=near_expert.artifact if near_expert else None),
        "device": device,
        "threads": torch.get_num_threads(),
    }
    states = dataset.normalizer.states(dataset.transitions.observations)  # (n, S)
    rows = random_rows(dataset, size, seed)
    pairs = states[rows], dataset.normalizer.actions(dataset.transitions.actions[rows.numpy()])  # (size, S), (size, A)
    steps, snapshots = [0], (pairs[0][None], pairs[1][None])
    metrics, seconds_per_step, checkpoint = pd.DataFrame(columns=METRICS), None, None
    if objective != RANDOM:
        regression = TARGETS_OF[objective](dataset, near_expert, settings.weighting)
        if settings.start == "targets":
            pairs = pairs[0], regression.targets[rows]
        loop = OuterLoop(settings, OuterProblem(states.to(device), regression.to(device)), pairs, seed)
        made |= {"weights": describe_weights(regression.weights), "precision": loop.gradient.precision}
        identity = {"objective": objective, "variant": variant, "seed": seed, "size": size}
        identity |= {"versions": artifacts.versions(), "sources": sources.digest("distill")}
        checkpoint = Checkpoint(out, made | identity, checkpoint_minutes)
        seconds_per_step = run(loop, checkpoint)
        steps, snapshots = settings.snapshot_steps(), (loop.snapshot_states, loop.snapshot_actions)
        metrics = pd.DataFrame(loop.metrics.cpu().numpy(), columns=METRICS).astype({"step": int})
    raw = dataset.normalizer.raw_states(snapshots[0]), dataset.normalizer.raw_actions(snapshots[1])
    synset = Synset(
        dataset.task, objective, variant, seed, np.array(steps, np.int64), *raw, dataset.normalizer, seconds_per_step
    )
    artifacts.write_artifact(out.with_name("metrics.csv"), metrics, {"kind": "metrics", "threads": made["threads"]})
    write_synset(out, synset, {**made, "seconds": clock.seconds()})
    if checkpoint is not None:
        checkpoint.remove()


def _read_near_expert(path: Path | None, objective: str, dataset: Dataset) -> NearExpert | None:
    """Read the near-expert if the objective needs one, and check that it is of the dataset's task."""
    if not METHODS[objective].needs_near_expert:
        return None
    if path is None:
        raise UserError(f"--near-expert: missing; objective {objective} needs one")
    near_expert = read_near_expert(path)
    near_expert.check_fits(dataset, path)
    return near_expert
