"""D4RL files: the reader against D4RL's rules written as a plain loop, and files that must be refused."""

from pathlib import Path

import h5py
import numpy as np
import pytest

from helpers.d4rl_files import write_file
from obdistill.core import environments
from obdistill.core.errors import UserError
from obdistill.datasets import d4rl
from obdistill.datasets.d4rl import D4rlSettings

STAND_IN = Path(__file__).parents[3] / "shared/data/halfcheetah_medium_replay_standin.hdf5"


def plain_loop(path: Path, max_steps: int) -> list[tuple[np.ndarray, np.ndarray, float, np.ndarray, bool]]:
    """Read as D4RL does, row by row: skip time limits and the last row, the next state is the next row's."""
    with h5py.File(path) as file:
        data = {name: file[name][()] for name in file}
    kept = []
    step = 0
    for i in range(len(data["rewards"]) - 1):
        limit = data["timeouts"][i] if "timeouts" in data else step == max_steps - 1
        step = 0 if limit or data["terminals"][i] else step + 1
        if not limit:
            observation, following = data["observations"][i], data["observations"][i + 1]
            kept.append((observation, data["actions"][i], data["rewards"][i], following, bool(data["terminals"][i])))
    return kept


def assert_equal_to_loop(path: Path, max_steps: int = 1000) -> None:
    found = d4rl.read(path, max_steps)
    found.check(str(path))
    wanted = [np.array(column) for column in zip(*plain_loop(path, max_steps), strict=True)]
    columns = (found.observations, found.actions, found.rewards, found.next_observations, found.terminated)
    for array, reference in zip(columns, wanted, strict=True):
        np.testing.assert_array_equal(array, reference)


def test_every_episode_is_read(tmp_path):
    # first, middle and last differ in how they end: terminal, time limit, end of the recording
    path = write_file(tmp_path / "data.hdf5", ["..T", "...L", "....."])
    found = d4rl.read(path)
    assert_equal_to_loop(path)
    assert found.episode.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2, 2]
    assert found.observations.tolist() == [
        [0, 0],
        [0, 1],
        [0, 2],
        [1, 0],
        [1, 1],
        [1, 2],
        [2, 0],
        [2, 1],
        [2, 2],
        [2, 3],
    ]
    assert found.next_observations[:, 1].tolist() == [1, 2, 0, 1, 2, 3, 1, 2, 3, 4]
    assert found.actions.ravel().tolist() == [0, 1, 2, 100, 101, 102, 200, 201, 202, 203]
    assert found.rewards.tolist() == [0.5, 1.5, 2.5, 0.5, 1.5, 2.5, 0.5, 1.5, 2.5, 3.5]
    assert np.flatnonzero(found.terminated).tolist() == [2]
    assert np.flatnonzero(found.truncated).tolist() == [5, 9]
    assert found.observations.dtype == found.rewards.dtype == np.float32


@pytest.mark.parametrize(
    ("ends", "lengths"),
    [
        (["L", "..L", "L", "..T"], [2, 2]),  # one-step episodes at a time limit leave nothing
        (["T", "T", "...."], [1, 1, 3]),
        (["..B", "..T"], [2, 2]),  # terminal at the time limit: dropped, as D4RL does
        (["..T", "..L"], [3, 2]),
        ([".", "."], [1]),
    ],
)
def test_odd_endings(tmp_path, ends, lengths):
    path = write_file(tmp_path / "data.hdf5", ends)
    assert_equal_to_loop(path)
    assert np.bincount(d4rl.read(path).episode).tolist() == lengths


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("with_timeouts", [True, False])
def test_random_files_against_the_loop(tmp_path, seed, with_timeouts):
    generator = np.random.default_rng(seed)
    ends = ["." * generator.integers(0, 12) + generator.choice(list("TLB.")) for _ in range(30)]
    changes = {} if with_timeouts else {"timeouts": None}
    path = write_file(tmp_path / "data.hdf5", ends, **changes)
    assert_equal_to_loop(path, max_steps=5)


