"""The returns artifact: one csv per run, one row per evaluated episode. Its columns are named here and nowhere else."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from obdistill.core import artifacts
from obdistill.core.errors import UserError
from obdistill.core.methods import METHODS

# column -> what it holds, in the order of the file
COLUMNS = {
    "task": str,
    "method": str,
    "variant": str,
    "size": int,
    "seed": int,
    "protocol": str,
    "step": int,
    "policy": int,
    "policy_seed": int,
    "episode": int,
    "env_seed": int,
    "return": float,
    "length": int,
    "score": float,
}
CELL = ("task", "method", "variant", "size", "protocol")  # what one number of a table is about
RUN = (*CELL, "seed")  # what one file is about
EPISODE = ("step", "policy", "episode")  # what one row of a file is about
MADE_WITH = ("settings", "inputs", "precision", "device", "threads", "versions")  # of a sidecar: see `lineage`


def returns_table(
    *,
    task: str,
    method: str,
    variant: str,
    size: int,
    seed: int,
    protocol: str,
    step: int,
    policy_seed: int,
    env_seeds: np.ndarray,
    returns: np.ndarray,
    lengths: np.ndarray,
    scores: np.ndarray,
) -> pd.DataFrame:
    """Put the episodes of one step into the form of the artifact, one row per episode.

    Parameters
    ----------
    task, method, variant, protocol : str
        What was evaluated.
    size : int
        Number of pairs that the policies were trained on.
    seed : int
        Seed of the synset.
    step : int
        Outer step of the snapshot.
    policy_seed : int
        Seed of the policies' initializations.
    env_seeds, returns, lengths, scores : ndarray of shape (policies, episodes)
        Of each episode: seed of the environment, sum of rewards, number of steps, normalized score.

    Raises
    ------
    ValueError
        If the arrays have different shapes.
    """
    policies, episodes = returns.shape
    for values in (env_seeds, lengths, scores):
        if values.shape != returns.shape:
            raise ValueError(f"arrays of shapes {returns.shape} and {values.shape} are not about the same episodes")
    table = {
        "task": task,
        "method": method,
        "variant": variant,
        "size": size,
        "seed": seed,
        "protocol": protocol,
        "step": step,
        "policy": np.repeat(np.arange(policies), episodes),
        "policy_seed": policy_seed,
        "episode": np.tile(np.arange(episodes), policies),
        "env_seed": env_seeds.ravel(),
        "return": returns.ravel(),
        "length": lengths.ravel(),
        "score": scores.ravel(),
    }
    return pd.DataFrame(table, columns=list(COLUMNS))


def lineage(artifact: artifacts.Artifact | None) -> dict[str, Any]:
    """Return what an artifact was made from and with, as its sidecar says, for the sidecar of its returns."""
    metadata = artifacts.metadata_of(artifact)
    return {key: metadata[key] for key in MADE_WITH if key in metadata}


def read_returns(path: Path) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Read one returns file and its metadata, both checked.

    Raises
    ------
    UserError
        As `check` says, or if the file is missing, damaged or of another kind.
    """
    frame, metadata = artifacts.read_table(path, artifacts.RETURNS)
    check(frame, path)
    return frame, metadata


def check(frame: pd.DataFrame, path: Path) -> None:
    """Check the table of one returns file.

    Raises
    ------
    UserError
        If it lacks a column, is empty, is about more than one run or an unknown method, holds a number that is missing,
        not finite or, where one is needed, no integer, or has an episode twice.
    """
    for column in COLUMNS:
        if column not in frame:
            raise UserError(f"{path}: lacks the column {column!r}; needed: {','.join(COLUMNS)}")
    if frame.empty:
        raise UserError(f"{path}: holds no episode")
    for column, kind in COLUMNS.items():
        if kind is not str:
            _check_numbers(frame[column], kind, path)
        elif not isinstance(frame[column].iloc[0], str):
            raise UserError(f"{path}: row 1: {column} is {frame[column].iloc[0]}; text is needed")
    for column in RUN:
        values = frame[column].unique()
        if len(values) > 1:
            found = " and ".join(map(str, values[:2]))
            raise UserError(f"{path}: column {column!r} holds {found}; a returns file has one {column}")
    method = frame["method"].iloc[0]
    if method not in METHODS:
        raise UserError(f"{path}: method: {method!r} is unknown; allowed: {', '.join(METHODS)}")
    twice = frame.duplicated(list(EPISODE))
    if twice.any():
        row = frame[twice].iloc[0]
        raise UserError(f"{path}: holds {', '.join(f'{key} {row[key]}' for key in EPISODE)} twice")


def _check_numbers(values: pd.Series, kind: type, path: Path) -> None:
    numbers = pd.to_numeric(values, errors="coerce").to_numpy(float)
    bad = ~np.isfinite(numbers)
    what = "a finite number"
    if kind is int and not bad.any():
        bad, what = numbers != np.round(numbers), "an integer"
    if bad.any():
        row = int(bad.argmax())
        raise UserError(f"{path}: row {row + 1}: {values.name} is {values.iloc[row]}; {what} is needed")
