import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from helpers.fake_returns import gather_into, read, write_experiment, write_returns
from obdistill.core.errors import UserError
from obdistill.paper import command
from obdistill.paper.figure_data import claims
from obdistill.paper.figure_data.make import FIGURE_DATA, arrange, make_figure_data
from obdistill.paper.figures.make import FIGURES, make_figure
from obdistill.paper.settings import FigureSettings, TableSettings
from obdistill.paper.tables.formats import markdown
from obdistill.paper.tables.make import TABLES, summarize


def make(name, paths, **settings):
    """Make a table; returns its long form, the text beside it, and the lines of its Markdown."""
    settings = TableSettings(bootstrap_samples=200, **settings)
    table = summarize(name, read(paths), settings)
    described = TABLES[name].describe(table, settings)
    lines = markdown(*TABLES[name].arrange(table, 1), described).splitlines()
    return table, " ".join([described.caption, *described.notes]), lines


def draw(name, paths, **settings):
    settings = FigureSettings(**settings)
    data = FIGURE_DATA[name].compute(arrange(name, read(paths), settings), settings)
    return FIGURES[name].draw(data, settings)


@pytest.fixture
def two_tasks(tmp_path):
    scores = {"dbc": ((0, 10, 20), (30, 30, 30)), "pbc": ((5, 15, 120), (40, 50, 60))}
    for method, levels in scores.items():
        for task, of_task in zip(("hopper_medium", "ant_medium"), levels, strict=True):
            for seed, level in enumerate(of_task):
                write_returns(tmp_path / f"{method}{task}{seed}.csv", level, task=task, method=method, seed=seed)
    write_returns(tmp_path / "whole.csv", 99, method="bc_whole", protocol="whole_data")  # no synset: not shown
    write_returns(tmp_path / "av.csv", 99, method="av_pbc")  # not on every task: not shown
    return list(tmp_path.glob("*.csv"))


def test_aggregates_over_two_tasks(two_tasks):
    table, text, lines = make("aggregates", two_tasks)
    values = table.set_index(["statistic", "method"])["value"]
    assert values["iqm", "dbc"] == 22.5  # of 0 10 20 30 30 30 one is cut at each end
    assert values["mean", "dbc"] == values["median", "dbc"] == 20
    assert values["optimality_gap", "pbc"] == pytest.approx((95 + 85 + 0 + 60 + 50 + 40) / 6)
    assert values["probability_of_improvement", "pbc"] == pytest.approx((6 / 9 + 1) / 2)
    assert values["probability_of_improvement", "dbc"] == pytest.approx((3 / 9 + 0) / 2)
    assert (table["low"] <= table["value"]).all()
    assert (table["value"] <= table["high"]).all()
    assert set(table["method"]) == {"dbc", "pbc"}
    assert lines[0].startswith("|  | Score IQM | Score mean | Score median | Score optimality gap | Probability of")
    assert lines[2].startswith("| DBC | 22.5 [")
    assert " – | 0.17 [" in lines[2]
    assert "over 2 tasks" in text
    assert {"| DBC | 3 |", "| PBC | 3 |"} <= set(lines)


def test_one_task_and_one_seed_have_aggregates_without_intervals(tmp_path):
    path = write_returns(tmp_path / "one.csv", 30)
    table, text, lines = make("aggregates", [path])
    assert list(table["value"]) == [30, 30, 30, 70]
    assert table[["low", "high"]].isna().all().all()
    assert lines[2] == "| Av-PBC | 30.0 | 30.0 | 30.0 | 70.0 |"
    assert "over 1 task, " in text
    assert "| Av-PBC | 1 |" in lines


def test_aggregates_need_as_many_seeds_on_every_task(tmp_path):
    for task, seed in (("ant_medium", 0), ("hopper_medium", 0), ("hopper_medium", 1)):
        write_returns(tmp_path / f"{task}{seed}.csv", 1, task=task, seed=seed)
    with pytest.raises(UserError, match=r"hopper_medium0\.csv: .*: 2 seeds, but 1 on ant_medium; aggregates need"):
        make("aggregates", tmp_path.glob("*.csv"))
    paths = [write_returns(tmp_path / f"{o}.csv", 1, task=t, method=o) for t, o in (("a", "dbc"), ("b", "pbc"))]
    with pytest.raises(UserError, match="tasks a, b: no method has synsets for all of them"):
        make("aggregates", paths)


