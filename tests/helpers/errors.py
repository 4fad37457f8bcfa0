"""Files of imitation errors made by hand, for the tests of their figure."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from helpers.fake_returns import write_returns
from obdistill.core import artifacts

FITS = {25: (0.2, 5.0), 100: (0.1, 30.0), 400: (0.05, 40.0)}  # steps -> error, score


def write_curve(path: Path, task: str = "hopper_medium", fits: Mapping[int, tuple[float, float]] = FITS) -> Path:
    """Write what obd error-curve writes: two policies, 1 below and 1 above the score, with two episodes each."""
    rows = [
        (task, steps, policy, error, episode, 0, 10 * score, 1000, score + 2 * policy - 1)
        for steps, (error, score) in fits.items()
        for policy in range(2)
        for episode in range(2)
    ]
    columns = ["task", "steps", "policy", "error", "episode", "env_seed", "return", "length", "score"]
    artifacts.write_artifact(path, pd.DataFrame(rows, columns=columns), {"kind": artifacts.ERROR_CURVE, "task": task})
    return path


def write_synset_errors(
    path: Path, points: Sequence[tuple[str, int, float, float]], task: str = "hopper_medium"
) -> Path:
    """Write what obd synset-errors writes: for each (method, seed, error, score) two policies around the error."""
    rows = [
        (task, method, "default", 256, seed, "standard", 20, policy, error * (0.9 + 0.2 * policy), 4, 10 * score, score)
        for method, seed, error, score in points
        for policy in range(2)
    ]
    columns = ["task", "method", "variant", "size", "seed", "protocol", "step", "policy", "error", "episodes"]
    table = pd.DataFrame(rows, columns=[*columns, "return", "score"])
    artifacts.write_artifact(path, table, {"kind": artifacts.SYNSET_ERRORS, "task": task})
    return path


def write_errors(folder: Path, tasks: Sequence[str]) -> list[Path]:
    """Write a curve, synsets and a near-expert of score 50 for each task."""
    points = [("pbc", 0, 0.08, 33.0), ("pbc", 1, 0.06, 36.0), ("random", 0, 0.3, 2.0)]
    expert = {"method": "near_expert", "protocol": "near_expert", "size": 0, "policies": 1}
    paths = []
    for task in tasks:
        paths.append(write_curve(folder / task / "error_curve.csv", task))
        paths.append(write_synset_errors(folder / task / "synset_errors.csv", points, task))
        paths.append(write_returns(folder / task / "near_expert.csv", 44.0, task=task, **expert))
    return paths
