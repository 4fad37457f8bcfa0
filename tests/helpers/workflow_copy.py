"""A copy of the workflow in a folder of its own, with an `obd` that only pretends, to see what Snakemake would run."""

import multiprocessing
import os
import re
import shutil
import sys
from collections import Counter
from dataclasses import dataclass
from importlib.util import spec_from_file_location
from pathlib import Path

import yaml

REPOSITORY = Path(__file__).parents[2]


def _snakemake(folder: Path, arguments: list[str], output: Path, environment: dict[str, str]) -> None:
    """Run Snakemake in this process, which is a fork of one that has imported everything already."""
    import snakemake.cli

    import obdistill

    os.chdir(folder)
    os.environ.update(environment)
    source, *others = environment["PYTHONPATH"].split(os.pathsep)
    sys.path += others
    package = Path(source, "obdistill").resolve()  # whose sources are the jobs' inputs
    obdistill.__spec__ = spec_from_file_location(
        "obdistill", package / "__init__.py", submodule_search_locations=[str(package)]
    )
    with output.open("w") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
        sys.argv = ["snakemake", *arguments]
        snakemake.cli.main(arguments)


# starting Snakemake with all of torch takes seconds: do it once, and fork
_forks = multiprocessing.get_context("forkserver")
_forks.set_forkserver_preload(["snakemake.cli", "obdistill.experiment.jobs"])


@dataclass(frozen=True)
class Answer:
    """What Snakemake said."""

    code: int
    text: str

    @property
    def counts(self) -> dict[str, int]:
        """Jobs by rule, without targets."""
        table = re.search(r"^Job stats:\n(.*?)\n\n", self.text, re.DOTALL | re.MULTILINE)
        if table is None:
            assert "Nothing to be done" in self.text, self.text
            return {}
        found = dict(re.findall(r"^(\w+) +(\d+)$", table[1], re.MULTILINE))
        stages = {"datasets", "near_experts", "synsets", "evaluations", "paper"}
        targets = {"all", *stages, "error_curves", "tables", "figures", "total"}
        return {rule: int(count) for rule, count in found.items() if rule not in targets}

    @property
    def outputs(self) -> list[str]:
        """What the jobs would write, as their commands say."""
        return sorted(re.findall(r"--out (\S+)", self.text))


class WorkflowCopy:
    """The workflow in `folder`; `environment` is Snakemake's, in which the package's place is PYTHONPATH's first."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = {"PYTHONPATH": str(folder / "src")}

    @classmethod
    def make(cls, folder: Path, config: dict[str, object]) -> "WorkflowCopy":
        """Copy the repository's workflow and give it a configuration."""
        folder.mkdir()
        ignore = shutil.ignore_patterns("__pycache__", "*.egg-info")
        for name in ("workflow", "profiles", "config", "src"):
            shutil.copytree(REPOSITORY / name, folder / name, ignore=ignore)
        for name in ("Snakefile", "environment.yml", "environment.post-deploy.sh"):
            shutil.copy2(REPOSITORY / name, folder)
        shutil.copy2(Path(__file__).with_name("pretender.py"), folder / "src/obdistill/cli.py")
        copy = cls(folder)
        copy.write_config(config)
        return copy

    def duplicate(self, folder: Path) -> "WorkflowCopy":
        """Copy it with its results and Snakemake's memory of them; times of files stay."""
        shutil.copytree(self.folder, folder, symlinks=True)
        return WorkflowCopy(folder)

    def write_config(self, config: dict[str, object], name: str = "config.yaml") -> None:
        """Write a configuration, keys in the order given."""
        (self.folder / name).write_text(yaml.safe_dump(config, sort_keys=False))

    def edit(self, file: str) -> None:
        """Change a source file without changing what it does."""
        with (self.folder / file).open("a") as source:
            source.write("\n# a remark\n")

    def snakemake(self, *arguments: str) -> Answer:
        """Run Snakemake."""
        output = self.folder / "answer.txt"
        process = _forks.Process(target=_snakemake, args=(self.folder, list(arguments), output, self.environment))
        process.start()
        process.join(1800)
        process.kill()
        process.join()
        return Answer(process.exitcode, output.read_text())

    def planned(self, *arguments: str) -> Answer:
        """Ask what would be run."""
        answer = self.snakemake(*arguments, "--dry-run", "--printshellcmds")
        assert answer.code == 0, answer.text
        return answer


def counts(**jobs: int) -> Counter[str]:
    """Name numbers of jobs."""
    return Counter(jobs)


# first: Minari files in the project and TD3+BC; second: an own collection and an imported checkpoint
CONFIG = {
    "tasks": {
        "first": {
            "dataset": {"source": "minari", "id": "obd/first-v0", "root": "data", "download": False},
            "near_expert": {"algorithm": "td3_bc", "seed": 0, "steps": 10},
        },
        "second": {
            "dataset": {"source": "collect", "collection": "own", "level": "medium"},
            "near_expert": {"algorithm": "import", "checkpoint": "data/checkpoint.npz"},
        },
    },
    "collections": {"own": {"seed": 3, "env_id": "Hopper-v5", "levels": ["medium"]}},
    "methods": ["random", "dbc", "av_pbc"],
    "sizes": [8],
    "seeds": [0, 1],
    "distill": {"steps": 20, "snapshot_every": 10},
    "evaluate": {"policies": 2, "episodes": 1},
    "whole_data": {"policies": 2, "bc": {"steps": 5, "batch_size": 16}},
    "cost_repeats": 2,
}


def write_inputs(workflow: WorkflowCopy) -> None:
    """Write the files outside the results that `CONFIG` names; stages that pretend do not read them."""
    data = workflow.folder / "data/obd/first-v0/data"
    data.mkdir(parents=True)
    for file in (data / "main_data.hdf5", data / "metadata.json", workflow.folder / "data/checkpoint.npz"):
        file.write_text("data")
