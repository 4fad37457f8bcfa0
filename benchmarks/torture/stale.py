"""Results that no longer are what their jobs would make: Snakemake must plan them again, and nothing else."""

import copy
import itertools
import json
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from benchmarks.torture.counts import Attack, Outcome

from helpers.workflow_copy import CONFIG, WorkflowCopy, write_inputs

OLD = 946684800  # the year 2000, before the date of every result
NEVER_AGAIN = ""  # a situation in which nothing is stale


@dataclass(frozen=True)
class Situation:
    """What is done to a finished experiment, and the rule that must run then, or what the one line must say."""

    name: str
    change: Callable[[WorkflowCopy], object]
    rule: str = NEVER_AGAIN
    line: str = ""


def changed(path: str, value: object) -> Callable[[WorkflowCopy], None]:
    """Return what gives a key of the configuration another value."""
    config: dict[str, Any] = copy.deepcopy(CONFIG)
    *parents, last = path.split(".")
    here = config
    for key in parents:
        here = here.setdefault(key, {})
    here[last] = value
    return lambda workflow: workflow.write_config(config)


def edited(name: str, date: float | None = None, text: str = "\n# edited\n") -> Callable[[WorkflowCopy], None]:
    """Return what changes a file and gives it an old date, as ``cp -p`` and ``git checkout`` may, or today's."""

    def edit(workflow: WorkflowCopy) -> None:
        file = workflow.folder / name
        file.write_text(file.read_text() + text)
        if date is not None:
            os.utime(file, (date, date))

    return edit


def sidecar(name: str, change: Callable[[dict[str, Any]], object]) -> Callable[[WorkflowCopy], None]:
    """Return what changes the metadata of a result and leaves the file's date."""

    def edit(workflow: WorkflowCopy) -> None:
        file = workflow.folder / "results" / name
        status, facts = file.stat(), json.loads(file.read_text())
        change(facts)
        file.write_text(json.dumps(facts))
        os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))

    return edit


def moved(source: str, target: str) -> Callable[[WorkflowCopy], None]:
    """Return what puts the results of one job in the place of another's."""

    def move(workflow: WorkflowCopy) -> None:
        results = workflow.folder / "results"
        shutil.rmtree(results / target)
        shutil.copytree(results / source, results / target)

    return move


def reordered(workflow: WorkflowCopy) -> None:
    """Write the configuration with its keys the other way round."""
    workflow.write_config(dict(reversed(CONFIG.items())))


