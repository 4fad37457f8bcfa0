"""Where Minari datasets are and come from: ids, roots, servers, downloads."""

import json
import os
import shutil
from pathlib import Path
from types import SimpleNamespace

import minari
import pytest
from huggingface_hub.errors import LocalEntryNotFoundError
from minari.storage.remotes import huggingface

from helpers.minari_files import ID, make
from obdistill.core.errors import UserError
from obdistill.core.parsing import parse
from obdistill.datasets import minari as minari_source
from obdistill.datasets.minari import MinariSettings, new_dataset


@pytest.mark.parametrize(
    "name", ["../other/by_hand-v0", "made/../by_hand-v0", "/etc/by_hand-v0", "by hand-v0", "by_hand"]
)
def test_ids_cannot_lead_out_of_the_root(name):
    with pytest.raises(UserError, match="settings: id: "):
        parse(MinariSettings, {"source": "minari", "id": name}, "settings")


def test_download(tmp_path, monkeypatch):
    there = tmp_path / "there"
    make(there)
    here = tmp_path / "here"

    def download(name: str) -> None:
        assert name == ID
        target = Path(minari.storage.get_dataset_path(name))
        target.parent.mkdir(parents=True)
        (there / name).rename(target)

    monkeypatch.setattr(minari, "download_dataset", download)
    loaded = minari_source.load(MinariSettings(source="minari", id=ID, root=here))
    assert len(loaded.transitions) == 15
    assert (here / ID / "data").is_dir()
    minari_source.load(MinariSettings(source="minari", id=ID, root=here))  # now it is there


class FakeHub:
    """As much of Hugging Face's client as Minari calls, on the folder `hub` of ORGANIZATION/REPOSITORY."""

    hub: Path

    def __init__(self, token: str | None = None) -> None:
        pass

    def list_datasets(self, author: str, dataset_name: str | None = None):
        return [SimpleNamespace(id=f"{author}/{repository.name}") for repository in (self.hub / author).iterdir()]

    def hf_hub_download(self, repo_id: str, filename: str, local_dir: Path | None = None, **_: object) -> str:
        path = self.hub / repo_id / filename
        if not path.is_file():
            raise LocalEntryNotFoundError(filename)
        return shutil.copy(path, local_dir) if local_dir else str(path)

    def snapshot_download(self, repo_id: str, allow_patterns: str, local_dir: Path, **_: object) -> None:
        for path in (self.hub / repo_id).glob(f"{allow_patterns.removesuffix('*')}**/*"):
            if path.is_file():
                target = local_dir / path.relative_to(self.hub / repo_id)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(path, target)


@pytest.fixture
def hub(original, tmp_path, monkeypatch):
    """A Hugging Face that has the hand-made dataset, in the organization `lab`."""
    namespace = tmp_path / "hub/lab/made"
    shutil.copytree(original.parent, namespace)
    (namespace / "namespace_metadata.json").write_text(json.dumps({"datasets": [ID], "namespaces": []}))
    monkeypatch.setattr(FakeHub, "hub", tmp_path / "hub", raising=False)
    monkeypatch.setattr(huggingface, "HfApi", FakeHub)


def test_download_from_an_organization_of_hugging_face(hub, tmp_path, monkeypatch):
    monkeypatch.delenv("MINARI_REMOTE", raising=False)
    settings = MinariSettings(source="minari", id=f"hf://lab/{ID}", root=tmp_path / "here")
    loaded = minari_source.load(settings)
    assert len(loaded.transitions) == 15
    assert loaded.origin["id"] == ID
    assert (tmp_path / "here" / ID / "data").is_dir()
    assert "MINARI_REMOTE" not in os.environ
    shutil.rmtree(tmp_path / "hub")
    assert len(minari_source.load(settings).transitions) == 15  # now it is there


def test_a_dataset_that_the_organization_does_not_have_is_one_line(hub, tmp_path):
    with pytest.raises(UserError, match=r"^id: 'hf://lab/made/other-v0': .* downloaded \(Couldn't find"):
        minari_source.load(MinariSettings(source="minari", id="hf://lab/made/other-v0", root=tmp_path / "here"))


@pytest.mark.parametrize("name", ["s3://lab/a-v0", "hf://a-v0", "hf:///a-v0", "hf://../a-v0", "hf://lab/../a-v0"])
def test_a_place_that_is_none(name):
    with pytest.raises(UserError, match="id: "):
        parse(MinariSettings, {"source": "minari", "id": name}, "dataset")


@pytest.mark.parametrize("how", ["an error", "half a download"])
def test_failed_download_leaves_nothing(tmp_path, monkeypatch, how):
    def download(name: str) -> None:
        Path(minari.storage.get_dataset_path(name), "data").mkdir(parents=True)
        if how == "an error":
            raise ConnectionError("no route\nto host")

    monkeypatch.setattr(minari, "download_dataset", download)
    with pytest.raises(UserError, match=r"cannot be downloaded \((no route to host|the download is incomplete)\)"):
        minari_source.load(MinariSettings(source="minari", id=ID, root=tmp_path))
    assert not list(tmp_path.iterdir())


def test_default_root(tmp_path, folder, monkeypatch):
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path))
    assert len(minari_source.load(MinariSettings(source="minari", id=ID)).transitions) == 15


def test_new_dataset_replaces_and_restores(tmp_path, monkeypatch):
    monkeypatch.setenv("MINARI_DATASETS_PATH", "/before")
    for text in ("old", "new"):
        with new_dataset(tmp_path, "a/b-v0") as folder:
            assert minari.storage.get_dataset_path("a/b-v0") == folder
            folder.mkdir(parents=True)
            (folder / "file").write_text(text)
    assert (tmp_path / "a/b-v0/file").read_text() == "new"
    assert str(minari.storage.get_dataset_path("x")) == "/before/x"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
