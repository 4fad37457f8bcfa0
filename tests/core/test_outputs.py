"""An output never takes the place of an input or of another output's files."""

import re
import shlex
from pathlib import Path

import pytest

from helpers.fake_returns import write_returns
from helpers.good_files import write_small_synset
from obdistill.cli import main
from obdistill.core import outputs

SUMMARY = "summary --table standard.csv --curves standard.csv --tests standard.csv"
DISTILL = "distill --dataset dataset.npz --near-expert near_expert.safetensors --objective pbc --size 8"
EVALUATE = "evaluate --pairs synset.npz"
REFUSED = [
    (f"{DISTILL} --out dataset.npz", "is the input dataset.npz"),
    (f"{DISTILL} --out ./new/../dataset.npz", "is the input dataset.npz"),
    (f"{DISTILL} --out near_expert.npz", "of the stem 'near_expert' .* of the input near_expert.safetensors"),
    (f"{DISTILL} --out metrics.npz", "a distillation or a summary writes metrics"),
    (f"{DISTILL} --out standard.npz", "its standard.json would take the place of that of standard.csv"),
    (f"{DISTILL} --out link.npz", "is the input dataset.npz"),
    (f"{DISTILL} --out hard.npz", "is the input dataset.npz"),
    (DISTILL.replace("dataset.npz", "link.npz") + " --out dataset.npz", "is the input link.npz"),
    (f"{EVALUATE} --out synset.csv", "of the stem 'synset' would take the place of those of the input synset.npz"),
    (f"{EVALUATE} --out linked/synset.csv", "of the input synset.npz"),
    (f"{EVALUATE} --out dataset.csv", "its dataset.json would take the place of that of dataset.npz"),
    ("near-expert --dataset dataset.npz --out dataset.safetensors --set algorithm=td3_bc", "of the input dataset.npz"),
    (
        "near-expert --dataset dataset.npz --out weights.safetensors --set algorithm=import "
        "--set checkpoint=weights.npz",
        "of the input weights.npz",
    ),
    ("evaluate-near-expert --near-expert near_expert.safetensors --out near_expert.csv", "of the input near_expert"),
    ("cost --dataset dataset.npz --synset synset.npz --out synset.csv", "of the input synset.npz"),
    ("dataset --task a --out data.npz --set source=d4rl --set file=data.hdf5", "of the input data.hdf5"),
    ("table --out standard.csv standard.csv", "is the input standard.csv"),
    (
        "summary --table standard.csv --curves standard.csv --tests standard.csv --out standard.csv",
        "is the input standard.csv",
    ),
    (
        "summary --table standard.csv --curves standard.csv --tests standard.csv --out metrics.csv",
        "a distillation or a summary writes metrics",
    ),
    ("figure --out standard.png standard.csv", "of the input standard.csv"),
    (
        "table --out new/table_1.csv --log standard.csv standard.csv",
        "--log standard.csv: would be written over standard",
    ),
    (
        f"{EVALUATE} --out new/a.csv --log synset.json",
        "--log synset.json: would be written over synset.npz or its .json",
    ),
    (f"{EVALUATE} --out new/a.csv --log new/a.json", "--log new/a.json: would be written over new/a.csv"),
]


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    folder = tmp_path_factory.mktemp("good")
    write_small_synset(folder)
    write_returns(folder / "standard.csv", 50.0)
    for name in ("weights.npz", "data.hdf5"):
        (folder / name).write_text("a user's")
    return folder


def contents() -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(Path().rglob("*")) if path.is_file()}


@pytest.mark.parametrize(("command", "line"), REFUSED, ids=[command[-60:] for command, _ in REFUSED])
def test_what_would_be_overwritten_is_named_before_any_work(command, line, folder, capfd):
    Path("link.npz").symlink_to("dataset.npz")
    Path("hard.npz").hardlink_to("dataset.npz")
    Path("linked").symlink_to(folder)
    before = contents()
    with pytest.raises(SystemExit) as end:
        main(shlex.split(command))
    said = capfd.readouterr().err.strip().splitlines()
    assert end.value.code == 2
    assert len(said) == 1
    assert re.search(line, said[0])
    assert contents() == before


def test_writing_the_same_output_again_is_no_misfit(tmp_path):
    for name in ("synset.npz", "synset.json", "other.npz"):
        (tmp_path / name).write_text("")
    outputs.check(tmp_path / "synset.npz", [tmp_path / "other.npz"])
    outputs.check_log(tmp_path / "synset.log", tmp_path / "synset.npz", [tmp_path / "other.npz"])


def test_files_are_found_among_options_and_settings(folder):
    given = {
        "a": Path("dataset.npz"),
        "b": [("synset.npz", "no.npz")],
        "c": {"d": "x" * 5000 + ".y", "e": 3},
        "f": "\0.a",
    }
    assert list(outputs.paths_in(given)) == [Path("dataset.npz"), Path("synset.npz")]


def test_a_tilde_is_the_home_folder(folder, capfd, monkeypatch):
    monkeypatch.setenv("HOME", str(folder / "new"))
    Path("new").mkdir(exist_ok=True)
    Path("synset.npz").rename("new/synset.npz"), Path("synset.json").rename("new/synset.json")
    quick = "--set policies=1 --set episodes=1 --set bc.steps=1"
    with pytest.raises(SystemExit) as end:
        main(shlex.split(f"evaluate --pairs '~/synset.npz' --out '~/standard.csv' {quick}"))
    assert not end.value.code, capfd.readouterr().err
    assert Path("new/standard.csv").is_file()
    assert not Path("~").exists()
