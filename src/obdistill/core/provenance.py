"""What the results of this process are made from, for their metadata: settings, options and sources.

With the hashes of the inputs, which stages record themselves, this tells later whether a result that is there is what
its job would make now (`obdistill.experiment.stale`).
"""

import contextlib
import json
import os
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from typing import Any

from obdistill.core import own_modules, sources
from obdistill.core.errors import UserError

VARIABLE = "OBD_SOURCES"  # the digests of a run's start, which its jobs inherit: JSON, by `key`
_made_from: ContextVar[Mapping[str, Any] | None] = ContextVar("made_from", default=None)


def key(command: str, chosen: str | None) -> str:
    """Name the sources of a command; `chosen` is what it is given to choose by, see `sources.CHOICES`."""
    return " ".join(filter(None, (command, chosen)))


@contextlib.contextmanager
def noted(command: str, settings: Mapping[str, Any], options: Mapping[str, Any]) -> Iterator[None]:
    """Note what a command begins with; what is written within says so in its metadata.

    Parameters
    ----------
    command : str
        Its name.
    settings, options : mapping
        Plain data. Options that are files are not noted: they are inputs.

    Raises
    ------
    UserError
        On entering, if the sources are no longer those of the start of the run that this process is a job of.
    """
    chosen = sources.choice(command, {**settings, **options})
    found = sources.digest(command, chosen)
    if json.loads(os.environ.get(VARIABLE, "{}")).get(key(command, chosen), found) != found:
        raise UserError("the sources were changed while the run was going; type the same command again")
    plain = {name: value for name, value in options.items() if isinstance(value, str | int | float)}
    token = _made_from.set({"settings": settings, "options": plain, "sources": found})
    try:
        yield
    finally:
        _made_from.reset(token)


def note_environment(env_id: str) -> None:
    """Note the source files of a user's environment that this command acts in, if its id names a module."""
    made_from, found = _made_from.get(), own_modules.digest(own_modules.files(env_id))
    if made_from is not None and found is not None:
        _made_from.set({**made_from, "environment": found})


def facts() -> dict[str, Any]:
    """Return ``{"made_from": ...}`` for the metadata of a result; nothing where no command has begun."""
    made_from = _made_from.get()
    return {} if made_from is None else {"made_from": made_from}