SYNSETS = "synsets/first/dbc/default/size8"
# key of the configuration, another value, the first rule that it reaches
SETTINGS = [
    ("distill.steps", 30, "distill"),
    ("distill.snapshot_every", 5, "distill"),
    ("distill.precision", "float32", "distill"),
    ("distill.inner.steps", 7, "distill"),
    ("distill.outer.learning_rate", 0.3, "distill"),
    ("distill.weighting.form", "scaled", "distill"),
    ("evaluate.policies", 3, "evaluate"),
    ("evaluate.bc.steps", 9, "evaluate"),
    ("whole_data.policies", 3, "evaluate_whole_data"),
    ("near_expert_evaluation.episodes", 11, "evaluate_near_expert"),
    ("cost_repeats", 3, "cost"),
    ("tasks.first.near_expert.steps", 20, "near_expert"),
    ("tasks.first.near_expert.seed", 1, "near_expert"),
    ("tasks.first.dataset.reference_returns", [0.0, 9.0], "dataset"),
    ("tasks.first.dataset.clip_actions", True, "dataset"),
    ("collections.own.seed", 4, "collect"),
    ("collections.own.transitions", 99, "collect"),
    ("report.table.digits", 3, "table"),
    ("report.figure.last_snapshots", 2, "figure_data"),
    ("report.figure.dpi", 77, "figure"),
]
SOURCES = {
    "datasets/transitions.py": "dataset",
    "near_experts/td3_bc.py": "near_expert",
    "synsets/outer_loop.py": "distill",
    "evaluations/rollout.py": "evaluate",
    "paper/statistics/intervals.py": "table",
    "paper/figures/style.py": "figure",
}
INPUTS = {
    "obd/first-v0/data/main_data.hdf5": "dataset",
    "obd/first-v0/data/metadata.json": "dataset",
    "checkpoint.npz": "near_expert",
}
MISSING = [
    ("tasks.first.dataset", {"source": "d4rl", "file": "no.hdf5", "env_id": "Hopper-v5"}, "dataset.file"),
    ("tasks.first.dataset.id", "obd/other-v0", "dataset.id"),
    ("tasks.first.dataset.root", "nowhere", "dataset.root"),
    ("tasks.second.near_expert.checkpoint", "no.npz", "near_expert.checkpoint"),
    ("tasks.second.near_expert.statistics", {"file": "no.json"}, "near_expert.statistics.file"),
]
SITUATIONS = {
    "another setting": [Situation(path, changed(path, value), rule) for path, value, rule in SETTINGS],
    "an edited source": [
        Situation(f"{name}, {when}", edited(f"src/obdistill/{name}", date), rule)
        for (name, rule), (when, date) in itertools.product(SOURCES.items(), (("today", None), ("older", OLD)))
    ],
    "another input file": [
        Situation(f"{name}, {when}", edited(f"data/{name}", date), rule)
        for (name, rule), (when, date) in itertools.product(INPUTS.items(), (("today", None), ("older", OLD)))
    ],
    "another result in its place": [
        Situation("of another seed", moved(f"{SYNSETS}/seed0", f"{SYNSETS}/seed1"), "distill"),
        Situation("of another method", moved("synsets/first/av_pbc", "synsets/first/dbc"), "distill"),
        Situation("of another task", moved("near_experts/first", "near_experts/second"), "near_expert"),
        Situation(
            "of another dataset",
            sidecar("datasets/first/dataset.json", lambda facts: facts.update(sha256="0")),
            "distill",
        ),
        Situation(
            "of no known origin",
            sidecar("datasets/first/dataset.json", lambda facts: facts.pop("made_from")),
            "dataset",
        ),
    ],
    "a file that is not there": [Situation(path, changed(path, value), line=line) for path, value, line in MISSING],
    "nothing changed": [
        Situation("nothing", lambda workflow: None),
        Situation("keys in another order", reordered),
        Situation("a comment", edited("config.yaml")),
        Situation("machinery", edited("src/obdistill/core/logs.py")),
        Situation("a touched input", edited("data/checkpoint.npz", text="")),
        Situation("a touched source", edited("src/obdistill/near_experts/td3_bc.py", text="")),
    ],
}


def mislead(kind: str, tries: int, random: Random, root: Path) -> Iterator[Outcome]:
    """Try each situation of a kind, with Snakemake's memory of its runs and without; `tries` below 2: one at random."""
    finished = root / "finished"
    if not finished.exists():
        workflow = WorkflowCopy.make(finished, CONFIG)
        write_inputs(workflow)
        answer = workflow.snakemake("--quiet")
        assert answer.code == 0, answer.text
    situations = list(itertools.product(SITUATIONS[kind], (True, False)))
    for situation, remembered in situations if tries > 1 else random.sample(situations, 1):
        workflow = WorkflowCopy(finished).duplicate(root / "copy")
        if not remembered:
            shutil.rmtree(workflow.folder / ".snakemake")
        situation.change(workflow)
        yield _outcome(situation, workflow)
        shutil.rmtree(workflow.folder)


def _outcome(situation: Situation, workflow: WorkflowCopy) -> Outcome:
    answer = workflow.snakemake("--dry-run")
    if situation.line:
        told = answer.code != 0 and situation.line in answer.text
        return Outcome("told") if told else Outcome("wrong", f"{situation.name}: {answer.text[-300:]}")
    if answer.code != 0:
        return Outcome("lost", f"{situation.name}: {answer.text[-300:]}")
    if situation.rule:
        return (
            Outcome("told")
            if situation.rule in answer.counts
            else Outcome("wrong", f"{situation.name}: {answer.counts}")
        )
    return Outcome("lost", f"{situation.name}: {answer.counts}") if answer.counts else Outcome("same")


ATTACK = Attack("stale", list(SITUATIONS), tries=2 * len(SITUATIONS), short=len(SITUATIONS), run=mislead)
