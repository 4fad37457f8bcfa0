"""Randomness: every generator comes from a named child of a root seed, never from global state."""

import zlib
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch


def child_seed(root: int, *names: str | int) -> int:
    """Derive an independent seed from a root seed and a path of names.

    Parameters
    ----------
    root : int
        Root seed, >= 0.
    *names : str or int
        What the seed is for, e.g. ``child_seed(3, "initialization", step)``. Different paths give
        statistically independent seeds.

    Returns
    -------
    int
        A seed in [0, 2**63).
    """
    key = [name if isinstance(name, int) else zlib.crc32(name.encode()) for name in names]
    return int(np.random.SeedSequence(root, spawn_key=key).generate_state(1, np.uint64)[0] >> 1)


def torch_generator(root: int, *names: str | int, device: str = "cpu") -> "torch.Generator":
    """Return a torch generator seeded with ``child_seed(root, *names)``."""
    import torch  # here, for tables and figures draw by numpy and start faster without

    return torch.Generator(device).manual_seed(child_seed(root, *names))


def numpy_generator(root: int, *names: str | int) -> np.random.Generator:
    """Return a numpy generator seeded with ``child_seed(root, *names)``."""
    return np.random.default_rng(child_seed(root, *names))
