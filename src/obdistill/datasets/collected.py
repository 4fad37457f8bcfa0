"""Datasets of an own collection: a level out of what ``obd collect`` has made."""

import re
from pathlib import Path
from typing import Literal

from pydantic import Field

from obdistill.core import artifacts
from obdistill.core.errors import UserError
from obdistill.datasets import minari as minari_source
from obdistill.datasets.source import Level, Loaded, SourceSettings

COLLECTION_FILE = "collection.json"


class CollectedSettings(SourceSettings):
    """A level of an own collection."""

    source: Literal["collect"] = Field(description="A dataset of an own collection.")
    collection: str = Field(pattern="^[a-z][a-z0-9_]*$", description="Name of the collection in the configuration.")
    level: Level = Field(description="Which of its datasets.")


def load(settings: CollectedSettings, folder: Path) -> Loaded:
    """Read a level of the collection in `folder`.

    Raises
    ------
    UserError
        If the folder holds no collection, the collection lacks the level, or the data are not those it lists.
    """
    path = folder / COLLECTION_FILE
    levels = artifacts.read_json(path).get("levels", {})
    if settings.level not in levels:
        raise UserError(f"level: {settings.level!r}: not in {path}; it has: {', '.join(levels) or 'none'}")
    name, sha256 = (str(levels[settings.level].get(key)) for key in ("dataset_id", "sha256"))
    if not re.match(minari_source.ID, name):
        raise UserError(f"{path}: {name!r} is no Minari id")
    loaded = minari_source.read(folder / name, name)
    if loaded.origin["sha256"] != sha256:
        raise UserError(f"{folder / name}: damaged: its sha256 is not the one in {path.name}; collect it again")
    return loaded
