"""The benchmarks run and print their tables; what they measure is not looked at."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]


def run(script: str, *options: str) -> str:
    command = [sys.executable, REPOSITORY / "benchmarks" / script, *options]
    return subprocess.run(command, cwd=REPOSITORY, check=True, capture_output=True, text=True).stdout


def test_meta_gradient_compares_with_the_plain_way():
    lines = run("meta_gradient.py", "--pairs", "8", "--steps", "3", "--rounds", "1").splitlines()
    rows = [line.split() for line in lines if line.split()[:1] in (["float32"], ["reduced"])]
    assert [(row[0], row[1]) for row in rows] == [(p, r) for p in ("float32", "reduced") for r in "125"] * 2
    assert all(float(row[-1]) > 0.99 for row in rows), "the cosine between the two gradients"


def test_the_gradient_of_the_project_protocol_is_the_mean_of_plain_ones():
    lines = run("project_protocol.py", "--rounds", "1", "--policies", "4").splitlines()
    assert float(re.search(r"mean of 4 plain ones ([\d.]+)", lines[-1])[1]) > 0.98


def test_evaluation_compares_with_a_plain_loop():
    found = run("evaluation.py", "--env", "InvertedPendulum-v5", "--policies", "2", "--episodes", "2", "--rounds", "1")
    assert re.match(r"InvertedPendulum-v5: 2 policies x 2 episodes, .* ratio [\d.]+; the same returns", found)


def test_hours_adds_up():
    rows = [line.split() for line in run("hours.py", "config.yaml").splitlines()[1:]]
    assert [row[0] for row in rows] == [
        *("td3_bc_step", "snapshot", "bc_step", "environment_step", "ridge_outer_step", "ridge_snapshot", "total")
    ]
    # config.yaml: 9 distillations and 3 of a small size, 300 steps each; 3 snapshots each, random selections 1
    assert rows[4][2] == "3,600"
    assert int(rows[5][2]) == 9 * 3 + 10 + 3 * 1 + 9  # standard, the small size, ensembles
    assert int(rows[1][2]) == 3 * 9  # networks and optimizers by steps


@pytest.mark.parametrize(
    ("files", "unit", "number"),
    [(["paper", "rebrac"], "rebrac_step", "9,000,000"), (["published"], "outer_step", "67,500")],
)
def test_hours_counts_the_steps_of_each_algorithm(files, unit, number):
    lines = run("hours.py", *(f"config/{name}.yaml" for name in files)).splitlines()[1:]
    rows = {line.split()[0]: line.split() for line in lines}
    assert rows[unit][2] == number
    assert next(iter(rows)) == unit  # published near-experts cost no steps
    assert "cal_ql_step" not in rows


def test_grid_runs_every_stage(tmp_path):
    """Its pretended jobs leave behind all that Snakemake expects of them."""
    task = {"dataset": {"source": "d4rl", "file": "hopper-medium-v2"}, "near_expert": {"algorithm": "cal_ql"}}
    grid = tmp_path / "grid.json"
    grid.write_text(json.dumps({"tasks": {"hopper_medium": task}, "seeds": [0]}))
    lines = run("grid.py", "--configfile", str(grid), "--cores", "8").splitlines()
    assert re.fullmatch(r"\d+ jobs, up to 8 side by side", lines[0])
    rows = ["start (list of rules)", "plan", "run", "plan when all is there"]
    assert [line[:22].strip() for line in lines[2:]] == rows
