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
# differ from seed to seed or node to node; what a command was asked for shows in the columns and settings
VARYING = {"file", "sha256", "seconds", "seconds_per_step", "return", "score", "critics", "made_from.options"}
VARYING |= {"versions.platform", "pairs.versions.platform", "near_expert.versions.platform"}
OF_TASK = ("env_id", "reference_returns", "dataset")  # must agree in all files of a task
File = tuple[Path, pd.Series, dict[str, Any]]  # its name, what its run is, its metadata


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
        together). ``episode_*`` with one entry per episode: the other columns, and ``run``, the number of its file.
    inputs : list of dict
        Name and sha256 of every file, for the metadata of what is made from them; ``seconds_per_step`` of the
        distillation where it is known: measured times are no part of the data, whose bytes two runs share.

    Raises
    ------
    UserError
        If a file is malformed (see `obdistill.evaluations.returns.check`), a run is in two files, files of one cell
        differ in anything but the seed, or files of one task in environment, reference returns or dataset.
    """
    tables = [(path, *read_returns(path)) for path in paths]
    tables.sort(key=lambda entry: tuple(entry[1][column].iloc[0] for column in RUN))
    runs, episodes, inputs = [], [], []
    files: list[File] = []
    for number, (path, frame, metadata) in enumerate(tables):
        run = frame[list(OF_RUN)].iloc[0]
        files.append((path, run, metadata))
        runs.append({**run, "file": str(path), "members": metadata.get("members", 1)})
        episodes.append(frame[[name for name in COLUMNS if name not in OF_RUN]].assign(run=number))
        pace = {key: metadata[key] for key in ("seconds_per_step",) if key in metadata}
        inputs.append({"file": str(path), "sha256": metadata["sha256"], **pace})
    _check_runs(files)
    _check_cells(files)
    _check_tasks(files)
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


def _check_runs(files: list[File]) -> None:
    owners: dict[tuple[Any, ...], Path] = {}
    for path, run, _ in files:
        key = tuple(run[column] for column in RUN)
        if key in owners:
            about = ", ".join(f"{column} {value}" for column, value in zip(RUN, key, strict=True))
            raise UserError(f"{path}: {about}: is also in {owners[key]}; each run may be given once")
        owners[key] = path


def _check_cells(files: list[File]) -> None:
    """Check that the seeds of each cell agree in all that sidecars say but what comes from the seed."""
    first_of: dict[tuple[Any, ...], tuple[Path, dict[str, Any]]] = {}
    for path, run, metadata in files:
        varying = VARYING | ({"inputs.pairs.sha256"} if METHODS[run["method"]].on_synset else set())
        facts = {name: value for name, value in _flat(metadata) if name not in varying}
        other, theirs = first_of.setdefault(tuple(run[column] for column in CELL), (path, facts))
        for name in sorted(facts.keys() | theirs.keys()):
            ours, wanted = facts.get(name, "missing"), theirs.get(name, "missing")
            if ours != wanted:
                raise UserError(
                    f"{path}: {name} is {ours}, but {wanted} in {other}; the seeds of a cell must agree in all else"
                )


def _check_tasks(files: list[File]) -> None:
    """Check that all files of a task agree in what `OF_TASK` names, as far as their sidecars say it."""
    first_of: dict[tuple[str, str], tuple[Path, Any]] = {}
    for path, run, metadata in files:
        facts = dict(_flat(metadata))
        facts["dataset"] = _dataset(facts, on_synset=METHODS[run["method"]].on_synset)
        for name in OF_TASK:
            ours = facts.get(name)
            if ours is None:
                continue
            other, wanted = first_of.setdefault((run["task"], name), (path, ours))
            if ours != wanted:
                raise UserError(
                    f"{path}: {name} is {ours}, but {wanted} in {other}; a task is evaluated in one environment, and "
                    "on one dataset"
                )


def _dataset(facts: Mapping[str, Any], on_synset: bool) -> str | None:
    """Return the sha256 of the dataset behind a file of returns, if its sidecar says it."""
    roles = ["pairs.inputs.dataset"] if on_synset else ["inputs.pairs"]
    found = (facts.get(f"{role}.sha256") for role in [*roles, "near_expert.inputs.dataset"])
    return next((str(sha256) for sha256 in found if sha256), None)


def _flat(metadata: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """List the leaves of nested mappings, each by its dotted name."""
    for key, value in metadata.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping) and name not in VARYING:
            yield from _flat(value, f"{name}.")
        else:
            yield name, value
