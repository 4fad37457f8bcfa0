"""The dataset artifact: what is checked, and that it comes back as written."""

import dataclasses

import numpy as np
import pytest

from obdistill.core.errors import UserError
from obdistill.core.units import Task
from obdistill.datasets.transitions import Transitions, make_dataset, read_dataset, write_dataset

TASK = Task("pendulum", "Pendulum-v1", (-1500.0, -150.0))


def transitions() -> Transitions:
    """Three episodes of 3, 1 and 2 steps; the first and the last are truncated."""
    episode = np.array([0, 0, 0, 1, 2, 2], np.int32)
    last = np.array([0, 0, 1, 1, 0, 1], bool)
    terminated = last & (episode == 1)
    states = np.arange(18, dtype=np.float32).reshape(6, 3)
    rewards = np.array([1, 2, 3, 10, 20, 30], np.float32)
    return Transitions(
        states, np.zeros((6, 1), np.float32), rewards, states + 1, terminated, last & ~terminated, episode
    )


def test_good_transitions_pass_and_have_returns():
    transitions().check("here")
    assert transitions().episode_returns().tolist() == [6, 10, 50]


def with_value(name: str, row: int, value: object) -> Transitions:
    array = getattr(transitions(), name).copy()
    array[row] = value
    return dataclasses.replace(transitions(), **{name: array})


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (with_value("rewards", 4, np.nan), "rewards is not finite at transition 4"),
        (with_value("observations", 5, np.inf), "observations is not finite at transition 5"),
        (with_value("episode", 0, 1), "episode index"),
        (with_value("episode", 5, 4), "episode index does not count up at transition 5"),
        (with_value("truncated", 5, False), "without a flag.* transition 5"),
        (with_value("terminated", 1, True), "inside one at transition 1"),
        (with_value("truncated", 3, True), "both set at transition 3"),
        (dataclasses.replace(transitions(), rewards=np.zeros((6, 1))), r"rewards has the shape \(6, 1\)"),
        (dataclasses.replace(transitions(), actions=np.zeros((5, 1))), r"actions has the shape \(5, 1\)"),
        (dataclasses.replace(transitions(), next_observations=np.zeros((6, 2))), "differ in shape"),
        (Transitions(*(np.zeros((0, 1)) for _ in range(7))), "holds no transition"),
    ],
)
def test_malformed_transitions_are_refused(bad, message):
    with pytest.raises(UserError, match=message) as caught:
        bad.check("here")
    assert str(caught.value).startswith("here: ")
    assert "\n" not in str(caught.value)


def test_dataset_comes_back_as_written(tmp_path):
    path = tmp_path / "dataset.npz"
    dataset = make_dataset(TASK, transitions(), np.array([-2.0]), np.array([2.0]))
    write_dataset(path, dataset, {"settings": {}, "source": {}})
    again = read_dataset(path)
    assert again.task == TASK
    for field in dataclasses.fields(Transitions):
        np.testing.assert_array_equal(getattr(again.transitions, field.name), getattr(dataset.transitions, field.name))
    states = transitions().observations.astype(np.float64)
    np.testing.assert_allclose(again.normalizer.state_mean, states.mean(0), rtol=1e-6)
    np.testing.assert_allclose(again.normalizer.state_std, np.sqrt(((states - states.mean(0)) ** 2).mean(0)), rtol=1e-6)


@pytest.mark.parametrize("bounds", [([-1.0, -1.0], [1.0, 1.0]), ([-np.inf], [1.0])])
def test_bounds_must_fit_and_be_finite(bounds):
    with pytest.raises(UserError, match="finite bounds"):
        make_dataset(TASK, transitions(), np.array(bounds[0]), np.array(bounds[1]))
