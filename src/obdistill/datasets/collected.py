"""Datasets of an own collection: a level out of what ``obd collect`` has made."""

import dataclasses
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
    levels = artifacts.read_json(path).get("levels", {})
    if settings.level not in levels:
        raise UserError(f"level: {settings.level!r}: not in {path}; it has: {', '.join(levels) or 'none'}")
    facts = levels[settings.level]
    name = str(facts.get("dataset_id") if isinstance(facts, dict) else facts)
    if not re.match(MINARI_ID, name):
        raise UserError(f"{path}: {name!r} is no Minari id")
    loaded = minari_source.read(folder / name, name, settings.env_id)
    for key in ("sha256", "metadata_sha256"):
        # collections of older versions have no metadata_sha256
        if (key in facts or key == "sha256") and loaded.origin[key] != facts.get(key):
            raise UserError(f"{folder / name}: damaged: its {key} is not the one in {path.name}; collect it again")
    return dataclasses.replace(loaded, verified=True)
