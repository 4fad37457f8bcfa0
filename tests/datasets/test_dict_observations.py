"""States that are vectors with names become one vector, in data that Minari recorded and in the environment."""

import json
import re
import warnings
from pathlib import Path

import gymnasium
import minari
import numpy as np
import pytest

import helpers.named_states  # noqa: F401, registers environments
from obdistill.core import environments
from obdistill.core.errors import UserError
from obdistill.core.parsing import parse
from obdistill.datasets.minari import new_dataset
from obdistill.datasets.settings import DatasetSettings
from obdistill.datasets.stage import build_dataset
from obdistill.datasets.transitions import read_dataset

ID = "named/states-v0"
ENV = "GoalLast-v0"  # whose names are not sorted


def record(root: Path, data_format: str) -> list[np.ndarray]:
    """Let Minari record three episodes; returns their states as Gymnasium flattens them, each (7, 7)."""
    states: list[list[np.ndarray]] = []
    rng = np.random.default_rng(0)
    with new_dataset(root, ID), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of metadata that are left out
        env = minari.DataCollector(gymnasium.make(ENV), data_format=data_format)
        for seed in range(3):
            state, _ = env.reset(seed=seed)
            ended = False
            states.append([gymnasium.spaces.flatten(env.observation_space, state)])
            while not ended:
                state, _, terminated, truncated, _ = env.step(rng.uniform(-1, 1, 2).astype(np.float32))
                states[-1].append(gymnasium.spaces.flatten(env.observation_space, state))
                ended = terminated or truncated
        env.create_dataset(ID)
        env.close()
    return [np.array(episode) for episode in states]


def build(root: Path, out: Path, **other: object) -> None:
    given = {"source": "minari", "id": ID, "root": str(root), "download": False, "reference_returns": [-9, 0], **other}
    build_dataset("named", parse(DatasetSettings, given, "test"), out)


@pytest.mark.parametrize("data_format", ["hdf5", "arrow", "parquet"])
def test_data_are_flattened_in_gymnasiums_order(tmp_path, data_format):
    states = record(tmp_path, data_format)
    build(tmp_path, tmp_path / "d.npz")
    dataset = read_dataset(tmp_path / "d.npz")
    found = dataset.transitions
    assert states[0].shape == (7, 7)
    np.testing.assert_array_equal(found.observations, np.concatenate([each[:-1] for each in states]).astype(np.float32))
    np.testing.assert_array_equal(
        found.next_observations, np.concatenate([each[1:] for each in states]).astype(np.float32)
    )
    assert found.truncated.tolist() == ([False] * 5 + [True]) * 3
    assert dataset.task.env_id == ENV


def test_the_environment_gives_what_the_data_hold():
    plain, made = gymnasium.make(ENV), environments.make(ENV)
    assert environments.flattened_keys(made) == ("observation", "goal/far", "goal/near")
    first, _ = plain.reset(seed=3)
    np.testing.assert_array_equal(
        environments.reset(made, 3), np.concatenate([first["observation"], first["goal"]["far"], first["goal"]["near"]])
    )
    action = np.array([0.5, -0.5], np.float32)
    np.testing.assert_array_equal(
        environments.step(made, action)[0], gymnasium.spaces.flatten(plain.observation_space, plain.step(action)[0])
    )
    environments.check_time_limit(made, ENV)
    assert environments.flattened_keys(environments.make("Pendulum-v1")) == ()


def test_names_in_another_order_are_another_environments(tmp_path):
    record(tmp_path, "hdf5")
    line = "named: states of observation, goal/far, goal/near are not those of NamedStates-v0, goal/far, goal/near, obs"
    with pytest.raises(UserError, match=f"^{re.escape(line)}ervation$"):
        build(tmp_path, tmp_path / "d.npz", env_id="NamedStates-v0")


def test_what_is_no_vector_is_one_line(tmp_path):
    line = "env_id: 'NamedAndDiscrete-v0': its observation space has 'mode', which is Discrete(3); a Dict of Boxes with"
    with pytest.raises(UserError, match=f"^{re.escape(line)} one dimension is needed$"):
        environments.make("NamedAndDiscrete-v0")
    record(tmp_path, "hdf5")
    path = tmp_path / ID / "data/metadata.json"
    metadata = json.loads(path.read_text())
    space = json.loads(metadata["observation_space"])
    space["subspaces"]["goal"]["subspaces"]["near"] = {"type": "Discrete", "dtype": "int64", "start": 0, "n": 3}
    path.write_text(json.dumps({**metadata, "observation_space": json.dumps(space)}))
    line = "named/states-v0: its observation space at 'goal/near' is Discrete of shape None; a Box with"
    with pytest.raises(UserError, match=f"^{re.escape(line)} one dimension is needed$"):
        build(tmp_path, tmp_path / "d.npz")


def test_a_vector_of_another_length_is_one_line(tmp_path):
    import h5py

    record(tmp_path, "hdf5")
    with h5py.File(tmp_path / ID / "data/main_data.hdf5", "r+") as file:
        group = file["episode_1/observations/goal"]
        del group["far"]
        group["far"] = np.zeros((7, 3))
    line = "named/states-v0: episode 1: observations/goal/far has the shape (7, 3); (7, 2) is needed"
    with pytest.raises(UserError, match=f"^{re.escape(line)}$"):
        build(tmp_path, tmp_path / "d.npz")
