"""The jobs of an experiment and the sources of a stage, without Snakemake."""

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from obd.config import Config
from obd.errors import UserError
from obd.workflow import PACKAGE, Experiment, canonical, sources, typed

FILES = {
    "__init__.py": "",
    "errors.py": "",
    "far/__init__.py": "from package import errors",
    "far/deep.py": "import os\nfrom . import beside\nfrom ..errors import Error",
    "far/beside.py": "from package.other import something",
    "other.py": "def late():\n    import package.late\n",
    "late.py": "from package.far import *",
    "unused.py": "from package import stage",
    "variant_a.py": "import package.late",
    "variant_b.py": "from package import variant_a",
    "stage.py": "from package import variant_a, variant_b",
}


@pytest.fixture
def package(tmp_path, monkeypatch):
    folder = tmp_path / "src/package"
    for name, text in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    return folder


@pytest.mark.parametrize(
    ("module", "without", "expected"),
    [
        ("package.errors", [], ["__init__", "errors"]),
        # packages on the way, relative imports, imports inside functions, star imports
        ("package.far.deep", [], ["__init__", "errors", "far/__init__", "far/beside", "far/deep", "late", "other"]),
        ("package.far", [], ["__init__", "errors", "far/__init__"]),
        ("package.stage", ["package.variant_b"], ["__init__", "errors", "far/__init__", "late", "stage", "variant_a"]),
        # left out by the stage, but the other variant needs it
        (
            "package.stage",
            ["package.variant_a"],
            ["__init__", "errors", "far/__init__", "late", "stage", "variant_a", "variant_b"],
        ),
    ],
)
def test_sources(package, module, without, expected):
    assert sources(module, without, package) == [f"src/package/{name}.py" for name in expected]


def test_sources_of_an_unknown_module(package):
    with pytest.raises(ModuleNotFoundError, match=r"package\.nowhere"):
        sources("package.nowhere", package=package)


def test_sources_are_what_python_imports():
    """Every file of the package that importing the workflow loads is found: it imports all stages."""
    code = "import sys, obd.workflow; print(*[m.__file__ for n, m in sys.modules.items() if n.split('.')[0] == 'obd'])"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    found = {str(Path(file).resolve()) for file in sources("obd.workflow")}
    assert len(loaded) > 20
    assert found >= set(loaded)


def test_no_stage_depends_on_the_workflow():
    """Else each change of the configuration's code would rerun everything."""
    stages = ("datasets.collect", "datasets.stage", "near_experts.stage", "near_experts.card")
    for stage in (*stages, "distill", "evaluate", "tables", "figures"):
        names = {Path(file).name for file in sources(f"obd.{stage}")}
        assert not {"cli.py", "config.py", "workflow.py"} & names


def test_command_line_values_are_read_as_yaml():
    given = {"seeds": ["0", "7"], "tasks": [{"near_expert": "null"}], "overrides": ["*_replay", "true", "1.5"], "n": 3}
    assert typed(given) == {
        **{"seeds": [0, 7], "tasks": [{"near_expert": None}], "overrides": ["*_replay", True, 1.5], "n": 3}
    }


TASKS = {
    "here": {
        "dataset": {"source": "minari", "id": "obd/here-v0", "root": "data", "download": False},
        "near_expert": {"algorithm": "iql"},
    },
    "paper": {"dataset": {"source": "d4rl", "file": "hopper-medium-v2"}, "near_expert": {"algorithm": "iql"}},
    "file": {
        "dataset": {"source": "d4rl", "file": "data/own.hdf5", "env_id": "Hopper-v5"},
        "near_expert": {"algorithm": "import", "checkpoint": "a.npz", "statistics": {"file": "b.json"}},
    },
}


def experiment(**config):
    return Experiment(Config.parse({"tasks": TASKS, **config}, "test"))


def test_jobs():
    jobs = experiment(
        objectives=["random", "pbc"],
        synset_sizes=[16, 256],
        seeds=[0],
        random_seeds=[0, 1, 2],
        report={"table": {"n_pairs": 16}, "figure": {"n_pairs": 16}},
    )
    assert len(jobs.synsets()) == 3 * 2 * (1 + 3)
    assert {"task": "file", "objective": "random", "size": 16, "seed": 2} in jobs.synsets()
    assert {"task": "file", "objective": "pbc", "size": 16, "seed": 2} not in jobs.synsets()
    assert jobs.whole_data() == []
    assert jobs.counts() == {
        **{"collect": 0, "dataset": 3, "near_expert": 3, "card": 3, "distill": 24, "evaluate": 24},
        **{"evaluate_whole_data": 0, "table": 1, "figure": 3, "summary": 1},
    }


