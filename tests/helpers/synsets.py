"""Synsets made by hand."""

import re
from pathlib import Path

import numpy as np
import pandas as pd

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


def readme_snippet(repository: Path) -> str:
    """README's Python."""
    (snippet,) = re.findall(r"^```python\n(.*?)^```", (repository / "README.md").read_text(), re.M | re.S)
    return snippet


def assert_score_is_the_published_one(printed: str) -> None:
    """What README's Python prints is inside README's interval for it (Av-PBC), give or take one episode of ten.

    Episodes amplify rounding, which differs between processors: on another one a robot may overturn that runs here.
    """
    table = pd.read_csv(Path(__file__).parents[2] / "docs/results/robots/table_1.csv")
    rows = table[table["task"].eq("halfcheetah_medium") & table["method"].eq("av_pbc") & table["variant"].eq(DEFAULT)]
    ((low, high),) = rows[["low", "high"]].to_numpy()
    score = float(re.fullmatch(r"score (\S+)\n", printed)[1])
    assert 0.9 * low <= score <= 1.05 * high
