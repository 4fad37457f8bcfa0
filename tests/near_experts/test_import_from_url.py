"""A checkpoint from a URL: downloaded once, resumed, demanded by its SHA-256; or one line."""

import hashlib
import io
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from helpers.server import Server
from helpers.small import make_small_dataset
from helpers.weights import load_near_expert, npz, state_dicts, unit_dataset
from obdistill.core import artifacts
from obdistill.core.errors import UserError
from obdistill.core.parsing import load_yaml, parse
from obdistill.core.units import Task
from obdistill.datasets import download
from obdistill.datasets.transitions import Dataset, Transitions, make_dataset, write_dataset
from obdistill.near_experts.near_expert import read_near_expert
from obdistill.near_experts.stage import NearExpertSettings, make_near_expert

REPOSITORY = Path(__file__).parents[2]
RELEASED = REPOSITORY.parent / "shared/data/near_expert/halfcheetah-medium-replay-v2.pt"


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr(download, "PAUSE", 0)
    monkeypatch.setattr(download, "CHUNK", 500)
    monkeypatch.setenv("OBD_CACHE", str(tmp_path / "cache"))
    file = io.BytesIO()
    torch.save({**state_dicts(), "total_it": 7}, file)
    server = Server(file.getvalue(), "checkpoint.pt")
    server.content_type = "application/octet-stream"
    yield server
    server.close()


def sha256(server: Server) -> str:
    return hashlib.sha256(server.body).hexdigest()


def test_it_is_the_policy_of_the_same_file_and_downloaded_once(server, tmp_path):
    server.cut_after = [1000]
    for _ in range(2):
        found = load_near_expert(unit_dataset(), server.url, sha256=sha256(server))
    expected = load_near_expert(unit_dataset(), npz(tmp_path))
    for mine, other in ((found.actor, expected.actor), (found.critics, expected.critics)):
        assert all(torch.equal(a, b) for a, b in zip(mine.parameters(), other.parameters(), strict=True))
    assert server.requests == [None, "bytes=1000-"]
    assert len(list((tmp_path / "cache").glob("*_checkpoint.pt"))) == 1


def test_the_stage_says_what_it_was_made_from(server, tmp_path):
    write_dataset(tmp_path / "dataset.npz", unit_dataset(), {})
    given = {"algorithm": "import", "checkpoint": server.url, "sha256": sha256(server)}
    out = tmp_path / "near_expert.safetensors"
    make_near_expert(tmp_path / "dataset.npz", parse(NearExpertSettings, given, "test"), out)
    metadata = artifacts.read_metadata(out, "near_expert")
    assert metadata["settings"]["checkpoint"] == server.url
    assert metadata["inputs"]["checkpoint"]["sha256"] == sha256(server)
    assert metadata["statistics"] == "dataset"
    assert read_near_expert(out).normalizer.state_mean.tolist() == make_small_dataset().normalizer.state_mean.tolist()


@pytest.mark.skipif(not RELEASED.exists(), reason="needs the shared test data")
def test_a_published_near_expert_is_read_by_the_checksum_in_the_configuration(server):
    tasks = load_yaml(REPOSITORY / "config/published.yaml")["tasks"]
    server.body = RELEASED.read_bytes()
    found = load_near_expert(
        halfcheetah_dataset(), server.url, sha256=tasks["halfcheetah_medium_replay"]["near_expert"]["sha256"]
    )
    assert (found.state_dim, found.action_dim) == (17, 6)
    assert found.actions(np.zeros((1, 17))).isfinite().all()


def halfcheetah_dataset() -> Dataset:
    draw = np.random.default_rng(0)
    states, actions = draw.normal(size=(20, 17)).astype(np.float32), draw.uniform(-1, 1, (20, 6)).astype(np.float32)
    no, last = np.zeros(20, bool), np.arange(20) == 19
    transitions = Transitions(states, actions, states[:, 0], states + 1, no, last, np.zeros(20, np.int32))
    return make_dataset(Task("made", "HalfCheetah-v4", (0.0, 1.0)), transitions, -np.ones(6), np.ones(6))


def test_other_bytes_are_refused_and_not_kept(server, tmp_path):
    line = f"{server.url}: has the sha256 {sha256(server)}; the setting sha256 is {'0' * 64}"
    with pytest.raises(UserError, match=f"^{re.escape(line)}$"):
        load_near_expert(unit_dataset(), server.url, sha256="0" * 64)
    assert not list((tmp_path / "cache").glob("*.pt*"))


def test_a_missing_file_is_one_line(server):
    server.status = 404
    with pytest.raises(UserError, match=rf"^{re.escape(server.url)}: the server answers 404 Not Found$"):
        load_near_expert(unit_dataset(), server.url, sha256=sha256(server))


def test_a_file_that_runs_code_is_refused_from_a_url_too(server):
    server.body = b"cbuiltins\nprint\n(S'run'\ntR."
    with pytest.raises(UserError, match=r"^\S+_checkpoint\.pt: (refused|is no readable PyTorch checkpoint)[^\n]*$"):
        load_near_expert(unit_dataset(), server.url, sha256=sha256(server))


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({}, "sha256: null: missing; a checkpoint from a URL needs it"),
        ({"sha256": "0" * 63}, f'sha256: "{"0" * 63}": '),
    ],
)
def test_a_url_needs_a_checksum(changes, line):
    given = {"algorithm": "import", "checkpoint": "HTTPS://host/a.pt", **changes}
    with pytest.raises(UserError, match=rf"^settings: {re.escape(line)}[^\n]*$"):
        parse(NearExpertSettings, given, "settings")


def test_the_checksum_of_a_path_is_compared_too(tmp_path):
    path = npz(tmp_path)
    load_near_expert(unit_dataset(), path, sha256=artifacts.sha256(Path(path)))
    with pytest.raises(UserError, match=rf"^{re.escape(path)}: has the sha256 \w+; the setting sha256 is {'0' * 64}$"):
        load_near_expert(unit_dataset(), path, sha256="0" * 64)
