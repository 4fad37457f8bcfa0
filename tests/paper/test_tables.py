import functools
import json

import numpy as np
import pandas as pd
import pytest

from helpers.fake_returns import write_returns
from helpers.tables import counts, described, rendered, summarize, write_costs, write_returns_of_table_1
from obdistill.core.errors import UserError
from obdistill.paper import numbers as paper
from obdistill.paper.settings import TableSettings
from obdistill.paper.tables.formats import markdown
from obdistill.paper.tables.latex import latex
from obdistill.paper.tables.make import make_table


@pytest.fixture
def returns(tmp_path):
    return write_returns_of_table_1(tmp_path)


def test_table_1_in_long_form(returns):
    table = summarize(returns).set_index("method")
    assert list(table.index) == ["random", "av_pbc", "bc_whole", "near_expert"]
    assert (table["task"] == "hopper_medium").all()
    half = 4.3026527 * 10 / np.sqrt(3)  # t(0.975, 2)
    row = table.loc["av_pbc"]
    assert (row["mean"], row["n"], row["unit"]) == (40, 3, "seeds")
    assert (row["low"], row["high"]) == pytest.approx((40 - half, 40 + half))
    assert list(row[["seeds", "snapshots", "policies", "episodes", "size"]]) == [3, 5, 2, 2, 256]
    assert row["policy_sd"] == pytest.approx(4 / np.sqrt(2))
    assert row["worst_policy"] == 28
    row = table.loc["bc_whole"]
    assert (row["mean"], row["n"], row["unit"]) == (11, 3, "policies")
    assert row["high"] == pytest.approx(11 + 4.3026527 / np.sqrt(3))
    row = table.loc["near_expert"]
    assert (row["mean"], row["n"], row["unit"]) == (81, 3, "episodes")
    assert row["high"] == pytest.approx(81 + 4.3026527 / np.sqrt(3))
    assert np.isnan(row["policy_sd"])
    assert np.isnan(row["worst_policy"])
    assert table["paper_value"].isna().all()


def test_number_of_snapshots_and_confidence_are_settings(returns):
    table = summarize(returns, last_snapshots=6, confidence=0.5).set_index("method")
    assert table.loc["av_pbc", "mean"] == pytest.approx((5 * 40 - 1000) / 6)
    half = 0.8164966 / np.sqrt(3)  # t(0.75, 2)
    assert table.loc["random", "high"] == pytest.approx(1 + half)


def test_the_papers_numbers_stand_beside_the_papers_datasets(returns):
    table = summarize(returns, paper_datasets={"hopper_medium": "hopper-medium"}).set_index("method")
    assert list(table["paper_value"]) == [19.2, 32.5, 50.2, 56.4]
    assert table.loc["av_pbc", "difference"] == pytest.approx(7.5)
    with pytest.raises(
        UserError, match=r"paper_datasets\.hopper_medium: 'hopper' is not one of the paper's: halfcheetah-"
    ):
        summarize(returns, paper_datasets={"hopper_medium": "hopper"})


def test_average_over_tasks(tmp_path):
    for task, levels in {"hopper_medium": (10, 20), "walker2d_medium": (40, 60), "ant_medium": (0, 2)}.items():
        for seed, level in enumerate(levels):
            write_returns(tmp_path / f"{task}{seed}.csv", level, task=task, seed=seed)
    write_returns(tmp_path / "dbc.csv", 5, task="ant_medium", method="dbc")
    paths = list(tmp_path.glob("*.csv"))
    paper = {"hopper_medium": "hopper-medium", "walker2d_medium": "walker2d-medium"}
    table = summarize(paths, paper_datasets=paper)
    assert list(table["task"]) == ["ant_medium", "ant_medium", "hopper_medium", "walker2d_medium", "average"]
    average = table.iloc[-1]
    assert (average["mean"], average["n"], average["unit"]) == (22, 2, "seeds")
    # standard errors 1, 5, 10: 1.2 effective degrees of freedom or so; surely wider than with 3 of them
    assert average["high"] - average["mean"] > 3.18 * np.sqrt(1 + 25 + 100) / 3
    assert np.isnan(average["paper_value"])  # the paper has no ant
    without_ant = summarize([path for path in paths if "ant" not in path.name and path.name != "dbc.csv"])
    assert np.isnan(without_ant.iloc[-1]["paper_value"])
    both = summarize([path for path in paths if "medium" in path.name and "ant" not in path.name], paper_datasets=paper)
    assert both.iloc[-1]["paper_value"] == pytest.approx((32.5 + 39.5) / 2)


