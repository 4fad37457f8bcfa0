"""Datasets of an own collection: a level out of what ``obd collect`` has made."""

import re
from pathlib import Path

from obdistill.core import artifacts
from obdistill.core.errors import UserError
from obdistill.datasets import minari as minari_source
from obdistill.datasets.settings import MINARI_ID, CollectedSettings
from obdistill.datasets.source import Loaded

COLLECTION_FILE = "collection.json"


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
    if not re.match(MINARI_ID, name):
        raise UserError(f"{path}: {name!r} is no Minari id")
    loaded = minari_source.read(folder / name, name)
    if loaded.origin["sha256"] != sha256:
        raise UserError(f"{folder / name}: damaged: its sha256 is not the one in {path.name}; collect it again")
    return loaded
