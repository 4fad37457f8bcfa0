"""Minari datasets: hand-made ones whose values say (episode, step), and damaged ones."""

import copy
import json
from pathlib import Path

import gymnasium
import h5py
import numpy as np
import pytest

from helpers.minari_files import EPISODES, ID, make
from obdistill.core import atomic
from obdistill.core.errors import UserError
from obdistill.datasets import checks
from obdistill.datasets import minari as minari_source
from obdistill.datasets.minari import MinariSettings


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
    with pytest.raises(
        UserError, match=f"lacks the array 'actions' in /episode_{episode}; it has: observations, rewards"
    ):
        load(tmp_path)


def test_nan_in_the_last_episode(tmp_path, folder):
    with edit(folder) as file:
        file["episode_4/observations"][5, 2] = np.nan
    with pytest.raises(UserError, match="next_observations is not finite at transition 14"):
        load(tmp_path).transitions.check("by hand")


def test_no_episode(tmp_path, folder):
    edit_metadata(folder, total_episodes=0, total_steps=0)
    with edit(folder) as file:
        file.clear()
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
        ({"observation_space": '{"type": "Dict", "subspaces": {}}'}, "its observation_space is empty"),
        (
            {"action_space": '{"type": "Discrete", "dtype": "int64", "start": 0, "n": 4}'},
            "its action space is Discrete of shape None; a Box with one dimension is needed",
        ),
        ({"observation_space": "{}"}, r"its observation_space cannot be read \('type'\)"),
        ({"observation_space": "[" * 100_000}, "its observation_space cannot be read"),
        (
            {"action_space": '{"type": "Box", "low": ["a"], "high": [1], "shape": [1]}'},
            "its action_space cannot be read",
        ),
        ({"action_space": 3}, "its action_space cannot be read"),
        (
            {"action_space": '{"type": "Box", "low": [[0]], "high": [[1]], "shape": [1, 1]}'},
            r"its action space is Box of shape \[1, 1\]; a Box with one dimension is needed",
        ),
        (  # a few bytes that would make a space of 80 GB
            {"action_space": '{"type": "Box", "low": 0, "high": 1, "shape": [10000000000], "dtype": "float64"}'},
            r"its action space is Box of shape \[10000000000\]; a Box with one dimension is needed",
        ),
        ({"minari_version": "0.1.0"}, "Minari cannot read it .*0.1.0"),
        ({"data_format": "unheard of"}, "data_format: unheard of: not known; allowed: hdf5, arrow, parquet"),
    ],
)
def test_other_kinds_of_datasets(tmp_path, folder, changes, message):
    edit_metadata(folder, **changes)
    with pytest.raises(UserError, match=message) as caught:
        load(tmp_path)
    assert "\n" not in str(caught.value)


def test_an_environment_that_its_id_does_not_make_is_refused_unless_one_is_set(tmp_path):
    spec = copy.deepcopy(gymnasium.spec("Pendulum-v1"))
    spec.kwargs, spec.max_episode_steps = {"g": 9.81}, 20
    make(tmp_path, env=spec)
    with pytest.raises(UserError, match=r'made with a time limit of 20 steps .*, options {"g": 9.81}, which would be'):
        load(tmp_path)
    loaded = load(tmp_path, env_id="Pendulum-v1")
    assert loaded.env_id == "Pendulum-v1"
    assert len(loaded.warnings) == 1


def test_an_environment_that_cannot_be_read_is_no_obstacle_if_one_is_set(tmp_path, folder):
    spec = json.loads(json.loads((folder / "data/metadata.json").read_text())["env_spec"])
    edit_metadata(folder, env_spec=json.dumps(spec | {"of_another_gymnasium": 1}))
    assert load(tmp_path).env_id == "Pendulum-v1"
    edit_metadata(folder, env_spec="{}")
    with pytest.raises(UserError, match=r"its environment cannot be read .*; set env_id to the one to evaluate in"):
        load(tmp_path)
    loaded = load(tmp_path, env_id="Pendulum-v1")
    assert len(loaded.transitions) == 15
    assert loaded.env_id == "Pendulum-v1"


@pytest.mark.parametrize("kind", [np.float32, np.float64, np.uint8])
def test_flags_of_zeros_and_ones_are_read_whatever_their_type(tmp_path, folder, kind):
    before = load(tmp_path).transitions
    with edit(folder) as file:
        for episode in file.values():
            for key in ("terminations", "truncations"):
                replace(episode, key, episode[key][()].astype(kind))
    found = load(tmp_path).transitions
    np.testing.assert_array_equal(found.terminated, before.terminated)
    np.testing.assert_array_equal(found.truncated, before.truncated)


