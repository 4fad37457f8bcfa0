"""Weights in the form of CORL's checkpoints."""

import itertools
from pathlib import Path

import numpy as np
import torch

from helpers.small import make_small_dataset
from obdistill.datasets.transitions import Dataset
from obdistill.near_experts.corl import import_near_expert
from obdistill.near_experts.near_expert import NearExpert
from obdistill.near_experts.settings import ImportSettings


def make_weights(state_dim: int = 3, action_dim: int = 1, seed: int = 0) -> dict[str, np.ndarray]:
    """Weights of CORL's form, with hidden widths 5 and 4."""
    rng = np.random.default_rng(seed)
    weights = {
        "actor.log_std_multiplier.constant": np.array(0.7, np.float32),
        "actor.log_std_offset.constant": np.array(-0.9, np.float32),
    }
    for prefix, units in {
        "actor.base_network": (state_dim, 5, 4, 2 * action_dim),
        "critic1.network": (state_dim + action_dim, 5, 1),
        "critic2.network": (state_dim + action_dim, 5, 1),
    }.items():
        for layer, (inputs, outputs) in enumerate(itertools.pairwise(units)):
            weights[f"{prefix}.{2 * layer}.weight"] = rng.normal(size=(outputs, inputs)).astype(np.float32)
            weights[f"{prefix}.{2 * layer}.bias"] = rng.normal(size=outputs).astype(np.float32)
    return weights


def state_dicts(weights: dict[str, np.ndarray] | None = None) -> dict[str, dict[str, torch.Tensor]]:
    """Weights as tensors, by network."""
    parts: dict[str, dict[str, torch.Tensor]] = {}
    for name, array in (make_weights() if weights is None else weights).items():
        part, _, rest = name.partition(".")
        parts.setdefault(part, {})[rest] = torch.from_numpy(array.copy())
    return parts


def unit_dataset() -> Dataset:
    """The small dataset, with actions in [-1, 1]."""
    dataset = make_small_dataset()
    dataset.normalizer.action_low[:] = -1
    dataset.normalizer.action_high[:] = 1
    return dataset


def npz(folder: Path, **extra: np.ndarray) -> str:
    """Write the weights as plain arrays and return the path."""
    path = folder / "checkpoint.npz"
    np.savez(path, **(make_weights() | extra))
    return str(path)


def load_near_expert(dataset: Dataset, checkpoint: str, **settings: object) -> NearExpert:
    """Import a checkpoint."""
    near_expert, _ = import_near_expert(dataset, ImportSettings(algorithm="import", checkpoint=checkpoint, **settings))
    return near_expert
