"""Results that are not what their jobs would make now are found, whatever dates and Snakemake's memory say."""

import json
import os
import shutil
from pathlib import Path

import pytest

from helpers.configurations import changed
from helpers.workflow_copy import CONFIG, WorkflowCopy, write_inputs

OLD = 946684800  # the year 2000
PAPER = {"gather": 1, "table": 4, "figure_data": 5, "figure": 5, "summary": 1}
SYNSETS = {"distill": 8, "evaluate": 8, "gather": 1, "table": 3, "figure_data": 5, "figure": 5, "summary": 1}


def forget(workflow: WorkflowCopy) -> WorkflowCopy:
    """Take the results as they are after a copy: Snakemake remembers nothing of them."""
    shutil.rmtree(workflow.folder / ".snakemake")
    return workflow


def replace(file: Path, text: str) -> None:
    """Write a file with a date long before that of every result, as ``cp -p`` and ``rsync -a`` do."""
    file.write_text(text)
    os.utime(file, (OLD, OLD))


def test_copied_results_of_the_same_configuration_are_taken(workflow):
    assert forget(workflow).planned().counts == {}


@pytest.mark.parametrize(
    ("path", "value", "counts", "said"),
    [
        ("distill.steps", 30, SYNSETS, "first/dbc/default/size8/seed0/synset.npz: steps 20, now 30: it is made again"),
        ("distill.outer.momentum", 0.5, SYNSETS, "outer.momentum 0.9, now 0.5"),
        ("report.table.digits", 3, {"table": 4, "summary": 1}, "digits 1, now 3"),
        # the seed is no setting of the command, but an option
        (
            "collections.own.seed",
            4,
            {
                **{"collect": 1, "dataset": 1, "near_expert": 1, "evaluate_near_expert": 1, "select": 2, "distill": 4},
                **{"evaluate": 6, "evaluate_whole_data": 1, "cost": 1, **PAPER},
            },
            "seed 3, now 4",
        ),
    ],
)
def test_copied_results_of_another_configuration_are_not(workflow, path, value, counts, said):
    forget(workflow).write_config(changed(CONFIG, path, value))
    answer = workflow.planned()
    assert answer.counts == counts
    assert said in answer.text


def test_a_result_that_was_copied_to_another_place_is_not_taken(workflow):
    synsets = forget(workflow).folder / "results/synsets/first/dbc/default/size8"
    shutil.rmtree(synsets / "seed1")
    shutil.copytree(synsets / "seed0", synsets / "seed1")
    answer = workflow.planned("synsets")
    assert answer.counts == {"distill": 1}
    assert "seed 0, now 1" in answer.text


def test_a_result_that_says_nothing_of_its_making_is_not_taken(workflow):
    sidecar = workflow.folder / "results/datasets/second/dataset.json"
    times = sidecar.stat().st_atime_ns, sidecar.stat().st_mtime_ns
    facts = json.loads(sidecar.read_text())
    del facts["made_from"]
    sidecar.write_text(json.dumps(facts))
    os.utime(sidecar, ns=times)
    answer = workflow.planned("datasets")
    assert answer.counts == {"dataset": 1}
    assert "it does not say what it was made from" in answer.text


@pytest.mark.parametrize("remembered", [True, False])
def test_sources_with_an_older_date_are_noticed(workflow, remembered):
    if not remembered:
        forget(workflow)
    file = workflow.folder / "src/obdistill/near_experts/td3_bc.py"
    replace(file, file.read_text() + "\n# another\n")
    answer = workflow.planned("near_experts")
    assert answer.counts == {"near_expert": 1}
    assert "first/near_expert.safetensors: the sources were others" in answer.text


@pytest.mark.parametrize(
    ("name", "target", "counts"),
    [
        ("obd/first-v0/data/main_data.hdf5", "datasets", {"dataset": 1}),
        ("obd/first-v0/data/metadata.json", "datasets", {"dataset": 1}),
        ("checkpoint.npz", "near_experts", {"near_expert": 1}),
    ],
)
def test_data_with_an_older_date_are_noticed(workflow, name, target, counts):
    replace(workflow.folder / "data" / name, "other data")
    answer = workflow.planned(target)
    assert answer.counts == counts
    assert f"data/{name} was another file" in answer.text


