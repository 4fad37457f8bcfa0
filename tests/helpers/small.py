"""A small made task for tests: Pendulum with made transitions, and a near-expert with random weights."""

from pathlib import Path

import numpy as np
import torch

from obdistill.core.units import Normalizer, Task
from obdistill.datasets.transitions import Dataset, Transitions, make_dataset, write_dataset
from obdistill.near_experts.near_expert import NearExpert, write_near_expert
from obdistill.near_experts.networks import Critics, mlp, orthogonal_

TASK = Task("pendulum", "Pendulum-v1", (-1200.0, -150.0))
HIGH = np.array([2.0], np.float32)


def make_small_dataset(n: int = 60, episode: int = 20, seed: int = 0) -> Dataset:
    """Transitions of whole episodes of random numbers in Pendulum's spaces."""
    rng = np.random.default_rng(seed)
    observations = rng.normal(size=(n, 3)).astype(np.float32) * [1, 2, 3] + 1
    last = np.arange(1, n + 1) % episode == 0
    transitions = Transitions(
        observations.astype(np.float32),
        rng.uniform(-2, 2, (n, 1)).astype(np.float32),
        rng.normal(size=n).astype(np.float32),
        rng.normal(size=(n, 3)).astype(np.float32),
        np.zeros(n, bool),
        last,
        (np.arange(n) // episode).astype(np.int32),
    )
    return make_dataset(TASK, transitions, -HIGH, HIGH)


def make_small_near_expert(seed: int = 0) -> NearExpert:
    """A policy and two critics with random weights; its normalizer is not the dataset's."""
    generator = torch.Generator().manual_seed(seed)
    actor = orthogonal_(mlp((3, 8, 1)), generator)
    critics = Critics([orthogonal_(mlp((4, 8, 1)), generator) for _ in range(2)])
    normalizer = Normalizer(np.full(3, 0.5, np.float32), np.full(3, 2.0, np.float32), -HIGH, HIGH)
    return NearExpert(TASK, normalizer, actor, critics)


def write_small_inputs(folder: Path) -> tuple[Path, Path]:
    """Write both artifacts; returns their paths."""
    dataset, near_expert = folder / "dataset.npz", folder / "near_expert.safetensors"
    write_dataset(dataset, make_small_dataset(), {})
    write_near_expert(near_expert, make_small_near_expert(), {"algorithm": "made"})
    return dataset, near_expert
