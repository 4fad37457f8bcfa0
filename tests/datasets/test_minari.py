"""Minari datasets: hand-made ones whose values say (episode, step), and damaged ones."""

import json
import logging
import shutil
from pathlib import Path

import gymnasium
import h5py
import minari
import numpy as np
import pytest

from helpers.minari_files import EPISODES, ID, make
from obdistill.core.errors import UserError
from obdistill.core.parsing import parse
from obdistill.datasets import minari as minari_source
from obdistill.datasets.minari import MinariSettings, new_dataset


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("original"))


@pytest.fixture
def folder(original: Path, tmp_path: Path) -> Path:
    """Folder of a copy of the hand-made dataset, below the test's own root."""
    return Path(shutil.copytree(original, tmp_path / ID))


def edit(folder: Path) -> h5py.File:
    return h5py.File(folder / "data/main_data.hdf5", "a")


def edit_metadata(folder: Path, **changes: object) -> None:
    path = folder / "data/metadata.json"
    data = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({key: value for key, value in data.items() if value is not None}))


def replace(group: h5py.Group, key: str, array: np.ndarray) -> None:
    del group[key]
    group[key] = array


def load(root: Path, **settings: object):
    return minari_source.load(MinariSettings(source="minari", id=ID, root=root, download=False, **settings))


def test_every_step_of_every_episode(tmp_path, folder):
    found = load(tmp_path).transitions
    found.check("by hand")
    row = 0
    for index, (steps, end) in enumerate(EPISODES):
        for step in range(steps):
            assert found.episode[row] == index
            assert found.observations[row].tolist() == pytest.approx([index, step, 0.1 * step])
            assert found.next_observations[row].tolist() == pytest.approx([index, step + 1, 0.1 * (step + 1)])
            assert found.actions[row] == pytest.approx(index / 10 + step / 100)
            assert found.rewards[row] == 1000 * index + step
            is_last = step == steps - 1
            assert found.terminated[row] == (is_last and end == "terminated")
            assert found.truncated[row] == (is_last and end != "terminated")
            row += 1
    assert len(found) == row == 15
    assert found.observations.dtype == found.actions.dtype == found.rewards.dtype == np.float32


def test_what_the_dataset_says_of_itself(tmp_path):
    folder = make(tmp_path, ref_min_score=-1234.5, ref_max_score=-150.0)
    loaded = load(tmp_path)
    assert loaded.env_id == "Pendulum-v1"
    assert loaded.reference_returns == (-1234.5, -150.0)
    assert loaded.origin["id"] == ID
    before = loaded.origin["sha256"]
    with edit(folder) as file:
        file["episode_4/rewards"][4] = 0
    assert load(tmp_path).origin["sha256"] != before


def test_a_dataset_without_environment_or_scores(tmp_path):
    make(tmp_path, env=None)
    loaded = load(tmp_path)
    assert loaded.env_id is None
    assert loaded.reference_returns is None


def test_terminal_state_at_the_time_limit_is_terminated(tmp_path, folder):
    with edit(folder) as file:
        file["episode_3/truncations"][1] = True
    found = load(tmp_path).transitions
    found.check("by hand")
    assert found.terminated[found.episode == 3].tolist() == [False, True]


