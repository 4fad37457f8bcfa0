"""What Snakemake runs, and what it runs again: the real Snakefile with stages that only pretend."""

import copy
import os
import re
import resource
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from helpers.configurations import changed
from helpers.workflow_copy import CONFIG, REPOSITORY, WorkflowCopy, write_inputs
from obdistill.core import sources

# what is made from the returns: tables 1, aggregates and variance; all figures but figure_2
RETURNS = {"gather": 1, "table": 3, "figure_data": 4, "figure": 4, "summary": 1}
REPORT = {**RETURNS, "figure_data": 5, "figure": 5}  # also figure_2, which shows the synsets of av_pbc, seed 0
PAPER = {**REPORT, "table": 4}  # also table_4, which is made from costs
GATHERED = {rule: count for rule, count in PAPER.items() if rule != "gather"}
ALL = {
    **{
        "collect": 1,
        "dataset": 2,
        "near_expert": 2,
        "evaluate_near_expert": 2,
        "select": 4,
        "distill": 8,
        "evaluate": 12,
    },
    **{"evaluate_whole_data": 2, "cost": 2, **PAPER},
}


def test_a_first_run_makes_everything_and_a_second_nothing(finished, tmp_path):
    fresh = finished.duplicate(tmp_path / "copy")
    for folder in ("results", ".snakemake"):
        subprocess.run(["rm", "-r", fresh.folder / folder], check=True)
    assert fresh.planned().counts == ALL
    again = finished.snakemake()
    assert again.code == 0
    assert "Nothing to be done" in again.text
    for job in (
        "collections/own",
        "evaluations/first/near_expert/near_expert",
        "synsets/first/dbc/default/size8/seed1",
    ):
        assert (finished.folder / f"timings/{job}.tsv").is_file(), job


@pytest.mark.parametrize(
    ("target", "rules"),
    [
        ("datasets", ["collect", "dataset"]),
        ("near_experts", ["collect", "dataset", "near_expert"]),
        ("synsets", ["collect", "dataset", "near_expert", "select", "distill"]),
        ("evaluations", [rule for rule in ALL if rule not in PAPER]),
        ("tables", [rule for rule in ALL if rule not in ("figure_data", "figure", "summary")]),
        ("figures", [rule for rule in ALL if rule not in ("table", "cost", "summary")]),
        ("paper", list(ALL)),
    ],
)
def test_a_named_target_stops_after_its_stage(tmp_path, target, rules):
    workflow = WorkflowCopy.make(tmp_path / "copy", changed(CONFIG, "tasks.first.dataset.download", True))
    (workflow.folder / "data").mkdir()
    (workflow.folder / "data/checkpoint.npz").write_text("data")
    assert workflow.planned(target).counts == {rule: ALL[rule] for rule in rules}


def test_a_run_that_makes_table_1_ends_with_it(workflow):
    table = workflow.folder / "results/paper/table_1.md"
    table.unlink()
    run = workflow.snakemake("tables")
    assert run.code == 0, run.text
    assert f"{table.read_text().strip()}\n\nTables and figures: results/paper/." in run.text


def test_touching_sources_and_reordering_keys_reruns_nothing(workflow):
    def turned(value):
        return {key: turned(value[key]) for key in reversed(value)} if isinstance(value, dict) else value

    workflow.write_config(turned(CONFIG))
    later = time.time() + 60
    for file in [*workflow.folder.rglob("*.py"), *workflow.folder.rglob("*.smk"), workflow.folder / "Snakefile"]:
        os.utime(file, (later, later))
    assert workflow.planned().counts == {}


