"""The source files of a user's environment: of ``my_module`` in ``my_module:MyRobot-v0``. Nothing is imported."""

import hashlib
import importlib.util
from collections.abc import Sequence
from pathlib import Path


def files(env_id: str | None) -> list[Path]:
    """List the source files that an environment's id names; none if it names no module, or one that is not there.

    Of a package all files count, unless it is installed like any other: then its first alone, which a new version
    replaces.
    """
    module, colon, _ = (env_id or "").partition(":")
    first = module.partition(".")[0]
    spec = importlib.util.find_spec(first) if colon and first else None
    if spec is None or spec.origin is None:
        return []
    origin = Path(spec.origin)
    if not spec.submodule_search_locations:
        return [origin]
    installed = any(part in ("site-packages", "dist-packages") for part in origin.parts)
    return [origin] if installed else sorted(origin.parent.rglob("*.py"))


def digest(paths: Sequence[Path]) -> str | None:
    """Return one SHA-256 of the names and contents of source files, None for no file."""
    if not paths:
        return None
    lines = [f"{path.name} {hashlib.sha256(path.read_bytes()).hexdigest()}" for path in paths]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()
