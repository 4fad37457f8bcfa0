"""Outputs that would overwrite inputs or other outputs, refused before any work.

A stage that writes ``name.csv`` also writes ``name.json`` and perhaps other files of the same stem.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from obdistill.core.errors import UserError

DATA = (".npz", ".safetensors", ".csv", ".png")  # suffixes of what has a sidecar
# stems of files that stand beside an output
RESERVED = {"metrics": "a distillation or a summary writes", "findings": "a summary writes"}


def paths_in(value: Any) -> Iterator[Path]:
    """Give the existing files among options and settings: paths, and texts that name a file."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        for item in value:
            yield from paths_in(item)
    elif isinstance(value, Path) or (isinstance(value, str) and Path(value).suffix):
        try:
            path = Path(value).expanduser()
            if path.is_file():
                yield path
        except (OSError, ValueError, RuntimeError):  # a text that is no path
            return


def check(out: Path, inputs: Iterable[Path]) -> None:
    """Refuse an output that would take the place of an input, of another artifact's sidecar or of a stage's side file.

    Parameters
    ----------
    out : Path
        What a stage is about to write.
    inputs : iterable of Path
        Existing files that it reads.

    Raises
    ------
    UserError
        If it would; the message names both.
    """
    is_file = out.suffix in DATA
    if is_file and out.stem in RESERVED:
        raise UserError(f"--out {out}: {RESERVED[out.stem]} {out.stem}.* beside its output; choose another name")
    for path in inputs:
        if _same(out, path):
            raise UserError(f"--out {out}: is the input {path}; choose another name")
        if is_file and _beside(out, path):
            raise UserError(
                f"--out {out}: files of the stem {out.stem!r} would take the place of those of the input {path}; "
                "choose another name"
            )
    if is_file and _sidecar(out).exists():
        for suffix in DATA:
            other = out.with_suffix(suffix)
            if suffix != out.suffix and other.exists():
                raise UserError(
                    f"--out {out}: its {_sidecar(out).name} would take the place of that of {other}; "
                    "choose another name"
                )


def check_log(log: Path, out: Path | None, inputs: Iterable[Path]) -> None:
    """Refuse a log that would be written over an input or the output, or over the sidecar of one.

    Raises
    ------
    UserError
        If it would; the message names both.
    """
    for path in [*inputs, *([] if out is None else [out])]:
        if _same(log, path) or _same(log, _sidecar(path)):
            raise UserError(f"--log {log}: would be written over {path} or its .json; choose another name")


def _sidecar(path: Path) -> Path:
    return path.with_suffix(".json")  # not from `artifacts`, which takes pandas to start: commands start fast


def _same(first: Path, second: Path) -> bool:
    """Tell whether two names are one file, through links and in any spelling."""
    if first.resolve() == second.resolve():
        return True
    return first.exists() and second.exists() and first.samefile(second)


def _beside(out: Path, path: Path) -> bool:
    """Tell whether two files share folder and stem; a link's own place counts and that of what it points to."""
    places = [(place.parent.resolve(), place.stem) for place in (path, path.resolve())]
    mine = [(place.parent.resolve(), place.stem) for place in (out, out.resolve())]
    return any(place in places for place in mine)