@pytest.mark.parametrize(
    ("module", "reruns"),
    [
        ("paper/figures/style", {"figure": 5}),  # colors
        ("paper/figures/make", {"figure": 5}),  # captions
        ("paper/figure_data/poses", {"figure_data": 1, "figure": 1}),
        ("paper/figure_data/curves", {"figure_data": 5, "figure": 5, "summary": 1}),
        ("paper/tables/scores", {"table": 4, "summary": 1}),
        ("paper/statistics/intervals", GATHERED),
        ("paper/names", GATHERED),
        ("paper/gather", PAPER),
        ("paper/summary", {"summary": 1}),
        ("core/methods", GATHERED),  # names in tables; what a method needs shows in its jobs' inputs and settings
        ("evaluations/cost", {"cost": 2, "table": 1}),
        ("evaluations/near_expert", {"evaluate_near_expert": 2, **RETURNS}),
        (
            "evaluations/stage",
            {"evaluate_near_expert": 2, "evaluate": 12, "evaluate_whole_data": 2, **RETURNS},
        ),
        ("synsets/stage", {"select": 4, "distill": 8, "evaluate": 12, "cost": 2, **PAPER}),
        # one task's algorithm: its near-expert, and the two synsets that use it
        ("near_experts/td3_bc", {"near_expert": 1, "evaluate_near_expert": 1, "distill": 2, "evaluate": 2, **REPORT}),
        ("near_experts/corl", {"near_expert": 1, "evaluate_near_expert": 1, "distill": 2, "evaluate": 2, **REPORT}),
        ("core/units", ALL),
    ],
)
def test_editing_a_module_reruns_the_stages_that_use_it(workflow, module, reruns):
    workflow.edit(f"src/obdistill/{module}.py")
    assert workflow.planned().counts == reruns


def test_editing_machinery_reruns_nothing(workflow):
    """Commands, messages, logs, locks, reading of settings; and an algorithm that no task uses."""
    package = workflow.folder / "src/obdistill"
    machinery = {name for name in sources._graph("obdistill").modules if sources.is_machinery(name)}
    named = {"obdistill", "obdistill.core.methods"}  # the latter is a source of tables and figures
    files = [package.parent.joinpath(*name.split(".")).with_suffix(".py") for name in machinery - named]
    for file in [*files, package / "__init__.py", package / "cli.py", *package.glob("experiment/*.py")]:
        workflow.edit(str(file.relative_to(workflow.folder)))
    for unused in ("near_experts/iql", "datasets/d4rl", "paper/__init__"):
        workflow.edit(f"src/obdistill/{unused}.py")
    assert len(files) > 15
    assert workflow.planned().counts == {}


@pytest.mark.parametrize(
    ("path", "value", "reruns"),
    [
        ("report.table.digits", 2, {"table": 4, "summary": 1}),
        ("cost_repeats", 3, {"cost": 2, "table": 1}),
        ("report.figure.dpi", 100, {"figure": 5}),
        ("report.figure.confidence", 0.9, {"figure_data": 5, "figure": 5, "summary": 1}),
        ("near_expert_evaluation.episodes", 12, {"evaluate_near_expert": 2, **RETURNS}),
        ("evaluate.episodes", 3, {"evaluate": 12, **RETURNS}),
        ("whole_data.episodes", 3, {"evaluate_whole_data": 2, **RETURNS}),
        ("distill.outer.learning_rate", 0.5, {"distill": 8, "evaluate": 8, **REPORT}),  # not the random selections
        ("distill.weighting.critic", "first", {"distill": 4, "evaluate": 4, **REPORT}),  # av_pbc only
        (
            "overrides",
            [{"tasks": "sec*", "methods": ["dbc"], "distill": {"steps": 30}}],
            {"distill": 2, "evaluate": 2, **RETURNS},
        ),
        (
            "tasks.first.near_expert.steps",
            20,
            {"near_expert": 1, "evaluate_near_expert": 1, "distill": 2, "evaluate": 2, **REPORT},
        ),
        (
            "collections.own.seed",
            4,
            {
                **{"collect": 1, "dataset": 1, "near_expert": 1, "evaluate_near_expert": 1, "select": 2, "distill": 4},
                **{"evaluate": 6, "evaluate_whole_data": 1, "cost": 1, **PAPER},
            },
        ),
    ],
)
def test_changing_a_setting_reruns_what_it_is_for(workflow, path, value, reruns):
    workflow.write_config(changed(CONFIG, path, value))
    assert workflow.planned().counts == reruns


