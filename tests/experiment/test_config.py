"""Bad configurations: each gives one line that names the path, the value and what is allowed."""

import copy
import re
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from helpers.configurations import BAD, GOOD, OLD, TASK, bad
from obdistill.cli import main
from obdistill.core.declarations import describe, keys
from obdistill.core.errors import UserError
from obdistill.core.parsing import load_yaml
from obdistill.datasets.settings import CollectSettings, DatasetSettings
from obdistill.evaluations.settings import CostSettings
from obdistill.experiment.command import check
from obdistill.experiment.config import Config
from obdistill.experiment.jobs import Experiment
from obdistill.experiment.settings import ExperimentSettings
from obdistill.synsets.settings import PROTOCOL, DistillSettings

REPOSITORY = Path(__file__).parents[2]
OWN = ["paper", "recipe", "fast", "rebrac", "published", "robots"]  # in config/

# ten lists, each of ten times the one before
BOMB = "a0: &a0 1\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 11))
NAMES = ["Hopper", "hopper-medium", "hopper__medium", "1st", "../hopper", "a b", "$(touch x)", "a/b", "", "_a"]


def test_the_good_one_is_good():
    Config.parse(GOOD, "good.yaml")


@pytest.mark.parametrize(("path", "value", "line"), BAD, ids=[f"{path}={str(value)[:30]}" for path, value, _ in BAD])
def test_bad_values(path, value, line):
    with pytest.raises(UserError) as error:
        Config.parse(bad(path, value), "bad.yaml")
    assert str(error.value).startswith(f"bad.yaml: {line}")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(("path", "value", "line"), OLD, ids=[path for path, _, _ in OLD])
def test_earlier_names_are_told_the_new_one(path, value, line):
    with pytest.raises(UserError, match=f"^{re.escape(f'bad.yaml: {line}')}$"):
        Config.parse(bad(path, value), "bad.yaml")


def test_all_problems_are_told_at_once():
    """Also those of parts that do not fit together, unless they are about a value that is refused already."""
    wrong = {**GOOD, "sedes": [1], "sizes": [0, 64, "x"], "methods": ["dbc", "dbc"], "protocols": {"standard": {}}}
    wrong["distill"] = {"stepz": 1, "outer": {"clip": 0}}
    wrong["overrides"] = [{"tasks": "hop", "evaluate": {"episodes": 0}}, {"evaluate": {"bc": {"lr": 1}}}]
    wrong["report"] = {"table": {"size": 16}}
    with pytest.raises(UserError) as error:
        Config.parse(wrong, "bad.yaml")
    keys = [line.split(": ")[1] for line in str(error.value).splitlines()]
    assert sorted(keys) == [
        "distill.outer.clip",
        "distill.stepz",
        "methods",
        "overrides[0].tasks",
        "overrides[1].evaluate.bc.lr",
        "protocols.standard",
        "sedes",
        "sizes[0]",
        "sizes[2]",
    ]


@pytest.mark.parametrize("key", ["objectives", "method"])
def test_nothing_follows_from_the_default_of_a_key_that_was_meant(key):
    """All methods are the default of `methods`; here none that needs a near-expert was asked for."""
    wrong = {"tasks": {"hopper": {"dataset": TASK["dataset"]}}, key: ["random"]}
    with pytest.raises(UserError, match=f"^bad.yaml: {key}: unknown key[^\n]*$"):
        Config.parse(wrong, "bad.yaml")