def test_a_result_of_another_input_is_noticed(workflow):
    """A dataset made elsewhere, with its sidecar: what was made from the one before does not belong to it."""
    folder = forget(workflow).folder / "results/datasets/first"
    facts = json.loads((folder / "dataset.json").read_text())
    date = (folder / "dataset.json").stat().st_mtime
    (folder / "dataset.json").write_text(json.dumps({**facts, "sha256": "0" * 64}))
    os.utime(folder / "dataset.json", (date, date))
    answer = workflow.planned("near_experts", "synsets")
    assert answer.counts == {"near_expert": 1, "select": 2, "distill": 4}
    assert "results/datasets/first/dataset.npz was another file" in answer.text


def test_a_run_makes_stale_results_again_and_then_there_is_nothing_to_do(workflow):
    forget(workflow).write_config(changed(CONFIG, "distill.steps", 30))
    run = workflow.snakemake("synsets")
    assert run.code == 0, run.text
    assert "steps 20, now 30" in run.text
    assert workflow.planned("synsets").counts == {}
    facts = json.loads((workflow.folder / "results/synsets/first/dbc/default/size8/seed1/synset.json").read_text())
    assert facts["made_from"]["settings"]["steps"] == 30


def test_another_target_makes_nothing_of_what_it_does_not_need(workflow):
    forget(workflow).write_config(changed(CONFIG, "distill.steps", 30))
    assert workflow.planned("near_experts").counts == {}
    one = "results/synsets/first/dbc/default/size8/seed1/synset.npz"
    assert workflow.planned(one).counts == {"distill": 1}


@pytest.mark.parametrize(("root", "download"), [(None, True), (None, False), ("data", True)])
def test_a_minari_dataset_that_was_recorded_again_is_noticed(tmp_path, root, download):
    """At Minari's own root or another; allowed to be downloaded, which makes it no input of Snakemake's, or not."""
    workflow = WorkflowCopy.make(tmp_path / "copy", {})
    write_inputs(workflow)
    workflow.environment["MINARI_DATASETS_PATH"] = str(workflow.folder / "data")
    dataset = {"source": "minari", "id": "obd/first-v0", "root": root, "download": download}
    workflow.write_config({**CONFIG, "tasks": {"first": {"dataset": dataset}}, "methods": ["random"]})
    assert workflow.snakemake("datasets").code == 0
    assert workflow.planned("datasets").counts == {}
    data = workflow.folder / "data/obd/first-v0/data"
    replace(data / "main_data.hdf5", "recorded again")
    assert workflow.planned("datasets").counts == {"dataset": 1}
    assert workflow.snakemake("datasets").code == 0
    assert workflow.planned("datasets").counts == {}
    os.utime(data / "main_data.hdf5")
    assert workflow.planned("datasets").counts == {}


@pytest.mark.parametrize("remembered", [True, False])
def test_new_dates_alone_redo_nothing_and_new_contents_do(workflow, remembered):
    """As in a clone, where sources and data are newer than results that were copied there."""
    if not remembered:
        forget(workflow)
    for folder in ("src", "workflow", "data"):
        for file in (workflow.folder / folder).rglob("*.*"):
            os.utime(file)
    assert workflow.planned().counts == {}
    (workflow.folder / "data/checkpoint.npz").write_text("other weights")
    workflow.edit("src/obdistill/near_experts/td3_bc.py")
    assert workflow.planned("near_experts").counts == {"near_expert": 2}


def test_a_large_file_that_is_only_touched_redoes_nothing(tmp_path):
    workflow = WorkflowCopy.make(tmp_path / "copy", CONFIG)
    write_inputs(workflow)
    data = workflow.folder / "data/obd/first-v0/data/main_data.hdf5"
    data.write_bytes(bytes(3_000_000))
    assert workflow.snakemake("datasets").code == 0
    os.utime(data)
    assert workflow.planned("datasets").counts == {}
    data.write_bytes(bytes(3_000_001))
    assert workflow.planned("datasets").counts == {"dataset": 1}


