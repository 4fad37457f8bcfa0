"""Which episodes a table or figure is about, and which may be averaged."""

import json
import subprocess
import sys
import typing

import pytest

from helpers.fake_returns import read, write_returns
from obdistill.core.errors import UserError
from obdistill.paper import settings
from obdistill.paper.episodes import by_task_and_row, check_cell, select
from obdistill.paper.figures.make import FIGURES
from obdistill.paper.selection import FIGURE_SELECTIONS, TABLE_SELECTIONS, Selection
from obdistill.paper.tables.make import TABLES


def test_every_name_has_a_selection_and_a_form():
    tables, figures = (list(typing.get_args(kind)) for kind in (settings.TableName, settings.FigureName))
    assert list(TABLE_SELECTIONS) == list(TABLES) == tables
    assert list(FIGURE_SELECTIONS) == list(FIGURES) == figures


def test_planning_needs_no_pandas_and_no_matplotlib():
    code = "import json, sys, obdistill.paper.selection; print(json.dumps(list(sys.modules)))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert {"numpy", "pandas", "matplotlib", "torch", "scipy"}.isdisjoint(json.loads(run.stdout))


def test_select_keeps_whole_dataset_rows_whatever_their_size(tmp_path):
    episodes = read(
        [
            write_returns(tmp_path / "16.csv", 1, size=16),
            write_returns(tmp_path / "256.csv", 2, size=256),
            write_returns(tmp_path / "whole.csv", 3, method="bc_whole", size=9999, protocol="whole_data"),
            write_returns(tmp_path / "ensemble.csv", 4, protocol="ensemble"),
        ]
    )
    main = Selection(where={"protocol": ("standard", "whole_data")})
    assert sorted(select(episodes, main, 256)["score"].unique()) == [2, 3]
    with pytest.raises(UserError, match=r"\.csv: no episode in the files given has protocol in standard and size 5$"):
        select(episodes[episodes["method"] == "av_pbc"], Selection(where={"protocol": ("standard",)}), 5)
    assert set(select(episodes, Selection(without={"protocol": ("ensemble",)}), 256)["score"]) == {2, 3}


def test_select_compares_only_what_there_is_to_compare(tmp_path):
    episodes = read(
        [
            write_returns(tmp_path / "16.csv", 1, size=16),
            write_returns(tmp_path / "256.csv", 2, size=256),
            write_returns(tmp_path / "other.csv", 3, task="ant_medium"),
            write_returns(tmp_path / "ensemble.csv", 4, protocol="ensemble", members=7),
            write_returns(tmp_path / "variant.csv", 5, variant="paper"),
        ]
    )
    assert dict(zip(episodes["score"], episodes["members"], strict=True)) == {1: 1, 2: 1, 3: 1, 4: 7, 5: 1}
    sizes = Selection(where={"protocol": ("standard",)}, compares="size")
    assert set(select(episodes, sizes, 256)["score"]) == {1, 2}
    assert set(select(episodes, Selection(compares="protocol"), 256)["score"]) == {2, 4}
    assert set(select(episodes, FIGURE_SELECTIONS["recipes"], 256)["score"]) == {2, 5}
    with pytest.raises(
        UserError, match=r"no episode in the files given has protocol in standard and more than one size$"
    ):
        select(episodes[episodes["score"] > 1], sizes, 256)


def test_a_variant_is_no_method_by_its_name(tmp_path):
    """A variant ``pbc`` of a method ``av`` would once have been taken for the method av_pbc."""
    episodes = read(
        [
            write_returns(tmp_path / "one.csv", 1, method="pbc", variant="av_pbc"),
            write_returns(tmp_path / "two.csv", 2, method="av_pbc"),
        ]
    )
    cells = by_task_and_row(episodes)["hopper_medium"]
    assert [(row, cell["score"].iloc[0]) for row, cell in cells.items()] == [
        (("pbc", "av_pbc"), 1),
        (("av_pbc", "default"), 2),
    ]
    assert set(select(episodes, TABLE_SELECTIONS["aggregates"], 256)["score"]) == {2}  # of the default settings only


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"protocol": "ensemble"}, r"av_pbc: protocol is ensemble and standard in the files given, and one number "),
        ({"variant": "paper"}, r"av_pbc: variant is default and paper in the files given, and one number cannot "),
        ({"size": 16}, r"size is 16 and 256 in the files given, .* choose one with --set size=N$"),
        (
            {"seed": 1, "steps": (20,)},
            r"two\.csv: .* seed 1 was evaluated at other steps than seed 0 \(\(20,\) against \(10,\)\)$",
        ),
    ],
)
def test_cells_that_do_not_belong_together(tmp_path, other, message):
    episodes = read([write_returns(tmp_path / "one.csv", 1), write_returns(tmp_path / "two.csv", 2, **other)])
    with pytest.raises(UserError, match=message):
        check_cell(episodes)
