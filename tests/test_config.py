"""Bad configurations: each gives one line that names the path, the value and what is allowed."""

import copy
import re
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from obd.cli import main
from obd.config import Config
from obd.datasets.collect import CollectSettings
from obd.datasets.stage import DatasetSettings
from obd.distill import DistillSettings
from obd.errors import UserError
from obd.settings import describe, load_yaml
from obd.workflow import Experiment, command

REPOSITORY = Path(__file__).parents[1]
GOOD = {
    "tasks": {
        "hopper": {
            "dataset": {"source": "minari", "id": "mujoco/hopper/medium-v0"},
            "near_expert": {"algorithm": "iql", "steps": 10},
        },
        "own": {
            "dataset": {"source": "collect", "collection": "sac", "level": "medium"},
            "near_expert": {"algorithm": "td3_bc"},
        },
    },
    "collections": {"sac": {"env_id": "Hopper-v5", "levels": ["medium"]}},
    "distill": {"steps": 100},
    "whole_data": {},
    "overrides": [{"tasks": "own", "whole_data": {"policies": 3}}],
}

BAD = [
    # path to change, value, what the line says after "bad.yaml: "
    ("task", {}, "task: unknown key (did you mean 'tasks'?); allowed: card, collections, "),
    ("tasks", {}, "tasks: {}: Dictionary should have at least 1 item"),
    ("tasks", [], "tasks: []: should be an object"),
    (
        "tasks.hopper.data",
        {},
        "tasks.hopper.data: unknown key (did you mean 'dataset'?); allowed: dataset, ",
    ),
    ("tasks.hopper.dataset", {}, "tasks.hopper.dataset.source: missing; allowed: minari, d4rl, collect"),
    ("tasks.hopper.dataset.source", "rlds", 'tasks.hopper.dataset.source: "rlds": not known; allowed: minari, d4rl'),
    ("tasks.hopper.dataset.id", 3, "tasks.hopper.dataset.id: 3: should be a valid string"),
    ("tasks.hopper.dataset.id", "../../x-v0", 'tasks.hopper.dataset.id: "../../x-v0": String should match pattern'),
    ("tasks.hopper.dataset.file", "x", "tasks.hopper.dataset.file: unknown key; allowed: download, env_id, id, "),
    (
        "tasks.hopper.near_expert.algorithm",
        "cql",
        'tasks.hopper.near_expert.algorithm: "cql": not known; ',
    ),
    ("tasks.hopper.near_expert.expectile", 2, "tasks.hopper.near_expert.expectile: 2: should be less than 1"),
    ("tasks.hopper.near_expert.alpha", 2, "tasks.hopper.near_expert.alpha: unknown key; allowed: "),
    ("tasks.hopper.near_expert", None, "tasks.hopper.near_expert: missing; objective pbc needs one"),
    ("tasks.own.dataset.collection", "ppo", "tasks.own.dataset.collection: 'ppo': no such collection; allowed: sac"),
    ("tasks.own.dataset.level", "expert", "tasks.own.dataset.level: 'expert': sac does not make it; allowed: medium"),
    ("tasks.own.dataset.level", "best", "tasks.own.dataset.level: \"best\": should be 'random', 'medium', "),
    ("collections.sac.seed", -1, "collections.sac.seed: -1: should be greater than or equal to 0"),
    ("collections.sac.env", "x", "collections.sac.env: unknown key (did you mean 'env_id'?); allowed: batch_size, "),
    ("objectives", ["dbc", "sdw"], "objectives: 'sdw' is unknown; allowed: random, dbc, pbc, av_pbc, or one of"),
    ("objectives", [], "objectives: []: Tuple should have at least 1 item"),
    ("objectives", ["dbc", "dbc"], "objectives: 'dbc' stands there twice"),
    ("synset_sizes", [0], "synset_sizes[0]: 0: should be greater than or equal to 1"),
    ("synset_sizes", 256, "synset_sizes: 256: should be a valid array"),
    ("seeds", [0, 1, 0], "seeds: 0 stands there twice"),
    ("seeds", [0.5], "seeds[0]: 0.5: should be a valid integer"),
    ("seeds", ["0"], 'seeds[0]: "0": should be a valid integer'),
    ("seeds", [True], "seeds[0]: true: should be a valid integer"),
    ("random_seeds", [2, 2], "random_seeds: 2 stands there twice"),
    ("random_seeds", [-1], "random_seeds[0]: -1: should be greater than or equal to 0"),
    ("distill.step", 5, "distill.step: unknown key (did you mean 'steps'?); allowed: inner, outer, "),
    ("distill.steps", "many", 'distill.steps: "many": should be a valid integer'),
    ("distill.steps", 50, 'distill: {"steps": 50}: snapshot_every 100 is more than steps 50'),
    (
        "distill.outer.learning_rate",
        "1e-3",
        'distill.outer.learning_rate: "1e-3": should be a valid number; to YAML',
    ),
    ("distill.outer.learning_rate", 0, "distill.outer.learning_rate: 0: should be greater than 0"),
    ("distill.outer.optimizer", "lion", "distill.outer.optimizer: \"lion\": should be 'sgd' or 'adam'"),
    ("distill.outer.clip", float("inf"), "distill.outer.clip: Infinity: should be a finite number"),
    ("distill.inner", None, "distill.inner: null: should be an object"),
    ("overrides", [{"tasks": "walker*", "distill": {}}], "overrides[0].tasks: 'walker*' matches no task; allowed: "),
    (
        "overrides",
        [{"tasks": ["hop*", "x"]}],
        "overrides[0].tasks: 'x' matches no task; allowed: patterns of ",
    ),
    ("overrides", [{"objectives": ["bc"]}], "overrides[0].objectives[0]: \"bc\": should be 'random', "),
    ("overrides", [{"distil": {}}], "overrides[0].distil: unknown key (did you mean 'distill'?); allowed: distill, "),
    ("overrides", [{}, {"distill": {"stepz": 3}}], "overrides[1].distill.stepz: unknown key (did you mean 'steps'?); "),
    (
        "overrides",
        [{"distill": {"outer": {"clip": 0}}}],
        "overrides[0].distill.outer.clip: 0: should be greater",
    ),
    ("overrides", [{"distill": {"steps": 9}}], 'overrides[0].distill: {"steps": 9}: snapshot_every 100 is more than'),
    (
        "overrides",
        [{"evaluate": {"episodes": 0}}],
        "overrides[0].evaluate.episodes: 0: should be greater",
    ),
    ("overrides", [{"whole_data": {"clone": 3}}], "overrides[0].whole_data.clone: 3: should be an object"),
    ("whole_data", None, "overrides[0].whole_data: has no effect; whole_data itself is null"),
    ("synset_sizes", [16, 256], "report.table.n_pairs: null: there are several synset_sizes; allowed: 16, 256"),
    ("report.figure.n_pairs", 16, "report.figure.n_pairs: 16: not in synset_sizes; allowed: 256"),
    ("evaluate.clone.architecture", "mlp_9", "evaluate.clone.architecture: \"mlp_9\": should be 'mlp_2', 'mlp_3'"),
    ("evaluate.policies", 0, "evaluate.policies: 0: should be greater than or equal to 1"),
    ("whole_data", True, "whole_data: true: should be an object"),
    ("card.episodes", 0, "card.episodes: 0: should be greater than or equal to 1"),
    ("protocols", {"x": {"objectives": ["sdw"]}}, "protocols.x.objectives[0]: \"sdw\": should be 'random', 'dbc', "),
    ("protocols", {"x": {"objectives": ["dbc", "dbc"]}}, "protocols.x.objectives: 'dbc' stands there twice"),
    ("protocols", {"standard": {}}, "protocols.standard: is the project's own name for something else"),
    ("protocols", {"whole_data": {}}, "protocols.whole_data: is the project's own name for something else"),
    ("protocols", {"X": {}}, 'protocols.X: "X": String should match pattern'),
    ("protocols", {"x": {"policies": 3}}, "protocols.x.policies: unknown key; allowed: evaluate, objectives"),
    (
        "protocols",
        {"x": {"evaluate": {"clone": {"lr": 1}}}},
        "protocols.x.evaluate.clone.lr: unknown key; allowed: arch",
    ),
    ("protocols", {"x": {"evaluate": {"policies": 0}}}, "protocols.x.evaluate.policies: 0: should be greater than"),
    ("size_study", {}, "size_study.sizes: missing; it has no default"),
    (
        "size_study",
        {"sizes": [16], "tasks": "own", "evaluate": {"clone": 3}},
        "size_study.evaluate.clone: 3: should be",
    ),
    ("size_study", {"sizes": [16, 16]}, "size_study.sizes: 16 stands there twice"),
    ("size_study", {"sizes": [16], "tasks": "walker*"}, "size_study.tasks: 'walker*' matches no task; allowed: "),
    ("objectives", ["pbc_mine"], "objectives: 'pbc_mine': pbc has no variant 'mine'; allowed: none"),
    ("objectives", ["random_mine"], "objectives: 'random_mine': random has no variant 'mine'; allowed: none"),
    ("cost_repeats", 0, "cost_repeats: 0: should be greater than or equal to 1"),
    ("report.tables", ["table_9"], "report.tables[0]: \"table_9\": should be 'table_1'"),
    ("report.figures", ["figure_1", "figure_1"], "report.figures: 'figure_1' stands there twice"),
    ("report.table.digits", 9, "report.table.digits: 9: should be less than or equal to 4"),
    ("report.figure.dip", 9, "report.figure.dip: unknown key (did you mean 'dpi'?); allowed: bootstrap_samples, "),
]
NAMES = ["Hopper", "hopper-medium", "hopper__medium", "1st", "../hopper", "a b", "$(touch x)", "a/b", "", "_a"]


