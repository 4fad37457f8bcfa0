"""Write dvc.yaml: ``make dvc-yaml``. What a stage of DVC depends on is found by following imports, as in the rules."""

import os
from pathlib import Path
from typing import Any

import yaml

from obdistill.core.sources import files

ROOT = Path(__file__).resolve().parents[2]
HEADER = """\
# Written by `make dvc-yaml` from workflow/dvc/dvc_stages.py: change that.
#
# The results as DVC keeps them: one stage per stage of the workflow, each run by Snakemake, which knows what is up to
# date inside it. `persist: true` leaves the old results in place for it to compare; DVC would delete them first.
"""
# which jobs there are
GRID = ["tasks", "methods", "variants", "sizes", "size_study", "seeds", "random_seeds"]
# every stage's jobs are made by these: an edit runs Snakemake, which then decides
WORKFLOW = [
    "Snakefile",
    "workflow/Snakefile",
    "workflow/rules/common.smk",
    "src/obdistill/core/own_modules.py",
    "src/obdistill/core/sources.py",
    "src/obdistill/experiment/config.py",
    "src/obdistill/experiment/jobs.py",
    "src/obdistill/experiment/outside.py",
    "src/obdistill/experiment/stale.py",
]

# stage: what it makes, sections of config.yaml, rule files, commands, results and other files it reads
STAGES = {
    "datasets": (
        "transitions of every task",
        ["tasks", "collections"],
        ["datasets"],
        ["dataset", "collect"],
        ["data"],
    ),
    "near_experts": (
        "policies and critics",
        ["tasks"],
        ["near_experts"],
        ["near-expert"],
        ["data", "results/datasets"],
    ),
    "synsets": (
        "distilled and random pairs",
        [*GRID, "distill", "overrides"],
        ["synsets"],
        ["distill"],
        ["results/datasets", "results/near_experts"],
    ),
    "evaluations": (
        "returns of policies trained on the synsets and on whole datasets",
        [
            *GRID,
            "evaluate",
            "near_expert_evaluation",
            "protocols",
            "whole_data",
            "cost_repeats",
            "error_curve",
            "overrides",
        ],
        ["evaluations"],
        ["evaluate", "evaluate-near-expert", "cost", "error-curve", "synset-errors"],
        ["results/datasets", "results/near_experts", "results/synsets"],
    ),
    "paper": (
        "tables, figures and a summary of them",
        [*GRID, "protocols", "whole_data", "cost_repeats", "error_curve", "report"],
        ["paper", "report"],
        ["gather", "table", "figure-data", "figure", "summary"],
        ["results/evaluations", "results/synsets"],
    ),
}
CURVES = "results/paper/learning_curves.csv"
SUMMARY = {
    "metrics": ["results/paper/metrics.json"],
    "plots": [{CURVES: {"x": "step", "y": "mean", "template": "learning_curves", "title": "Score"}}],
}


def stage(name: str) -> dict[str, Any]:
    """Return a stage as dvc.yaml has it."""
    description, sections, rules, commands, read = STAGES[name]
    code = {os.path.relpath(file) for command in commands for file in files(command)}
    deps = {*WORKFLOW, *(f"workflow/rules/{rule}.smk" for rule in rules), *code, *read}
    folders = [f"results/{name}", *(["results/collections"] if name == "datasets" else [])]
    return {
        "desc": description,
        "cmd": f"mkdir -p {' '.join(folders)} && snakemake {name}",  # DVC wants a folder even if no job needs it
        "params": [{"config.yaml": sections}],
        "deps": sorted(deps),
        "outs": [{folder: {"persist": True}} for folder in folders],
    }


def text() -> str:
    """Return dvc.yaml; the working directory must be the repository's root."""
    data = {"stages": {name: stage(name) for name in STAGES}, **SUMMARY}
    dumped: str = yaml.safe_dump(data, sort_keys=False, width=120)
    return HEADER + dumped


if __name__ == "__main__":
    (ROOT / "dvc.yaml").write_text(text())