def test_variance_table(tmp_path):
    rng = np.random.default_rng(0)
    for method, level in (("dbc", 10), ("pbc", 50)):
        for seed in range(3):
            scores = level + rng.normal(0, 3) + rng.normal(0, 2, (4, 1)) + rng.normal(0, 1, (4, 5))
            path = tmp_path / f"{method}{seed}.csv"
            score = lambda step, policy, episode, scores=scores: scores[policy, episode]  # noqa: E731
            write_returns(path, score, method=method, seed=seed, policies=4, episodes=5)
    table, text, lines = make("variance", tmp_path.glob("*.csv"))
    shares = table[["seed_share", "policy_share", "episode_share"]]
    assert shares.sum(axis=1).tolist() == pytest.approx([1, 1, 1])
    assert [line.split("|")[1].strip() for line in lines[2:11]] == [
        *("DBC, seeds", "DBC, policies", "DBC, episodes", "PBC, seeds", "PBC, policies", "PBC, episodes"),
        *("PBC − DBC", "PBC − DBC, p", "PBC − DBC, seeds needed"),
    ]
    needed = table["seeds_needed"].iloc[-1], table["seeds_needed_at_least"].iloc[-1]
    assert lines[10] == "| PBC − DBC, seeds needed | {:.0f} ({:.0f}) |".format(*needed)
    assert needed[0] >= needed[1] >= 2
    assert make("variance", tmp_path.glob("*.csv"), difference=1.0)[0]["seeds_needed"].iloc[-1] > needed[0]
    assert "to find a true difference of 5 by Student's t, uncorrected, with a probability of 80 %" in text
    assert {"| DBC | 3 | 4 | 5 |", "| PBC | 3 | 4 | 5 |", "| PBC − DBC | 3 | 4 | 5 |"} <= set(lines)
    assert "With 3 seeds an uncorrected likelihood-ratio p is below 0.05 by chance in up to 15 %." in text
    assert "nan" not in "".join(lines)


def test_the_variance_of_one_seed_alone(tmp_path):
    table, text, lines = make("variance", [write_returns(tmp_path / "one.csv", lambda s, p, e: p + 3 * e)])
    assert lines[2:5] == ["| Av-PBC, seeds | – |", "| Av-PBC, policies | 0* |", "| Av-PBC, episodes | 1.8 |"]
    assert "Differences" not in text
    assert table["other"].isna().all()


@pytest.mark.parametrize("name", ["aggregates", "variance"])
def test_commands_write_the_same_bytes_whatever_the_order_of_the_files(tmp_path, name, monkeypatch):
    tasks = ("halfcheetah_medium", "hopper_medium")
    paths = write_experiment(tmp_path / "in", tasks, n_seeds=3, steps=(500, 1000), policies=3, episodes=2)

    def run(folder, files):
        (tmp_path / folder).mkdir()
        monkeypatch.chdir(tmp_path / folder)
        gathered = gather_into(Path(), files)
        result = CliRunner().invoke(command.table, ["--name", name, "--out", f"{name}.csv", str(gathered)])
        assert result.exit_code == 0, result.output
        return [Path(name).with_suffix(suffix).read_bytes() for suffix in (".csv", ".md", ".tex")]

    one = run("one", paths)
    assert run("two", paths[::-1]) == one
    latex = one[2].decode()
    assert latex.isascii()
    assert latex.count("{") == latex.count("}")
    shown = latex[latex.index(r"\midrule") : latex.index(r"\bottomrule")]
    body = [line for line in shown.splitlines() if line.endswith(r"\\")]
    assert len({line.count("&") for line in body}) == 1
    assert json.loads((tmp_path / f"one/{name}.json").read_text())["caption"] in one[1].decode()


def test_performance_profiles_by_hand(tmp_path):
    # policies' means: 1 and 2 of seed 0, 3 and 4 of seed 1
    for seed in range(2):
        write_returns(tmp_path / f"{seed}.csv", lambda step, policy, _, seed=seed: 1 + policy + 2 * seed, seed=seed)
    figure = draw("performance_profiles", tmp_path.glob("*.csv"), bootstrap_samples=400)
    (line,) = figure.axes[0].lines
    at, fraction = line.get_data()
    assert np.interp([0.99, 1.5, 2.5, 3.5], at, fraction).tolist() == [1, 0.75, 0.5, 0.25]
    assert (np.diff(fraction) <= 0).all()
    band = figure.axes[0].collections[0].get_paths()[0].vertices
    inside = band[np.isclose(band[:, 0], at[np.abs(at - 2.5).argmin()])]
    assert (inside[:, 1].min(), inside[:, 1].max()) == (0, 1)  # either seed may be drawn twice


def test_precision_says_where_nothing_is_known(tmp_path):
    paths = [write_returns(tmp_path / f"{seed}.csv", seed, method="dbc", seed=seed, policies=1) for seed in range(3)]
    rng = np.random.default_rng(0)
    paths += [write_returns(tmp_path / f"p{seed}.csv", lambda *_: rng.normal(), seed=seed) for seed in range(3)]
    dbc, av_pbc = draw("precision", paths).axes
    assert [text.get_text() for text in dbc.texts] == ["needs two or more seeds,\npolicies and episodes"]
    *lines, dot = av_pbc.lines
    assert len(lines) == len(claims.DESIGNS)
    assert all((np.diff(line.get_ydata()) < 0).all() for line in lines)
    assert list(dot.get_xdata()) == [3]


@pytest.mark.parametrize("name", ["performance_profiles", "precision"])
def test_one_of_everything_gives_a_figure(tmp_path, name):
    path = write_returns(tmp_path / "one.csv", 5, policies=1, episodes=1)
    make_figure_data(name, [gather_into(tmp_path, [path])], tmp_path / "data.csv", FigureSettings())
    make_figure(name, tmp_path / "data.csv", tmp_path / "f.png", FigureSettings(dpi=50))
    assert (tmp_path / "f.pdf").is_file()
