"""Hostile files: one line, no file, nothing executed; odd names reach commands as they are."""

import json
import os
import pathlib
import pickle
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
import yaml

from helpers import configurations
from helpers.good_files import (
    COMMANDS,
    METADATA,
    RETURNS,
    edit_text,
    refused,
    words,
    write_good,
)
from obdistill.core import artifacts, atomic
from obdistill.experiment.config import Config
from obdistill.experiment.jobs import Experiment


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    return write_good(tmp_path_factory.mktemp("good"))


class Payload:
    def __reduce__(self):
        return pathlib.Path.touch, (pathlib.Path("marker"),)


def hostile_pt():
    torch.save({"actor": Payload(), "critic1": {}, "critic2": {}}, "evil.pt")


def hostile_pickle():
    Path("evil.pt").write_bytes(pickle.dumps(Payload(), protocol=2))


def hostile_npz(path, **names):
    np.savez(path, **{"steps": np.array([Payload()], object), **names})
    if (sidecar := artifacts.sidecar(Path(path))).is_file():  # the attacker makes the hashes fit
        metadata = artifacts.read_json(sidecar)
        metadata.pop("metadata_sha256")
        metadata["sha256"] = artifacts.sha256(Path(path))
        atomic.write_json(sidecar, {**metadata, "metadata_sha256": artifacts._hash_of(metadata)})


def zip_bomb():
    with zipfile.ZipFile("evil.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("actor.npy", b"\0" * 2**21)
    data = Path("evil.npz").read_bytes()
    # the declared size, in the central directory, becomes 4 GB
    at = data.rindex(b"PK\1\2") + 24
    Path("evil.npz").write_bytes(data[:at] + (2**32 - 2).to_bytes(4, "little") + data[at + 4 :])


def link(make):
    def change():
        with h5py.File("secret.hdf5", "w") as file:
            file["rewards"] = np.ones(20)
        with h5py.File("data.hdf5", "a") as file:
            del file["rewards"]
            make(file)

    return change


def soft(file):
    file["outside"] = h5py.ExternalLink("secret.hdf5", "/")
    file["rewards"] = h5py.SoftLink("/outside/rewards")


def virtual(file):
    layout = h5py.VirtualLayout((20,), "f8")
    layout[:] = h5py.VirtualSource("secret.hdf5", "rewards", (20,))
    file.create_virtual_dataset("rewards", layout)


def external(file):
    file.create_dataset("rewards", (20,), "f8", external=[("/etc/hostname", 0, 160)])


IMPORT = COMMANDS["import"].replace("checkpoint.npz", "{}")


HOSTILE = {
    "pt": (hostile_pt, IMPORT.format("evil.pt"), "evil.pt: refused: holds more than tensors"),
    "pickle": (hostile_pickle, IMPORT.format("evil.pt"), "evil.pt: (refused|is no readable)"),
    "npz": (lambda: hostile_npz("evil.npz"), IMPORT.format("evil.npz"), "evil.npz: is no readable .*Object arrays"),
    "synset": (lambda: hostile_npz("synset.npz"), COMMANDS["evaluate"], "synset.npz: is no readable .*Object arrays"),
    "dataset": (lambda: hostile_npz("dataset.npz"), COMMANDS["distill"], "dataset.npz: is no readable .*Object arr"),
    "zip bomb": (zip_bomb, IMPORT.format("evil.npz"), "evil.npz: refused: would unpack to 4.0 GiB"),
    "external link": (
        link(lambda file: file.__setitem__("rewards", h5py.ExternalLink("secret.hdf5", "rewards"))),
        COMMANDS["d4rl"],
        "'rewards' refers to another file",
    ),
    "soft link to an external one": (link(soft), COMMANDS["d4rl"], "refers to another file"),
    "virtual dataset": (link(virtual), COMMANDS["d4rl"], "'rewards' refers to another file"),
    "external storage": (link(external), COMMANDS["d4rl"], "'rewards' refers to another file"),
    "dangling soft link": (
        link(lambda file: file.__setitem__("rewards", h5py.SoftLink("/../../etc/passwd"))),
        COMMANDS["d4rl"],
        "lacks the array 'rewards'",
    ),
    "yaml tag": (
        lambda: Path("evil.yaml").write_text("tasks: !!python/object/apply:pathlib.Path.touch [marker]"),
        "check evil.yaml",
        "evil.yaml: is not YAML",
    ),
    "environment of a Minari file": (
        edit_text(METADATA, "Pendulum-v1", "evil_module:Pendulum-v1"),
        COMMANDS["minari"].replace(" --set env_id=Pendulum-v1", ""),
        "evil_module",
    ),
}


def test_the_payload_works(folder):
    pickle.loads(pickle.dumps(Payload()))
    assert Path("marker").exists()


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files(name, folder, capfd, monkeypatch):
    change, command, line = HOSTILE[name]
    change()
    # a module that would be found if a file could have it imported
    Path("evil_module.py").write_text("import pathlib; pathlib.Path('marker').touch()")
    monkeypatch.syspath_prepend(str(folder))
    said = refused(capfd, words(command))
    assert re.search(line, said), said
    assert not Path("marker").exists()


SHELL = [
    "$(touch marker)",
    "`touch marker`",
    "x; touch marker",
    "x' ; touch marker; '",
    "x\ntouch marker",
    "../x",
    "x&y",
]


@pytest.mark.parametrize("text", SHELL)
@pytest.mark.parametrize("section", ["tasks", "collections"])
def test_names_with_shell_characters(section, text, folder, capfd):
    config = configurations.bad("near_expert_evaluation.episodes", 10)
    config[section][text] = next(iter(config[section].values()))
    Path("bad.yaml").write_text(yaml.safe_dump(config))
    assert ": is not a name; a name is lower-case words and digits" in refused(capfd, ["check", "bad.yaml"])


@pytest.mark.parametrize("text", SHELL)
def test_values_reach_commands_as_they_are(text, folder, capfd):
    """A path in the configuration may hold anything; the rules quote it."""
    from snakemake.utils import format as snakemake_format

    config = configurations.bad("tasks.hopper.dataset", {"source": "d4rl", "file": text, "env_id": "Hopper-v5"})
    experiment = Experiment(Config.parse(config, "test"))
    settings = experiment.dataset_settings(type("Wildcards", (), {"task": "hopper"}))
    command = snakemake_format("printf %s {settings:q}", settings=settings)
    shown = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True).stdout
    assert json.loads(shown)["file"] == text
    assert not Path("marker").exists()


