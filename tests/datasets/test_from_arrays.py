"""Datasets made of arrays: episodes are cut where flags say so, and what is wrong is one line."""

import re

import numpy as np
import pytest

from obdistill.core.errors import UserError
from obdistill.core.units import Task
from obdistill.datasets.transitions import Dataset, read_dataset, write_dataset


def arrays(n: int = 6, **other) -> dict:
    """Three episodes of two rows: one ends in a terminal state, one in a time limit, one where the arrays end."""
    rows = {
        "observations": np.arange(n * 2.0).reshape(n, 2),
        "actions": np.linspace(-1, 1, n)[:, None],
        "rewards": np.arange(n),
        "terminated": np.arange(n) == 1,
        "truncated": np.arange(n) == 3,
    }
    return rows | other


def test_next_states_are_those_of_the_next_row():
    dataset = Dataset.from_arrays(**arrays())
    transitions = dataset.transitions
    # rows 3 and 5 have no state after them
    assert transitions.rewards.tolist() == [0, 1, 2, 4]
    assert transitions.episode.tolist() == [0, 0, 1, 2]
    assert transitions.terminated.tolist() == [False, True, False, False]
    assert transitions.truncated.tolist() == [False, False, True, True]
    assert transitions.next_observations[[0, 2, 3]].tolist() == [[2, 3], [6, 7], [10, 11]]
    assert transitions.next_observations[1].tolist() == [2, 3]  # of a terminal state, whose next one has no value
    assert dataset.task == Task("own", "", None)
    assert dataset.normalizer.action_low.tolist() == [-1]


def test_given_next_states_keep_every_row():
    following = np.arange(100, 112).reshape(6, 2)
    transitions = Dataset.from_arrays(**arrays(next_observations=following)).transitions
    assert transitions.next_observations.tolist() == following.tolist()
    assert transitions.episode.tolist() == [0, 0, 1, 1, 2, 2]
    assert transitions.truncated.tolist() == [False, False, False, True, False, True]


def test_where_both_flags_are_set_the_state_is_terminal():
    transitions = Dataset.from_arrays(**arrays(truncated=[0, 1, 0, 1, 0, 0])).transitions
    assert transitions.terminated.tolist() == [False, True, False, False]


def test_lists_facts_and_wide_bounds_are_taken_and_come_back_from_a_file(tmp_path):
    lists = {
        name: array.tolist() for name, array in arrays(actions=np.array([[-2.0], [2], [0], [1], [1], [1]])).items()
    }
    facts = {"action_low": -2, "action_high": [2.0], "env_id": "Pendulum-v1", "reference_returns": (-1200, -150)}
    dataset = Dataset.from_arrays(**lists, **facts, name="my_robot")
    write_dataset(str(tmp_path / "dataset.npz"), dataset)
    again = read_dataset(str(tmp_path / "dataset.npz"))
    assert again.task == Task("my_robot", "Pendulum-v1", (-1200, -150))
    assert np.array_equal(again.transitions.actions, dataset.transitions.actions)
    assert again.normalizer.action_high.tolist() == [2]
    write_dataset(tmp_path / "without.npz", Dataset.from_arrays(**arrays()))
    assert read_dataset(tmp_path / "without.npz").task == Task("own", "", None)


@pytest.mark.parametrize(
    ("wrong", "line"),
    [
        ({"rewards": np.zeros(5)}, "own: rewards has the shape (5,); 6 rows in 1 dimension(s) are needed"),
        ({"observations": np.zeros(6)}, "own: observations has the shape (6,); 6 rows in 2 dimension(s) are needed"),
        ({"actions": [["a"]] * 6}, "own: actions: no array of numbers (could not convert string to float: 'a')"),
        ({"rewards": [0, 0, np.nan, 0, 0, 0]}, "own: rewards is not finite at transition 2"),
        ({"terminated": [0, 0, 3, 0, 0, 0]}, "own: terminated: 1 of 6 values are neither 0 nor 1, the first is 3 at "
         "row 2"),
        ({"truncated": np.ones(6), "terminated": np.zeros(6)}, "own: holds no transition: every row is the last of a "
         "truncated episode"),
        ({"action_high": 0.5}, "own: actions range from -1 to 0.6; action_low and action_high are -1 and 0.5"),
        ({"action_low": [-1, -1]}, "own: action_low [-1.0, -1.0] and action_high 1.0: numbers or arrays of shape (1,) "
         "are needed, the first below the second"),
        ({"reference_returns": (5, 5)}, "own: reference_returns: [5, 5]: finite numbers are needed, the first "
         "below the second"),
        ({"name": "My robot"}, "name: 'My robot': use lower-case words joined by _, e.g. my_robot"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_one_line(wrong, line):
    with pytest.raises(UserError, match=f"^{re.escape(line)}$"):
        Dataset.from_arrays(**arrays(**wrong))


def test_no_rows_are_one_line():
    with pytest.raises(UserError, match=r"^own: observations has the shape \(0, 2\); some rows in 2 dimension"):
        Dataset.from_arrays(np.zeros((0, 2)), np.zeros((0, 1)), [], [], [])
