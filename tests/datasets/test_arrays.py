"""Plain arrays in .npz and Parquet files: the names that are in use, the same transitions, and what is refused."""

import re
from pathlib import Path

import numpy as np
import pytest

from obdistill.core import artifacts
from obdistill.core.errors import UserError
from obdistill.datasets import arrays, checks
from obdistill.datasets.settings import ArraysSettings
from obdistill.datasets.transitions import Dataset

pyarrow = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")
pandas = pytest.importorskip("pandas")


def rows(n: int = 12) -> dict[str, np.ndarray]:
    """Three episodes of four rows: a terminal state, a time limit, the end of the file."""
    rng = np.random.default_rng(0)
    return {
        "observations": rng.normal(size=(n, 3)),
        "actions": rng.uniform(-2, 2, (n, 1)).astype(np.float32),
        "rewards": np.arange(n, dtype=float),
        "terminated": np.arange(n) == 3,
        "truncated": np.arange(n) == 7,
    }


def write(path: Path, columns: dict[str, np.ndarray]) -> Path:
    if path.suffix == ".npz":
        np.savez(path, **columns)
    else:
        lists = {name: values.tolist() for name, values in columns.items()}
        parquet.write_table(pyarrow.table(lists), path)
    return path


def load(path: Path, **other: object):
    return arrays.load(ArraysSettings(source="arrays", file=path, env_id="Pendulum-v1", **other))


@pytest.mark.parametrize("suffix", [".npz", ".parquet"])
@pytest.mark.parametrize(
    "names",
    [
        {},
        {"terminated": "terminals", "truncated": "timeouts"},
        {"observations": "obs", "actions": "action", "rewards": "reward", "terminated": "terminations"},
    ],
    ids=["plain", "d4rl", "other"],
)
def test_all_names_give_the_transitions_of_the_arrays(tmp_path, suffix, names):
    given = rows()
    path = write(tmp_path / f"data{suffix}", {names.get(name, name): values for name, values in given.items()})
    found = load(path)
    expected = Dataset.from_arrays(**given, action_low=-2, action_high=2).transitions
    for name, values in vars(expected).items():
        np.testing.assert_array_equal(getattr(found.transitions, name), values, err_msg=name)
        assert getattr(found.transitions, name).dtype == values.dtype
    assert found.origin == {"source": "arrays", "file": path.name, "sha256": artifacts.sha256(path)}
    assert not found.verified
    assert load(path, sha256=artifacts.sha256(path)).verified


def test_what_pandas_writes_is_read(tmp_path):
    given = rows()
    frame = pandas.DataFrame({name: list(values) for name, values in given.items()})
    frame.to_parquet(tmp_path / "data.parquet")
    found = load(tmp_path / "data.parquet").transitions
    np.testing.assert_array_equal(
        found.observations, given["observations"][[0, 1, 2, 3, 4, 5, 6, 8, 9, 10]].astype("f4")
    )


def test_next_states_of_the_file_keep_every_row(tmp_path):
    following = np.random.default_rng(1).normal(size=(12, 3))
    found = load(write(tmp_path / "data.npz", rows() | {"next_observations": following}))
    np.testing.assert_array_equal(found.transitions.next_observations, following.astype(np.float32))
    assert "the next row is not where next_observations says the step led" in found.warnings[0]


def test_ends_that_nothing_marks_are_a_warning(tmp_path):
    given = rows(60) | {"observations": np.cumsum(np.ones((60, 3)), 0) * 0.01}
    given["observations"][30:] += 5
    del given["truncated"]
    (warning,) = load(write(tmp_path / "data.npz", given)).warnings
    assert warning == (
        f"{tmp_path / 'data.npz'}: after 1 of 60 rows, first 29, the state jumps, and the file has no timeouts: an "
        "episode may end there"
    )


@pytest.mark.parametrize("suffix", [".npz", ".parquet"])
@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"rewards": None}, "lacks rewards (or reward); it has: observations, actions, terminated, truncated"),
        ({"terminated": None, "dones": np.zeros(12)}, "lacks terminated (or terminations, terminals); it has: "
         "observations, actions, rewards, truncated, dones"),
        ({"timeouts": np.zeros(12)}, "holds truncated and timeouts, which mean the same; leave one out"),
        ({"terminated": np.full(12, 0.5)}, "terminated: 12 of 12 values are neither 0 nor 1, the first is 0.5 at "
         "row 0"),
        ({"actions": np.arange(12)}, "actions has the shape (12,); vectors, one row per step, are needed"),
        ({"actions": np.zeros((12, 1), int)}, "actions are of type int64: discrete actions are not supported"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_one_line(tmp_path, suffix, change, line):
    columns = {name: values for name, values in (rows() | change).items() if values is not None}
    path = write(tmp_path / f"data{suffix}", columns)
    with pytest.raises(UserError, match=f"^{re.escape(f'{path}: {line}')}$"):
        load(path)


def test_images_are_one_line(tmp_path):
    path = write(tmp_path / "a.npz", rows() | {"observations": np.zeros((12, 8, 8, 3), np.uint8)})
    line = f"{path}: observations has the shape (12, 8, 8, 3): images are not supported; vectors are needed"
    with pytest.raises(UserError, match=f"^{re.escape(line)}$"):
        load(path)
    lists = {name: values.tolist() for name, values in rows().items()} | {"observations": [[[1.0]]] * 12}
    parquet.write_table(pyarrow.table(lists), tmp_path / "a.parquet")
    with pytest.raises(UserError, match=r"observations holds list<.*list<.*numbers, or lists of numbers, are needed$"):
        load(tmp_path / "a.parquet")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([[1.0, 2.0]] * 11 + [[1.0]], "observations: its rows hold 1 to 2 numbers; equally many are needed"),
        ([[1.0, 2.0]] * 11 + [None], "observations: 1 of 12 rows have no value"),
        ([[1.0, 2.0]] * 11 + [[1.0, None]], "observations: 1 numbers have no value"),
        (["a"] * 12, "observations holds string; numbers, or lists of numbers, are needed"),
    ],
)
def test_columns_that_are_no_vectors_are_refused(tmp_path, values, message):
    lists = {name: column.tolist() for name, column in rows().items()} | {"observations": values}
    parquet.write_table(pyarrow.table(lists), tmp_path / "a.parquet")
    with pytest.raises(UserError, match=f"^{re.escape(str(tmp_path / 'a.parquet'))}: {message}$"):
        load(tmp_path / "a.parquet")


def test_other_files_are_refused(tmp_path):
    for name, message in [("a.csv", r"ends in '\.csv'; \.npz or \.parquet is needed"), ("a.npz", "is no readable .npz"),
                          ("a.parquet", "is no readable Parquet file")]:  # fmt: skip
        (tmp_path / name).write_text("no such thing")
        with pytest.raises(UserError, match=message) as caught:
            load(tmp_path / name)
        assert "\n" not in str(caught.value)
    with pytest.raises(UserError, match=r"^file: '.*none\.npz': no such file$"):
        load(tmp_path / "none.npz")
    path = write(tmp_path / "b.npz", rows())
    with pytest.raises(UserError, match=f"^{re.escape(str(path))}: has the sha256 .*; the setting sha256 is aaa"):
        load(path, sha256="a" * 64)


def test_a_small_parquet_file_cannot_fill_the_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(checks, "SMALLEST_LIMIT", 2**20)
    path = write(tmp_path / "a.parquet", {name: np.repeat(values[:1], 10**6, 0) for name, values in rows().items()})
    assert path.stat().st_size < 100_000
    with pytest.raises(UserError, match=r"refused: .* bytes would unpack to"):
        load(path)
