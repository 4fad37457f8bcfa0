"""Tables as Markdown, HTML and LaTeX, and their command."""

import functools
import json
from pathlib import Path
from xml.etree import ElementTree

import pandas as pd
import pytest
from click.testing import CliRunner

from helpers.fake_returns import gather_into, write_experiment, write_returns
from helpers.tables import described, rendered, summarize, write_costs, write_returns_of_table_1
from obdistill.core.errors import UserError
from obdistill.paper import command
from obdistill.paper.description import Description
from obdistill.paper.selection import TABLE_SELECTIONS
from obdistill.paper.settings import TableSettings
from obdistill.paper.tables.formats import html, markdown
from obdistill.paper.tables.latex import escape, latex
from obdistill.paper.tables.make import TABLES, make_table
from obdistill.paper.tables.table import Cell


@pytest.fixture
def returns(tmp_path):
    return write_returns_of_table_1(tmp_path)


def test_markdown(returns):
    paper = {"hopper_medium": "hopper-medium"}
    table = summarize(returns, paper_datasets=paper)
    lines = rendered(markdown, "table_1", table, paper_datasets=paper).splitlines()
    caption = described("table_1", table, paper_datasets=paper).caption
    assert caption.endswith("Paper: Lei et al. (2024), Table 1 (ours minus paper).")
    assert lines[:11] == [
        "|  | Hopper medium |",
        "| --- | ---: |",
        "| Random | 1.0 [−1.5, 3.5]<br>paper 19.2 (−18.2) |",
        "| Av-PBC | **40.0** [15.2, 64.8]<br>paper 32.5 (+7.5) |",
        "| BC (whole) | 11.0 [8.5, 13.5]<br>paper 50.2 (−39.2) |",
        "| OffRL (whole) | 81.0 [78.5, 83.5]<br>paper 56.4 (+24.6) |",
        "",
        caption,
        "",
        "<details><summary>Counts and notes</summary>",
        "",
    ]
    assert "| Av-PBC | 3 | 5 | 2 | 2 | 3 seeds |" in lines
    assert "| BC (whole) | 11 [9, 13]" in rendered(markdown, "table_1", summarize(returns), digits=0)


def parsed(page):
    """Parse a page, which must be well-formed but for what HTML writes otherwise."""
    return ElementTree.fromstring(page.replace("<!doctype html>", "").replace('<meta charset="utf-8">', ""))


def test_html_is_a_whole_page_with_the_same_cells(returns):
    paper = {"hopper_medium": "hopper-medium"}
    page = rendered(html, "table_1", summarize(returns, paper_datasets=paper), paper_datasets=paper)
    assert "<th>Hopper<small>medium</small></th>" in page
    cells = "<b>40.0</b><small>[15.2, 64.8]</small><small>paper 32.5 (+7.5)</small>"
    assert f"<tr><th>Av-PBC</th><td>{cells}</td></tr>" in page
    first, counted = parsed(page).iter("table")
    assert len(list(first.iter("tr"))) == len(list(counted.iter("tr"))) == 5
    assert [cell.text for cell in counted.find("tbody")[1]] == ["Av-PBC", "3", "5", "2", "2", "3 seeds"]


def test_html_escapes_what_it_shows():
    description = Description("A < B & C.", ("<script>",), ({"": "<b>", "seeds": "3"},))
    page = html([("G", "n")], {"<i>": [Cell("< 0.001")]}, description)
    assert "<p>A &lt; B &amp; C.</p>" in page
    assert "<th>&lt;i&gt;</th><td>&lt; 0.001</td>" in page
    assert "<script>" not in page
    parsed(page)


def test_latex_has_the_same_cells_in_every_row(tmp_path):
    tasks = ("halfcheetah_medium_replay", "halfcheetah_medium", "hopper_medium")
    paths = write_experiment(tmp_path, tasks, n_seeds=2, steps=[1, 2], policies=2, episodes=2)
    table = summarize(paths, paper_datasets={"hopper_medium": "hopper-medium"})
    text = rendered(functools.partial(latex, "table_1"), "table_1", table)
    head = text[text.index(r"\toprule") : text.index(r"\midrule")]
    assert r"\multicolumn{2}{c}{HalfCheetah} & \multicolumn{1}{c}{Hopper} & \multicolumn{1}{c}{Average} \\" in head
    assert r"\cmidrule(lr){2-3} \cmidrule(lr){4-4}" in head
    assert r" & medium-replay & medium & medium &  \\" in head
    body = text[text.index(r"\midrule") : text.index(r"\bottomrule")]
    rows = [line for line in body.splitlines() if line.endswith(r"\\")]
    assert {line.count("&") for line in rows} == {4}
    assert rows[0].startswith("Random & ")
    below = text[text.index(r"\bottomrule") :]
    assert r"Av-PBC & 2 & 2 & 2 & 2 & 2 seeds \\" in below
    assert text.count("{") == text.count("}")
    assert r"[95\,\% Student-t interval]" in text
    assert text.isascii()


