"""Datasets of an own collection: a level out of what ``obd collect`` has made."""

import re
from pathlib import Path

from obdistill.core import artifacts
from obdistill.core.errors import UserError
from obdistill.datasets import minari as minari_source
from obdistill.datasets.settings import MINARI_ID, CollectedSettings
from obdistill.datasets.source import COLLECTION_FILE, Loaded


def load(settings: CollectedSettings, folder: Path) -> Loaded:
    """Read a level of the collection in `folder`.

    Raises
    ------
    UserError
        If the folder holds no collection, the collection lacks the level, or the data are not those it lists.
    """
    path = folder / COLLECTION_FILE
    found = artifacts.read_json(path).get("levels")
    levels = found if isinstance(found, dict) else {}
    if settings.level not in levels:
        raise UserError(f"level: {settings.level!r}: not in {path}; it has: {', '.join(levels) or 'none'}")
    facts = levels[settings.level] if isinstance(levels[settings.level], dict) else {}
    name = str(facts.get("dataset_id"))
    if not re.match(MINARI_ID, name):
        raise UserError(f"{path}: {name!r} is no Minari id")
    # collections of older versions have no metadata_sha256
    known = {"sha256": str(facts.get("sha256")), "metadata_sha256": facts.get("metadata_sha256")}
    return minari_source.read(folder / name, name, settings.env_id, known, f"that in {path.name}")
