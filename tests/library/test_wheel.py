"""The wheel, installed into an environment of its own, far from the repository."""

import importlib.metadata
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
from packaging.version import Version

from helpers.synsets import assert_score_is_the_published_one, readme_snippet, write_made_synset

pytestmark = pytest.mark.slow
REPOSITORY = Path(__file__).parents[2]
USER = """
from pathlib import Path

import numpy as np

import obdistill
from obdistill import Policy, UserError


def distilled(observations: np.ndarray, actions: np.ndarray, rewards: np.ndarray, ends: np.ndarray) -> Policy:
    dataset = obdistill.Dataset.from_arrays(observations, actions, rewards, ends, ~ends, action_low=-2, action_high=2.0)
    near_expert = obdistill.train_near_expert(dataset, "td3_bc", steps=10)
    settings = obdistill.PROTOCOL
    synset: obdistill.Synset = obdistill.distill(
        dataset, near_expert, size=8, settings=settings, progress=lambda step, loss: print(step)
    )
    obdistill.write_synset(Path("synset.npz"), synset)
    return obdistill.train(obdistill.read_synset("synset.npz"), policies=2, optimizer="adam")


def acts(path: str) -> np.ndarray:
    try:
        policy = Policy.load(path)
    except UserError as error:
        raise SystemExit(str(error)) from None
    mean: float = obdistill.evaluate(policy, "Pendulum-v1", episodes=2).mean()
    print(mean, policy.task.env_id)
    return policy([0.0, 1.0, 0.0])
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The interpreter of an environment with the wheel; its other packages are those of this one."""
    if Version(importlib.metadata.version("setuptools")) < Version("77"):
        pytest.skip("building a wheel without the network needs setuptools >= 77 here")
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    shutil.copytree(REPOSITORY / "src", source / "src", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(REPOSITORY / name, source)
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*build, "--wheel-dir", folder, source], check=True)
    (wheel,) = folder.glob("*.whl")
    subprocess.run([sys.executable, "-m", "venv", "--system-site-packages", folder / "venv"], check=True)
    python = folder / "venv/bin/python"
    (packages,) = folder.glob("venv/lib/python*/site-packages")
    (packages / "outer.pth").write_text(sysconfig.get_path("purelib") + "\n")
    install = [python, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--force-reinstall"]
    run(*install, wheel, cwd=folder)
    return python


def run(*command: str | Path, cwd: Path) -> str:
    """Run a program without the repository's sources on its path."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_readmes_snippet_runs_far_from_the_repository(installed, tmp_path):
    where = run(installed, "-c", "import obdistill; print(obdistill.__file__)", cwd=tmp_path)
    assert Path(where.strip()).is_relative_to(installed.parents[1])
    assert_score_is_the_published_one(run(installed, "-c", readme_snippet(REPOSITORY), cwd=tmp_path))


def test_the_command_trains_a_policy_far_from_the_repository(installed, tmp_path):
    write_made_synset(tmp_path / "synset.npz", env_id="Pendulum-v1", task="pendulum", size=64)
    run(installed.with_name("obd"), "train", "synset.npz", "--out", "policy.safetensors", cwd=tmp_path)
    code = "import obdistill; print(obdistill.Policy.load('policy.safetensors')([0, 1, 0]).shape)"
    assert run(installed, "-c", code, cwd=tmp_path) == "(1,)\n"


def test_the_zoo_comes_with_the_wheel(installed, tmp_path):
    code = (
        "from obdistill.synsets.zoo import FOLDER\n"
        "print(*sorted(str(path.relative_to(FOLDER)) for path in FOLDER.rglob('*') if path.is_file()), sep='\\n')"
    )
    zoo = REPOSITORY / "src/obdistill/zoo"
    here = sorted(str(path.relative_to(zoo)) for path in zoo.rglob("*") if path.is_file())
    assert run(installed, "-c", code, cwd=tmp_path).splitlines() == here


def test_a_strictly_typed_program_passes(installed, tmp_path):
    (tmp_path / "user.py").write_text(USER)
    mypy = [sys.executable, "-m", "mypy", "--strict", "--python-executable", installed, "--cache-dir", "cache"]
    assert "no issues found" in run(*mypy, "user.py", cwd=tmp_path)
    (tmp_path / "wrong.py").write_text("import obdistill\n\nobdistill.train(3)\nobdistill.destill()\n")
    done = subprocess.run([*mypy, "wrong.py"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert 'Argument 1 to "train" has incompatible type "int"; expected "Synset"' in done.stdout
    assert 'Module has no attribute "destill"' in done.stdout
