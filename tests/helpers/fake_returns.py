"""Returns files made by hand, for the tests of tables and figures."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from obdistill.core import artifacts
from obdistill.evaluations.returns import COLUMNS
from obdistill.paper.episodes import episodes_of
from obdistill.paper.gather import gather, gathered

Score = Callable[[int, int, int], float]  # (step, policy, episode) -> score


def write_returns(
    path: Path,
    score: Score | float,
    *,
    task: str = "hopper_medium",
    method: str = "av_pbc",
    variant: str = "default",
    size: int = 256,
    seed: int = 0,
    protocol: str = "standard",
    steps: Iterable[int] = (10,),
    policies: int = 2,
    episodes: int = 2,
    env_id: str = "Hopper-v5",
    members: int = 1,
    seconds_per_step: float | None = None,
    facts: Mapping[str, Any] | None = None,
) -> Path:
    """Write one returns file and give back its path."""
    rows = []
    for step in steps:
        for policy in range(policies):
            for episode in range(episodes):
                value = score(step, policy, episode) if callable(score) else score
                run = (task, method, variant, size, seed, protocol, step, policy, seed)
                rows.append((*run, episode, 10000 * seed + 100 * policy + episode, 10 * value, 1000, value))
    write_frame(path, pd.DataFrame(rows, columns=list(COLUMNS)), task, env_id, members, seconds_per_step, facts)
    return path


def write_frame(
    path: Path,
    frame: pd.DataFrame,
    task: str = "hopper_medium",
    env_id: str = "Hopper-v5",
    members: int = 1,
    seconds_per_step: float | None = None,
    facts: Mapping[str, Any] | None = None,
) -> None:
    """Write a frame as a returns file, whatever it holds; `facts` go into its sidecar."""
    metadata = {
        "kind": artifacts.RETURNS,
        "task": task,
        "env_id": env_id,
        "reference_returns": [0.0, 1000.0],
        "members": members,
    }
    if seconds_per_step is not None:
        metadata["seconds_per_step"] = seconds_per_step
    artifacts.write_artifact(path, frame, metadata | dict(facts or {}))


def read(paths: Iterable[Path]) -> pd.DataFrame:
    """Read returns files as tables and figures see them."""
    return episodes_of(*gathered(paths))


def gather_into(folder: Path, paths: Iterable[Path]) -> Path:
    """Gather returns files into a file of a folder."""
    gather(paths, folder / "returns.npz")
    return folder / "returns.npz"


def write_experiment(
    folder: Path,
    tasks: Iterable[str] = ("halfcheetah_medium_replay",),
    n_seeds: int = 5,
    steps: Iterable[int] = range(1000, 50001, 1000),
    policies: int = 10,
    episodes: int = 10,
) -> list[Path]:
    """Write a plausible whole experiment: curves that rise, seeds that differ, reference rows."""
    rng = np.random.default_rng(0)
    steps = np.asarray(list(steps))
    paths = []
    for number, task in enumerate(tasks):
        env_id = {"hal": "HalfCheetah-v4", "hop": "Hopper-v4", "wal": "Walker2d-v4"}.get(task[:3], "Ant-v5")
        ends = {"random": 2 + 4 * number, "dbc": 8 + 4 * number, "pbc": 20 + 4 * number, "av_pbc": 34 + 3 * number}
        common = {"task": task, "env_id": env_id, "episodes": episodes}
        for method, end in ends.items():
            for seed in range(n_seeds):
                level = end + rng.normal(0, 2)

                def score(step, policy, episode, level=level, seed=seed, method=method, end=end):
                    gain = 1 if method == "random" else 1 - 0.9 * np.exp(-4 * step / steps[-1])
                    spread = 0.25 * end * np.sin(7 * policy + 3 * seed) + 0.03 * end * np.sin(step + seed)
                    return level * gain + spread + rng.normal(0, 1 + 0.05 * end)

                at = steps[:1] * 0 if method == "random" else steps
                path = folder / f"{task}/{method}/default/size256/seed{seed}/standard.csv"
                settings = {"method": method, "seed": seed, "policies": policies, "steps": map(int, at)}
                paths.append(write_returns(path, score, **common, **settings))
        whole = {"method": "bc_whole", "protocol": "whole_data", "policies": policies, "size": 201798}
        for seed in range(n_seeds):
            path = folder / f"{task}/bc_whole/seed{seed}/whole_data.csv"
            paths.append(write_returns(path, lambda *_: 14 + rng.normal(0, 2), **common, **whole, seed=seed))
        expert = {"method": "near_expert", "protocol": "near_expert", "policies": 1, "size": 0}
        path = folder / f"{task}/near_expert/near_expert.csv"
        paths.append(write_returns(path, lambda *_: 45 + rng.normal(0, 2), **common, **expert))
    return paths
