"""The jobs of an experiment, without Snakemake."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from obdistill.core import own_modules
from obdistill.core.errors import UserError
from obdistill.experiment.config import Config
from obdistill.experiment.jobs import Experiment, canonical, typed


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
        methods=["random", "pbc"],
        sizes=[16, 256],
        seeds=[0],
        random_seeds=[0, 1, 2],
        report={"table": {"size": 16}, "figure": {"size": 16}},
    )
    assert len(jobs.synsets()) == 3 * 2 * (1 + 3)
    about = {"task": "file", "variant": "default", "size": 16, "seed": 2}
    assert {**about, "method": "random"} in jobs.synsets()
    assert {**about, "method": "pbc"} not in jobs.synsets()
    assert jobs.whole_data() == []
    assert jobs.counts() == {
        **{
            "collect": 0,
            "dataset": 3,
            "near_expert": 3,
            "evaluate_near_expert": 3,
            "select": 18,
            "distill": 6,
            "evaluate": 24,
        },
        **{"evaluate_whole_data": 0, "cost": 0, "error_curve": 0, "synset_errors": 0, "gather": 1, "table": 3},
        **{"figure_data": 6, "figure": 6, "summary": 1},
    }


def test_a_variant_is_its_method_with_other_settings():
    raw = {"steps": 7, "snapshot_every": 7, "weighting": {"form": "scaled"}}
    jobs = experiment(
        methods=["random", "av_pbc", "pbc"],
        variants={"raw": {"methods": ["av_pbc", "pbc"], "distill": raw}},
        overrides=[{"methods": ["av_pbc"], "distill": {"snapshot_every": 50}}],
        seeds=[0],
    )
    made = [(job["method"], job["variant"]) for job in jobs.synsets() if job["task"] == "paper"]
    assert made == [
        ("random", "default"),
        *[(method, variant) for method in ("av_pbc", "pbc") for variant in ("default", "raw")],
    ]
    settings = {
        about: json.loads(jobs.distill_settings(SimpleNamespace(task="paper", method=about[0], variant=about[1])))
        for about in made[1:]
    }
    assert settings["av_pbc", "default"]["snapshot_every"] == 50
    assert settings["av_pbc", "default"]["weighting"]["form"] == "mean_one"
    assert settings["av_pbc", "raw"]["snapshot_every"] == settings["pbc", "raw"]["snapshot_every"] == 7
    assert settings["av_pbc", "raw"]["weighting"]["form"] == "scaled"
    assert "weighting" not in settings["pbc", "raw"]
    assert [job["figure"] for job in jobs.figures()].count("recipes") == 1
    assert [job["figure"] for job in experiment().figures()].count("recipes") == 0


def test_a_variant_may_be_evaluated_in_another_way_and_selections_have_it_too():
    jobs = experiment(
        methods=["random", "pbc"],
        variants={"adam": {"methods": ["random", "pbc"], "evaluate": {"episodes": 7, "bc": {"optimizer": "adam"}}}},
        overrides=[{"tasks": "here", "evaluate": {"episodes": 3, "bc": {"steps": 9}}}],
        size_study={"sizes": [16], "methods": ["pbc"], "evaluate": {"episodes": 2}},
        seeds=[0],
    )
    about = {"task": "here", "protocol": "standard", "seed": 0}
    settings = {
        (job["method"], job["variant"], job["size"]): json.loads(
            jobs.evaluate_settings(SimpleNamespace(**{**job, "size": str(job["size"])}))
        )
        for job in jobs.evaluations()
        if job.items() >= about.items()
    }
    found = {cell: (s["episodes"], s["bc"]["optimizer"], s["bc"]["steps"]) for cell, s in settings.items()}
    assert found == {
        **{(method, "default", 256): (3, "sgd", 9) for method in ("random", "pbc")},
        **{(method, "adam", 256): (7, "adam", 9) for method in ("random", "pbc")},
        ("pbc", "default", 16): (2, "sgd", 9),
        ("pbc", "adam", 16): (2, "adam", 9),
    }


def test_figures_of_synsets_show_one_of_each_task():
    shown = {"sizes": [16, 256], "methods": ["random", "dbc"], "seeds": [5, 3], "random_seeds": [8]}
    table, about = {"table": {"size": 16}}, {"variant": "default"}
    jobs = experiment(**shown, report={**table, "figure": {"size": 256}}).shown_in_figure("figure_2")
    assert jobs == {"distill": [{"task": task, **about, "method": "dbc", "size": 256, "seed": 5} for task in TASKS]}
    settings = {"figure": {"size": 16, "method": "random"}}
    jobs = experiment(**shown, report={**table, **settings}).shown_in_figure("figure_2")
    assert jobs == {"distill": [{"task": task, **about, "method": "random", "size": 16, "seed": 8} for task in TASKS]}
    with pytest.raises(UserError, match=r"report\.figure\.method: 'pbc': not in methods; allowed: random, dbc$"):
        experiment(**shown, report={**table, "figure": {"size": 16, "method": "pbc"}})


def test_a_size_study_adds_sizes_for_some_tasks_and_objectives():
    jobs = experiment(
        methods=["random", "pbc", "av_pbc"],
        seeds=[0],
        size_study={"sizes": [16, 256], "tasks": ["pa*"], "evaluate": {"episodes": 2}},
        protocols={"big": {"methods": ["av_pbc"], "evaluate": {"bc": {"architecture": "mlp_6"}}}},
    )
    small = {"task": "paper", "method": "av_pbc", "variant": "default", "size": 16, "seed": 0}
    assert [job for job in jobs.synsets() if job["size"] == 16] == [small]
    assert [job for job in jobs.evaluations() if job["size"] == 16] == [{**small, "protocol": "standard"}]
    assert jobs.counts()["evaluate"] == 3 * 3 + 3 + 1
    episodes = {
        size: json.loads(
            jobs.evaluate_settings(SimpleNamespace(**{**small, "protocol": "standard", "size": str(size)}))
        )
        for size in (16, 256)
    }
    assert {size: settings["episodes"] for size, settings in episodes.items()} == {16: 2, 256: 10}
    assert jobs.config.table_settings().size == jobs.config.figure_settings().size == 256


def test_tables_and_figures_name_what_they_show():
    protocols = {"big": {"methods": ["av_pbc"]}, "ensemble": {"evaluate": {"ensemble": True}}}
    jobs = experiment(
        seeds=[0], size_study={"sizes": [16], "tasks": "paper"}, protocols=protocols, whole_data={}, cost_repeats=2
    )
    assert [job["table"] for job in jobs.tables()] == [
        "table_1",
        "table_2",
        "table_3",
        "table_4",
        "table_5",
        "aggregates",
        "variance",
    ]
    assert [job["figure"] for job in jobs.figures()] == [
        "figure_1",
        "figure_2",
        "policy_spread",
        "synset_size",
        "performance_profiles",
        "precision",
    ]
    shown = {name: jobs.shown_in_table(name) for name in ("table_1", "table_2", "table_3", "table_4", "table_5")}
    assert shown == {**{name: {"gather": [{}]} for name in shown}, "table_4": {"cost": jobs.tasks()}}
    assert {rule: len(of_rule) for rule, of_rule in jobs.returns().items()} == {
        **{"evaluate": 12 + 3 + 9 + 1, "evaluate_whole_data": 3, "evaluate_near_expert": 3}
    }
    assert [job["table"] for job in experiment().tables()] == ["table_1", "aggregates", "variance"]


def test_error_curves_mark_the_standard_evaluations_of_one_size():
    assert experiment().error_curves() == []
    jobs = experiment(
        methods=["random", "pbc"],
        seeds=[0, 1],
        variants={"slow": {"methods": ["pbc"], "distill": {"steps": 7, "snapshot_every": 7}}},
        protocols={"big": {"methods": ["pbc"]}},
        size_study={"sizes": [16], "methods": ["pbc"]},
        error_curve={"policies": 2},
    )
    assert jobs.error_curves() == jobs.tasks()
    shown = jobs.shown_in_figure("error_curve")
    assert shown == dict.fromkeys(["error_curve", "synset_errors", "evaluate_near_expert"], jobs.tasks())
    marked = jobs.marked_evaluations(SimpleNamespace(task="here"))
    assert [(job["method"], job["variant"], job["seed"]) for job in marked] == [
        (method, variant, seed)
        for method, variant in (("random", "default"), ("pbc", "default"), ("pbc", "slow"))
        for seed in (0, 1)
    ]
    assert {(job["protocol"], job["size"]) for job in marked} == {("standard", 256)}
    assert json.loads(jobs.error_curve_settings(SimpleNamespace(task="here")))["policies"] == 2
    assert (jobs.counts()["error_curve"], jobs.counts()["synset_errors"]) == (3, 3)


def test_tables_and_figures_with_nothing_to_show_are_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_files(tmp_path)
    report = {"tables": ["table_1", "table_2"], "figures": ["synset_size", "figure_1", "recipes"]}
    Path("a.yaml").write_text(yaml.safe_dump({"tasks": TASKS, "report": report}))
    with pytest.raises(UserError) as error:
        Experiment.load(["a.yaml"])
    figures = "figure_1, figure_2, policy_spread, performance_profiles, precision"
    assert str(error.value).splitlines() == [
        "a.yaml: report.tables: 'table_2' has nothing to show here; allowed: table_1, aggregates, variance",
        f"a.yaml: report.figures: 'synset_size' has nothing to show here; allowed: {figures}",
        f"a.yaml: report.figures: 'recipes' has nothing to show here; allowed: {figures}",
    ]


def write_files(folder):
    """Write the files that `TASKS` names."""
    data = folder / "data/obd/here-v0/data"
    data.mkdir(parents=True)
    for file in (data / "main_data.hdf5", data / "metadata.json", folder / "data/own.hdf5"):
        file.touch()
    for name in ("a.npz", "b.json"):
        (folder / name).touch()


def test_files_outside_the_results_are_inputs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_files(tmp_path)
    jobs = experiment()
    dataset = {task: jobs.dataset_files(SimpleNamespace(task=task)) for task in TASKS}
    data = "data/obd/here-v0/data"
    assert dataset == {
        **{"here": [f"{data}/main_data.hdf5", f"{data}/metadata.json"], "paper": [], "file": ["data/own.hdf5"]}
    }
    near_expert = {task: jobs.near_expert_files(SimpleNamespace(task=task)) for task in TASKS}
    assert near_expert == {"here": [], "paper": [], "file": ["a.npz", "b.json"]}


def test_the_home_folder_may_be_written_as_a_tilde(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "own.hdf5").touch()
    (tmp_path / "a.npz").touch()
    dataset = {"source": "d4rl", "file": "~/own.hdf5", "env_id": "Hopper-v5"}
    near_expert = {"algorithm": "import", "checkpoint": "~/a.npz"}
    jobs = Experiment.given({"tasks": {"task": {"dataset": dataset, "near_expert": near_expert}}})
    assert jobs.dataset_files(SimpleNamespace(task="task")) == [f"{tmp_path}/own.hdf5"]
    assert jobs.near_expert_files(SimpleNamespace(task="task")) == [f"{tmp_path}/a.npz"]


def test_the_module_of_an_own_environment_is_a_file_that_is_read(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "robots").mkdir()
    for name in ("my_robot.py", "robots/__init__.py", "robots/walker.py"):
        (tmp_path / name).write_text("raise SystemExit")  # nothing is imported
    files = {
        env_id: [str(file.relative_to(tmp_path)) for file in own_modules.files(env_id)]
        for env_id in ("my_robot:Robot-v0", "robots.walker:Walker-v0", "nowhere:Robot-v0", "Hopper-v5", None)
    }
    assert files == {
        "my_robot:Robot-v0": ["my_robot.py"],
        "robots.walker:Walker-v0": ["robots/__init__.py", "robots/walker.py"],
        **{"nowhere:Robot-v0": [], "Hopper-v5": [], None: []},
    }
    assert [file.name for file in own_modules.files("gymnasium:Hopper-v5")] == ["__init__.py"]


@pytest.mark.parametrize(("statistics", "files"), [(None, []), ({"file": "b.json"}, ["b.json"])])
def test_a_checkpoint_from_a_url_is_no_input(statistics, files):
    near_expert = {"algorithm": "import", "checkpoint": "https://host/a.pt", "sha256": "0" * 64}
    tasks = {**TASKS, "file": {**TASKS["file"], "near_expert": {**near_expert, "statistics": statistics}}}
    assert experiment(tasks=tasks).near_expert_files(SimpleNamespace(task="file")) == files


def test_settings_are_one_text_for_one_meaning():
    explicit = {"steps": 1000, "outer": {"momentum": 0.9, "learning_rate": 0.2}}
    turned = {"outer": {"learning_rate": 0.2, "momentum": 0.9}}
    texts = {
        experiment(distill=distill).distill_settings(SimpleNamespace(task="here", method="av_pbc", variant="default"))
        for distill in ({}, explicit, turned)
    }
    assert len(texts) == 1
    assert json.loads(texts.pop())["inner"]["steps"] == 100


def test_an_objective_gets_only_the_settings_it_uses():
    settings = {
        method: json.loads(
            experiment().distill_settings(SimpleNamespace(task="here", method=method, variant="default"))
        )
        for method in ("dbc", "pbc", "av_pbc")
    }
    assert settings["dbc"] == settings["pbc"]
    assert set(settings["av_pbc"]) - set(settings["pbc"]) == {"weighting"}


def test_overrides_are_laid_over_each_other_in_order():
    jobs = experiment(
        distill={"steps": 500, "outer": {"clip": 2.0}},
        overrides=[
            {"tasks": "*", "methods": ["pbc"], "distill": {"steps": 300, "outer": {"learning_rate": 0.5}}},
            {"tasks": ["pap*", "nothere", "here"][::2], "distill": {"steps": 200}},
            {"tasks": "paper", "evaluate": {"episodes": 3}, "whole_data": {"bc": {"steps": 7}}},
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
    assert jobs.whole_data_settings("paper").bc.steps == 7


def test_tables_know_the_papers_datasets():
    assert experiment().config.table_settings().paper_datasets == {"paper": "hopper-medium"}
    named = experiment(report={"table": {"paper_datasets": {"here": "walker2d-medium"}}})
    assert named.config.table_settings().paper_datasets == {"paper": "hopper-medium", "here": "walker2d-medium"}


def test_canonical_text_is_sorted():
    text = canonical(experiment().config.distill)
    assert list(json.loads(text)) == sorted(json.loads(text))


def test_later_files_and_the_command_line_are_laid_over(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_files(tmp_path)
    for name, data in (
        ("a.yaml", {"tasks": TASKS, "seeds": [0], "distill": {"steps": 700}}),
        ("b.yaml", {"seeds": [1]}),
    ):
        Path(name).write_text(yaml.safe_dump(data))
    config = Experiment.load(["a.yaml", tmp_path / "b.yaml"], {"sizes": ["16"], "distill": {"steps": "800"}}).config
    assert (config.seeds, config.sizes, config.distill.steps) == ((1,), (16,), 800)
    with pytest.raises(UserError, match=r"^a\.yaml, b\.yaml, --config: seeds: 3: should be a list$"):
        Experiment.load(["a.yaml", "b.yaml"], {"seeds": 3})
