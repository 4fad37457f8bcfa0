"""The short form of `make torture`: a few attempts of each kind of attack on files; nothing wrong, nothing lost."""

import csv
import subprocess
import sys

import pytest

from helpers.workflow_copy import REPOSITORY


def torture(out, *options):
    command = [sys.executable, "-m", "benchmarks.torture", "--short", "--out", str(out), *options]
    answer = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    with out.open(newline="") as file:
        return answer, list(csv.DictReader(file))


@pytest.mark.parametrize("attack", ["flips", "races"])
def test_a_few_attempts_of_each_kind(attack, tmp_path):
    answer, rows = torture(tmp_path / "counts.csv", "--only", attack)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    protected = [row for row in rows if row["protected"] == "yes"]
    assert sum(int(row["tries"]) for row in protected) >= 10
    assert {(row["wrong"], row["lost"]) for row in protected} == {("0", "0")}


def test_a_run_goes_on_where_it_was_stopped_and_fails_on_what_is_wrong(tmp_path):
    out = tmp_path / "counts.csv"
    kinds = ["npz", "safetensors", "csv", "json", "two commands, one --out"]
    rows = [f"races,{kind},yes,0,99,0,{98 if kind == 'csv' else 99},{int(kind == 'csv')},0" for kind in kinds[:-1]]
    rows.append('races,"two commands, one --out",yes,0,99,0,99,0,0')
    out.write_text("attack,kind,protected,seed,tries,told,same,wrong,lost\n" + "\n".join(rows) + "\n")
    before = out.read_text()
    answer, _ = torture(out, "--only", "races")
    assert (answer.returncode, answer.stdout) == (1, "")
    assert out.read_text() == before


@pytest.mark.parametrize(
    "attack",
    [
        pytest.param("kills", marks=pytest.mark.slow),
        pytest.param("stale", marks=pytest.mark.slow),
        pytest.param("workflow", marks=pytest.mark.torture),
    ],
)
def test_a_few_attempts_of_each_kind_on_whole_runs(attack, tmp_path):
    answer, rows = torture(tmp_path / "counts.csv", "--only", attack)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert {(row["wrong"], row["lost"]) for row in rows} == {("0", "0")}