@pytest.mark.parametrize("episode", [0, 2, 4])
@pytest.mark.parametrize(
    ("key", "change", "message"),
    [
        ("observations", lambda array: array[:-1], r"observations has the shape \(\d, 3\); \(\d, 3\) is needed"),
        ("observations", lambda array: array[:, :2], r"observations has the shape \(\d, 2\)"),
        ("actions", lambda array: array[:-1], "actions has the shape"),
        ("actions", lambda array: array[:, 0], "actions has the shape"),
        ("terminations", lambda array: array[:-1], "terminations has the shape"),
        ("truncations", lambda array: np.append(array, False), "truncations has the shape"),
        ("truncations", lambda array: np.arange(len(array)) >= len(array) - 2, "ends at step . but goes on to step"),
        ("rewards", lambda array: array[:0], "has no step"),
        ("rewards", lambda array: array[:, None], "rewards has the shape"),
    ],
)
def test_a_malformed_episode_is_found_wherever_it_is(tmp_path, folder, episode, key, change, message):
    with edit(folder) as file:
        replace(file[f"episode_{episode}"], key, change(file[f"episode_{episode}"][key][()]))
    with pytest.raises(UserError, match=f"{ID}: episode {episode}: {message}") as caught:
        load(tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("episode", [0, 2, 4])
def test_missing_data(tmp_path, folder, episode):
    with edit(folder) as file:
        del file[f"episode_{episode}/actions"]
    with pytest.raises(UserError, match=f"episode {episode} cannot be read .*actions"):
        load(tmp_path)


def test_nan_in_the_last_episode(tmp_path, folder):
    with edit(folder) as file:
        file["episode_4/observations"][5, 2] = np.nan
    with pytest.raises(UserError, match="next_observations is not finite at transition 14"):
        load(tmp_path).transitions.check("by hand")


def test_no_episode(tmp_path, folder):
    edit_metadata(folder, total_episodes=0, total_steps=0)
    with pytest.raises(UserError, match="holds no episode"):
        load(tmp_path)


@pytest.mark.parametrize("size", [0, 100, -1])
def test_truncated_file(tmp_path, folder, size):
    path = folder / "data/main_data.hdf5"
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(UserError, match="no HDF5 file, or only a part of one"):
        load(tmp_path)


def test_external_link(tmp_path, folder):
    with edit(folder) as file:
        del file["episode_4/rewards"]
        file["episode_4/rewards"] = h5py.ExternalLink("/etc/hostname", "rewards")
    with pytest.raises(UserError, match=r"'episode_4/rewards' refers to another file"):
        load(tmp_path)


@pytest.mark.parametrize("space", ["observation_space", "action_space"])
def test_spaces_are_not_taken_from_an_environment_that_the_file_names(tmp_path, folder, space):
    edit_metadata(folder, **{space: None})
    with pytest.raises(UserError, match=f"has no {space}"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"observation_space": '{"type": "Dict", "subspaces": {}}'}, "its observation space is Dict"),
        (
            {"action_space": '{"type": "Discrete", "dtype": "int64", "start": 0, "n": 4}'},
            "its action space is Discrete",
        ),
        ({"observation_space": "{}"}, "Minari cannot read it"),
        ({"minari_version": "0.1.0"}, "Minari cannot read it .*0.1.0"),
        ({"data_format": "unheard of"}, "Minari cannot read it"),
        ({"env_spec": "{}"}, "Minari cannot read it"),
    ],
)
def test_other_kinds_of_datasets(tmp_path, folder, changes, message):
    edit_metadata(folder, **changes)
    with pytest.raises(UserError, match=message) as caught:
        load(tmp_path)
    assert "\n" not in str(caught.value)


def test_options_of_the_environment_are_reported(tmp_path, caplog):
    spec = gymnasium.spec("Pendulum-v1")
    spec.kwargs = {"g": 9.81}
    make(tmp_path, env=spec)
    with caplog.at_level(logging.WARNING):
        load(tmp_path)
    assert "recorded with options ['g'] of Pendulum-v1" in caplog.text


@pytest.mark.parametrize(
    "name", ["../other/by_hand-v0", "made/../by_hand-v0", "/etc/by_hand-v0", "by hand-v0", "hf://by/hand-v0", "by_hand"]
)
def test_ids_cannot_lead_out_of_the_root(name):
    with pytest.raises(UserError, match="settings: id: "):
        parse(MinariSettings, {"source": "minari", "id": name}, "settings")


def test_missing_dataset(tmp_path):
    with pytest.raises(UserError, match=f"id: '{ID}': no such dataset in {tmp_path}"):
        load(tmp_path)


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
