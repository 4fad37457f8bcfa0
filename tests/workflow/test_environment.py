"""pyproject.toml, environment.yml, constraints.txt and the Makefile name the same packages."""

import re
import subprocess
import tomllib
from pathlib import Path

import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from obdistill.core.errors import EXTRAS

REPOSITORY = Path(__file__).parents[2]


def declared(extra: str = "dev") -> set[Requirement]:
    """What a plain installation brings, with an extra; extras may name other extras."""
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    found = {Requirement(text) for text in project["dependencies"]}
    waiting = [extra] if extra else []
    while waiting:
        for requirement in map(Requirement, project["optional-dependencies"][waiting.pop()]):
            if requirement.name == project["name"]:
                waiting += requirement.extras
            else:
                found.add(requirement)
    return found


def pinned() -> dict[str, str]:
    lines = (REPOSITORY / "constraints.txt").read_text().splitlines()
    return dict(line.split("==") for line in lines if not line.startswith("#"))


def test_conda_names_the_same_packages():
    environment = yaml.safe_load((REPOSITORY / "environment.yml").read_text())
    python, pip, from_pip = environment["dependencies"]
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    assert python.replace(" ", "") == f"python{project['requires-python']}"
    assert pip == "pip"
    assert {Requirement(text) for text in from_pip["pip"]} == declared()


def test_a_plain_installation_is_light():
    def names(extra: str) -> set[str]:
        return {requirement.name for requirement in declared(extra)}

    plain = names("")
    assert {"torch", "numpy", "gymnasium", "click", "safetensors"} <= plain
    assert {extra: names(extra) - plain for extra in ("workflow", "collect", "minari")} == {
        "workflow": {
            *("dvc", "dvc-s3", "matplotlib", "pygments", "rich"),
            *("snakemake", "snakemake-executor-plugin-slurm", "snakemake-logger-plugin-rich"),
        },
        "collect": {"minari", "stable-baselines3"},
        "minari": {"minari"},
    }


def test_every_optional_package_has_its_extra():
    for package, extra in EXTRAS.items():
        assert package.replace("_", "-") in {requirement.name for requirement in declared(extra)}, package


def test_every_package_is_pinned_within_its_range():
    versions = {canonicalize_name(name): version for name, version in pinned().items()}
    for requirement in declared():
        assert requirement.specifier.contains(versions[canonicalize_name(requirement.name)]), requirement
    assert versions["torch"] == "2.13.0"


def test_pins_are_exact_and_name_no_place():
    for name, version in pinned().items():
        assert re.fullmatch(r"[A-Za-z0-9._-]+", name), name
        assert re.fullmatch(r"[0-9][0-9a-z.]*", version), (name, version)


def test_an_old_python_is_refused_in_one_line(tmp_path):
    old = tmp_path / "python3.9"
    # a Python that says it is 3.9
    old.write_text('#!/bin/sh\nexec python3 -c "import sys; sys.version_info = (3, 9, 2); $2"\n')
    old.chmod(0o755)
    run = subprocess.run(
        ["make", "--no-print-directory", "install", f"PYTHON={old}", f"VENV={tmp_path}/venv"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode != 0
    assert run.stderr.splitlines()[0] == (
        f"error: {old} is Python 3.9; 3.11 or later is needed: make PYTHON=/path/to/python3.11"
    )
    assert not (tmp_path / "venv").exists()


def test_help_lists_every_target():
    makefile = (REPOSITORY / "Makefile").read_text()
    targets = set(re.search(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)[1].split())
    shown = subprocess.run(
        ["make", "--no-print-directory", "help"], cwd=REPOSITORY, capture_output=True, text=True, check=True
    ).stdout
    assert {line.split()[1] for line in shown.splitlines()} == targets
