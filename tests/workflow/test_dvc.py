"""DVC and Snakemake agree about the results, whoever made them and wherever they are."""

import http.client
import importlib.util
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from helpers.browser import Browser
from helpers.workflow_copy import REPOSITORY, WorkflowCopy
from obdistill.core.sources import files as files_of
from obdistill.experiment.config import Config

STAGES = yaml.safe_load((REPOSITORY / "dvc.yaml").read_text())["stages"]
CONFIG = {
    "tasks": {
        "pendulum": {
            "dataset": {
                **{"source": "d4rl", "file": "data/pendulum.hdf5", "env_id": "Pendulum-v1"},
                "reference_returns": [-1200.0, -150.0],
            },
        },
    },
    "collections": {},
    "methods": ["random", "dbc"],
    "variants": {},
    "sizes": [4],
    "size_study": None,
    "seeds": [0],
    "random_seeds": [0],
    "distill": {
        **{"steps": 2, "snapshot_every": 1, "inner": {"architecture": "mlp_2", "steps": 2}},
        "outer": {"learning_rate": 0.1, "batch_size": 8},
    },
    "overrides": [],
    "protocols": {},
    "cost_repeats": None,
    "error_curve": None,
    "evaluate": {"policies": 1, "episodes": 1, "bc": {"architecture": "mlp_2", "steps": 2}},
    "whole_data": None,
    "near_expert_evaluation": {},
    "report": {"tables": ["table_1"], "figures": []},
}
LONGEST = 60  # seconds that a push, and a pull, of 500 results may take
# the default experiment, made small: real stages
SMALL = {
    **{"methods": ["random", "av_pbc"], "seeds": [0], "random_seeds": [0], "sizes": [8], "size_study": None},
    "distill": {"steps": 2, "snapshot_every": 1, "inner": {"steps": 2}, "outer": {"batch_size": 8}},
    **{"evaluate": {"policies": 1, "episodes": 1}, "protocols": {}},
    "report": {"tables": ["table_1", "table_4"], "figures": ["figure_1"]},
}
PAPER = {"gather", "table", "figure_data", "figure", "summary"}  # rules


def parameters(stage):
    return {key for entry in stage["params"] for keys in entry.values() for key in keys}


