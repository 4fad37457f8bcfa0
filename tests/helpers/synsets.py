"""Synsets made by hand."""

import re
from pathlib import Path

import numpy as np

from obdistill.core import environments
from obdistill.core.methods import DEFAULT
from obdistill.core.units import Normalizer, Task
from obdistill.synsets.synset import Synset, write_synset


def made_synset(env_id: str = "Hopper-v5", task: str = "hopper_medium", method: str = "av_pbc", size: int = 6):
    """Pairs near the environment's initial states; the first snapshot is of no use."""
    env = environments.make(env_id)
    low, high = environments.action_bounds(env)
    states = np.stack([env.reset(seed=i)[0] for i in range(size)]).astype(np.float32)
    actions = np.random.default_rng(0).uniform(2 * low, 2 * high, (size, len(low))).astype(np.float32)
    spread = states.std(0) if size > 1 else np.ones_like(states[0])
    return Synset(
        Task(task, env_id, (0.0, 100.0)),
        method,
        DEFAULT,
        3,
        np.array([10, 20]),
        np.stack([states + 1000, states]),
        np.stack([actions, actions]),
        Normalizer(states.mean(0), spread, low, high),
    )


def write_made_synset(path: Path, **facts: object) -> Path:
    write_synset(path, made_synset(**facts), {})
    return path


def readme_snippet(repository: Path) -> tuple[str, str]:
    """README's Python, and the path of the synset that it reads."""
    (snippet,) = re.findall(r"^```python\n(.*?)^```", (repository / "README.md").read_text(), re.M | re.S)
    folder = re.search(r'^folder = "(.*?)"$', snippet, re.M)
    assert 'f"{folder}/synset.npz"' in snippet
    return snippet, f"{folder[1]}/synset.npz"