def test_figures_show_one_synset_of_each_task():
    shown = {"synset_sizes": [16, 256], "objectives": ["random", "dbc"], "seeds": [5, 3], "random_seeds": [8]}
    table = {"table": {"n_pairs": 16}}
    jobs = experiment(**shown, report={**table, "figure": {"n_pairs": 256}}).shown_synsets()
    assert jobs == [{"task": task, "objective": "dbc", "size": 256, "seed": 5} for task in TASKS]
    jobs = experiment(**shown, report={**table, "figure": {"n_pairs": 16, "objective": "random"}}).shown_synsets()
    assert jobs == [{"task": task, "objective": "random", "size": 16, "seed": 8} for task in TASKS]
    with pytest.raises(UserError, match=r"report\.figure\.objective: 'pbc': not in objectives; allowed: random, dbc$"):
        experiment(**shown, report={**table, "figure": {"n_pairs": 16, "objective": "pbc"}})


def test_files_outside_the_results_are_inputs():
    jobs = experiment()
    dataset = {task: jobs.dataset_files(SimpleNamespace(task=task)) for task in TASKS}
    data = "data/obd/here-v0/data"
    assert dataset == {
        **{"here": [f"{data}/main_data.hdf5", f"{data}/metadata.json"], "paper": [], "file": ["data/own.hdf5"]}
    }
    near_expert = {task: jobs.near_expert_files(SimpleNamespace(task=task)) for task in TASKS}
    assert near_expert == {"here": [], "paper": [], "file": ["a.npz", "b.json"]}


def test_settings_are_one_text_for_one_meaning():
    explicit = {"steps": 1000, "outer": {"momentum": 0.9, "learning_rate": 0.03}}
    turned = {"outer": {"learning_rate": 0.03, "momentum": 0.9}}
    texts = {
        experiment(distill=distill).distill_settings(SimpleNamespace(task="here", objective="av_pbc"))
        for distill in ({}, explicit, turned)
    }
    assert len(texts) == 1
    assert json.loads(texts.pop())["inner"]["steps"] == 100


def test_an_objective_gets_only_the_settings_it_uses():
    settings = {
        objective: json.loads(experiment().distill_settings(SimpleNamespace(task="here", objective=objective)))
        for objective in ("random", "dbc", "pbc", "av_pbc")
    }
    assert settings["random"] == {}
    assert settings["dbc"] == settings["pbc"]
    assert set(settings["av_pbc"]) - set(settings["pbc"]) == {"weighting"}


def test_overrides_are_laid_over_each_other_in_order():
    jobs = experiment(
        distill={"steps": 500, "outer": {"clip": 2.0}},
        overrides=[
            {"tasks": "*", "objectives": ["pbc"], "distill": {"steps": 300, "outer": {"learning_rate": 0.5}}},
            {"tasks": ["pap*", "nothere", "here"][::2], "distill": {"steps": 200}},
            {"tasks": "paper", "evaluate": {"episodes": 3}, "whole_data": {"clone": {"steps": 7}}},
        ],
        whole_data={},
    ).config
    found = {(task, o): jobs.distill_settings(task, o) for task in TASKS for o in ("dbc", "pbc")}
    assert {key: settings.steps for key, settings in found.items()} == {
        **{("here", "dbc"): 200, ("here", "pbc"): 200, ("paper", "dbc"): 200, ("paper", "pbc"): 200},
        **{("file", "dbc"): 500, ("file", "pbc"): 300},
    }
    assert found["file", "pbc"].outer.learning_rate == 0.5
    assert found["file", "pbc"].outer.clip == 2.0
    assert found["here", "dbc"].outer.learning_rate == jobs.distill.outer.learning_rate
    assert jobs.evaluate_settings("paper", "dbc").episodes == 3
    assert jobs.evaluate_settings("here", "dbc").episodes == 10
    assert jobs.whole_data_settings("paper").clone.steps == 7


def test_tables_know_the_papers_datasets():
    assert experiment().config.table_settings().paper_datasets == {"paper": "hopper-medium"}
    named = experiment(report={"table": {"paper_datasets": {"here": "walker2d-medium"}}})
    assert named.config.table_settings().paper_datasets == {"paper": "hopper-medium", "here": "walker2d-medium"}


def test_canonical_text_is_sorted():
    text = canonical(experiment().config.distill)
    assert list(json.loads(text)) == sorted(json.loads(text))


def test_later_files_and_the_command_line_are_laid_over(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, data in (
        ("a.yaml", {"tasks": TASKS, "seeds": [0], "distill": {"steps": 700}}),
        ("b.yaml", {"seeds": [1]}),
    ):
        Path(name).write_text(yaml.safe_dump(data))
    config = Experiment.load(
        ["a.yaml", tmp_path / "b.yaml"], {"synset_sizes": ["16"], "distill": {"steps": "800"}}
    ).config
    assert (config.seeds, config.synset_sizes, config.distill.steps) == ((1,), (16,), 800)
    with pytest.raises(UserError, match=r"^a\.yaml, b\.yaml, --config: seeds: 3: should be a valid array$"):
        Experiment.load(["a.yaml", "b.yaml"], {"seeds": 3})


def test_the_package_is_found():
    assert (PACKAGE / "workflow.py").is_file()