def test_the_file_is_what_the_sources_say(monkeypatch):
    monkeypatch.chdir(REPOSITORY)
    spec = importlib.util.spec_from_file_location("dvc_stages", "workflow/dvc/dvc_stages.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert Path("dvc.yaml").read_text() == module.text(), "make dvc-yaml"


def test_each_stage_is_a_target_and_keeps_its_folder():
    rules = "".join(file.read_text() for file in (REPOSITORY / "workflow/rules").glob("*.smk"))
    for name, stage in STAGES.items():
        assert stage["cmd"].endswith(f"snakemake {name}")
        assert f"\nrule {name}:" in rules
        assert {f"results/{name}": {"persist": True}} in stage["outs"]


def test_every_rule_file_and_every_module_of_the_rules_is_a_dependency():
    deps = {dep for stage in STAGES.values() for dep in stage["deps"]}
    files = [*(REPOSITORY / "workflow/rules").glob("*.smk"), REPOSITORY / "src/obdistill/experiment/jobs.py"]
    for file in files:
        assert str(file.relative_to(REPOSITORY)) in deps
        for command in re.findall(r'made_by\("([\w-]+)"', file.read_text()):
            assert {str(path.relative_to(REPOSITORY)) for path in files_of(command)} <= deps


def test_every_key_of_the_configuration_is_a_parameter():
    assert set().union(*(parameters(stage) for stage in STAGES.values())) == set(Config.model_fields)


def test_parameters_stand_in_the_default_configuration():
    """DVC refuses to start otherwise."""
    written = yaml.safe_load((REPOSITORY / "config.yaml").read_text())
    for stage in STAGES.values():
        assert parameters(stage) <= set(written)


class Project:
    """A clone of a small project with results, DVC and Git."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.workflow = WorkflowCopy(folder)

    @classmethod
    def make(cls, folder: Path, config: dict[str, object]) -> "Project":
        """Copy the repository's workflow and DVC's part, without results."""
        project = cls(WorkflowCopy.make(folder, config).folder)
        for name in ("Makefile", "dvc.yaml", ".dvcignore", ".gitignore"):
            shutil.copy(REPOSITORY / name, folder)
        for name in ("data", ".dvc"):
            shutil.copytree(REPOSITORY / name, folder / name, ignore=shutil.ignore_patterns("cache", "tmp"))
        project.run("git", "init", "--quiet")
        return project

    @classmethod
    def pretend(cls, folder: Path) -> "Project":
        """Make one whose stages only pretend, and run it by Snakemake."""
        project = cls.make(folder, CONFIG)
        (folder / "data/pendulum.hdf5").touch()
        answer = project.workflow.snakemake("--quiet")
        assert answer.code == 0, answer.text
        project.commit()
        return project

    @classmethod
    def real(cls, folder: Path) -> "Project":
        """Make the default experiment, small, and run it by DVC."""
        config = yaml.safe_load((REPOSITORY / "config.yaml").read_text()) | SMALL
        config["tasks"]["halfcheetah_medium"]["near_expert"]["steps"] = 20
        project = cls.make(folder, config)
        shutil.copy(REPOSITORY / "src/obdistill/cli.py", folder / "src/obdistill")
        project.run("dvc", "repro")
        project.commit()
        return project

    def run(self, *command: str, code: int = 0) -> str:
        """Run a command as a user does and return what it says."""
        paths = {
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
            "PYTHONPATH": str(self.folder / "src"),
        }
        who = {f"GIT_{role}_{what}": "a@b" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
        keys = dict.fromkeys(("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"), "testing")
        environment = {**os.environ, **paths, **who, **keys, "DVC_NO_ANALYTICS": "1"}
        answer = subprocess.run(command, cwd=self.folder, env=environment, capture_output=True, text=True, check=False)
        said = answer.stdout + answer.stderr
        assert answer.returncode == code, said
        return said

    def make_target(self, target: str, code: int = 0) -> str:
        return self.run("make", "--old-file", ".venv/.installed", target, code=code)

    def commit(self) -> None:
        self.run("git", "add", "--all")
        self.run("git", "commit", "--quiet", "--message", "-")

    def clone(self, folder: Path) -> "Project":
        self.run("git", "clone", "--quiet", ".", str(folder))
        return Project(folder)

    def changed_stages(self) -> set[str]:
        """Return the stages that DVC would run."""
        return set(re.findall(r'"(\w+)": \[', self.run("dvc", "status", "--json"))) & set(STAGES)

    def contents(self) -> dict[str, bytes]:
        """Return every file that DVC keeps."""
        files = [file for name in STAGES for file in (self.folder / "results" / name).rglob("*") if file.is_file()]
        return {str(file.relative_to(self.folder)): file.read_bytes() for file in files}

    def dates(self) -> dict[str, int]:
        """Return when each of them was written."""
        return {path: (self.folder / path).stat().st_mtime_ns for path in self.contents()}

    def agrees(self) -> bool:
        """Tell whether neither has anything to do."""
        return self.workflow.planned().counts == {} and self.changed_stages() == set()


def typed(section: str) -> list[str]:
    """Return the commands of a section of docs/dvc.md as a reader types them, one line each."""
    text = (REPOSITORY / "docs/dvc.md").read_text().partition(f"## {section}\n")[2]
    lines = text.partition("```sh\n")[2].partition("```")[0].splitlines()
    return [line.partition("#")[0].rstrip() for line in lines]


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """Pretended results of a whole run, and 500 more, recorded and pushed to a folder as docs/dvc.md says."""
    project = Project.pretend(tmp_path_factory.mktemp("dvc") / "project")
    for number in range(500):
        (project.folder / f"results/synsets/pendulum/{number}.bin").write_bytes(number.to_bytes(2) * 5000)
    project.make_target("commit-results")
    began = time.monotonic()
    for line in typed("Record and send")[2:]:
        named = line.replace("NAME FOLDER_OR_S3_URL", f"folder {project.folder.parent / 'remote'}")
        project.run("sh", "-c", named.replace("git commit", "git commit --quiet --message -"))
    assert time.monotonic() - began < LONGEST
    return project


@pytest.fixture
def project(kept, tmp_path):
    """The same, to spoil."""
    return Project(kept.workflow.duplicate(tmp_path / "copy").folder)


def test_a_clone_gets_everything_and_has_nothing_to_do(kept, tmp_path):
    clone = kept.clone(tmp_path / "elsewhere")
    began = time.monotonic()
    clone.run("dvc", "pull")
    assert time.monotonic() - began < LONGEST
    clone.make_target("pull")
    assert clone.contents() == kept.contents()
    assert len(clone.contents()) > 500
    assert clone.agrees()
    # Snakemake knows the settings too, not only the dates
    again = clone.workflow.planned("--config", "distill={outer: {learning_rate: 0.2}}")
    remade = {"distill": 1, "evaluate": 1, "gather": 1, "table": 2, "figure_data": 1, "summary": 1}
    assert again.counts == remade
    clone.run("dvc", "repro", "--dry")
    (clone.folder / "results/synsets/pendulum/dbc/default/size4/seed0/synset.npz").unlink()
    assert clone.workflow.planned().counts == remade
    assert "not up to date" in clone.make_target("commit-results", code=2)


def test_pictures_are_compared_without_a_network(project):
    picture = project.folder / "results/paper/figure_1.png"
    for content in ("old", "new"):
        picture.write_text(content)
        if content == "old":
            project.run("dvc", "commit", "--force", "paper")
            project.commit()
    (line,) = [line for line in typed("Compare experiments") if "--targets" in line]
    project.run(*line.split())
    page = (project.folder / "dvc_plots/index.html").read_text()
    assert "http" not in page
    shown = {file.read_text() for file in (project.folder / "dvc_plots/static").iterdir()}
    assert shown == {"old", "new"}


@pytest.mark.skipif(shutil.which("chromium") is None, reason="chromium is not installed")
def test_learning_curves_are_compared_without_a_network(project, tmp_path):
    curves = project.folder / "results/paper/learning_curves.csv"
    for mean in (12.5, 34.5):
        rows = [f"pendulum,dbc,default,8,standard,{step},{mean + step},1,2" for step in (0, 10, 20)]
        curves.write_text("\n".join(["task,method,variant,size,protocol,step,mean,low,high", *rows]) + "\n")
        project.run("dvc", "commit", "--force", "paper")
        project.commit()
    (line,) = [line for line in typed("Compare experiments") if line.startswith("make plots")]
    project.run("make", "--old-file", ".venv/.installed", *shlex.split(line)[1:])
    page = project.folder / "dvc_plots/index.html"
    assert re.findall(r"""<(?:script|link|img)[^>]*?(?:src|href)=["']?(?:https?:)?//""", page.read_text()) == []
    browser = Browser(tmp_path / "profile")
    browser.open(page.as_uri())
    browser.wait_for("document.querySelector('canvas, svg') !== null")
    assert browser.problems == []
    browser.close()


@pytest.mark.parametrize(
    ("file", "stages"),
    [
        ("src/obdistill/paper/figures/make.py", {"paper"}),
        ("src/obdistill/synsets/stage.py", {"synsets"}),
        ("workflow/rules/evaluations.smk", {"evaluations"}),
        ("src/obdistill/experiment/jobs.py", set(STAGES)),
    ],
)
def test_an_edit_changes_the_stages_that_use_the_file(project, file, stages):
    project.workflow.edit(file)
    assert project.changed_stages() == stages


def test_results_of_other_settings_are_not_taken_for_these(project):
    project.workflow.write_config({**CONFIG, "distill": {"steps": 3}})
    assert "dvc.lock is not about these settings" in project.make_target("pull", code=2)


@pytest.mark.slow
def test_an_experiment_reruns_what_its_setting_is_for(project):
    before = project.dates()
    said = project.run("dvc", "exp", "run", "-S", "config.yaml:distill.outer.learning_rate=0.2")
    assert re.findall(r"Running stage '(\w+)'", said) == ["synsets", "evaluations", "paper"]
    assert project.agrees()
    written = {path for path, date in project.dates().items() if date != before[path]}
    assert written == {path for path in before if "/dbc/" in path or path.startswith("results/paper/")}


def test_results_no_longer_named_are_pruned(project):
    project.workflow.write_config({**CONFIG, "methods": ["random"]})
    project.make_target("prune")
    left = set(project.contents())
    assert left == {path for path in project.contents() if "/dbc/" not in path and not path.endswith(".bin")}
    assert "results/synsets/pendulum/random/default/size4/seed0/synset.npz" in left


@pytest.mark.slow
def test_s3(project, tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = subprocess.Popen(
        ["moto_server", "-H", "127.0.0.1", "-p", str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        until = time.monotonic() + 60
        while True:
            try:
                connection = http.client.HTTPConnection("127.0.0.1", port)
                connection.request("PUT", "/bucket")
                assert connection.getresponse().status == 200
                break
            except ConnectionRefusedError:
                assert time.monotonic() < until, "moto_server does not start"
                time.sleep(0.2)
        url = f"http://127.0.0.1:{port}"
        project.run("dvc", "remote", "add", "--default", "s3", "s3://bucket/results")
        project.run("dvc", "remote", "modify", "s3", "endpointurl", url)
        project.run("dvc", "push")
        project.commit()
        clone = project.clone(tmp_path / "elsewhere")
        clone.make_target("pull")
        assert clone.contents() == project.contents()
        assert clone.agrees()
    finally:
        server.terminate()
        server.wait(30)


@pytest.mark.slow
def test_remade_results_have_the_same_bytes(tmp_path):
    project = Project.real(tmp_path / "project")
    assert project.agrees()
    rules = {
        "dataset",
        "near_expert",
        "evaluate_near_expert",
        "select",
        "distill",
        "evaluate",
        "evaluate_whole_data",
        "cost",
    }
    assert project.workflow.planned("--forceall").counts.keys() == rules | PAPER
    project.run("dvc", "remote", "add", "--default", "folder", str(tmp_path / "remote"))
    project.run("dvc", "push")
    project.commit()
    clone = project.clone(tmp_path / "elsewhere")
    clone.make_target("pull")
    assert clone.agrees()
    shown = clone.run("dvc", "metrics", "show", "--json")
    assert '"av_pbc"' in shown
    assert "learning_curves.csv" in clone.run("dvc", "plots", "show", "--json")
    before = clone.contents()
    (clone.folder / "results/synsets/halfcheetah_medium/av_pbc/default/size8/seed0/synset.npz").unlink()
    answer = clone.workflow.snakemake()
    assert answer.code == 0, answer.text
    assert answer.counts == {"distill": 1, "evaluate": 1, **dict.fromkeys(PAPER, 1), "table": 2}
    after = clone.contents()
    assert after.keys() == before.keys()
    # sidecars hold times
    assert {path for path in after if after[path] != before[path]} <= {p for p in after if p.endswith(".json")}
