"""Artifacts: one file of data beside one JSON of metadata, written whole or not at all, checked when read.

An artifact ``name.npz`` (or ``.safetensors``, ``.csv``) has a sidecar ``name.json`` with the settings, seeds, versions
and input hashes that made it, and the sha256 of the data. The data depend on settings and seeds only, so two runs give
the same bytes; whatever differs between runs (times, versions) stands in the sidecar.
"""

import functools
import hashlib
import importlib.metadata
import json
import platform
import time
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, TypeVar

import pandas as pd

from obdistill.core import formats, lock, provenance
from obdistill.core.atomic import as_json, replacing
from obdistill.core.errors import UserError

Arrays = formats.Arrays
T = TypeVar("T")
# kinds of the artifacts that evaluations write, and tables and figures read
RETURNS, ERROR_CURVE, SYNSET_ERRORS = "returns", "error curve", "synset errors"
VERSIONED = ("obdistill", "torch", "numpy", "gymnasium", "mujoco", "minari", "stable-baselines3")
RESULTS = Path("results")  # what lies there can be made again
MOMENT = 0.05  # seconds, more than a writer needs between its two renames
PATIENCE = 60.0  # seconds to wait for another writer of the same artifact, which needs a few at most


@dataclass(frozen=True)
class Artifact:
    """A file that was read, as it was then: what becomes of the file later does not matter.

    Attributes
    ----------
    path : Path
        Where it was.
    sha256 : str
        Of the bytes that were read.
    metadata : mapping
        Of its sidecar; empty for a file that has none.
    """

    path: Path
    sha256: str
    metadata: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path, metadata: Mapping[str, Any]) -> "Artifact":
        """Take the hash from metadata that `read_metadata` and its like have checked."""
        return cls(path, metadata["sha256"], metadata)


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON mapping.

    Raises
    ------
    UserError
        If the file is missing, is not JSON or holds no mapping.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from None
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: is not JSON ({error})") from None
    if not isinstance(data, dict):
        raise UserError(f"{path}: holds {type(data).__name__}; a JSON object is needed")
    return data


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sidecar(path: Path) -> Path:
    """Return the path of an artifact's metadata."""
    return path.with_suffix(".json")


def write_artifact(path: Path, data: Arrays | pd.DataFrame, metadata: Mapping[str, Any]) -> None:
    """Write an artifact and its sidecar, which tells the hash of the very bytes that were written.

    Parameters
    ----------
    path : Path
        ``.npz`` or ``.safetensors`` for arrays, ``.csv`` for a table.
    data : dict of ndarray, or DataFrame
        What to write. Floats of a table are written with 6 significant digits.
    metadata : mapping
        Plain data: ``kind`` first of all, settings, seeds, facts. ``sha256`` and ``versions`` are added here, and
        ``metadata_sha256``, of all the others.

    Raises
    ------
    UserError
        If a file cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    turn = path.with_name(f".{path.name}.turn")  # writers of one artifact take turns: two files are renamed
    with (
        lock.held(turn, f"{path}: another process is writing it", PATIENCE),
        replacing(sidecar(path)) as of_sidecar,
        replacing(path) as of_data,  # renamed first
    ):
        formats.write(of_data, data)
        facts = {**metadata, **provenance.facts(), "file": path.name, "sha256": sha256(of_data), "versions": versions()}
        of_sidecar.write_text(as_json({**facts, "metadata_sha256": _hash_of(facts)}), encoding="utf-8")


def read_sidecar(path: Path) -> dict[str, Any]:
    """Read an artifact's sidecar, unchecked."""
    try:
        return read_json(sidecar(path))
    except UserError as error:
        raise UserError(f"{error}; {path.name} is of no use without it{_advice(path, 'both')}") from None


def read_metadata(path: Path, kind: str) -> dict[str, Any]:
    """Read an artifact's sidecar and check that it is of the wanted kind and belongs to the file as it is.

    Raises
    ------
    UserError
        If the artifact or its sidecar is missing, of another kind, or the bytes are not those that were written.
    """
    return _read(path, kind, lambda file: None)[1]


def read_arrays(path: Path, kind: str) -> tuple[Arrays, dict[str, Any]]:
    """Read an artifact of arrays (``.npz`` or ``.safetensors``) and its metadata, both checked.

    ``metadata["sha256"]`` is that of the bytes that were read.
    """
    return _read(path, kind, lambda file: _load(path, file))