def test_adding_a_seed_runs_that_seed_only(workflow):
    answer = workflow.planned("--config", "seeds=[0, 1, 2]")
    assert answer.counts == {"select": 2, "distill": 4, "evaluate": 6, **RETURNS}
    assert all("/seed2/" in path or path.startswith("results/paper/") for path in answer.outputs)


def test_adding_a_protocol_runs_its_evaluations_only(workflow):
    other = {"methods": ["av_pbc"], "evaluate": {"bc": {"architecture": "mlp_2"}}}
    workflow.write_config(changed(CONFIG, "protocols", {"other": other}))
    answer = workflow.planned()
    assert answer.counts == {"evaluate": 4, **RETURNS, "table": 4}  # table_2 is new
    assert all("/other.csv" in path or path.startswith("results/paper/") for path in answer.outputs)
    assert answer.text.count('"architecture":"mlp_2"') == 4


def test_adding_sizes_runs_those_sizes_only(workflow):
    workflow.write_config(changed(CONFIG, "size_study", {"sizes": [4], "tasks": "first"}))
    answer = workflow.planned()
    # table_5 and synset_size are new
    assert answer.counts == {"distill": 2, "evaluate": 2, **RETURNS, "table": 4, "figure_data": 5, "figure": 5}
    assert {"results/paper/synset_size.png", "results/paper/table_5.csv"} < set(answer.outputs)
    made = [path for path in answer.outputs if not path.startswith("results/paper/")]
    assert all("/first/av_pbc/default/size4/" in path for path in made)


def test_error_curves_are_made_before_synsets_and_again_only_for_what_they_use(workflow):
    """The figure is drawn again in each case; the curve needs no synset, the synsets' errors need no curve."""
    figure = {"figure_data": 1, "figure": 1}
    workflow.write_config(changed(CONFIG, "error_curve", {}))
    assert workflow.planned("error_curves").counts == {"error_curve": 2}
    assert workflow.planned().counts == {"error_curve": 2, "synset_errors": 2, **figure}
    assert workflow.snakemake("--quiet").code == 0
    assert workflow.planned().counts == {}
    with_seed = {"select": 2, "distill": 4, "evaluate": 6, "synset_errors": 2, **RETURNS, "figure_data": 5, "figure": 5}
    assert workflow.planned("--config", "seeds=[0, 1, 2]").counts == with_seed
    workflow.write_config(changed(CONFIG, "error_curve", {"episodes": 3}))
    assert workflow.planned().counts == {"error_curve": 2, **figure}
    workflow.write_config(changed(CONFIG, "error_curve", {}))
    workflow.edit("src/obdistill/paper/figure_data/error_curve.py")
    assert workflow.planned().counts == figure
    workflow.edit("src/obdistill/evaluations/synset_errors.py")
    assert workflow.planned().counts == {"synset_errors": 2, **figure}
    workflow.edit("src/obdistill/evaluations/error_curve.py")
    assert workflow.planned().counts == {"error_curve": 2, "synset_errors": 2, **figure}


def test_a_lost_or_replaced_file_is_noticed(workflow):
    (workflow.folder / "results/synsets/first/dbc/default/size8/seed1/synset.json").unlink()
    assert workflow.planned().counts == {"distill": 1, "evaluate": 1, **RETURNS}
    (workflow.folder / "data/checkpoint.npz").write_text("other weights")
    assert workflow.planned("near_experts").counts == {"near_expert": 1}


def test_random_and_dbc_need_no_near_expert(tmp_path):
    config = changed(CONFIG, "methods", ["random", "dbc"])
    del config["tasks"]["second"]
    config["tasks"]["first"] = {"dataset": {"source": "minari", "id": "obd/first-v0"}}
    workflow = WorkflowCopy.make(tmp_path / "copy", config)
    assert workflow.planned().counts == {
        **{"dataset": 1, "select": 2, "distill": 2, "evaluate": 4, "evaluate_whole_data": 1, "cost": 1, **PAPER}
    }


