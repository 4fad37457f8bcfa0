"""Minari datasets in Arrow and Parquet format: the same transitions as in HDF5, and damaged ones."""

from pathlib import Path

import numpy as np
import pytest

from helpers.minari_files import ID, make
from obdistill.core.errors import UserError
from obdistill.datasets import checks, files
from obdistill.datasets import minari as minari_source
from obdistill.datasets.minari import MinariSettings

pyarrow = pytest.importorskip("pyarrow")
feather = pytest.importorskip("pyarrow.feather")
parquet = pytest.importorskip("pyarrow.parquet")

FORMATS = ["arrow", "parquet"]


def load(root: Path) -> minari_source.Loaded:
    return minari_source.load(MinariSettings(source="minari", id=ID, root=root, download=False))


def rewrite(folder: Path, change, episode: int = 2) -> None:
    """Change the table of an episode in Arrow format."""
    (path,) = (folder / "data" / str(episode)).glob("*.arrow")
    feather.write_feather(change(pyarrow.ipc.open_file(path).read_all()), path, compression="uncompressed")


@pytest.mark.parametrize("data_format", FORMATS)
def test_the_same_transitions_as_in_hdf5(tmp_path, data_format):
    make(tmp_path / "hdf5")
    folder = make(tmp_path / data_format, data_format=data_format)
    plain, found = load(tmp_path / "hdf5"), load(tmp_path / data_format)
    for key, array in vars(plain.transitions).items():
        np.testing.assert_array_equal(getattr(found.transitions, key), array, err_msg=key)
        assert getattr(found.transitions, key).dtype == array.dtype
    assert found.env_id == plain.env_id
    assert len(files.data_files(tmp_path / data_format, ID)) == len(list(folder.rglob("*.*"))) == 11


@pytest.mark.parametrize("data_format", FORMATS)
def test_the_checksum_is_of_all_data(tmp_path, data_format):
    folder = make(tmp_path, data_format=data_format)
    before = load(tmp_path).origin["sha256"]
    (part,) = (folder / "data/4").glob(f"*.{data_format}")
    part.write_bytes(next((folder / "data/3").glob(f"*.{data_format}")).read_bytes())
    with pytest.raises(UserError, match="says total_steps: 15; the data hold 12"):
        load(tmp_path)
    (folder / "data/2/metadata.json").write_text("{}")
    part.write_bytes(next((folder / "data/4").glob(f"*.{data_format}")).read_bytes())
    assert minari_source._sha256(folder) != before


@pytest.mark.parametrize("data_format", FORMATS)
def test_a_missing_and_a_damaged_episode(tmp_path, data_format):
    folder = make(tmp_path, data_format=data_format)
    (part,) = (folder / "data/1").glob(f"*.{data_format}")
    part.write_bytes(part.read_bytes()[:-9])
    with pytest.raises(UserError, match=f"data/1: cannot be read as {data_format}") as caught:
        load(tmp_path)
    assert "\n" not in str(caught.value)
    part.unlink()
    with pytest.raises(UserError, match="data/1: "):
        load(tmp_path)
    (folder / "data/1").rename(folder / "data/7")
    with pytest.raises(UserError, match="data/1: cannot be read"):
        load(tmp_path)
    (folder / "data/7").rename(folder / "data/seven")
    with pytest.raises(UserError, match="says total_episodes: 5; the data hold 4"):
        load(tmp_path)


def column(table, name: str, values):
    return table.set_column(table.column_names.index(name), name, values)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda table: table.drop_columns(["rewards"]), "data/2: lacks the column 'rewards'"),
        (
            lambda table: column(table, "rewards", pyarrow.array(["a"] * 5)),
            "data/2: rewards holds string; numbers, or lists of one length, are needed",
        ),
        (
            lambda table: column(table, "observations", pyarrow.array([[1.0]] * 5)),
            r"data/2: observations holds list<.*>; numbers, or lists of one length, are needed",
        ),
        (
            lambda table: column(table, "rewards", pyarrow.array([1.0, None, 1.0, 1.0, 1.0])),
            "data/2: rewards: 1 of 5 rows have no value",
        ),
        (
            lambda table: column(
                table,
                "actions",
                pyarrow.array([[1.0], [None], [1.0], [1.0], [1.0]], pyarrow.list_(pyarrow.float64(), 1)),
            ),
            "data/2: actions: 1 numbers have no value",
        ),
        (
            lambda table: column(table, "terminations", pyarrow.array([0.0, 0.3, 0.0, 0.0, 0.0])),
            "episode 2: terminations: 1 of 4 values are neither 0 nor 1",
        ),
        (lambda table: table.slice(0, 1), "episode 2: has no step"),
        (lambda table: table.slice(0, 0), "episode 2: "),
    ],
)
def test_malformed_episodes_are_refused(tmp_path, change, message):
    folder = make(tmp_path, data_format="arrow")
    rewrite(folder, change)
    with pytest.raises(UserError, match=message) as caught:
        load(tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", [pyarrow.float64(), pyarrow.uint8()])
def test_flags_of_zeros_and_ones_are_read_whatever_their_type(tmp_path, kind):
    folder = make(tmp_path, data_format="arrow")
    before = load(tmp_path).transitions
    for episode in range(5):
        rewrite(
            folder, lambda table: column(table, "terminations", table["terminations"].cast("uint8").cast(kind)), episode
        )
    np.testing.assert_array_equal(load(tmp_path).transitions.terminated, before.terminated)


def test_a_small_file_cannot_fill_the_memory(tmp_path, monkeypatch):
    folder = make(tmp_path, data_format="parquet")
    monkeypatch.setattr(checks, "SMALLEST_LIMIT", 2**20)
    (path,) = (folder / "data/2").glob("*.parquet")
    table = parquet.read_table(path)
    parquet.write_table(pyarrow.concat_tables([table] * 100_000).combine_chunks(), path, compression="zstd")
    assert path.stat().st_size < 200_000
    with pytest.raises(UserError, match=f"{ID}: refused: .* bytes would unpack to"):
        load(tmp_path)


def test_without_pyarrow_it_is_named(tmp_path, monkeypatch):
    make(tmp_path, data_format="arrow")
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(UserError, match="is in arrow format; reading it needs pyarrow: pip install"):
        load(tmp_path)
