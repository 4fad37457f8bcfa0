"""Weights in the form of CORL's checkpoints."""

import itertools

import numpy as np


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
