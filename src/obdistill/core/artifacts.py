"""Artifacts: one file of data beside one JSON of metadata, written whole or not at all, checked when read.

An artifact ``name.npz`` (or ``.safetensors``, ``.csv``) has a sidecar ``name.json`` with the settings, seeds, versions
and input hashes that made it, and the sha256 of the data. The data depend on settings and seeds only, so two runs give
the same bytes; whatever differs between runs (times, versions) stands in the sidecar.
"""

import contextlib
import fcntl
import functools
import glob
import hashlib
import importlib.metadata
import json
import os
import platform
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import safetensors
import safetensors.numpy

from obdistill.core.errors import UserError

Arrays = dict[str, np.ndarray]
RETURNS = "returns"  # kind of the artifact that evaluations write, and tables and figures read
VERSIONED = ("obdistill", "torch", "numpy", "gymnasium", "mujoco", "minari", "stable-baselines3")
_checked: dict[Path, str] = {}  # sha256 of each artifact as it was when it was last read


def write_atomically(path: Path, write: Callable[[Path], None]) -> None:
    """Call ``write(temporary)`` and rename the result to `path`, so that no reader sees half a file.

    Raises
    ------
    UserError
        If the file cannot be written (read-only folder, full disk).
    """
    temporary = None
    stack = contextlib.ExitStack()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # the suffix stays: numpy and pandas choose the format by it
        while (
            temporary is None or not temporary.exists()
        ):  # another writer may take it for a leftover until it is locked
            handle, name = tempfile.mkstemp(prefix=f".{path.stem}.", suffix=path.suffix, dir=path.parent)
            temporary, mine = Path(name), stack.enter_context(os.fdopen(handle))
            with contextlib.suppress(OSError):  # where locks are unknown, leftovers stay
                fcntl.flock(mine, fcntl.LOCK_SH)
                _remove_leftovers(path)
        write(temporary)
        temporary.chmod(0o644)
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        os.replace(temporary, path)
    except (OSError, safetensors.SafetensorError) as error:  # the latter wraps the former
        raise UserError(
            f"{path}: cannot be written ({getattr(error, 'strerror', None) or _one_line(error)})"
        ) from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
        stack.close()


def _remove_leftovers(path: Path) -> None:
    """Delete the temporary files of writers of `path` that were killed."""
    for leftover in path.parent.glob(f".{glob.escape(path.stem)}.????????{path.suffix}"):
        with contextlib.suppress(OSError), leftover.open() as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            leftover.unlink()


def check_writable(path: Path) -> None:
    """Check that a file can be written at `path`, by writing none.

    Raises
    ------
    UserError
        If it cannot.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        raise UserError(f"{path}: cannot be written ({error.strerror or error})") from None


def write_text(path: Path, text: str) -> None:
    """Write text atomically."""

    def write(temporary: Path) -> None:
        temporary.write_text(text, encoding="utf-8")

    write_atomically(path, write)


def write_json(path: Path, data: Mapping[str, Any]) -> None:
    """Write plain data as indented JSON, atomically."""
    write_text(path, json.dumps(data, indent=2, sort_keys=True) + "\n")


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
    """Write an artifact and its sidecar.

    Parameters
    ----------
    path : Path
        ``.npz`` or ``.safetensors`` for arrays, ``.csv`` for a table.
    data : dict of ndarray, or DataFrame
        What to write. Floats of a table are written with 6 significant digits.
    metadata : mapping
        Plain data: ``kind`` first of all, settings, seeds, facts. ``sha256`` and ``versions`` are added here, and
        ``metadata_sha256``, of all the others.
    """
    writers: dict[str, Callable[[Any, Path], None]] = {
        ".npz": lambda arrays, to: np.savez(to, **arrays),
        ".safetensors": lambda arrays, to: safetensors.numpy.save_file(_contiguous(arrays), to),
        ".csv": lambda table, to: table.to_csv(to, index=False, float_format="%.6g", lineterminator="\n"),
    }
    _checked.pop(path, None)
    write_atomically(path, functools.partial(writers[path.suffix], data))
    facts = {**metadata, "file": path.name, "sha256": sha256(path), "versions": versions()}
    write_json(sidecar(path), {**facts, "metadata_sha256": _hash_of(facts)})


def read_sidecar(path: Path) -> dict[str, Any]:
    """Read an artifact's sidecar, unchecked."""
    try:
        return read_json(sidecar(path))
    except UserError as error:
        raise UserError(f"{error}; it belongs to {path.name}: delete both and run again") from None


def read_metadata(path: Path, kind: str) -> dict[str, Any]:
    """Read an artifact's sidecar and check that it is of the wanted kind and belongs to the file as it is.

    Raises
    ------
    UserError
        If the artifact or its sidecar is missing, of another kind, or the bytes are not those that were written.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such file; a {kind} is needed")
    metadata = read_sidecar(path)
    found = metadata.get("kind", "file of no known kind")
    if found != kind:
        raise UserError(f"{path}: is a {found!s:.40} by its {sidecar(path).name}; a {kind} is needed")
    _checked[path] = sha256(path)
    if metadata.get("sha256") != _checked[path]:
        raise UserError(f"{path}: damaged: its sha256 is not the one in {sidecar(path).name}; delete it and run again")
    if metadata.pop("metadata_sha256", None) != _hash_of(metadata):
        raise UserError(f"{sidecar(path)}: damaged or edited; delete it and {path.name} and run again")
    return metadata


def read_arrays(path: Path, kind: str) -> tuple[Arrays, dict[str, Any]]:
    """Read an artifact of arrays (``.npz`` or ``.safetensors``) and its metadata, both checked."""
    metadata = read_metadata(path, kind)
    return load_arrays(path), metadata


def load_arrays(path: Path) -> Arrays:
    """Read arrays from ``.npz`` or ``.safetensors`` without unpickling anything.

    Raises
    ------
    UserError
        If the file is missing, damaged, holds pickled objects, or would unpack into far more than it is.
    """
    check_unpacked_size(path)
    try:
        if path.suffix == ".safetensors":
            return dict(safetensors.numpy.load_file(path))
        with np.load(path, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror or error})") from None
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


def read_table(path: Path, kind: str) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Read an artifact that is a table (``.csv``) and its metadata, both checked."""
    metadata = read_metadata(path, kind)
    try:
        return pd.read_csv(path), metadata
    except (OSError, ValueError) as error:  # pandas' EmptyDataError and ParserError are ValueErrors
        raise UserError(f"{path}: is no readable csv ({_one_line(error)})") from None


def inputs(**paths: Path) -> dict[str, dict[str, str]]:
    """Describe the files a stage read, for its metadata: file name and sha256 by role.

    An artifact that was read has the hash it was checked with, whatever has become of the file since.
    """
    return {role: {"file": path.name, "sha256": _checked.get(path) or sha256(path)} for role, path in paths.items()}


@functools.cache
def versions() -> dict[str, str]:
    """Return the versions of Python, the platform and the packages that decide results."""
    found = {"python": platform.python_version(), "platform": platform.platform()}
    for package in VERSIONED:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[package] = "not installed"
    if torch := sys.modules.get("torch"):  # else nothing was computed by several threads
        found["threads"] = str(torch.get_num_threads())
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


def _contiguous(arrays: Arrays) -> Arrays:
    return {name: np.asarray(array, order="C") for name, array in arrays.items()}
