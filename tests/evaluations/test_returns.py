import numpy as np
import pandas as pd
import pytest

from helpers.fake_returns import write_frame, write_returns
from obdistill.core.errors import UserError
from obdistill.evaluations.returns import COLUMNS, read_returns, returns_table


def table(**changes):
    shape = (2, 3)
    about = {"task": "hopper", "method": "pbc", "variant": "default", "size": 4, "seed": 1, "protocol": "standard"}
    numbers = {"returns": np.ones(shape), "lengths": np.ones(shape, int), "scores": np.arange(6.0).reshape(shape)}
    return returns_table(
        **{**about, "step": 10, "policy_seed": 7, "env_seeds": np.arange(6).reshape(shape), **numbers, **changes}
    )


def test_the_table_has_one_row_per_episode_in_the_order_of_the_schema():
    frame = table()
    assert list(frame) == list(COLUMNS)
    assert list(zip(frame["policy"], frame["episode"], frame["score"], strict=True)) == [
        *((0, 0, 0), (0, 1, 1), (0, 2, 2)),
        *((1, 0, 3), (1, 1, 4), (1, 2, 5)),
    ]
    assert frame["variant"].unique() == ["default"]


def test_arrays_of_other_episodes_are_refused():
    with pytest.raises(ValueError, match=r"arrays of shapes \(2, 3\) and \(3,\) are not about the same episodes"):
        table(lengths=np.ones(3, int))


def test_what_is_written_is_read(tmp_path):
    write_frame(tmp_path / "returns.csv", table())
    frame, metadata = read_returns(tmp_path / "returns.csv")
    pd.testing.assert_frame_equal(frame, table(), check_dtype=False)
    assert metadata["env_id"] == "Hopper-v5"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: f.drop(columns="score"), r"returns\.csv: lacks the column 'score'; needed: task,method,variant,"),
        (lambda f: f.drop(columns="variant"), r"returns\.csv: lacks the column 'variant'; needed: task,method,"),
        (lambda f: f.iloc[:0], r"returns\.csv: holds no episode$"),
        (lambda f: f.assign(score=[1, None, 1, 1]), r"returns\.csv: row 2: score is nan; a finite number is needed$"),
        (lambda f: f.assign(score=[1, 1, 1, float("inf")]), r"returns\.csv: row 4: score is inf; a finite number"),
        (lambda f: f.assign(score=["1", "1", "high", "1"]), r"returns\.csv: row 3: score is high; a finite number"),
        (lambda f: f.assign(step=[1, 1, 1, 1.5]), r"returns\.csv: row 4: step is 1\.5; an integer is needed$"),
        (lambda f: f.assign(variant=float("nan")), r"returns\.csv: row 1: variant is nan; text is needed$"),
        (
            lambda f: f.assign(method="magic"),
            r"returns\.csv: method: 'magic' is unknown; allowed: random, random_relabeled, ",
        ),
        (lambda f: f.assign(method="pbc_paper"), r"returns\.csv: method: 'pbc_paper' is unknown; allowed: random, "),
        (
            lambda f: f.assign(task=["a", "a", "b", "b"]),
            r"returns\.csv: column 'task' holds a and b; a returns file has one task$",
        ),
        (lambda f: f.assign(size=[1, 2, 1, 2]), r"returns\.csv: column 'size' holds 1 and 2; a returns file has one"),
        (lambda f: pd.concat([f, f]), r"returns\.csv: holds step 10, policy 0, episode 0 twice$"),
    ],
)
def test_malformed_files_give_one_line(tmp_path, change, message):
    path = tmp_path / "returns.csv"
    write_returns(path, 1)
    write_frame(path, change(pd.read_csv(path)))
    with pytest.raises(UserError, match=message) as error:
        read_returns(path)
    assert "\n" not in str(error.value)


def test_a_file_without_a_header_gives_one_line(tmp_path):
    write_frame(tmp_path / "returns.csv", pd.DataFrame())
    with pytest.raises(UserError, match=r"returns\.csv: is no readable csv"):
        read_returns(tmp_path / "returns.csv")