@pytest.mark.parametrize(
    ("scores", "best"),
    [
        ({"dbc": (0, 2), "pbc": (100, 102)}, "pbc"),
        ({"dbc": (0, 2), "pbc": (3, 5)}, None),  # t(0.975, 1) = 12.7: the intervals overlap
        ({"dbc": (0, 200), "random": (1, 2), "pbc": (150, 150)}, None),  # not the second, but the third overlaps
        ({"pbc": (100, 102)}, None),
        ({"dbc": (1,), "pbc": (100, 102)}, None),  # one seed has no interval
        ({"dbc": (0, 2), "pbc": (100, 102), "bc_whole": (500, 500)}, "pbc"),  # whole-data rows do not compete
    ],
)
def test_bold_needs_an_interval_apart_from_all_others(tmp_path, scores, best):
    for method, levels in scores.items():
        protocol = "whole_data" if method == "bc_whole" else "standard"
        for seed, level in enumerate(levels):
            write_returns(tmp_path / f"{method}{seed}.csv", level, method=method, seed=seed, protocol=protocol)
    table = summarize(tmp_path.glob("*.csv"))
    assert list(table["method"][table["best"]]) == ([best] if best else [])


def test_bootstrap_is_seeded_and_says_so(returns):
    one, again = (summarize(returns, interval="bootstrap", seed=1) for _ in range(2))
    pd.testing.assert_frame_equal(one, again)
    row = one.set_index("method").loc["av_pbc"]
    assert (row["mean"], row["low"], row["high"]) == (40, 30, 50)
    text = described("table_1", one, interval="bootstrap", confidence=0.9).caption
    assert "mean [90 % bootstrap interval] over the last 5 evaluated snapshots" in text


def test_captions_and_counts_take_their_numbers_from_the_files(returns):
    table = summarize(returns)
    text = described("table_1", table).caption
    assert "on a synset of 256 pairs" in text
    assert "Bold: best synset row" in text
    assert "Lei et al." not in text
    head, *_ = described("table_1", table).counts
    assert list(head) == ["", "seeds", "snapshots", "policies", "episodes", "interval over"]
    assert counts("table_1", table) == {
        "Random": "3 × 1 × 2 × 2 × 3 seeds",
        "Av-PBC": "3 × 5 × 2 × 2 × 3 seeds",
        "BC (whole)": "1 × 1 × 3 × 2 × 3 policies",
        "OffRL (whole)": "1 × 1 × 1 × 3 × 3 episodes",
    }
    assert counts("table_1", table.assign(n=1))["Av-PBC"] == "3 × 5 × 2 × 2 × –"


def test_counts_that_differ_between_tasks_are_ranges(tmp_path):
    for task, seeds in (("hopper_medium", 2), ("ant_medium", 3)):
        for seed in range(seeds):
            write_returns(tmp_path / f"{task}{seed}.csv", 1, task=task, seed=seed)
    assert counts("table_1", summarize(tmp_path.glob("*.csv")))["Av-PBC"] == "2–3 × 1 × 2 × 2 × 2–3 seeds"


def test_a_variant_is_a_row_of_its_own(tmp_path):
    for variant, level in (("default", 10), ("paper_raw", 20)):
        for seed in range(2):
            write_returns(tmp_path / f"{variant}{seed}.csv", level + seed, method="pbc", variant=variant, seed=seed)
    write_returns(tmp_path / "av.csv", 30)
    paper = {"hopper_medium": "hopper-medium"}
    table = summarize(tmp_path.glob("*.csv"), paper_datasets=paper)
    assert list(zip(table["method"], table["variant"], table["mean"], strict=True)) == [
        ("pbc", "default", 10.5),
        ("pbc", "paper_raw", 20.5),
        ("av_pbc", "default", 30),
    ]
    assert table["paper_value"].isna().tolist() == [False, True, False]  # the paper has no variants
    lines = rendered(markdown, "table_1", table).splitlines()
    assert lines[3].startswith("| PBC (paper raw) | 20.5 [")


