"""Table 1 and Figure 1 as numbers for programs, and what the pairs of methods show in sentences."""

import json

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from helpers.fake_returns import gather_into, write_experiment, write_returns
from obdistill.core.errors import UserError
from obdistill.paper import command
from obdistill.paper.figure_data.make import make_figure_data
from obdistill.paper.settings import FigureSettings, TableSettings
from obdistill.paper.summary import findings, make_summary, metrics
from obdistill.paper.tables.make import make_table


def inputs(folder, files):
    """Make what a summary is made from; returns the arguments of `make_summary` but the last."""
    gathered = [gather_into(folder, files)]
    for name in ("table_1", "variance"):
        make_table(name, gathered, folder / f"{name}.csv", TableSettings())
    make_figure_data("figure_1", gathered, folder / "data.csv", FigureSettings())
    return folder / "table_1.csv", folder / "data.csv", folder / "variance.csv"


def test_the_summary_repeats_what_table_1_and_figure_1_have(tmp_path):
    files = write_experiment(tmp_path / "in", n_seeds=3, steps=(500, 1000), policies=3, episodes=2)
    table_1, data, tests = inputs(tmp_path, files)
    out = tmp_path / "out/learning_curves.csv"
    arguments = ["--table", table_1, "--curves", data, "--tests", tests, "--out", out]
    result = CliRunner().invoke(command.summary, list(map(str, arguments)))
    assert result.exit_code == 0, result.output
    curves = pd.read_csv(out)
    assert list(curves) == ["task", "method", "variant", "step", "mean", "low", "high", "n"]
    pd.testing.assert_frame_equal(curves, pd.read_csv(data)[list(curves)])
    means = pd.read_csv(table_1).set_index("method")["mean"]
    found = json.loads((tmp_path / "out/metrics.json").read_text())["halfcheetah_medium_replay"]
    assert {method: of_method["default"] for method, of_method in found.items()} == means.round(4).to_dict()
    said = json.loads((tmp_path / "out/findings.json").read_text())
    assert len(said["findings"]) == 6
    assert "95 % Student-t intervals" in said["note"]


def test_variants_have_metrics_of_their_own():
    rows = [("hopper", "pbc", "default", 1.23456), ("hopper", "pbc", "paper", 2.0), ("ant", "dbc", "default", 3.0)]
    table = pd.DataFrame(rows, columns=["task", "method", "variant", "mean"])
    expected = {"hopper": {"pbc": {"default": 1.2346, "paper": 2.0}}, "ant": {"dbc": {"default": 3.0}}}
    assert metrics(table) == expected


def pair(mean, low, high, p, seeds=3, **other):
    about = {"task": "hopper_medium", "method": "av_pbc", "variant": "default", "other": "dbc"}
    numbers = {"mean": mean, "low": low, "high": high, "seeds": seeds, "p_student_t_holm": p}
    return pd.DataFrame([{**about, "other_variant": "default", **numbers, **other}])


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        (pair(9.8, 3.4, 16.2, 0.012), "Av-PBC scores 9.8 more than DBC ([3.4, 16.2], n = 3 seeds, p = 0.012)."),
        # the higher one comes first
        (pair(-9.8, -16.2, -3.4, 0.0001), "DBC scores 9.8 more than Av-PBC ([3.4, 16.2], n = 3 seeds, p < 0.001)."),
        # the interval is of this pair alone, p is for all pairs: p decides
        (
            pair(9.8, 3.4, 16.2, 0.078),
            "Av-PBC and DBC are not shown to differ: 9.8 ([3.4, 16.2], n = 3 seeds, p = 0.078).",
        ),
        (
            pair(1.0, np.nan, np.nan, np.nan, seeds=1),
            "Av-PBC scores 1.0 more than DBC (n = 1 seed: no interval, no test).",
        ),
        (
            pair(9.8, 3.4, 16.2, 0.012, other="av_pbc", other_variant="paper"),
            "Av-PBC scores 9.8 more than Av-PBC (paper) ([3.4, 16.2], n = 3 seeds, p = 0.012).",
        ),
    ],
)
def test_findings_say_what_the_numbers_do(row, sentence):
    assert findings(row) == [f"Hopper medium: {sentence}"]


def test_a_single_method_has_no_findings(tmp_path):
    files = [write_returns(tmp_path / f"{seed}.csv", seed, seed=seed, steps=(10, 20)) for seed in range(2)]
    make_summary(*inputs(tmp_path, files), tmp_path / "out/curves.csv")
    assert json.loads((tmp_path / "out/findings.json").read_text())["findings"] == []


def test_other_files_are_refused(tmp_path):
    path = write_returns(tmp_path / "0.csv", 1)
    with pytest.raises(UserError, match=r"0\.csv: is a returns by its 0\.json; a table is needed$"):
        make_summary(path, path, path, tmp_path / "curves.csv")
    table_1, data, _ = inputs(tmp_path, [path])
    with pytest.raises(UserError, match=r"table_1\.csv: is about table_1; variance is needed$"):
        make_summary(table_1, data, table_1, tmp_path / "curves.csv")
