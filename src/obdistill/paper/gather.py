"""Bring all returns of an experiment into one table, and check that they belong together."""

import logging
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from obdistill.core import artifacts
from obdistill.core.errors import UserError
from obdistill.core.methods import METHODS
from obdistill.evaluations.returns import CELL, COLUMNS, RUN, read_returns

log = logging.getLogger(__name__)

KIND = "gathered returns"
OF_RUN = ("task", "method", "variant", "size", "seed", "protocol", "policy_seed")  # columns with one value per file
# what may differ between the seeds of a cell; a platform's name holds the number of its kernel
VARYING = {"file", "sha256", "seconds", "seconds_per_step", "return", "score", "critics", "versions.platform"}
OF_TASK = ("env_id", "reference_returns", "dataset")  # must agree in all files of a task


def gather(paths: Iterable[Path], out: Path) -> None:
    """Write one table of all returns (npz with sidecar).

    Parameters
    ----------
    paths : iterable of Path
        Returns files.
    out : Path
        The npz to write.

    Raises
    ------
    UserError
        As `gathered` says.
    """
    arrays, inputs = gathered(paths)
    artifacts.write_artifact(out, arrays, {"kind": KIND, "inputs": inputs})
    log.info("%s: %d episodes of %d files", out, len(arrays["episode_run"]), len(inputs))


def gathered(paths: Iterable[Path]) -> tuple[artifacts.Arrays, list[dict[str, Any]]]:
    """Read returns files and put them together, in an order that does not depend on that of the files.

    Parameters
    ----------
    paths : iterable of Path
        Returns files.

    Returns
    -------
    arrays : dict of ndarray
        ``run_*`` with one entry per file: its columns that hold one value, ``file``, ``members`` (policies that act
        together) and ``seconds_per_step`` (of the distillation; NaN if not known). ``episode_*`` with one entry per
        episode: the other columns, and ``run``, the number of its file.
    inputs : list of dict
        Name and sha256 of every file, for the metadata of what is made from them.

    Raises
    ------
    UserError
        If a file is malformed (see `obdistill.evaluations.returns.check`), a run is in two files, files of one cell
        differ in anything but the seed, or files of one task in environment, reference returns or dataset.
    """
    tables = [(path, *read_returns(path)) for path in paths]
    tables.sort(key=lambda entry: tuple(entry[1][column].iloc[0] for column in RUN))
    runs, episodes, inputs = [], [], []
    files: list[tuple[Path, pd.Series, dict[str, Any]]] = []
    for number, (path, frame, metadata) in enumerate(tables):
        run = frame[list(OF_RUN)].iloc[0]
        files.append((path, run, metadata))
        pace = metadata.get("seconds_per_step", np.nan)
        facts = {"file": str(path), "members": metadata.get("members", 1), "seconds_per_step": float(pace)}
        runs.append({**run, **facts})
        episodes.append(frame[[name for name in COLUMNS if name not in OF_RUN]].assign(run=number))
        inputs.append({"file": str(path), "sha256": metadata["sha256"]})
    _check_runs(files)
    _check_agreement(files)
    arrays = {f"run_{name}": _array(column) for name, column in pd.DataFrame(runs).items()}
    arrays |= {f"episode_{name}": _array(column) for name, column in pd.concat(episodes).items()}
    return arrays, sorted(inputs, key=lambda entry: str(entry["file"]))


def _array(column: pd.Series) -> np.ndarray:
    """Return a column as an array of the smallest type that holds it."""
    if pd.api.types.is_integer_dtype(column):
        values = column.to_numpy(np.int64)
        fits = (kind for kind in (np.int8, np.int16, np.int32) if (values == values.astype(kind)).all())
        return np.asarray(values.astype(next(fits, np.int64)))
    return np.asarray(column.to_numpy(float if pd.api.types.is_numeric_dtype(column) else str))


def _check_runs(files: list[tuple[Path, pd.Series, dict[str, Any]]]) -> None:
    owners: dict[tuple[Any, ...], Path] = {}
    for path, run, _ in files:
        key = tuple(run[column] for column in RUN)
        other = owners.setdefault(key, path)
        if other is not path:
            about = ", ".join(f"{column} {value}" for column, value in zip(RUN, key, strict=True))
            raise UserError(f"{path}: {about}: is also in {other}; each run may be given once")


def _check_agreement(files: list[tuple[Path, pd.Series, dict[str, Any]]]) -> None:
    first_of: dict[tuple[Any, ...], tuple[Path, dict[str, Any]]] = {}
    for columns, what in ((CELL, "seeds of one cell must agree in all else"), (("task",), "one task has one of it")):
        for path, run, metadata in files:
            facts = dict(_cell_facts(metadata, run["method"])) if columns is CELL else _task_facts(metadata)
            key = (columns, *(run[column] for column in columns))
            other, theirs = first_of.setdefault(key, (path, facts))
            for name in [name for name in theirs if name in facts and facts[name] != theirs[name]]:
                raise UserError(f"{path}: {name} is {facts[name]}, but {theirs[name]} in {other}; {what}")
            if columns is CELL and facts.keys() != theirs.keys():
                name = min(facts.keys() ^ theirs.keys())
                has, lacks = (path, other) if name in facts else (other, path)
                raise UserError(f"{has}: has {name} in its .json, but {lacks} has not; {what}")
            theirs |= facts


def _cell_facts(metadata: Mapping[str, Any], method: str) -> Iterator[tuple[str, Any]]:
    """List what the files of a cell must agree in: all that sidecars say but what comes from the seed."""
    varying = VARYING | ({"inputs.pairs.sha256"} if METHODS[method].on_synset else set())
    return ((name, value) for name, value in sorted(_flat(metadata)) if name not in varying)


def _task_facts(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Return what all files of a task must agree in, as far as sidecars say it."""
    named = dict(_flat({key: value for key, value in metadata.items() if key != "reference_returns"}))
    hashes = (named.get(f"{role}.inputs.dataset.sha256") for role in ("pairs", "near_expert"))
    facts = {"env_id": metadata.get("env_id"), "reference_returns": metadata.get("reference_returns")}
    facts["dataset"] = next((found for found in hashes if found), None)
    if named.get("protocol") == "whole_data":
        facts["dataset"] = named.get("inputs.pairs.sha256")
    return {key: value for key, value in facts.items() if value is not None}


def _flat(metadata: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """List the leaves of nested mappings, each by its dotted name."""
    for key, value in metadata.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping) and name not in VARYING:
            yield from _flat(value, f"{name}.")
        else:
            yield name, value
