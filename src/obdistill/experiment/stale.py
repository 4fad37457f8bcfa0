"""Whether a result that is there is what its job would make now: its ``.json`` says what it was made from.

Snakemake compares dates, and what it remembers of its own runs. Results that were copied, whose inputs have older dates
or that other settings made in another folder pass both; this does not.
"""

import functools
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from obdistill.core.artifacts import sidecar

RESULTS = "results"
HASHES = Path(".snakemake/obdistill.hashes.json")  # of files outside the results, as they were when last read


@dataclass(frozen=True)
class Job:
    """What a job would make its result from now.

    Attributes
    ----------
    settings : mapping
        Settings given to its command.
    options : mapping
        Options of its command; those that its result does not tell are not compared.
    inputs : sequence of str
        Files that it reads, but for sources.
    sources : str
        Digest of its command's sources.
    environment : str or None
        Digest of the sources of the user's own environment that it acts in; None if there are none.
    """

    settings: Mapping[str, Any]
    options: Mapping[str, str]
    inputs: tuple[str, ...]
    sources: str
    environment: str | None = None


def difference(result: Path, job: Job) -> str | None:
    """Say in a few words what a result was made from that is no more; None if nothing, or if it is not there.

    Parameters
    ----------
    result : Path
        The ``.json`` of the result.
    job : Job
        What would be used now.
    """
    if not result.exists():
        return None
    metadata = _read(result)
    made_from = metadata.get("made_from")
    if not isinstance(made_from, dict):
        return "it does not say what it was made from"
    changed = next(_differences(made_from.get("settings", {}), job.settings), None)
    if changed is not None:
        return changed
    options = made_from.get("options", {})
    for name in options.keys() & job.options.keys():
        if str(options[name]) != str(job.options[name]):
            return f"{name} {options[name]}, now {job.options[name]}"
    if made_from.get("sources") != job.sources:
        return "the sources were others"
    if job.environment not in (None, made_from.get("environment")):
        return "the module of its environment was another"
    for path in _unknown(metadata, job.inputs):
        return f"{path} was another file"
    return None


def _differences(old: Any, new: Mapping[str, Any], path: str = "") -> Iterator[str]:
    """Compare the keys of `new`: what a job is not given has no influence on it."""
    for key, value in new.items():
        was = old.get(key) if isinstance(old, Mapping) else None
        if isinstance(value, Mapping) and isinstance(was, Mapping):
            yield from _differences(was, value, f"{path}{key}.")
            if extra := sorted(was.keys() - value.keys()):
                yield f"{path}{key}.{extra[0]} {was[extra[0]]}, now none"
        elif was != value:
            yield f"{path}{key} {was}, now {value}"


def _unknown(metadata: Mapping[str, Any], inputs: Iterable[str]) -> Iterator[str]:
    """Find the inputs that a result was not made from."""
    recorded = set(_hashes_in([metadata.get("inputs"), metadata.get("source")]))
    outside = []
    for path in map(Path, inputs):
        if path.parts[0] != RESULTS:
            outside.append(path)
        elif path.is_file() and recorded.isdisjoint(_artifact_hashes(path)):
            yield str(path)
    strange = [path for path in outside if path.is_file() and file_hash(path) not in recorded]
    if strange:
        # a dataset of several files has one hash, its metadata.json another
        data = [path for path in sorted(outside) if path.name != "metadata.json"]
        if combined_hash(tuple(data)) in recorded:
            strange = [path for path in strange if path not in data and "metadata_sha256" in metadata.get("source", {})]
    yield from map(str, strange)


def _artifact_hashes(path: Path) -> list[str]:
    """Return the hash of an artifact as its sidecar has it, or all that a JSON file tells of others."""
    found = _read(sidecar(path))
    return list(_hashes_in(found)) if path.suffix == ".json" else [str(found.get("sha256"))]


def _hashes_in(data: Any) -> Iterator[str]:
    if isinstance(data, Mapping):
        for key, value in data.items():
            if key in ("sha256", "metadata_sha256"):
                yield str(value)
            else:
                yield from _hashes_in(value)
    elif isinstance(data, list):
        for value in data:
            yield from _hashes_in(value)


@functools.cache
def _read(path: Path) -> dict[str, Any]:
    """Read a JSON mapping; an empty one stands for what is missing or damaged."""
    try:
        data = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return data if isinstance(data, dict) else {}


@functools.cache
def file_hash(path: Path) -> str:
    """Return the SHA-256 of a file, which is read again only if its date, size or inode is another than last time."""
    return combined_hash((path,))


@functools.cache
def combined_hash(paths: tuple[Path, ...]) -> str:
    """Return the SHA-256 of the contents of files one after another, remembered as `file_hash` does."""
    now = [
        [str(path), *(getattr(path.stat(), f"st_{fact}") for fact in ("mtime_ns", "ctime_ns", "size", "ino"))]
        for path in paths
    ]
    known = _read(HASHES)
    name = hashlib.sha256(json.dumps(now).encode()).hexdigest()
    if name not in known:
        digest = hashlib.sha256()
        for path in paths:
            with path.open("rb") as file:
                while block := file.read(2**20):
                    digest.update(block)
        known[name] = digest.hexdigest()
        HASHES.parent.mkdir(exist_ok=True)
        HASHES.write_text(json.dumps(known))
    return str(known[name])
