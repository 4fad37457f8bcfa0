"""A near-expert below behavior cloning on the whole dataset is named: in Table 1, its log and the findings."""

import json
import logging

import pytest

from helpers.fake_returns import gather_into, write_returns
from obdistill.paper.figure_data.make import make_figure_data
from obdistill.paper.settings import FigureSettings, TableSettings
from obdistill.paper.summary import make_summary
from obdistill.paper.tables.make import make_table

WEAK = "Hopper medium: the near-expert is a weak teacher: it scores 20.0, behavior cloning on the whole dataset 30.0."


def write_tasks(folder, experts):
    """Synsets and behavior cloning that score 30 on every task, and near-experts of the scores given."""
    paths = []
    for task, score in experts.items():
        whole = {"task": task, "method": "bc_whole", "protocol": "whole_data", "size": 5000}
        expert = {"task": task, "method": "near_expert", "protocol": "near_expert", "size": 0, "policies": 1}
        paths.append(write_returns(folder / f"{task}/whole.csv", 30, **whole))
        paths.append(write_returns(folder / f"{task}/expert.csv", score, **expert))
        paths += [write_returns(folder / f"{task}/{seed}.csv", 30, task=task, seed=seed) for seed in range(2)]
    return paths


@pytest.mark.parametrize(
    ("experts", "sentences"),
    [
        ({"hopper_medium": 20.0, "walker2d_medium": 50.0}, [WEAK]),
        ({"hopper_medium": 30.0, "walker2d_medium": 50.0}, []),  # as good is good enough
        ({"hopper_medium": 20.0, "walker2d_medium": -20.0}, [WEAK, WEAK.replace("Hopper", "Walker2d")]),
    ],
)
def test_a_weak_near_expert_is_named_wherever_table_1_is_read(tmp_path, caplog, experts, sentences):
    if len(sentences) == 2:
        sentences[1] = sentences[1].replace("20.0", "−20.0")
    gathered = [gather_into(tmp_path, write_tasks(tmp_path / "in", experts))]
    with caplog.at_level(logging.WARNING):
        make_table("table_1", gathered, tmp_path / "table_1.csv", TableSettings())
    assert [record.getMessage() for record in caplog.records if record.levelname == "WARNING"] == sentences
    for form in ("md", "html", "json"):
        text = (tmp_path / f"table_1.{form}").read_text()
        assert text.count("weak teacher") == len(sentences), form
    caplog.clear()
    make_table("variance", gathered, tmp_path / "variance.csv", TableSettings())
    make_figure_data("figure_1", gathered, tmp_path / "data.csv", FigureSettings())
    make_summary(tmp_path / "table_1.csv", tmp_path / "data.csv", tmp_path / "variance.csv", tmp_path / "curves.csv")
    findings = json.loads((tmp_path / "findings.json").read_text())["findings"]
    assert findings[: len(sentences)] == sentences
    assert not any("weak teacher" in finding for finding in findings[len(sentences) :])


def test_tables_without_both_rows_say_nothing(tmp_path):
    paths = [path for path in write_tasks(tmp_path / "in", {"hopper_medium": 20.0}) if path.stem != "whole"]
    make_table("table_1", [gather_into(tmp_path, paths)], tmp_path / "table_1.csv", TableSettings())
    assert "weak teacher" not in (tmp_path / "table_1.md").read_text()
