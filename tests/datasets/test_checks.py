"""What all sources share: flags are 0 or 1, actions fit the bounds, jumps are found, small files stay small."""

import numpy as np
import pytest

from obdistill.core.errors import UserError
from obdistill.datasets import checks
from obdistill.datasets.checks import Unpacking

LOW, HIGH = np.array([-1.0, -1.0]), np.array([1.0, 1.0])


@pytest.mark.parametrize("kind", [bool, np.uint8, np.int64, np.float32, np.float64])
def test_flags_of_any_type_are_read(kind):
    found = checks.flags(np.array([0, 1, 0]).astype(kind), "terminals")
    assert found.dtype == bool
    assert found.tolist() == [False, True, False]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([0, np.nan, 1], "terminals: 1 of 3 values are neither 0 nor 1, the first is nan at row 1"),
        ([0, 0.4, 0.6], "terminals: 2 of 3 values are neither 0 nor 1, the first is 0.4 at row 1"),
        ([-1, -1, 1], "terminals: 2 of 3 values are neither 0 nor 1, the first is -1 at row 0"),
        ([0, 1, 2], "terminals: 1 of 3 values are neither 0 nor 1, the first is 2 at row 2"),
        ([0, 1, np.inf], "the first is inf at row 2"),
        ([0, 255, 0], "the first is 255 at row 1"),
    ],
)
def test_other_flags_are_refused(values, message):
    with pytest.raises(UserError, match=message):
        checks.flags(np.array(values), "terminals")


def fit(actions: object, low: np.ndarray = LOW, high: np.ndarray = HIGH, clip: bool = False):
    warnings: list[str] = []
    return checks.fit_actions(np.array(actions, np.float32), low, high, clip, "Robot-v0", warnings.append), warnings


def test_actions_within_the_bounds_are_taken_without_a_word():
    actions = [[-1, 0.3], [0.9, -0.7], [1 + 1e-6, 1]]
    found, warnings = fit(actions)
    np.testing.assert_array_equal(found, np.array(actions, np.float32))
    assert warnings == []


def test_actions_somewhat_outside_are_a_warning():
    found, warnings = fit([[-1, 0.5], [1.2, 0], [0, -0.5]])
    assert found.max() == np.float32(1.2)
    assert warnings == ["actions range from -1 to 1.2, Robot-v0 takes -1 to 1: those of 1 of 3 transitions lie outside"]


@pytest.mark.parametrize("factor", [10, 3, -10])
def test_actions_far_outside_are_refused_unless_they_are_to_be_cut(factor):
    actions = factor * np.array([[-1, 0.5], [1, 0], [0, -0.5]])
    message = (
        r"actions range from -\d+ to \d+, Robot-v0 takes -1 to 1: those of . of 3 .* lie outside; set clip_actions"
    )
    with pytest.raises(UserError, match=message):
        fit(actions)
    found, warnings = fit(actions, clip=True)
    np.testing.assert_array_equal(found, np.clip(actions, -1, 1))
    assert "are cut to these bounds" in warnings[0]


def test_one_dimension_outside_is_found_where_bounds_differ():
    with pytest.raises(UserError, match="those of 1 of 2 transitions lie outside"):
        fit([[2.9, 0.1], [-2.9, 0.35]], np.array([-3, -0.1]), np.array([3, 0.1]))


@pytest.mark.parametrize(
    ("actions", "low", "high"),
    [
        ([[-1], [0.2], [1]], -2, 2),  # normalized, of Pendulum
        ([[-1], [0.2], [1]], -1.5, 1.5),  # normalized, more than half of the range
        ([[-0.4], [0.4], [0.1]], -1, 1),  # of Humanoid
        ([[0], [1], [0.5]], -1, 1),  # scaled to [0, 1]
        ([[0.01], [0.99], [0.5]], 0, 255),
    ],
)
def test_a_range_that_fits_other_bounds_is_a_warning(actions, low, high):
    _, warnings = fit(actions, np.array([float(low)]), np.array([float(high)]))
    assert len(warnings) == 1
    assert warnings[0].endswith("they may have been recorded with other bounds, or scaled")


def walk(lengths: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """Smooth episodes, each from a place of its own, and their true ends."""
    step = np.concatenate([np.arange(length) for length in lengths])
    start = np.repeat(np.arange(len(lengths)) % 3, lengths)
    ends = np.zeros(len(step), bool)
    ends[np.cumsum(lengths) - 1] = True
    return np.stack([start + 0.01 * step, np.sin(0.1 * step)], 1), ends


def test_jumps_are_where_episodes_end_unmarked():
    observations, ends = walk([50, 30, 20, 60])
    assert len(checks.jumps(observations, ends)) == 0
    assert checks.jumps(observations, np.zeros_like(ends)).tolist() == [49, 79, 99]
    ends[79] = False
    assert checks.jumps(observations, ends).tolist() == [79]


def test_no_jumps_in_states_that_stand_still_or_in_one_row():
    assert len(checks.jumps(np.zeros((20, 2)), np.zeros(20, bool))) == 0
    assert len(checks.jumps(np.zeros((2, 2)), np.zeros(2, bool))) == 0


@pytest.mark.parametrize("rows", [20, 5000])
def test_values_that_only_damage_makes_are_a_warning(rows):
    values = np.random.default_rng(0).normal(size=(rows, 3)).astype(np.float32)
    values[:, 2] = 0
    warnings: list[str] = []
    checks.warn_of_outliers(values, "observations", warnings.append)
    checks.warn_of_outliers(np.where(np.arange(rows) == 7, 10, 0), "rewards", warnings.append)  # a rare success
    assert warnings == []
    values[12, 1], values[15, 2] = 1e12, -3e5
    checks.warn_of_outliers(values, "observations", warnings.append)
    assert warnings == [f"observations: 2 of {rows} rows lie far from all others, first 12: is the file damaged?"]


def test_unpacking_counts_all_that_is_read(monkeypatch):
    monkeypatch.setattr(checks, "SMALLEST_LIMIT", 1000)
    unpacking = Unpacking("data.hdf5", 5)
    for _ in range(10):
        unpacking.take(100)
    with pytest.raises(UserError, match=r"data\.hdf5: refused: 5 bytes would unpack to .* or more"):
        unpacking.take(1)
    Unpacking("data.hdf5", 50).take(5000)  # a hundred times its size
    with pytest.raises(UserError, match="refused"):
        Unpacking("data.hdf5", 50).take(5001)