def bad(path, value):
    config = copy.deepcopy(GOOD)
    *parents, last = path.split(".")
    here = config
    for key in parents:
        here = here.setdefault(key, {})
    here[last] = value
    return config


def test_the_good_one_is_good():
    Config.parse(GOOD, "good.yaml")


@pytest.mark.parametrize(("path", "value", "line"), BAD, ids=[f"{path}={str(value)[:30]}" for path, value, _ in BAD])
def test_bad_values(path, value, line):
    with pytest.raises(UserError) as error:
        Config.parse(bad(path, value), "bad.yaml")
    assert str(error.value).startswith(f"bad.yaml: {line}")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("section", ["tasks", "collections"])
def test_bad_names(section, name):
    config = copy.deepcopy(GOOD)
    config[section][name] = next(iter(config[section].values()))
    with pytest.raises(
        UserError, match=re.escape(f'bad.yaml: {section}.{name}: "{name}": String should match pattern')
    ):
        Config.parse(config, "bad.yaml")


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("tasks: [", "is not YAML"),
        ("- tasks", "holds list; a mapping of keys to values is needed"),
        ("", "holds NoneType; a mapping"),
        ("tasks: !!python/object/apply:os.system ['touch marker']", "is not YAML (could not determine a constructor"),
        ("seeds: [2026-01-01]\ntasks: {}", "holds a value that is not plain data"),
        ("seeds: [1]\nseeds: [2]\ntasks: {}", "is not YAML (found the key 'seeds' twice"),
    ],
)
def test_bad_files(tmp_path, monkeypatch, capsys, text, line):
    monkeypatch.chdir(tmp_path)
    Path("bad.yaml").write_text(text)
    with pytest.raises(SystemExit) as end:
        main(["check", "bad.yaml"])
    assert end.value.code == 2
    said = capsys.readouterr().err
    assert said.startswith(f"error: bad.yaml: {line}")
    assert said.count("\n") == 1
    assert not Path("marker").exists()