@pytest.mark.parametrize("key", ["terminations", "truncations"])
@pytest.mark.parametrize("value", [np.nan, 0.5, -1.0])
def test_other_flags_are_refused(tmp_path, folder, key, value):
    with edit(folder) as file:
        replace(file["episode_2"], key, np.array([0, 0, 0, value]))
    with pytest.raises(UserError, match=f"episode 2: {key}: 1 of 4 values are neither 0 nor 1, the first is {value:g}"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"total_episodes": 4}, "says total_episodes: 4; the data hold 5"),
        ({"total_episodes": 6}, "says total_episodes: 6; the data hold 5"),
        ({"total_steps": 14}, "says total_steps: 14; the data hold 15"),
        ({"total_steps": 16}, "says total_steps: 16; the data hold 15"),
        ({"total_episodes": None}, "says total_episodes: null; a number is needed"),
        ({"total_episodes": -1}, "says total_episodes: -1; a number is needed"),
        ({"total_steps": "15"}, 'says total_steps: "15"; a number is needed'),
        ({"ref_min_score": float("nan"), "ref_max_score": 1.0}, "says ref_min_score: NaN; a number is needed"),
        ({"ref_min_score": 0.0, "ref_max_score": float("inf")}, "says ref_max_score: Infinity; a number is needed"),
        ({"ref_min_score": "low", "ref_max_score": 1.0}, 'says ref_min_score: "low"; a number is needed'),
        ({"ref_min_score": True, "ref_max_score": 2}, "says ref_min_score: true; a number is needed"),
    ],
)
def test_metadata_that_do_not_fit_are_refused(tmp_path, folder, changes, message):
    edit_metadata(folder, **changes)
    with pytest.raises(UserError, match=f"{ID}: its metadata.json {message}"):
        load(tmp_path)


def test_one_reference_score_alone_is_not_used(tmp_path, folder):
    edit_metadata(folder, ref_max_score=1.0)
    loaded = load(tmp_path)
    assert loaded.reference_returns is None
    assert loaded.warnings == (
        f"{ID}: its metadata.json has ref_max_score but not the other reference score; neither is used",
    )


def test_metadata_belong_to_what_was_read(tmp_path, folder):
    before = load(tmp_path).origin
    edit_metadata(folder, ref_min_score=0.0, ref_max_score=1.0)
    after = load(tmp_path).origin
    assert before["sha256"] == after["sha256"]
    assert before["metadata_sha256"] != after["metadata_sha256"]


def test_a_checksum_is_demanded_where_there_is_one(tmp_path, folder):
    right = load(tmp_path).origin["sha256"]
    load(tmp_path, sha256=right)
    with pytest.raises(UserError, match=f"{folder}: has the sha256 {right}; the setting sha256 is 0000"):
        load(tmp_path, sha256="0" * 64)
    levels = {"random": {"dataset_id": "other-v0", "sha256": "1" * 64}, "expert": {"dataset_id": ID, "sha256": right}}
    atomic.write_json(tmp_path / "collection.json", {"levels": levels})
    load(tmp_path)
    with edit(folder) as file:
        file["episode_3/rewards"][0] = 7
    with pytest.raises(UserError, match=rf"has the sha256 .*; that in collection\.json is {right}"):
        load(tmp_path)
    atomic.write_json(tmp_path / "collection.json", {"levels": {"a": {"dataset_id": ID, "metadata_sha256": "00"}}})
    with pytest.raises(UserError, match=r"has the metadata_sha256 .*; that in collection\.json is 00"):
        load(tmp_path)


def test_a_small_file_cannot_fill_the_memory(tmp_path, folder, monkeypatch):
    """Many episodes that are one and the same, each of them of a size that is allowed."""
    monkeypatch.setattr(checks, "SMALLEST_LIMIT", 2**20)
    monkeypatch.setattr(checks, "UNPACKING", 10)
    steps = 5000
    with edit(folder) as file:
        long = file.create_group("episode_5")
        long.create_dataset("observations", data=np.zeros((steps + 1, 3)), compression="gzip")
        long.create_dataset("actions", data=np.zeros((steps, 1)), compression="gzip")
        for key in ("rewards", "terminations", "truncations"):
            long.create_dataset(key, data=np.zeros(steps), compression="gzip")
        for index in range(6, 20):
            file[f"episode_{index}"] = long
    edit_metadata(folder, total_episodes=20, total_steps=15 + 15 * steps)
    with pytest.raises(UserError, match=rf"{ID}: refused: \d+ bytes would unpack to"):
        load(tmp_path)
    monkeypatch.setattr(checks, "SMALLEST_LIMIT", 2**30)
    assert len(load(tmp_path).transitions) == 15 + 15 * steps


def test_missing_dataset(tmp_path):
    with pytest.raises(UserError, match=f"id: '{ID}': no such dataset in {tmp_path}"):
        load(tmp_path)