def read_table(path: Path, kind: str) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Read an artifact that is a table (``.csv``) and its metadata, both checked."""

    def read(file: IO[bytes]) -> pd.DataFrame:
        try:
            return formats.read_table(file)
        except (OSError, ValueError) as error:  # pandas' EmptyDataError and ParserError are ValueErrors
            raise UserError(f"{path}: is no readable csv ({_one_line(error)})") from None

    return _read(path, kind, read)


def _read(path: Path, kind: str, read: Callable[[IO[bytes]], T]) -> tuple[T, dict[str, Any]]:
    """Check an artifact and read it from the same open file: one that is written meanwhile is another file."""
    if not path.is_file():
        raise UserError(f"{path}: no such file; a {kind} is needed")
    metadata = read_sidecar(path)
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            if metadata.get("sha256") != digest:
                time.sleep(MOMENT)  # a writer may be between its two files
                metadata = read_sidecar(path)
            _check(path, kind, metadata, digest)
            file.seek(0)
            return read(file), metadata
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror or error})") from None


def _check(path: Path, kind: str, metadata: dict[str, Any], digest: str) -> None:
    """Check the metadata of an artifact, and that its data have the hash `digest`."""
    found, beside = metadata.get("kind", "file of no known kind"), sidecar(path)
    if found != kind:
        raise UserError(f"{path}: is a {found!s:.40} by its {beside.name}; a {kind} is needed")
    if metadata.get("sha256") != digest:
        raise UserError(f"{path}: damaged: its sha256 is not the one in {beside.name}{_advice(path, 'it')}")
    if metadata.pop("metadata_sha256", None) != _hash_of(metadata):
        raise UserError(f"{beside}: damaged or edited{_advice(path, f'it and {path.name}')}")


def _advice(path: Path, what: str) -> str:
    """Say how to go on, of files that a run makes again; a user's own file is nobody's to delete."""
    return f"; delete {what} and run again" if RESULTS.absolute() in path.absolute().parents else ""


def load_arrays(path: Path) -> Arrays:
    """Read arrays from ``.npz`` or ``.safetensors`` without unpickling anything.

    Raises
    ------
    UserError
        If the file is missing, damaged, holds pickled objects, or would unpack into far more than it is.
    """
    try:
        with path.open("rb") as file:
            return _load(path, file)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror or error})") from None


def _load(path: Path, file: IO[bytes]) -> Arrays:
    """Read arrays from an open file; `path` tells the format."""
    check_unpacked_size(path)
    try:
        return formats.read_arrays(file, path.suffix)
    except OSError:
        raise
    except Exception as error:  # numpy passes on whatever the zip, zlib and header parsers raise
        raise UserError(f"{path}: is no readable {path.suffix} file of plain arrays ({_one_line(error)})") from None


def check_unpacked_size(path: Path) -> None:
    """Refuse a zip file (``.npz``, ``.pt``) that says it unpacks to over 1 GiB and over 100 times its own size.

    Raises
    ------
    UserError
        If it does: arrays of numbers are not that repetitive, it is made to fill the memory.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            unpacked = sum(entry.file_size for entry in archive.infolist())
    except (OSError, zipfile.BadZipFile):  # no zip file, or a damaged one: whoever reads it will tell
        return
    if unpacked > max(2**30, 100 * path.stat().st_size):
        raise UserError(f"{path}: refused: would unpack to {unpacked / 2**30:.1f} GiB; at most 1 GiB is allowed")


def metadata_of(artifact: Artifact | None) -> Mapping[str, Any]:
    """Return the metadata of what was read; none of what was made in memory."""
    return {} if artifact is None else artifact.metadata


def inputs(**read: Artifact | Path | None) -> dict[str, dict[str, str]]:
    """Describe the files a stage has read, for its metadata: file name and sha256 by role.

    Parameters
    ----------
    **read : Artifact or Path, optional
        What was read. A path stands for a file that no stage has made, and is read here; None is left out.
    """
    found = {role: Artifact(of, sha256(of)) if isinstance(of, Path) else of for role, of in read.items()}
    return {role: {"file": of.path.name, "sha256": of.sha256} for role, of in found.items() if of is not None}


@functools.cache
def versions() -> dict[str, str]:
    """Return the versions of Python, the platform and the packages that decide results."""
    found = {"python": platform.python_version(), "platform": platform.platform()}
    for package in VERSIONED:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[package] = "not installed"
    return found


class Clock:
    """Wall time since the object was made, in seconds."""

    def __init__(self) -> None:
        self._start = time.perf_counter()

    def seconds(self) -> float:
        """Return the seconds since the start, rounded to a millisecond."""
        return round(time.perf_counter() - self._start, 3)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__


def _hash_of(metadata: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(metadata, sort_keys=True).encode()).hexdigest()