def test_a_selection_needs_the_near_expert_where_its_method_does(tmp_path):
    methods = ["random", "random_relabeled", "top_return", "k_center", "dual_ranking"]
    workflow = WorkflowCopy.make(tmp_path / "copy", changed(CONFIG, "methods", methods))
    write_inputs(workflow)
    planned = workflow.planned("synsets")
    assert planned.counts == {"collect": 1, "dataset": 2, "near_expert": 2, "select": 20}
    commands = [line for line in planned.text.splitlines() if "obd select" in line]
    needy = [line for line in commands if "--near-expert results/near_experts/" in line]
    found = {line.partition("--method ")[2].split()[0] for line in needy}
    assert found == {"random_relabeled", "k_center", "dual_ranking"}
    assert (len(commands), len(needy)) == (20, 12)
    workflow.write_config(changed(CONFIG, "methods", ["random", "top_return"]))
    assert "near_expert" not in workflow.planned("synsets").counts


def test_only_distillations_and_near_experts_use_a_gpu(finished):
    devices = ["--forceall", "--set-resources", "distill:device=cuda", "near_expert:device=cuda"]
    commands = [line for line in finished.planned(*devices).text.splitlines() if "--device cuda" in line]
    assert len(commands) == ALL["distill"] + ALL["near_expert"]
    assert not any("obd select" in command for command in commands)


def test_another_configfile_replaces_the_default(workflow):
    other = changed(CONFIG, "tasks", {"third": {"dataset": {"source": "minari", "id": "obd/third-v0"}}})
    workflow.write_config({**other, "methods": ["random"], "collections": {}}, "other.yaml")
    answer = workflow.planned("synsets", "--configfile", "other.yaml")
    assert answer.counts == {"dataset": 1, "select": 2}
    assert all("third" in path for path in answer.outputs)
    # and --config goes on top of it
    assert workflow.planned("synsets", "--configfile", "other.yaml", "--config", "seeds=[7]").counts["select"] == 1


@pytest.mark.parametrize(
    ("path", "value", "line"),
    [
        ("distil", {}, "error: config.yaml: distil: unknown key (did you mean 'distill'?); allowed: "),
        ("distill.steps", -1, "error: config.yaml: distill.steps: -1: should be greater than or equal to 1"),
        ("seeds", [0, 0], "error: config.yaml: seeds: 0 is listed twice; list each value once"),
    ],
)
def test_a_bad_configuration_is_one_line(workflow, path, value, line):
    workflow.write_config(changed(CONFIG, path, value))
    answer = workflow.snakemake("--dry-run")
    assert answer.code != 0
    said = [text for text in answer.text.splitlines() if not text.startswith("Using workflow specific profile")]
    assert len(said) == 1, answer.text
    assert said[0].startswith(line)


def test_names_cannot_leave_their_place(workflow):
    for target in (
        "results/datasets/third/dataset.npz",
        "results/paper/table_9.csv",
        "results/datasets/../x/dataset.npz",
    ):
        answer = workflow.snakemake("--dry-run", f"results/{target}")
        assert answer.code != 0
        assert "MissingRuleException" in answer.text