def test_without_timeouts_the_time_limit_counts(tmp_path):
    path = write_file(tmp_path / "data.hdf5", ["...", "...", ".T", "...", "..."], timeouts=None)
    found = d4rl.read(path, max_steps=3)
    assert found.observations.tolist() == [
        [0, 0],
        [0, 1],
        [1, 0],
        [1, 1],
        [2, 0],
        [2, 1],
        [3, 0],
        [3, 1],
        [4, 0],
        [4, 1],
    ]
    assert np.flatnonzero(found.terminated).tolist() == [5]
    assert np.flatnonzero(found.truncated).tolist() == [1, 3, 7, 9]


def test_next_observations_of_the_file_are_not_used(tmp_path):
    path = write_file(tmp_path / "data.hdf5", ["..T", "..."], next_observations=np.full((6, 2), -1.0))
    assert (d4rl.read(path).next_observations >= 0).all()


def test_columns_of_width_one_are_taken(tmp_path):
    plain = write_file(tmp_path / "plain.hdf5", ["..T", "...."])
    wide = write_file(
        tmp_path / "wide.hdf5",
        ["..T", "...."],
        **{k: h5py.File(plain)[k][()][:, None] for k in ("rewards", "terminals")},
    )
    np.testing.assert_array_equal(d4rl.read(wide).rewards, d4rl.read(plain).rewards)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rewards": None}, "lacks the array 'rewards' in /; it has: actions, observations"),
        ({"rewards": np.zeros(6)}, r"rewards has the shape \(6,\)"),
        ({"timeouts": np.zeros(8, bool)}, r"timeouts has the shape \(8,\)"),
        ({"actions": np.zeros((6, 1))}, r"actions \(6, 1\)"),
        ({"actions": np.zeros(7)}, r"actions \(7,\)"),
        ({"observations": np.zeros((7, 2, 2))}, r"observations \(7, 2, 2\)"),
        ({"rewards": np.array([b"a"] * 7)}, "numbers are needed"),
        ({"timeouts": np.ones(7, bool)}, "holds no transition"),
    ],
)
def test_malformed_files_are_refused(tmp_path, changes, message):
    path = write_file(tmp_path / "data.hdf5", ["..T", "...."], **changes)
    with pytest.raises(UserError, match=message) as caught:
        d4rl.read(path)
    assert "\n" not in str(caught.value)


def test_nan_in_the_last_episode_is_found(tmp_path):
    rewards = np.ones(7)
    rewards[5] = np.nan
    with pytest.raises(UserError, match="rewards is not finite at transition 5"):
        d4rl.read(write_file(tmp_path / "data.hdf5", ["..T", "...."], rewards=rewards)).check("data")


def test_empty_and_one_row_files(tmp_path):
    empty = {name: np.zeros((0, 1)) for name in ("observations", "actions", "rewards", "terminals", "timeouts")}
    for name, changes in (("no_row", empty), ("one_row", {key: np.zeros((1, 1)) for key in empty})):
        with pytest.raises(UserError, match="holds no transition"):
            d4rl.read(write_file(tmp_path / f"{name}.hdf5", ["."], **changes))
    (tmp_path / "no_byte.hdf5").touch()
    with pytest.raises(UserError, match="is no HDF5 file"):
        d4rl.read(tmp_path / "no_byte.hdf5")


def warned(path: Path, max_steps: int = 1000) -> list[str]:
    """Read a file; return its warnings without the file's name."""
    warnings: list[str] = []
    d4rl.read(path, max_steps, warnings.append)
    assert all(warning.startswith("data.hdf5: ") for warning in warnings)
    return [warning.removeprefix("data.hdf5: ") for warning in warnings]


@pytest.mark.parametrize("key", ["terminals", "timeouts"])
@pytest.mark.parametrize("kind", [np.uint8, np.int64, np.float32])
def test_flags_of_zeros_and_ones_are_read_whatever_their_type(tmp_path, key, kind):
    plain = d4rl.read(write_file(tmp_path / "plain.hdf5", ["..T", "...L", "..."]))
    flags = h5py.File(tmp_path / "plain.hdf5")[key][()].astype(kind)
    found = d4rl.read(write_file(tmp_path / "data.hdf5", ["..T", "...L", "..."], **{key: flags}))
    np.testing.assert_array_equal(found.terminated, plain.terminated)
    np.testing.assert_array_equal(found.truncated, plain.truncated)


