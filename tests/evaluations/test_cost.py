"""The cost of training: what is measured, and that nothing but the seconds depends on the run."""

from dataclasses import replace

import pytest
from click.testing import CliRunner

from helpers.small import make_small_dataset, write_small_inputs
from obdistill.core import artifacts
from obdistill.core.errors import UserError
from obdistill.datasets.transitions import write_dataset
from obdistill.evaluations import command, cost
from obdistill.policies.settings import BcSettings
from obdistill.synsets.stage import make_selection

SETTINGS = cost.CostSettings(
    whole_data=BcSettings(architecture="mlp_2", optimizer="adam", learning_rate=1e-3, steps=7, batch_size=16),
    synset=BcSettings(architecture="mlp_2", steps=5),
    repeats=3,
)


@pytest.fixture
def inputs(tmp_path):
    dataset, _ = write_small_inputs(tmp_path)
    make_selection(dataset, None, "random", 8, 4, tmp_path / "synset.npz")
    return dataset, tmp_path / "synset.npz"


def test_a_row_for_each_of_dataset_and_synset(tmp_path, inputs):
    cost.measure(*inputs, SETTINGS, tmp_path / "cost.csv")
    cost.measure(*inputs, SETTINGS, tmp_path / "again.csv")
    table, metadata = artifacts.read_table(tmp_path / "cost.csv", "cost")
    assert table["data"].tolist() == ["whole_data", "synset"]
    assert table["size"].tolist() == [60, 8]
    assert table["steps"].tolist() == [7, 5]
    assert table["batch_size"].tolist() == [16, 8]
    assert table["megabytes"].tolist() == pytest.approx([60 * 4 * 4 / 1e6, 8 * 4 * 4 / 1e6])  # 3 states + 1 action
    assert (table["seconds"] > 0).all()
    times = metadata["seconds_of_each_training"]
    assert [len(times[name]) for name in ("whole_data", "synset")] == [1, 3]
    assert table["seconds"][1] == pytest.approx(sorted(times["synset"])[1], rel=1e-4)
    again, _ = artifacts.read_table(tmp_path / "again.csv", "cost")
    assert again.drop(columns="seconds").equals(table.drop(columns="seconds"))


def test_a_synset_of_another_task_is_refused(tmp_path, inputs):
    dataset = make_small_dataset()
    other = replace(dataset, task=replace(dataset.task, name="another"))
    write_dataset(tmp_path / "other.npz", other, {})
    with pytest.raises(UserError, match=r"synset\.npz: is of task 'pendulum'; .*other\.npz is of 'another'"):
        cost.measure(tmp_path / "other.npz", inputs[1], SETTINGS, tmp_path / "cost.csv")


def test_command(tmp_path, inputs):
    arguments = ["--dataset", str(inputs[0]), "--synset", str(inputs[1]), "--out", str(tmp_path / "cost.csv")]
    result = CliRunner().invoke(command.cost, [*arguments, "--settings", SETTINGS.model_dump_json()])
    assert result.exit_code == 0, result.output
    assert (tmp_path / "cost.json").is_file()