def test_editing_the_module_of_an_own_environment_reruns_what_acts_in_it(tmp_path):
    workflow = WorkflowCopy.make(tmp_path / "copy", changed(CONFIG, "tasks.first.dataset.env_id", "my_robot:Robot-v0"))
    write_inputs(workflow)
    robot = tmp_path / "modules/my_robot.py"
    robot.parent.mkdir()
    robot.write_text("")
    workflow.environment["PYTHONPATH"] += f"{os.pathsep}{robot.parent}"
    run = workflow.snakemake("evaluations")
    assert run.code == 0, run.text
    assert workflow.planned("evaluations").counts == {}
    status = robot.stat()
    replace(robot, "gravity = 1")  # with an old date: only its content tells
    acting = {"dataset": 1, "evaluate_near_expert": 1, "evaluate": 6, "evaluate_whole_data": 1}
    answer = workflow.planned("evaluations")
    assert acting.items() <= answer.counts.items()
    assert "first/dataset.npz: the module of its environment was another" in answer.text
    robot.write_text("")
    os.utime(robot, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert workflow.planned("evaluations").counts == {}
    robot.write_text("gravity = 0")
    plan = workflow.planned("evaluations")
    assert plan.counts == {
        **{"dataset": 1, "near_expert": 1, "evaluate_near_expert": 1, "select": 2, "distill": 4, "evaluate": 6},
        **{"evaluate_whole_data": 1, "cost": 1},
    }


def test_sources_that_change_while_a_run_is_going_end_it(workflow):
    """The job of a dataset edits the source of synsets: what is made with other sources is not mixed in."""
    forget(workflow)
    shutil.rmtree(workflow.folder / "results")
    package = workflow.folder / "src/obdistill"
    with (package / "cli.py").open("a") as cli:
        cli.write(
            "\n_main = main\n\n\ndef main() -> None:\n    _main()\n    if {'dataset', 'first'} <= {*sys.argv}:\n"
            "        with Path(__file__).with_name('synsets').joinpath('stage.py').open('a') as source:\n"
            "            source.write('# edited')\n"
        )
    run = workflow.snakemake("synsets")
    assert run.code != 0
    assert "error: the sources were changed while the run was going; type the same command again" in run.text
    again = workflow.snakemake("synsets")
    assert again.code == 0, again.text
    assert workflow.planned("synsets").counts == {}


@pytest.mark.parametrize(
    ("path", "value", "line"),
    [
        (
            "tasks.first.dataset",
            {"source": "d4rl", "file": "no.hdf5", "env_id": "Hopper-v5"},
            "tasks.first.dataset.file: 'no.hdf5': no such file",
        ),
        (
            "tasks.first.dataset.id",
            "obd/other-v0",
            "tasks.first.dataset.id: 'obd/other-v0': no such dataset in data, and download is false",
        ),
        (
            "tasks.first.dataset.root",
            "nowhere",
            "tasks.first.dataset.root: 'nowhere': no such folder, and download is false",
        ),
        (
            "tasks.second.near_expert.checkpoint",
            "no.npz",
            "tasks.second.near_expert.checkpoint: 'no.npz': no such file",
        ),
        (
            "tasks.second.near_expert.statistics",
            {"file": "no.json"},
            "tasks.second.near_expert.statistics.file: 'no.json': no such file",
        ),
    ],
)
def test_a_file_that_is_not_there_is_one_line(workflow, path, value, line):
    """Even if nothing would have to be done: the results of the file that was there do not show that it is gone."""
    workflow.write_config(changed(CONFIG, path, value))
    for arguments in (["--dry-run"], ["tables"]):
        answer = workflow.snakemake(*arguments)
        assert answer.code != 0
        said = [text for text in answer.text.splitlines() if not text.startswith("Using workflow specific profile")]
        assert said == [f"error: config.yaml: {line}"]


def test_a_result_of_another_method_is_not_taken(workflow):
    """A distillation's option is called objective, and its wildcard method."""
    synsets = forget(workflow).folder / "results/synsets/first"
    shutil.rmtree(synsets / "dbc")
    shutil.copytree(synsets / "av_pbc", synsets / "dbc")
    answer = workflow.planned("synsets")
    assert answer.counts == {"distill": 2}
    assert "objective av_pbc, now dbc" in answer.text
