"""The tutorial docs/own_data.md: its code runs as it stands, and ends with a policy that works."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from helpers.workflow_copy import REPOSITORY
from obdistill.core.parsing import load_yaml
from obdistill.policies.policy import Policy

pytestmark = pytest.mark.slow
PAGE = (REPOSITORY / "docs/own_data.md").read_text()


@pytest.fixture(scope="module")
def ended(tmp_path_factory):
    """The folder in which the page's files were saved and its commands were run, and what they printed."""
    folder = tmp_path_factory.mktemp("repository")
    for name in ("workflow", "profiles", "config"):
        shutil.copytree(REPOSITORY / name, folder / name)
    for name in ("Snakefile", "environment.yml", "environment.post-deploy.sh"):
        shutil.copy2(REPOSITORY / name, folder)
    commands = []
    for title, block in re.findall(r'^```(?:python|sh)(?: title="(.*?)")?\n(.*?)^```', PAGE, re.M | re.S):
        if title:
            (folder / title).parent.mkdir(exist_ok=True)
            (folder / title).write_text(block)
        else:
            commands.append(block)
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = os.environ | {"PATH": path, "PYTHONPATH": str(REPOSITORY / "src"), "OMP_NUM_THREADS": "1"}
    script = ["bash", "-euc", "".join(commands)]
    run = subprocess.run(script, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout[-2000:] + run.stderr[-3000:]
    return folder, run.stdout


def test_the_policy_is_far_better_than_random_actions(ended):
    folder, printed = ended
    policy = Policy.load(folder / "my_robot/policy.safetensors")
    assert policy.task.env_id == "puck:Puck-v0"
    assert float(re.search(r"^mean return \S+, score (-?\d+)$", printed, re.M)[1]) > 60


def test_the_page_shows_what_obd_new_prints_and_proposes(ended):
    folder, printed = ended
    shown = re.search(r"^```text\n(puck: .*?)^```", PAGE, re.M | re.S)[1]
    assert re.sub(r"[\d.]+", "0", shown) in re.sub(r"[\d.]+", "0", printed)
    config = load_yaml(folder / "my_robot/config.yaml")
    steps, size, outer = re.search(r"^\| up to 20,000 \| ([\d,]+) \| (\d+) \| (\d+) \|$", PAGE, re.M).groups()
    assert config["tasks"]["puck"]["near_expert"]["steps"] == int(steps.replace(",", ""))
    assert (config["sizes"], config["distill"]["steps"]) == ([int(size)], int(outer))


def test_the_table_has_the_rows_that_the_page_names(ended):
    table = (ended[0] / "results/paper/table_1.md").read_text()
    rows = re.findall(r"^\| (Random|Av-PBC|OffRL \(whole\)) \|", table, re.M)
    assert rows[:3] == ["Random", "Av-PBC", "OffRL (whole)"]
