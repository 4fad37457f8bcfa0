import pandas as pd
import pytest

from helpers.fake_returns import write_frame, write_returns
from obdistill.core.errors import UserError
from obdistill.evaluations.returns import Selection, check_cell, read_returns, select


def test_files_come_together_in_an_order_of_their_own(tmp_path):
    one = write_returns(tmp_path / "b/standard.csv", 1, seed=0)
    two = write_returns(tmp_path / "a/standard.csv", 2, seed=1)
    episodes, inputs = read_returns([one, two])
    swapped, swapped_inputs = read_returns([two, one])
    pd.testing.assert_frame_equal(episodes, swapped)
    assert inputs == swapped_inputs
    assert list(episodes["score"]) == [1] * 4 + [2] * 4
    assert [entry["file"] for entry in inputs] == [str(two), str(one)]


def changed(path, change):
    write_returns(path, 1)
    frame = change(pd.read_csv(path))
    write_frame(path, frame)
    return path


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: f.drop(columns="score"), "returns.csv: lacks the column 'score'; needed: task,method,"),
        (lambda f: f.iloc[:0], "returns.csv: holds no episode"),
        (lambda f: f.assign(score=[1, None, 1, 1]), "returns.csv: row 2: score is nan; a finite number is needed"),
        (lambda f: f.assign(score=[1, 1, 1, float("inf")]), "returns.csv: row 4: score is inf"),
        (lambda f: f.assign(score=["1", "1", "high", "1"]), "returns.csv: row 3: score is high"),
        (lambda f: f.assign(method="magic"), "returns.csv: method: 'magic' is unknown; allowed: random, dbc"),
        (lambda f: f.assign(task=["a", "a", "b", "b"]), "returns.csv: holds the tasks a and b"),
        (lambda f: pd.concat([f, f]), "returns.csv: task hopper_medium, .* episode 0 stands in two of the files, or"),
    ],
)
def test_malformed_files_give_one_line(tmp_path, change, message):
    path = changed(tmp_path / "returns.csv", change)
    with pytest.raises(UserError, match=message) as error:
        read_returns([path])
    assert "\n" not in str(error.value)


def test_a_file_without_a_header_gives_one_line(tmp_path):
    path = tmp_path / "returns.csv"
    write_frame(path, pd.DataFrame())
    with pytest.raises(UserError, match=r"returns\.csv: is no readable csv"):
        read_returns([path])


def test_the_same_file_twice(tmp_path):
    path = write_returns(tmp_path / "returns.csv", 1)
    with pytest.raises(UserError, match="stands in two of the files"):
        read_returns([path, path])


def test_one_task_in_two_environments(tmp_path):
    one = write_returns(tmp_path / "one.csv", 1, env_id="Hopper-v4")
    two = write_returns(tmp_path / "two.csv", 1, seed=1, env_id="Hopper-v5")
    with pytest.raises(UserError, match=r"two\.csv: task 'hopper_medium' was evaluated in Hopper-v5, but in Hopper-v4"):
        read_returns([one, two])


def test_select_keeps_whole_dataset_rows_whatever_their_size(tmp_path):
    paths = [
        write_returns(tmp_path / "16.csv", 1, size=16),
        write_returns(tmp_path / "256.csv", 2, size=256),
        write_returns(tmp_path / "whole.csv", 3, method="bc_whole", size=9999, protocol="whole_data"),
        write_returns(tmp_path / "ensemble.csv", 4, protocol="ensemble"),
    ]
    episodes, _ = read_returns(paths)
    main = Selection(where={"protocol": ("standard", "whole_data")})
    kept = select(episodes, main, 256)
    assert sorted(kept["score"].unique()) == [2, 3]
    with pytest.raises(UserError, match="no episode in the files given has protocol in standard and size 5"):
        select(episodes[episodes["method"] == "av_pbc"], Selection(where={"protocol": ("standard",)}), 5)
    assert set(select(episodes, Selection(without={"protocol": ("ensemble",)}), 256)["score"]) == {2, 3}


def test_select_compares_only_what_there_is_to_compare(tmp_path):
    paths = [
        write_returns(tmp_path / "16.csv", 1, size=16),
        write_returns(tmp_path / "256.csv", 2, size=256),
        write_returns(tmp_path / "other.csv", 3, task="ant_medium"),
        write_returns(tmp_path / "ensemble.csv", 4, protocol="ensemble", members=7),
    ]
    episodes, _ = read_returns(paths)
    assert dict(zip(episodes["score"], episodes["members"], strict=True)) == {1: 1, 2: 1, 3: 1, 4: 7}
    sizes = Selection(where={"protocol": ("standard",)}, compares="size")
    assert set(select(episodes, sizes, 256)["score"]) == {1, 2}
    assert set(select(episodes, Selection(compares="protocol"), 256)["score"]) == {2, 4}
    with pytest.raises(UserError, match="no episode in the files given has protocol in standard and more than one n_p"):
        select(episodes[episodes["score"] > 1], sizes, 256)


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"protocol": "ensemble"}, r"av_pbc: protocol is ensemble and standard in the files given"),
        ({"size": 16}, r"size is 16 and 256 in the files given, .* choose one with --set size=N"),
        (
            {"seed": 1, "steps": (20,)},
            r"two\.csv: .* seed 1 was evaluated at other steps than seed 0 .*20.* against .*10",
        ),
    ],
)
def test_cells_that_do_not_belong_together(tmp_path, other, message):
    episodes, _ = read_returns(
        [write_returns(tmp_path / "one.csv", 1), write_returns(tmp_path / "two.csv", 2, **other)]
    )
    with pytest.raises(UserError, match=message):
        check_cell(episodes)
