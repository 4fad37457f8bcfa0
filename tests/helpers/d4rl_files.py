"""Files in D4RL's layout made by hand."""

from pathlib import Path

import h5py
import numpy as np


def write_file(path: Path, ends: list[str], **changes: object) -> Path:
    """Write one row per letter of `ends`' episodes: ``.`` goes on, ``T`` terminal, ``L`` time limit, ``B`` both.

    An observation is (episode, step), an action 100 episode + step, a reward 0.5 + step.
    """
    letters = "".join(ends)
    episode = np.repeat(np.arange(len(ends)), [len(part) for part in ends])
    step = np.concatenate([np.arange(len(part)) for part in ends])
    rows = {
        "observations": np.stack([episode, step], 1).astype(np.float32),
        "actions": (100 * episode + step)[:, None].astype(np.float32),
        "rewards": (0.5 + step).astype(np.float32),
        "terminals": np.array([letter in "TB" for letter in letters]),
        "timeouts": np.array([letter in "LB" for letter in letters]),
    }
    with h5py.File(path, "w") as file:
        for name, array in (rows | changes).items():
            if array is not None:
                file[name] = array
    return path