def test_latex_escapes_what_it_shows():
    assert escape(r"50 % a_b & −1 × {2} \x") == r"50\,\% a\_b \& $-$1 $\times$ \{2\} \textbackslash{}x"


@pytest.mark.parametrize("name", list(TABLES))
def test_every_table_is_written_in_every_form(tmp_path, name):
    if TABLE_SELECTIONS[name].reads == "costs":
        paths = [write_costs(tmp_path / "costs.csv", "hopper_medium")]
    else:
        files = write_experiment(tmp_path / "in", ("hopper_medium",), n_seeds=2, steps=(1, 2), policies=2, episodes=2)
        kinds = ({"protocol": "mlp_2"}, {"protocol": "ensemble", "members": 2}, {"size": 16})
        for number, kind in enumerate(kinds):
            about = {"env_id": "Hopper-v4", "steps": (1, 2), "seed": 0, **kind}
            files.append(write_returns(tmp_path / f"{number}.csv", lambda step, *_: step, **about))
        paths = [gather_into(tmp_path, files)]
    settings = TableSettings(size=256, bootstrap_samples=100, paper_datasets={"hopper_medium": "hopper-medium"})
    make_table(name, paths, tmp_path / f"{name}.csv", settings)
    metadata = json.loads((tmp_path / f"{name}.json").read_text())
    assert len(metadata["caption"]) <= 360  # three lines
    assert metadata["counts"]
    assert len(pd.read_csv(tmp_path / f"{name}.csv")) > 0
    text = (tmp_path / f"{name}.md").read_text()
    assert f"\n\n{metadata['caption']}\n\n" in text
    assert "{" not in text
    assert (tmp_path / f"{name}.tex").read_text().isascii()
    first, _ = parsed((tmp_path / f"{name}.html").read_text()).iter("table")
    rows = text.partition("\n\n")[0].count("\n| ") - 1
    assert len(list(first.iter("tr"))) == rows + 1


def test_wide_latex_tables_use_short_names(tmp_path):
    tasks = ("hopper_medium", "hopper_medium_replay", "walker2d_medium", "ant_mine")
    paths = [write_returns(tmp_path / f"{task}.csv", 1, task=task) for task in tasks]
    text = rendered(functools.partial(latex, "table_1"), "table_1", summarize(paths))
    assert r" & mine & M-R & M & M &  \\" in text
    assert " M-R: medium-replay. M: medium.}\n" in text
    assert r"\resizebox{\linewidth}{!}{\begin{tabular}" in text
    assert text.count("{") == text.count("}")


def test_command_writes_the_same_bytes_whatever_the_order_of_the_files(tmp_path, returns, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def run(folder, files):
        (tmp_path / folder).mkdir()
        monkeypatch.chdir(tmp_path / folder)
        gathered = gather_into(Path(), files)
        arguments = ["--name", "table_1", "--out", "table_1.csv", "--set", "digits=2", str(gathered)]
        result = CliRunner().invoke(command.table, arguments)
        assert result.exit_code == 0, result.output
        return [Path(f"table_1{suffix}").read_bytes() for suffix in (".csv", ".md", ".tex", ".html", ".json")]

    one = run("one", returns)
    assert one == run("two", returns[::-1])
    header = one[0].splitlines()[0].decode()
    assert header == (
        "task,method,variant,protocol,size,members,mean,low,high,n,unit,seeds,snapshots,policies,episodes,"
        "policy_sd,worst_policy,change,change_low,change_high,change_n,paper_value,difference,best"
    )
    assert b"hopper_medium,bc_whole,default,whole_data,5000,1,11," in one[0]
    metadata = json.loads(one[4])
    assert metadata["kind"] == "table"
    assert [entry["file"] for entry in metadata["inputs"]] == ["returns.npz"]
    assert metadata["caption"] in one[1].decode()
    assert metadata["counts"][0] == {
        **{"": "Random", "seeds": "3", "snapshots": "1", "policies": "2", "episodes": "2"},
        "interval over": "3 seeds",
    }


def test_a_table_is_made_from_the_gathered_returns(tmp_path, returns):
    with pytest.raises(UserError, match=r"0\.csv: is a returns by its 0\.json; a gathered returns is needed$"):
        make_table("table_1", returns[:1], tmp_path / "t.csv", TableSettings())
    with pytest.raises(UserError, match=r"0\.csv: table_1 is made from one file, the gathered returns \(obd gather\)$"):
        make_table("table_1", returns[:2], tmp_path / "t.csv", TableSettings())


def test_command_checks_its_arguments(tmp_path, returns):
    result = CliRunner().invoke(command.table, ["--out", str(tmp_path / "table.txt"), str(returns[0])])
    assert result.exit_code == 2
    assert "'.txt'; .csv is needed" in result.output
    result = CliRunner().invoke(command.table, ["--out", str(tmp_path / "table.csv")])
    assert result.exit_code == 2
    assert "FILES" in result.output