@pytest.mark.parametrize("key", ["terminals", "timeouts"])
@pytest.mark.parametrize("value", [np.nan, 0.4, -1.0, 2.0])
def test_other_flags_are_refused(tmp_path, key, value):
    flags = np.zeros(7)
    flags[2] = value
    path = write_file(tmp_path / "data.hdf5", ["..T", "...."], **{key: flags})
    with pytest.raises(UserError, match=f"{key}: 1 of 7 values are neither 0 nor 1, the first is {value:g} at row 2"):
        d4rl.read(path)


def test_terminal_states_that_the_rule_loses_are_counted(tmp_path):
    assert warned(write_file(tmp_path / "data.hdf5", ["..T", "..B", "..T", ".B", "..L"]), max_steps=3) == [
        "2 of 4 terminal states are lost: timeouts is set at the same rows, and D4RL's rule drops those"
    ]
    assert warned(write_file(tmp_path / "data.hdf5", ["..T", "..L", "..."]), max_steps=3) == []


def smooth(lengths: list[int]) -> np.ndarray:
    """States of episodes that each begin elsewhere and then move slowly."""
    step = np.concatenate([np.arange(length) for length in lengths])
    return np.stack([np.repeat(np.arange(len(lengths)) % 3, lengths) + 0.01 * step, np.cos(0.1 * step)], 1)


def test_episodes_that_end_unmarked_in_a_file_without_timeouts(tmp_path):
    ends, lengths = ["." * 40, "." * 29 + "T", "." * 50, "." * 20], [40, 30, 50, 20]
    path = write_file(tmp_path / "data.hdf5", ends, observations=smooth(lengths), timeouts=None)
    assert warned(path) == [
        "after 2 of 140 rows, first 39, the state jumps, and the file has no timeouts: an episode may end there"
    ]
    unset = write_file(tmp_path / "data.hdf5", ends, observations=smooth(lengths))
    assert warned(unset) == [
        "after 2 of 140 rows, first 39, the state jumps, and no timeout is set: an episode may end there"
    ]
    marked = ["." * 39 + "L", "." * 29 + "T", "." * 49 + "L", "." * 20]
    path = write_file(tmp_path / "data.hdf5", marked, observations=smooth(lengths))
    assert not any("jumps" in warning for warning in warned(path))
    regular = write_file(tmp_path / "data.hdf5", ["." * 50] * 4, observations=smooth([50] * 4), timeouts=None)
    assert warned(regular, max_steps=50) == []


def test_time_limits_that_are_not_the_environments(tmp_path):
    path = write_file(tmp_path / "data.hdf5", ["...L", "....L", ".L", "..T", "."])
    assert warned(path, max_steps=5) == ["2 of 3 timeouts come before the environment's time limit of 5 steps"]
    regular = write_file(tmp_path / "data.hdf5", [*20 * ["....L"], "..L", "..T", ".."])  # cut once
    assert warned(regular, max_steps=5) == []


@pytest.mark.parametrize("name", ["truncations", "timeout", "TimeLimit.truncated", "truncated"])
def test_time_limits_by_another_name_are_a_warning(tmp_path, name):
    path = write_file(tmp_path / "data.hdf5", ["..T", "...."], timeouts=None, **{name: np.zeros(7)})
    assert warned(path) == [f"{name} is not read: time limits are in 'timeouts' in D4RL's layout"]


def test_timeouts_that_lead_nowhere_are_not_left_out(tmp_path):
    path = write_file(tmp_path / "data.hdf5", ["..T", "...."], timeouts=None)
    with h5py.File(path, "a") as file:
        file["timeouts"] = h5py.SoftLink("/nowhere")
    with pytest.raises(UserError, match="lacks the array 'timeouts'"):
        d4rl.read(path)


