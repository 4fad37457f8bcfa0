"""Plain arrays, one row per step: an ``.npz`` file, or a Parquet file with lists as vectors."""

from collections.abc import Collection
from pathlib import Path

from obdistill.core import artifacts
from obdistill.core.artifacts import Arrays
from obdistill.core.errors import UserError
from obdistill.datasets import checks, files, rows, tables
from obdistill.datasets.settings import ArraysSettings
from obdistill.datasets.source import Loaded

# what the arrays may be called; D4RL, Gymnasium and Minari differ
NAMES = {
    "observations": ("observations", "observation", "obs", "states"),
    "actions": ("actions", "action"),
    "rewards": ("rewards", "reward"),
    "terminated": ("terminated", "terminations", "terminals"),
    "truncated": ("truncated", "truncations", "timeouts"),
    "next_observations": ("next_observations", "next_obs", "next_states"),
}
OPTIONAL = ("truncated", "next_observations")


def load(settings: ArraysSettings) -> Loaded:
    """Read the file.

    Raises
    ------
    UserError
        If it is missing, damaged, of another format, has another checksum or lacks an array.
    """
    path = files.expand(settings.file)
    arrays = _read(path)
    sha256 = artifacts.sha256(path)
    checks.compare_sha256(sha256, settings.sha256, str(path))
    warnings: list[str] = []
    transitions = rows.to_transitions(arrays, settings.env_id, str(path), warnings.append)
    return Loaded(
        transitions,
        settings.env_id,
        None,
        {"source": "arrays", "file": path.name, "sha256": sha256},
        verified=settings.sha256 is not None,
        warnings=tuple(warnings),
    )


def _read(path: Path) -> Arrays:
    """Read the arrays that are needed, by the names of this module."""
    if not path.is_file():
        raise UserError(f"file: {str(path)!r}: no such file")
    if path.suffix == ".npz":
        files.refuse_pointer(path)
        held = artifacts.load_arrays(path)
        return {name: held[given] for name, given in chosen_names(held, path).items()}
    if path.suffix == ".parquet":
        given = chosen_names(tables.column_names(path), path)
        columns = tables.read_parquet([path], list(given.values()))
        return {name: columns[column] for name, column in given.items()}
    raise UserError(f"file: {str(path)!r}: ends in {path.suffix or 'nothing'!r}; .npz or .parquet is needed")


def chosen_names(held: Collection[str], path: Path) -> dict[str, str]:
    """Return which of the names that a file holds is which array.

    Raises
    ------
    UserError
        If one is missing, or there under two names.
    """
    chosen: dict[str, str] = {}
    for name, synonyms in NAMES.items():
        found = [given for given in synonyms if given in held]
        if len(found) > 1:
            raise UserError(f"{path}: holds {' and '.join(found)}, which mean the same; leave one out")
        if not found and name not in OPTIONAL:
            there = ", ".join(held) or "nothing"
            raise UserError(f"{path}: lacks {name} (or {', '.join(synonyms[1:])}); it has: {there:.200}")
        if found:
            chosen[name] = found[0]
    return chosen