@pytest.mark.parametrize("before", [[], [str(REPOSITORY / "config.yaml")]], ids=["alone", "laid over another"])
def test_a_missing_file(before, capsys):
    with pytest.raises(SystemExit):
        main(["check", *before, "nowhere.yaml"])
    assert capsys.readouterr().err == "error: nowhere.yaml: cannot be read (No such file or directory)\n"


@pytest.mark.parametrize(
    ("name", "jobs"), [("config.yaml", 96), ("config/paper.yaml", 1124), ("config/paper.yaml config/fast.yaml", 1124)]
)
def test_the_projects_own_configurations(name, jobs, monkeypatch):
    monkeypatch.chdir(REPOSITORY)
    result = CliRunner().invoke(command, name.split())
    assert result.exit_code == 0
    assert result.output.startswith(f"OK: {name.replace(' ', ', ')}: {jobs} jobs: dataset ")


@pytest.mark.parametrize("name", ["config.yaml", "config/paper.yaml", "config/fast.yaml"])
def test_every_key_has_a_comment(name):
    """On its line or above it; tasks and their datasets are explained where the list of tasks begins."""
    task = re.compile(r"  (halfcheetah|hopper|walker2d)_\w+:$|    dataset: \{")
    lines = (REPOSITORY / name).read_text().splitlines()
    for above, line in zip(["", *lines], lines, strict=False):
        if re.match(r" *[a-z0-9_]+:", line) and not task.match(line):
            assert "#" in line or above.lstrip().startswith("#"), line