def test_the_command_prints_all_problems(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    data = {**GOOD, "sedes": [1], "sizes": 3, "cost_repeats": 0, "protocols": {"standard": {}}}
    Path("bad.yaml").write_text(yaml.safe_dump(data))
    with pytest.raises(SystemExit) as end:
        main(["check", "bad.yaml"])
    assert end.value.code == 2
    assert capsys.readouterr().err.splitlines() == [
        "error: bad.yaml: sedes: unknown key (did you mean 'seeds'?); allowed: "
        + ", ".join(sorted(Config.model_fields)),
        "error: bad.yaml: sizes: 3: should be a list",
        "error: bad.yaml: cost_repeats: 0: should be greater than or equal to 1",
        "error: bad.yaml: protocols.standard: is the project's own name for something else; choose another name",
    ]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("section", ["tasks", "collections"])
def test_bad_names(section, name):
    config = copy.deepcopy(GOOD)
    config[section][name] = next(iter(config[section].values()))
    with pytest.raises(
        UserError, match=re.escape(f"bad.yaml: {section}.{name}: is not a name; a name is lower-case words and digits")
    ):
        Config.parse(config, "bad.yaml")


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("tasks: [", "is not YAML (expected the node content, but found '<stream end>', line 1, column 9)"),
        ("- tasks", "holds a list; a mapping of keys to values is needed"),
        ("", "holds nothing; a mapping"),
        ("tasks: !!python/object/apply:os.system ['touch marker']", "is not YAML (could not determine a constructor"),
        ("seeds: [1]\nseeds: [2]\ntasks: {}", 'is not YAML (found duplicate key "seeds", line 2, column 1)'),
        ("seeds: &a [*a]", "holds a value that is not plain data (Circular reference detected)"),
        ("? [1, 2]\n: 3", "holds a value that is not plain data (keys must be str, int, float, bool or None"),
        ("seeds: !!binary aGVsbG8=", "holds a value that is not plain data (bytes b'hello')"),
        ("seeds: " + "[" * 1000, "is not YAML (maximum recursion depth exceeded"),
        (BOMB, "holds 12345679012 values with all its aliases; at most 100000 are read"),
        ("seeds: !!int", "is not YAML (string index out of range)"),
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


@pytest.mark.parametrize("before", [[], [str(REPOSITORY / "config.yaml")]], ids=["alone", "after another"])
def test_a_missing_file(before, capsys):
    with pytest.raises(SystemExit):
        main(["check", *before, "nowhere.yaml"])
    assert capsys.readouterr().err == "error: nowhere.yaml: cannot be read (No such file or directory)\n"


@pytest.mark.parametrize(
    ("name", "jobs"),
    [
        ("config.yaml", 106),
        ("config/paper.yaml", 1131),
        ("config/paper.yaml config/fast.yaml", 1131),
        ("config/paper.yaml config/fast.yaml config/rebrac.yaml", 1131),
        ("config/published.yaml", 492),
        ("config/robots.yaml", 843),
        ("config/av_pbc.yaml", 496),
    ],
)
def test_the_projects_own_configurations(name, jobs, monkeypatch):
    monkeypatch.chdir(REPOSITORY)
    result = CliRunner().invoke(check, name.split())
    assert result.exit_code == 0
    assert result.output.startswith(f"OK: {name.replace(' ', ', ')}: {jobs} jobs: dataset ")


@pytest.mark.parametrize("name", ["config.yaml", "config/robots.yaml"])
def test_the_project_protocol_is_one(name):
    config = Experiment.load([REPOSITORY / name]).config
    settings = config.distill_settings("halfcheetah_medium", "av_pbc")
    assert (settings.inner, settings.outer) == (PROTOCOL.inner, PROTOCOL.outer)
    bc = config.evaluate_settings("halfcheetah_medium", "av_pbc").bc.model_dump()
    assert {key: bc[key] for key in PROTOCOL.inner.model_dump()} == PROTOCOL.inner.model_dump()


@pytest.mark.parametrize("name", ["config.yaml", *(f"config/{name}.yaml" for name in OWN)])
def test_every_key_at_the_top_is_explained(name):
    lines = (REPOSITORY / name).read_text().splitlines()
    for above, line in zip(["", *lines], lines, strict=False):
        if re.match(r"[a-z_]+:", line):
            assert "#" in line or above.startswith("#"), line


def test_the_fast_configuration_changes_the_distillation_only():
    """Whatever the task and the method, it is the default recipe; the rest is the paper's."""
    files = [REPOSITORY / "config/paper.yaml", REPOSITORY / "config/fast.yaml"]
    theirs, ours = (Experiment.load(chosen).config for chosen in (files[:1], files))
    default = DistillSettings(steps=500, snapshot_every=50).model_dump()
    for task in ours.tasks:
        assert ours.whole_data_settings(task) == theirs.whole_data_settings(task)
        for method in ours.methods:
            assert ours.distill_settings(task, method).model_dump() == default
    same = {"distill": None, "overrides": ()}
    assert ours.model_copy(update=same) == theirs.model_copy(update=same)


def test_the_grid_with_rebrac_changes_the_near_experts_only():
    files = [REPOSITORY / "config/paper.yaml", REPOSITORY / "config/rebrac.yaml"]
    theirs, ours = (Experiment.load(chosen).config for chosen in (files[:1], files))
    penalties = {}
    for name, task in ours.tasks.items():
        assert task.dataset == theirs.tasks[name].dataset
        rebrac = task.near_expert.root
        penalties[name] = rebrac.actor_penalty, rebrac.critic_penalty
        chosen = {"algorithm": "rebrac", "actor_penalty": rebrac.actor_penalty, "critic_penalty": rebrac.critic_penalty}
        assert rebrac == type(rebrac)(**chosen), "the rest is the algorithm's default"
    assert penalties["hopper_medium_replay"] == (0.05, 0.5)
    assert len(set(penalties.values())) == 8  # two sets have the same
    assert ours.model_copy(update={"tasks": None}) == theirs.model_copy(update={"tasks": None})


def test_the_published_near_experts_are_pinned_and_the_rest_is_the_fast_grid():
    files = [REPOSITORY / "config" / name for name in ("paper.yaml", "fast.yaml", "published.yaml")]
    fast, ours = (Experiment.load(chosen).config for chosen in (files[:2], files[2:]))
    for name, task in ours.tasks.items():
        published, file = task.near_expert.root, task.dataset.root.file
        assert published.checkpoint.endswith(f"/Cal-QL-{file}/checkpoint.pt")
        assert task.dataset == fast.tasks[name].dataset
        assert ours.whole_data_settings(name) == fast.whole_data_settings(name)
        for method in ours.methods:
            assert ours.evaluate_settings(name, method) == fast.evaluate_settings(name, method)
            assert ours.distill_settings(name, method) == fast.distill_settings(name, method)
    assert ours.tasks.keys() == fast.tasks.keys()
    assert len({task.near_expert.root.sha256 for task in ours.tasks.values()}) == 9


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


def test_error_curves_need_a_near_expert():
    tasks = {"hopper": {"dataset": GOOD["tasks"]["hopper"]["dataset"]}}
    with pytest.raises(UserError, match=r"^bad\.yaml: error_curve: there is nothing to imitate; no task has a near_ex"):
        Config.parse({"tasks": tasks, "methods": ["dbc"], "error_curve": {}}, "bad.yaml")


def test_costs_need_whole_data():
    with pytest.raises(UserError, match=r"cost_repeats: 5: there is nothing to compare with; whole_data is null"):
        Config.parse({**GOOD, "whole_data": None, "overrides": [], "cost_repeats": 5}, "bad.yaml")


def test_pairs_of_rows_must_be_there():
    report = {"table": {"pairs": [["pbc", "av_pbc/papr"]]}}
    with pytest.raises(UserError, match=r"report\.table\.pairs\[0\]: 'av_pbc/papr': no such row; allowed: .*av_pbc"):
        Config.parse({**GOOD, "report": report}, "bad.yaml")
    with pytest.raises(UserError, match=r"report\.table\.pairs\[0\]: 'pbc': stands on both sides"):
        Config.parse({**GOOD, "report": {"table": {"pairs": [["pbc", "pbc"]]}}}, "bad.yaml")


def test_protocols_win_over_overrides():
    protocols = {"big": {"methods": ["pbc"], "evaluate": {"episodes": 3, "bc": {"architecture": "mlp_6"}}}}
    overrides = [{"tasks": "own", "evaluate": {"episodes": 7, "bc": {"steps": 9}}}]
    config = Config.parse({**GOOD, "protocols": protocols, "overrides": overrides}, "good.yaml")
    settings = config.evaluate_settings("own", "pbc", "big")
    assert (settings.episodes, settings.bc.steps, settings.bc.architecture) == (3, 9, "mlp_6")
    assert config.evaluate_settings("own", "pbc").episodes == 7
    assert config.evaluate_settings("hopper", "pbc", "big").bc.steps == 100
    assert config.protocols_of("pbc", "default", 256) == ["standard", "big"]
    assert config.protocols_of("dbc", "default", 256) == ["standard"]


def test_the_papers_settings():
    config = Config.parse(load_yaml(REPOSITORY / "config/paper.yaml"), "paper.yaml")
    steps = {
        (task.split("_")[0], method): config.distill_settings(task, method).steps
        for task in config.tasks
        for method in ("dbc", "pbc", "av_pbc")
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
    assert lines["steps"] == "default 1000; integer >= 1"
    assert lines["outer.optimizer"] == 'default "adam"; one of sgd, adam'
    assert lines["outer.averaging"] == "default 0.15; number >= 0 <= 1"
    assert lines["outer.clip"] == "default null; number > 0 or null"
    assert "level  (required; one of random, medium, " in "\n".join(describe(DatasetSettings))
    assert 'levels  (default ["random", ' in "\n".join(describe(CollectSettings))
    assert "; list of one of random, medium, " in "\n".join(describe(CollectSettings))


@pytest.mark.parametrize("model", [ExperimentSettings, CostSettings])
def test_meanings_have_one_form(model):
    """A noun phrase without a period; names keep their capitals."""
    names = ("Gymnasium ", "JSON ", "CORL ", "Minari ", "k: ")
    for key in keys(model):
        meaning = key.meaning
        assert meaning, key.path
        assert not meaning.endswith("."), key
        assert meaning[0].islower() or meaning.startswith(names), key
