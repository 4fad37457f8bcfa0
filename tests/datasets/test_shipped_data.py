"""The dataset that comes with the repository is what its README says."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from obdistill.core import artifacts
from obdistill.core.parsing import parse
from obdistill.datasets import minari as minari_source
from obdistill.datasets.collect import command_line
from obdistill.datasets.d4rl_facts import REFERENCE_RETURNS
from obdistill.datasets.settings import CollectSettings, MinariSettings

DATA = Path(__file__).parents[2] / "data"
ID = "obd/halfcheetah/medium-v0"
README = (DATA / "README.md").read_text()


def readme_row(name: str) -> str:
    (row,) = [line for line in README.splitlines() if line.startswith(f"| {name}")]
    return row.split("|")[2].strip()


@pytest.fixture(scope="module")
def loaded() -> minari_source.Loaded:
    return minari_source.load(MinariSettings(source="minari", id=ID, root=DATA / "minari", download=False))


def test_readme_says_what_is_there(loaded):
    transitions = loaded.transitions
    transitions.check(ID)
    returns = transitions.episode_returns()
    assert readme_row("transitions") == str(len(transitions))
    assert readme_row("episodes").startswith(f"{len(returns)}, of 1000 steps each")
    assert (np.bincount(transitions.episode) == 1000).all()
    assert not transitions.terminated.any()
    assert transitions.observations.shape[1:] == (17,)
    assert transitions.actions.shape[1:] == (6,)
    assert readme_row("return") == f"{returns.min():.1f} to {returns.max():.1f}, mean {returns.mean():.1f}"
    assert readme_row("sha256") == f"`{loaded.origin['sha256']}`"
    assert readme_row("environment").startswith(str(loaded.env_id))
    assert loaded.reference_returns == REFERENCE_RETURNS["HalfCheetah"]


def test_it_is_what_the_documented_command_records(loaded):
    collection = artifacts.read_json(DATA / "minari/collection.json")
    facts = collection["levels"]["medium"]
    assert facts["sha256"] == loaded.origin["sha256"]
    command = collection["command"].replace("DIR", "data/minari")
    assert command in README
    given = {"env_id": "HalfCheetah-v5", "levels": ["medium_replay", "medium"], "medium_score": 35.0}
    given |= {"medium_steps": 120_000, "random_steps": 5_000, "transitions": 45_000, "max_replay_transitions": 45_000}
    settings = parse(CollectSettings, given, "test")
    assert command_line(settings, collection["seed"]) == collection["command"]
    assert settings.model_dump(mode="json") == collection["settings"]  # today's defaults are those it was made with
    training = np.array(collection["training"]["returns"])
    random, expert = loaded.reference_returns
    scores = 100 * (np.convolve(training, np.full(10, 0.1), "valid") - random) / (expert - random)
    assert scores[-1] >= settings.medium_score > scores[:-1].max()
    assert f"here after {len(training)} episodes" in README


def test_size_and_privacy():
    paths = [path for path in (DATA / "minari").rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in paths) < 5e6
    metadata = json.loads((DATA / "minari" / ID / "data/metadata.json").read_text())
    assert metadata["dataset_id"] == ID
    assert not re.search(
        r"/(root|home|tmp|work)/", "".join(path.read_text() for path in paths if path.suffix == ".json")
    )