def test_the_fast_configuration_changes_the_distillation_only():
    """Whatever the task and the objective, it is the default recipe; the rest is the paper's."""
    files = [REPOSITORY / "config/paper.yaml", REPOSITORY / "config/fast.yaml"]
    theirs, ours = (Experiment.load(chosen).config for chosen in (files[:1], files))
    default = DistillSettings(steps=500, snapshot_every=50).model_dump()
    for task in ours.tasks:
        assert ours.whole_data_settings(task) == theirs.whole_data_settings(task)
        for objective in ours.objectives:
            assert ours.distill_settings(task, objective).model_dump() == default
    same = {"distill": None, "overrides": ()}
    assert ours.model_copy(update=same) == theirs.model_copy(update=same)


def test_the_default_configuration_names_every_key():
    """So that reading it is enough to know what can be set."""
    written = yaml.safe_load((REPOSITORY / "config.yaml").read_text())
    full = Config.parse(written, "config.yaml").model_dump(mode="json")

    def missing(full, written, path=""):
        for key, value in full.items():
            if key not in written:
                yield f"{path}{key}"
            elif isinstance(value, dict) and isinstance(written[key], dict):
                yield from missing(value, written[key], f"{path}{key}.")

    # what depends on the source and the algorithm is listed by `obd dataset --help` and `obd near-expert --help`
    assert [key for key in missing(full, written) if not key.startswith("tasks.")] == []


def test_costs_need_whole_data():
    with pytest.raises(UserError, match=r"cost_repeats: 5: there is nothing to compare with; whole_data is null"):
        Config.parse({**GOOD, "whole_data": None, "overrides": [], "cost_repeats": 5}, "bad.yaml")


def test_protocols_are_laid_over_overrides():
    protocols = {"big": {"objectives": ["pbc"], "evaluate": {"episodes": 3, "clone": {"architecture": "mlp_6"}}}}
    overrides = [{"tasks": "own", "evaluate": {"episodes": 7, "clone": {"steps": 9}}}]
    config = Config.parse({**GOOD, "protocols": protocols, "overrides": overrides}, "good.yaml")
    settings = config.evaluate_settings("own", "pbc", "big")
    assert (settings.episodes, settings.clone.steps, settings.clone.architecture) == (3, 9, "mlp_6")
    assert config.evaluate_settings("own", "pbc").episodes == 7
    assert config.evaluate_settings("hopper", "pbc", "big").clone.steps == 100
    assert config.protocols_of("pbc", 256) == ["standard", "big"]
    assert config.protocols_of("dbc", 256) == ["standard"]


def test_the_papers_settings():
    config = Config.parse(load_yaml(REPOSITORY / "config/paper.yaml"), "paper.yaml")
    steps = {
        (task.split("_")[0], objective): config.distill_settings(task, objective).steps
        for task in config.tasks
        for objective in ("dbc", "pbc", "av_pbc")
    }
    assert steps == {
        **{("halfcheetah", "dbc"): 200_000, ("halfcheetah", "pbc"): 200_000, ("halfcheetah", "av_pbc"): 50_000},
        **{("walker2d", "dbc"): 200_000, ("walker2d", "pbc"): 200_000, ("walker2d", "av_pbc"): 50_000},
        **{("hopper", "dbc"): 50_000, ("hopper", "pbc"): 50_000, ("hopper", "av_pbc"): 20_000},
    }
    outer = config.distill.outer
    assert (outer.optimizer, outer.learning_rate, outer.momentum, outer.clip) == ("sgd", 0.1, 0.9, 2.0)
    assert config.report.table.last_snapshots == 5
    paper = config.table_settings().paper_datasets
    assert {task: task.replace("_", "-", 1).replace("_", "-") for task in config.tasks} == paper


def test_help_says_what_is_allowed():
    lines = {line.split()[0]: line.partition("  (")[2].partition(")  ")[0] for line in describe(DistillSettings)}
    assert lines["steps"] == "default 1000; >= 1"
    assert lines["outer.optimizer"] == 'default "adam"; one of sgd, adam'
    assert lines["outer.average"] == "default 0.15; >= 0; <= 1"
    assert lines["outer.clip"] == "default null; > 0"
    assert "level  (required; one of random, medium, " in "\n".join(describe(DatasetSettings))
    assert 'levels  (default ["random", ' in "\n".join(describe(CollectSettings))
    assert "; one of random, medium, " in "\n".join(describe(CollectSettings))
