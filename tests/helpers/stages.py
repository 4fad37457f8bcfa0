"""A small experiment, stage by stage, each a process of its own: a fork of one that has imported everything already."""

import json
import multiprocessing
import os
import shlex
from multiprocessing.context import ForkServerProcess
from pathlib import Path

SAID = "said.txt"  # what the stages of a folder have written on stderr
# these tell how long something took, and differ between two runs
TIMED = {SAID, "gathered.json", "figure_1.json"}
COLLECT = {"env_id": "Pendulum-v1", "medium_steps": 400, "transitions": 400, "levels": ["medium"]}
DATASET = {"source": "collect", "collection": "own", "level": "medium", "reference_returns": [-1200.0, -150.0]}
WIDTHS = {"actor_hidden_widths": [8], "critic_hidden_widths": [8]}
# step: command with its options, settings; in the order in which one needs the other
STEPS = {
    "collect": ("collect --out own", {**COLLECT, "random_steps": 200, "batch_size": 16, "hidden_widths": [8]}),
    "dataset": ("dataset --task pendulum --collection own --out dataset.npz", DATASET),
    "near-expert": (
        "near-expert --dataset dataset.npz --out near_expert.safetensors --checkpoint-minutes 0",
        {"algorithm": "td3_bc", "steps": 60, "batch_size": 16, **WIDTHS},
    ),
    "evaluate-near-expert": (
        "evaluate-near-expert --near-expert near_expert.safetensors --out returns.csv",
        {"episodes": 10},
    ),
    "distill": (
        "distill --dataset dataset.npz --near-expert near_expert.safetensors --objective av_pbc --size 8 "
        "--out synsets/synset.npz --checkpoint-minutes 0",
        {"steps": 12, "snapshot_every": 6, "inner": {"steps": 3, "architecture": "mlp_2"}},
    ),
    "evaluate": (
        "evaluate --pairs synsets/synset.npz --out standard.csv",
        {"policies": 2, "episodes": 1, "bc": {"steps": 5}},
    ),
    "gather": ("gather --out gathered.npz standard.csv returns.csv", None),
    "table": ("table --out table_1.csv gathered.npz", {}),
    "figure-data": ("figure-data --out data/figure_1.csv gathered.npz", {}),
    "figure": ("figure --out figure_1.png data/figure_1.csv", {"dpi": 50}),
}

_forks = multiprocessing.get_context("forkserver")
_forks.set_forkserver_preload(
    ["snakemake.cli", "obdistill.near_experts.stage", "obdistill.synsets.stage", "obdistill.evaluations.stage"]
)


def start(folder: Path, command: str) -> ForkServerProcess:
    """Start ``obd <command>`` in a folder; what it says is added to the file `SAID` there."""
    process = _forks.Process(target=_stage, args=(folder, shlex.split(command)))
    process.start()
    return process


def start_step(folder: Path, name: str) -> ForkServerProcess:
    """Start one of `STEPS`."""
    command, settings = STEPS[name]
    return start(
        folder, command if settings is None else shlex.join([*shlex.split(command), "--settings", json.dumps(settings)])
    )


def _stage(folder: Path, arguments: list[str]) -> None:
    import torch

    from obdistill.cli import main

    os.chdir(folder)
    os.environ.pop("OBD_LOCK", None)
    torch.set_num_threads(1)
    with open(SAID, "a") as said:
        os.dup2(said.fileno(), 2)
    main(arguments)
