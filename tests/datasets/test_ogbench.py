"""OGBench's files: states of whole trajectories, rewards of a task.

The package needs dm_control and is not in the development environment: the files here are written in its documented
form, and a stand-in computes rewards by its rule for mazes. Where the package is installed, the last test uses it.
"""

import re
import sys
from pathlib import Path
from types import ModuleType

import gymnasium
import numpy as np
import pytest

from obdistill.core import artifacts
from obdistill.core.errors import UserError
from obdistill.datasets import ogbench
from obdistill.datasets.settings import OgbenchSettings

GOAL, NEAR = np.array([3.0, 0.0]), 0.5


class Maze(gymnasium.Env):
    """A place in the plane, with a goal; `task` is None without a single task."""

    observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (2,), np.float64)
    action_space = gymnasium.spaces.Box(-1, 1, (2,), np.float32)

    def __init__(self, task=1):
        self._reward_task_id = task


gymnasium.register("Maze-singletask-v0", Maze, max_episode_steps=10)
gymnasium.register("Maze-v0", Maze, max_episode_steps=10, kwargs={"task": None})


def relabel_dataset(env_name, env, dataset):
    success = np.linalg.norm(dataset["qpos"] - GOAL, axis=-1) <= NEAR
    dataset["rewards"], dataset["masks"] = success - 1.0, 1.0 - success


@pytest.fixture
def package(monkeypatch):
    """The stand-in of the package."""
    module = ModuleType("ogbench.relabel_utils")
    module.relabel_dataset = relabel_dataset
    monkeypatch.setitem(sys.modules, "ogbench", ModuleType("ogbench"))
    monkeypatch.setitem(sys.modules, "ogbench.relabel_utils", module)


def arrays() -> dict[str, np.ndarray]:
    """Two trajectories of five states along the x-axis; the first is at the goal in its state 3."""
    x = np.array([0, 1, 2, 3, 4, 0, 0, 1, 1, 2], np.float32)
    states = np.stack([x, np.repeat([0, 7], 5)], 1).astype(np.float32)
    states[5:, 1] = 7
    return {
        "observations": states,
        "actions": np.arange(20, dtype=np.float32).reshape(10, 2) / 20,
        "terminals": (np.arange(10) % 5 == 4).astype(np.float32),
        "qpos": states.astype(np.float64),
    }


def load(path: Path, env_id: str = "Maze-singletask-v0", **changes):
    np.savez(path, **{key: values for key, values in (arrays() | changes).items() if values is not None})
    return ogbench.load(OgbenchSettings(source="ogbench", file=path, env_id=env_id))


@pytest.mark.usefixtures("package")
def test_steps_rewards_and_ends(tmp_path):
    found = load(tmp_path / "maze.npz")
    given, rows = arrays(), [0, 1, 2, 3, 5, 6, 7, 8]
    transitions = found.transitions
    np.testing.assert_array_equal(transitions.observations, given["observations"][rows])
    np.testing.assert_array_equal(transitions.next_observations, given["observations"][[row + 1 for row in rows]])
    np.testing.assert_array_equal(transitions.actions, given["actions"][rows])
    assert transitions.rewards.tolist() == [-1, -1, -1, 0, -1, -1, -1, -1]
    assert transitions.terminated.tolist() == [False] * 3 + [True] + [False] * 4
    assert transitions.truncated.tolist() == [False] * 7 + [True]
    assert transitions.episode.tolist() == [0] * 4 + [1] * 4
    sha256 = artifacts.sha256(tmp_path / "maze.npz")
    assert found.origin == {"source": "ogbench", "file": "maze.npz", "sha256": sha256}


@pytest.mark.usefixtures("package")
@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"terminals": None}, "{path}: lacks terminals; it has: observations, actions, qpos"),
        ({"terminals": np.zeros(10)}, "{path}: the last row of terminals is 0; it marks the last state of a "
         "trajectory"),
        ({"actions": np.zeros((9, 2))}, "{path}: observations and actions have 10 and 9 rows; equally many are needed"),
        ({"qpos": None}, "env_id: 'Maze-singletask-v0': its rewards cannot be computed from this file "
         "(KeyError('qpos'))"),
        ({"env_id": "Maze-v0"}, "env_id: 'Maze-v0': is no single task; ogbench:cube-single-singletask-v0, e.g., is "
         "one"),
        ({"observations": np.zeros((10, 64, 64, 3), np.uint8)}, "{path}: observations has the shape (10, 64, 64, 3): "
         "images are not supported; vectors are needed"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_one_line(tmp_path, changes, line):
    path = tmp_path / "maze.npz"
    with pytest.raises(UserError, match=f"^{re.escape(line.replace('{path}', str(path)))}$"):
        load(path, **changes)


def test_without_the_package_it_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ogbench", None)
    monkeypatch.setitem(sys.modules, "ogbench.relabel_utils", None)
    with pytest.raises(UserError, match=r"^source: ogbench: its rewards need the package .*: pip install ogbench$"):
        load(tmp_path / "maze.npz")


def test_a_file_of_the_packages_own_environment(tmp_path):
    pytest.importorskip("ogbench")
    env_id = "ogbench:pointmaze-medium-singletask-task1-v0"
    env = gymnasium.make(env_id)
    rng, states, actions = np.random.default_rng(0), [], []
    states.append(env.reset(seed=0)[0])
    for _ in range(20):
        actions.append(rng.uniform(-1, 1, 2))
        states.append(env.step(actions[-1])[0])
    states, actions = np.array(states, np.float32), np.array([*actions, actions[-1]], np.float32)
    states[9] = env.unwrapped.cur_goal_xy  # a success
    ends = (np.arange(21) == 20).astype(np.float32)
    found = load(tmp_path / "a.npz", env_id, observations=states, actions=actions, terminals=ends, qpos=states)
    assert found.transitions.rewards.tolist() == [-1] * 9 + [0] + [-1] * 10
    assert np.flatnonzero(found.transitions.terminated).tolist() == [9]