def test_table_5_has_a_row_per_size(tmp_path):
    for size in (64, 16, 256):
        write_returns(tmp_path / f"{size}.csv", size, size=size, task="hopper_medium_replay")
    paper = {"hopper_medium_replay": "hopper-medium-replay"}
    table = summarize(tmp_path.glob("*.csv"), "table_5", paper_datasets=paper, size=256)  # of all sizes all the same
    assert list(table["size"]) == [16, 64, 256]
    assert list(table["paper_value"]) == [27.3, 32.3, 40.9]
    assert "synsets of 16–256 pairs" in described("table_5", table).caption
    assert "| 64 | 64.0<br>paper 32.3 (+31.7) |" in rendered(markdown, "table_5", table)


def test_a_protocol_unknown_here_has_a_row_by_its_own_name(tmp_path):
    for protocol, level in (("a_new_one", 70), ("standard", 256)):
        write_returns(tmp_path / f"{protocol}.csv", level, protocol=protocol, task="hopper_medium_replay")
    table = summarize(tmp_path.glob("*.csv"), "table_2")
    assert list(zip(table["protocol"], table["mean"], strict=True)) == [("standard", 256), ("a_new_one", 70)]
    assert "| a new one | 70.0<br>change −186.0 |" in rendered(markdown, "table_2", table)


@pytest.fixture
def cross(tmp_path):
    """Seeds differ by 100, protocols within a seed by 4, 5 and 6; the reference has a snapshot and a seed more."""
    paths = []
    for seed in range(4):
        for method in ("dbc", "av_pbc"):
            common = {"seed": seed, "method": method}
            level = 100 * seed

            def score(step, policy, episode, level=level):
                return level + step + policy

            paths.append(write_returns(tmp_path / f"{method}{seed}.csv", score, **common, steps=(10, 20)))
            if seed == 3:
                continue
            if method == "av_pbc":
                better = 20 + level + 4 + seed
                paths.append(write_returns(tmp_path / f"mlp{seed}.csv", better, **common, protocol="mlp_2", steps=[20]))
            together = {"protocol": "ensemble", "policies": 1, "members": 2, "steps": [20]}
            paths.append(write_returns(tmp_path / f"{method}_e{seed}.csv", 21 + level, **common, **together))
    return paths


def test_table_2_compares_protocols_by_seed(cross):
    table = summarize(cross, "table_2", paper_datasets={"hopper_medium": "hopper-medium"})
    assert list(table["protocol"]) == ["standard", "mlp_2"]
    assert list(table["paper_value"])[1] == 26.2
    standard, mlp_2 = (row for _, row in table.iterrows())
    # of the last snapshot, as the others have no other
    assert (standard["mean"], standard["snapshots"], standard["seeds"]) == (170.5, 1, 4)
    assert np.isnan(standard["change"])
    half = 4.3026527 / np.sqrt(3)  # t(0.975, 2); the seeds' own spread has gone
    assert (mlp_2["change"], mlp_2["change_n"]) == (4.5, 3)
    assert (mlp_2["change_low"], mlp_2["change_high"]) == pytest.approx((4.5 - half, 4.5 + half))
    assert "interval over n = 3 seed-wise differences" in " ".join(described("table_2", table).notes)
    assert "<br>change +4.5 [2.0, 7.0]<br>paper 26.2 (+98.8) |" in rendered(markdown, "table_2", table)
    assert r"\hfill {\tiny change}" in rendered(functools.partial(latex, "table_2"), "table_2", table)


def test_table_3_shows_ensembles_as_one_policy(cross):
    table = summarize(cross, "table_3", paper_datasets={"hopper_medium": "hopper-medium"})
    assert list(table["method"]) == ["dbc", "av_pbc"]
    assert list(table["protocol"]) == ["ensemble"] * 2
    assert list(table["paper_value"]) == [44.9, 27.6]
    assert list(table["change"]) == [0.5, 0.5]
    assert list(table["policies"]) == [1, 1]
    assert table["policy_sd"].isna().all()
    assert "of ensembles: 2 policies trained" in described("table_3", table).caption
    assert counts("table_3", table) == dict.fromkeys(("DBC", "Av-PBC"), "3 × 1 × 1 × 2 × 3 seeds")


