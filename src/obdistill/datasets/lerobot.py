"""LeRobot's datasets, version 3: Parquet files of frames; the vectors ``observation.state`` and ``action`` are read."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from obdistill.core import artifacts
from obdistill.core.errors import UserError
from obdistill.datasets import checks, files, rows, tables
from obdistill.datasets.files import LEROBOT_INFO
from obdistill.datasets.settings import LerobotSettings
from obdistill.datasets.source import Loaded

COLUMNS = {"observations": "observation.state", "actions": "action", "rewards": "next.reward"}
SUCCESS = "next.success"


def load(settings: LerobotSettings) -> Loaded:
    """Read the dataset in a folder.

    An episode whose last frame is a success ended in a terminal state, any other was cut.

    Raises
    ------
    UserError
        If it is missing, damaged, of another version, has no state, actions or rewards, or another checksum.
    """
    folder = files.expand(settings.folder)
    info = artifacts.read_json(folder / LEROBOT_INFO)
    features = _features(info, folder)
    *paths, _ = found = files.lerobot_files(folder)
    if not paths:
        raise UserError(f"{folder}: holds no data/chunk-*/file-*.parquet")
    sha256 = files.sha256_of(found)
    checks.compare_sha256(sha256, settings.sha256, str(folder))
    names = [*COLUMNS.values(), "episode_index", *([SUCCESS] if SUCCESS in features else [])]
    columns = tables.read_parquet(paths, names)
    episode = columns["episode_index"].reshape(-1)
    if info.get("total_frames") not in (None, len(episode)):
        said = f"{info['total_frames']!s:.20}"
        raise UserError(f"{folder / LEROBOT_INFO}: says total_frames: {said}; the data hold {len(episode)}")
    last = np.append(episode[1:] != episode[:-1], True)
    success = columns.get(SUCCESS, np.zeros(len(episode), bool)).reshape(-1)
    arrays = {name: columns[column] for name, column in COLUMNS.items()}
    arrays |= {"terminated": last & checks.flags(success, f"{folder}: {SUCCESS}"), "truncated": last}
    warnings: list[str] = []
    transitions = rows.to_transitions(arrays, settings.env_id, str(folder), warnings.append)
    origin = {"source": "lerobot", "folder": folder.name, "sha256": sha256}
    verified = settings.sha256 is not None
    return Loaded(transitions, settings.env_id, None, origin, verified=verified, warnings=tuple(warnings))


def _features(info: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Return what the frames hold, if it is what a policy of vectors needs."""
    version, features = info.get("codebase_version"), info.get("features")
    if not str(version).startswith("v3."):
        said = f"{json.dumps(version):.40}"
        raise UserError(f"{folder / LEROBOT_INFO}: says codebase_version: {said}; v3.0 or a later v3 is needed")
    held = features if isinstance(features, dict) else {}
    for column in COLUMNS.values():
        if column not in held:
            there = f"{', '.join(held) or 'nothing':.200}"
            raise UserError(f"{folder}: its frames have no {column}, which is needed; they have: {there}")
    return held
