"""The workflow on a real Slurm, where a job is canceled and a node dies: ``make test-slurm``."""

import contextlib
import filecmp
import functools
import re
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
import safetensors
import yaml

from helpers import slurm_cluster

pytestmark = pytest.mark.slurm
REPOSITORY = Path(__file__).parents[2]
# the default experiment, made tiny, but for the distillations: they shall last until they are disturbed
SMALL = {
    "methods": ["random", "pbc"],
    "sizes": [16],
    "seeds": [0, 1],
    "random_seeds": None,
    "cost_repeats": None,  # seconds differ from run to run
    "distill": {"steps": 400, "snapshot_every": 200, "inner": {"steps": 30}, "outer": {"batch_size": 64}},
    "evaluate": {"policies": 2, "episodes": 1},
    "near_expert_evaluation": {"episodes": 10},
    "report": {"tables": ["table_1"], "figures": ["figure_1"]},
}
# Slurm jobs by the rule or the group they are for; the distillation that is canceled is submitted twice
SUBMITTED = {"dataset": 1, "near_expert_evaluations": 1, "near_expert": 1, "selection": 1, "evaluate_whole_data": 1}
SUBMITTED |= {"distill": 3, "evaluation": 2, "paper": 1}


def experiment(folder: Path, *options: str) -> list[str]:
    """Write a small experiment into a new folder; returns the command that runs it."""
    config = yaml.safe_load((REPOSITORY / "config.yaml").read_text()) | SMALL
    config["tasks"]["halfcheetah_medium"]["near_expert"]["steps"] = 50
    folder.mkdir()
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    (folder / "data").symlink_to(REPOSITORY / "data")
    where = ["--snakefile", REPOSITORY / "Snakefile", "--directory", folder, "--configfile", folder / "config.yaml"]
    return [sys.executable, "-m", "snakemake", *map(str, where), *options]


def data(folder: Path) -> list[str]:
    """List the files of results that depend on settings and seeds only: all but the sidecars."""
    files = (folder / "results").rglob("*.*")
    return sorted(str(file.relative_to(folder)) for file in files if file.suffix != ".json")


def step(folder: Path, seed: int) -> int:
    """Return the outer step that a distillation's checkpoint has reached."""
    checkpoint = f"results/synsets/halfcheetah_medium/pbc/default/size16/seed{seed}/synset.checkpoint.safetensors"
    with contextlib.suppress(FileNotFoundError), safetensors.safe_open(folder / checkpoint, "numpy") as file:
        return int(file.metadata()["step"])
    return 0


def halfway(folder: Path, seeds: set[int]) -> list[int]:
    """List the seeds whose distillations are under way."""
    return [seed for seed in seeds if step(folder, seed) >= 20]


def resumed_after(folder: Path, seed: int) -> int:
    """Return the step after which a distillation's log says that it went on."""
    log = (folder / f"logs/synsets/halfcheetah_medium/pbc/default/size16/seed{seed}.log").read_text()
    return int(re.search(r"going on after step (\d+)", log)[1])


def test_a_canceled_job_and_a_dead_node_cost_nothing_but_time(tmp_path):
    reason = slurm_cluster.missing()
    if reason:
        pytest.skip(f"no Slurm to test with: {reason}")
    local, remote = tmp_path / "local", tmp_path / "remote"
    options = ["--workflow-profile", REPOSITORY / "profiles/slurm", "--cores=1", "--latency-wait=10"]
    options += ["--slurm-init-seconds-before-status-checks=3", "--slurm-status-command=squeue"]
    # a checkpoint after every step, and a GPU that nobody uses
    options += ["--set-resources", "distill:checkpoint_minutes=0", "distill:gpu=1", "near_expert:gpu=1"]
    command = experiment(remote, *map(str, options))
    with slurm_cluster.running_cluster() as cluster, (tmp_path / "log").open("w") as log:
        run = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
        try:
            reached = {}  # seed -> outer step
            for disturb in (cluster.cancel, cluster.crash):
                ready = functools.partial(halfway, remote, {0, 1} - set(reached))
                slurm_cluster.wait_for("a distillation", lambda ready=ready: run.poll() is not None or ready(), 1200)
                assert run.poll() is None, (tmp_path / "log").read_text()
                seed = ready()[0]
                job = next(
                    job
                    for job in cluster.jobs()
                    if job["JobState"] == "RUNNING" and re.search(rf"distill.*_{seed}$", job["Comment"])
                )
                disturb(job)
                crashed = job  # the last of the two
                reached[seed] = step(remote, seed)
            assert run.wait(3600) == 0, (tmp_path / "log").read_text()
        finally:
            run.send_signal(signal.SIGKILL)
            run.wait()
        jobs = cluster.jobs()
    said = (tmp_path / "log").read_text()

    # both went on from their checkpoints; the canceled job was tried again with more of everything, and no other was
    assert [resumed_after(remote, seed) >= at >= 20 for seed, at in reached.items()] == [True, True]
    assert said.count("Trying to restart job") == 1
    names = [re.match(f"rule_({'|'.join(SUBMITTED)})", job["Comment"])[1] for job in jobs]
    assert Counter(names) == SUBMITTED
    canceled = next(job for job in jobs if job["JobState"] == "CANCELLED")
    (again,) = [job for job in jobs if job["Comment"] == canceled["Comment"] and job is not canceled]
    assert [job["TimeLimit"] for job in (canceled, again)] == ["3-00:00:00", "6-00:00:00"]
    assert ["mem=3000M" in canceled["TRES"], "mem=6000M" in again["TRES"]] == [True, True]
    assert [job["JobId"] for job in jobs if job["Restarts"] != "0"] == [crashed["JobId"]]
    assert {job["JobState"] for job in jobs if job is not canceled} == {"COMPLETED"}

    # a GPU for those who use one, and never more CPUs than `cores`
    gpu_users = {name for name, job in zip(names, jobs, strict=True) if "gpu" in job.get("TresPerJob", "")}
    assert gpu_users == {"distill", "near_expert"}
    assert {job["NumCPUs"] for job in jobs} == {"1"}

    # the same bytes as without a cluster, and nothing left to do
    subprocess.run(experiment(local, "--cores=2", "--quiet"), check=True, capture_output=True)
    assert data(local) == data(remote)
    assert len(data(local)) > 15
    assert filecmp.cmpfiles(local, remote, data(local), shallow=False)[1:] == ([], [])
    last = subprocess.run([*command, "--dry-run"], capture_output=True, text=True, check=True)
    assert "Nothing to be done" in last.stdout + last.stderr