def test_the_papers_grid(tmp_path):
    """Through the real command, as a user types it: 15 s is the limit, of processor time as others may be busy here."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "-m", "snakemake", "-n", "--quiet", "rules", "--configfile", "config/paper.yaml"]
    run = subprocess.run(
        [*command, "--directory", tmp_path], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 15
    lines = [line.split() for line in (run.stdout + run.stderr).splitlines()]
    assert {words[0]: int(words[1]) for words in lines if len(words) == 2 and words[1].isdecimal()} == {
        **{
            "dataset": 9,
            "near_expert": 9,
            "evaluate_near_expert": 9,
            "select": 9 * 10,
            "distill": 9 * 3 * 5 + 3 * 4 * 5,
        },
        # Table 1, the sizes of Table 5, the protocols of Table 2, the ensembles of Table 3
        **{"evaluate": 9 * (3 * 5 + 10) + 3 * 4 * 5 + 9 * 8 * 5 + 9 * 3 * 5, "evaluate_whole_data": 9, "cost": 9},
        **{"gather": 1, "table": 7, "figure_data": 6, "figure": 6, "summary": 1, "all": 1, "total": 1132},
    }


def test_datasets_are_shared_between_workflows(finished, tmp_path):
    """By Snakemake's cache, which does not look at wildcards: two tasks that differ in name only are two datasets."""
    config = copy.deepcopy(CONFIG)
    config["tasks"] = {"first": config["tasks"]["first"], "twin": config["tasks"]["first"]}
    (tmp_path / "cache").mkdir()
    made = []
    for name in ("one", "two"):
        workflow = finished.duplicate(tmp_path / name)
        for folder in ("results", ".snakemake"):
            subprocess.run(["rm", "-r", workflow.folder / folder], check=True)
        workflow.write_config(config)
        command = [sys.executable, "-m", "snakemake", "near_experts", "--cache", "dataset", "near_expert"]
        environment = {**os.environ, "SNAKEMAKE_OUTPUT_CACHE": str(tmp_path / "cache"), "PYTHONPATH": "src"}
        run = subprocess.run(command, cwd=workflow.folder, env=environment, capture_output=True, text=True, check=True)
        assert run.stderr.count("to cache") == (8 if name == "one" else 0), run.stderr
        files = [file for file in workflow.folder.glob("results/*/*/*.*") if file.is_symlink()]
        made.append({file.relative_to(workflow.folder): file.read_bytes() for file in files})
        assert workflow.planned("near_experts").counts == {}
    assert len(made[0]) == 8
    datasets = [made[0][Path(f"results/datasets/{task}/dataset.npz")] for task in ("first", "twin")]
    assert datasets[0] != datasets[1]
    assert made[0] == made[1]


def test_lint(finished):
    answer = finished.snakemake("--lint")
    assert answer.code == 0, answer.text


def test_format():
    command = [Path(sys.executable).with_name("snakefmt"), "--check", "Snakefile", "workflow"]
    run = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr


def test_every_rule_states_log_benchmark_and_resources():
    for file in (REPOSITORY / "workflow/rules").glob("*.smk"):
        for rule in file.read_text().split("\nrule ")[1:]:
            if "shell:" in rule:
                for part in ("log:", "threads:", "mem_mb=", "runtime=", "message:", "conda:"):
                    assert part in rule, (rule.split(":")[0], part)
                # Snakemake's cache takes no rule with a benchmark
                assert ("\n    benchmark:" in rule) != rule.startswith(("dataset:", "near_expert:"))


def test_profiles_hold_options_that_snakemake_knows():
    command = [sys.executable, "-m", "snakemake", "--help"]
    known = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    for profile in ("default", "slurm"):
        options = yaml.safe_load((REPOSITORY / f"profiles/{profile}/config.yaml").read_text())
        assert [option for option in options if f"--{option}" not in known] == []


def test_a_command_does_not_grow_with_the_grid_and_a_dry_run_leaves_its_list_alone(workflow):
    lists = []
    for seeds in ([0, 1, 2], list(range(40))):
        workflow.write_config({**CONFIG, "seeds": seeds})
        planned = workflow.planned()
        command = next(line for line in planned.text.splitlines() if "obd gather" in line)
        assert len(command) < 500
        name = re.search(r"--from (\S+)", command)[1]
        lists.append((workflow.folder / name).read_text().splitlines())
        assert sum("/dbc/" in path for path in lists[-1]) == 2 * len(seeds)
    assert len(set((workflow.folder / ".snakemake/inputs").iterdir())) >= 2