def test_protocols_without_a_common_snapshot_are_refused(tmp_path):
    paths = [
        write_returns(tmp_path / f"{protocol}.csv", 1, protocol=protocol, steps=[step])
        for protocol, step in (("standard", 10), ("mlp_2", 20))
    ]
    with pytest.raises(UserError, match="task hopper_medium: its protocols have no snapshot in common"):
        summarize(paths, "table_2")


def test_table_4_is_made_from_costs(tmp_path):
    paths = [write_costs(tmp_path / f"{task}.csv", task) for task in ("hopper_medium_replay", "ant_mine")]
    settings = TableSettings(paper_datasets={"hopper_medium_replay": "hopper-medium-replay"})
    make_table("table_4", paths, tmp_path / "table_4.csv", settings)
    table = pd.read_csv(tmp_path / "table_4.csv")
    assert list(table) == ["task", "cost", "value", "low", "high", "n", "paper_value", "difference"]
    assert len(table) == 2 * 8
    assert (tmp_path / "table_4.md").read_text().splitlines()[:6] == [
        "|  | Ant mine | Hopper medium-replay |",
        "| --- | ---: | ---: |",
        "| Whole data: pairs | 401,598 | 401,598<br>paper 400,000 (+1,598) |",
        "| Whole data: steps | 80,000 | 80,000<br>paper 80,000 (+0) |",
        "| Whole data: seconds | 1,234.560 | 1,234.560 |",
        "| Whole data: megabytes | 22.400 | 22.400 |",
    ]
    text = (tmp_path / "table_4.md").read_text()
    assert "| Synset: steps | 100 | 100<br>paper 100 (+0) |" in text
    assert "| Synset: seconds | 0.210 [0.100, 0.300] | 0.210 [0.100, 0.300] |" in text
    assert "median [fastest, slowest] of the timed trainings" in text
    assert json.loads((tmp_path / "table_4.json").read_text())["counts"] == [
        {"": "Whole data: seconds", "timed trainings": "1"},
        {"": "Synset: seconds", "timed trainings": "3"},
    ]
    assert (tmp_path / "table_4.tex").read_text().isascii()
    again = write_costs(tmp_path / "again.csv", "ant_mine")
    with pytest.raises(UserError, match=r"ant_mine\.csv: task ant_mine stands in two of the files"):
        make_table("table_4", [*paths, again], tmp_path / "table_4.csv", settings)


def test_mixed_sizes_and_protocols_are_refused(tmp_path, returns):
    extra = write_returns(tmp_path / "16.csv", 1, size=16, steps=range(10, 61, 10))
    with pytest.raises(UserError, match="task hopper_medium, av_pbc: size is 16 and 256 in the files given"):
        summarize([*returns, extra])
    assert len(summarize([*returns, extra], size=256)) == 4
    ensemble = write_returns(tmp_path / "ensemble.csv", 1, protocol="ensemble")
    pd.testing.assert_frame_equal(summarize([*returns, ensemble]), summarize(returns))  # not part of table 1
    whole = write_returns(tmp_path / "whole_av.csv", 1, protocol="whole_data", seed=7, steps=range(10, 61, 10))
    with pytest.raises(UserError, match="av_pbc: protocol is standard and whole_data in the files given"):
        summarize([*returns, whole])


def test_paper_numbers():
    numbers = paper.numbers()
    assert len(numbers) == 205
    assert numbers.index.is_unique
    assert numbers[1, "av_pbc", "halfcheetah-medium-replay"] == 35.9
    for (table, row), values in numbers.drop(index=4, level="table").groupby(level=["table", "row"]):
        values = values.droplevel(["table", "row"])
        if "average" in values:
            computed = values.drop("average").mean()
            # the paper prints 70.1 where its nine entries average 76.3
            expected = 76.3 if (table, row) == (1, "near_expert") else values["average"]
            assert computed == pytest.approx(expected, abs=0.06), (table, row)


def test_whole_data_rows_alone(tmp_path):
    path = write_returns(tmp_path / "whole.csv", 1, method="bc_whole", protocol="whole_data")
    table = summarize([path])
    assert len(table) == 1
    assert "nan" not in described("table_1", table).caption
