"""The datasets that come with the repository are what their README says."""

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
README = (DATA / "README.md").read_text()
# dataset -> its root, and dimensions of states and actions
SHIPPED = {
    "obd/halfcheetah/medium-v0": ("minari", (17, 6)),
    "obd/halfcheetah/medium_replay-v0": ("halfcheetah", (17, 6)),
    "obd/hopper/medium-v0": ("hopper", (11, 3)),
    "obd/hopper/medium_replay-v0": ("hopper", (11, 3)),
    "obd/walker2d/medium-v0": ("walker2d", (17, 6)),
    "obd/walker2d/medium_replay-v0": ("walker2d", (17, 6)),
}
ROOTS = sorted({root for root, _ in SHIPPED.values()})


def rows(dataset: str) -> dict[str, str]:
    """Read the column of a dataset in the table that has one for it."""
    (head,) = [line for line in README.splitlines() if line.startswith("| |") and f"`{dataset}`" in line]
    column = [cell.strip() for cell in head.split("|")].index(f"`{dataset}`")
    table = README.partition(head)[2].partition("\n\n")[0].splitlines()[2:]
    cells = [[cell.strip() for cell in line.split("|")] for line in table]
    return {line[1]: line[column] for line in cells}


@pytest.mark.parametrize("dataset", SHIPPED)
def test_readme_says_what_is_there(dataset):
    root, dims = SHIPPED[dataset]
    loaded = minari_source.load(MinariSettings(source="minari", id=dataset, root=DATA / root, download=False))
    said, transitions = rows(dataset), loaded.transitions
    transitions.check(dataset)
    returns = transitions.episode_returns()
    assert said["transitions"] == str(len(transitions))
    assert re.match(r"\d+", said["episodes"])[0] == str(len(returns))
    assert said["return of an episode"] == f"{returns.min():.1f} to {returns.max():.1f}, mean {returns.mean():.1f}"
    assert said["sha256 of `main_data.hdf5`"] == f"`{loaded.origin['sha256']}`"
    assert (transitions.observations.shape[1], transitions.actions.shape[1]) == dims
    facts = artifacts.read_json(DATA / root / "collection.json")["levels"][dataset.split("/")[2].removesuffix("-v0")]
    assert facts["sha256"] == loaded.origin["sha256"]
    assert loaded.reference_returns == REFERENCE_RETURNS[str(loaded.env_id).removesuffix("-v5")]
    if loaded.env_id == "HalfCheetah-v5":
        assert (np.bincount(transitions.episode) == 1000).all()
        assert not transitions.terminated.any()


@pytest.mark.parametrize("root", ROOTS)
def test_they_are_what_the_documented_command_records(root):
    collection = artifacts.read_json(DATA / root / "collection.json")
    assert collection["command"].replace("DIR", f"data/{root}") in README
    given = {key: value for key, value in collection["settings"].items() if f"{key}=" in collection["command"]}
    settings = parse(CollectSettings, given, "test")
    assert command_line(settings, collection["seed"]) == collection["command"]
    assert settings.model_dump(mode="json") == collection["settings"]  # today's defaults are those it was made with
    training = np.array(collection["training"]["returns"])
    random, expert = REFERENCE_RETURNS[settings.env_id.removesuffix("-v5")]
    scores = 100 * (np.convolve(training, np.full(10, 0.1), "valid") - random) / (expert - random)
    assert scores[-1] >= settings.medium_score > scores[:-1].max()


@pytest.mark.parametrize("dataset", SHIPPED)
def test_size_and_privacy(dataset):
    root, _ = SHIPPED[dataset]
    paths = [path for path in (DATA / root / dataset).rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in paths) < 5e6
    metadata = json.loads((DATA / root / dataset / "data/metadata.json").read_text())
    assert metadata["dataset_id"] == dataset
    texts = [path.read_text() for path in (DATA / root).rglob("*.json")]
    assert not re.search(r"/(root|home|tmp|work)/", "".join(texts))