def test_next_observations_tell_where_an_episode_ends_unmarked(tmp_path):
    observations = np.random.default_rng(0).normal(size=(9, 2)).astype(np.float32)
    following = np.append(observations[1:], [[0, 0]], 0)
    path = write_file(
        tmp_path / "data.hdf5", ["..T", "......"], observations=observations, next_observations=following + 1e-6
    )
    assert warned(path) == []
    following[[2, 4, 6]] += 1  # the first is at a terminal state
    for timeouts in (np.zeros(9, bool), None):
        changes = {"observations": observations, "next_observations": following, "timeouts": timeouts}
        assert warned(write_file(tmp_path / "data.hdf5", ["..T", "......"], **changes)) == [
            "after 2 of 9 rows, first 4, the next row is not where next_observations says the step led: an episode may "
            "end there"
        ]


def test_episodes_beyond_the_time_limit(tmp_path):
    path = write_file(tmp_path / "data.hdf5", ["." * 8, "....L", ".....L", "...T"])  # 8 and 5 are one episode
    assert warned(path, max_steps=5) == ["2 of 3 episodes are longer than the environment's time limit of 5 steps"]
    assert warned(write_file(tmp_path / "data.hdf5", ["." * 9], timeouts=np.zeros(9)), max_steps=5) == [
        "1 of 1 episodes are longer than the environment's time limit of 5 steps"
    ]


def test_built_in_names():
    assert len(d4rl.BUILT_IN) == 9
    url, env_id = d4rl.BUILT_IN["walker2d-medium-expert-v2"]
    assert url == "http://rail.eecs.berkeley.edu/datasets/offline_rl/gym_mujoco_v2/walker2d_medium_expert-v2.hdf5"
    assert env_id == "Walker2d-v4"


def test_load_checks_the_checksum_and_records_it(tmp_path):
    path = write_file(tmp_path / "data.hdf5", ["..T", "...."])
    loaded = d4rl.load(D4rlSettings(source="d4rl", file=str(path), env_id="Hopper-v4"))
    assert loaded.env_id == "Hopper-v4"
    assert loaded.origin["file"] == "data.hdf5"
    right = loaded.origin["sha256"]
    d4rl.load(D4rlSettings(source="d4rl", file=str(path), sha256=right))
    with pytest.raises(UserError, match=f"has the sha256 {right}; the setting sha256 is 000"):
        d4rl.load(D4rlSettings(source="d4rl", file=str(path), sha256="0" * 64))


def test_unknown_name_lists_what_there_is(tmp_path):
    with pytest.raises(UserError, match=r"file: 'hopper-v2': neither a file .* halfcheetah-medium-replay-v2"):
        d4rl.load(D4rlSettings(source="d4rl", file="hopper-v2"))


def test_time_limit_of_the_environment():
    assert environments.max_episode_steps("Pendulum-v1") == 200
    assert environments.max_episode_steps(None) == 1000
    with pytest.raises(UserError, match="env_id: 'Unheard-v0'"):
        environments.max_episode_steps("Unheard-v0")


@pytest.mark.skipif(not STAND_IN.exists(), reason="the shared data are not here")
def test_stand_in():
    found = d4rl.read(STAND_IN)
    found.check("stand-in")
    with h5py.File(STAND_IN) as file:
        observations, rewards = file["observations"][()], file["rewards"][()]
    assert len(found) == 99_900  # 100 episodes of 1000 steps; the row of each time limit is dropped
    assert found.truncated.sum() == 100
    assert not found.terminated.any()
    for episode in (0, 50, 99):
        rows = slice(1000 * episode, 1000 * episode + 999)
        mine = found.episode == episode
        np.testing.assert_array_equal(found.observations[mine], observations[rows])
        np.testing.assert_array_equal(found.next_observations[mine], observations[rows.start + 1 : rows.stop + 1])
        np.testing.assert_array_equal(found.rewards[mine], rewards[rows])


def test_the_time_limit_of_an_environment_that_a_module_registers(tmp_path, monkeypatch):
    (tmp_path / "own_robot.py").write_text(
        "import gymnasium\n"
        "gymnasium.register('OwnRobot-v0', 'gymnasium.envs.classic_control.pendulum:PendulumEnv', max_episode_steps=5)"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    assert environments.max_episode_steps("own_robot:OwnRobot-v0") == 5