def test_every_free_text_in_a_rule_is_quoted():
    """Wildcards and numbers are constrained to names of the configuration, and need none."""
    repository = Path(__file__).parents[2]
    names = {"table", "figure", "task", "collection", "method", "variant", "size", "seed", "protocol"}
    plain = {f"wildcards.{name}" for name in names} | {"threads", "resources.device", "params.seed", "params.task"}
    plain |= {
        "resources.checkpoint_minutes",
        "params.collection",
        "params.near_expert",
    }  # the last two: an option and a path of names, or nothing
    found = []
    for file in (repository / "workflow/rules").glob("*.smk"):
        for shell in re.findall(r"shell:\n((?: +\".*\"\n)+)", file.read_text()):
            found += re.findall(r"\{([\w.]+)(:q)?\}", shell)
    assert len(found) > 40
    assert [name for name, quoted in found if not quoted and name not in plain] == []


@pytest.mark.parametrize("name", ["distill", "gather"])
def test_a_real_process_says_one_line(name, folder):
    """As the shell sees it; the rest of this file stays in one process."""
    command = COMMANDS[name].replace("dataset.npz", "no.npz").replace(RETURNS, "no.csv")
    start = [sys.executable, "-c", "from obdistill.cli import STAGES, main; main()", *words(command)]
    run = subprocess.run(start, capture_output=True, text=True, check=False, env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert run.returncode == 2
    assert run.stdout == ""
    assert run.stderr.count("\n") == 1, run.stderr
    assert "error: no." in run.stderr
