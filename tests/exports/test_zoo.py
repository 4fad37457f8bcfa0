"""The zoo: its files are those of the index, it is made from results, and synsets are found by name."""

import re
import shutil

import numpy as np
import pytest

import obdistill
from helpers.fake_returns import write_returns
from helpers.synsets import made_synset
from obdistill.cli import main
from obdistill.core.artifacts import sha256
from obdistill.core.errors import UserError
from obdistill.exports.zoo import TABLE, make_zoo
from obdistill.policies.policy import Policy
from obdistill.synsets import zoo
from obdistill.synsets.synset import read_synset, write_synset

CELL = "pendulum/av_pbc/default/size6"
SCORES = {0: 10.0, 1: 30.0, 12: 20.0}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A zoo made from the results of a pretended run, and these results."""
    root = tmp_path_factory.mktemp("zoo")
    for seed, score in SCORES.items():
        synset = made_synset("Pendulum-v1", "pendulum")
        changed = {**synset.__dict__, "seed": seed, "actions": synset.actions + np.float32(seed)}
        write_synset(root / f"results/synsets/{CELL}/seed{seed}/synset.npz", type(synset)(**changed))
        path = root / f"results/evaluations/{CELL}/seed{seed}/standard.csv"
        path.parent.mkdir(parents=True)
        write_returns(path, score, task="pendulum", size=6, seed=seed, steps=(10, 20))
    shutil.copytree(zoo.FOLDER, root / "zoo", ignore=lambda folder, names: set(names) - {TABLE})
    header = (root / "zoo" / TABLE).read_text().splitlines()[0]
    rows = ["swing_up,pendulum,av_pbc,default,6,standard,CC0-1.0,Ann", "absent,cart,av_pbc,default,6,standard,,"]
    (root / "zoo" / TABLE).write_text("\n".join([header, *rows]) + "\n")
    make_zoo(root / "results", root / "zoo")
    return root


@pytest.fixture
def here(made, monkeypatch):
    """The made zoo is that of the package."""
    monkeypatch.setattr(zoo, "FOLDER", made / "zoo")
    return made


def test_every_file_of_the_zoo_is_the_one_in_its_index():
    for name, entry in zoo.entries().items():
        assert entry["seeds"][str(entry["best"])]["score"] == max(seed["score"] for seed in entry["seeds"].values())
        for seed, facts in entry["seeds"].items():
            assert sha256(zoo.FOLDER / facts["file"]) == facts["sha256"], (name, seed)
            synset = obdistill.load(name, int(seed))
            assert (synset.size, len(synset.steps)) == (entry["size"], 1)
        assert f'obdistill.load("{name}")' in (zoo.FOLDER / name / "README.md").read_text()


def test_the_best_seed_is_loaded_by_name(here):
    best = obdistill.load("swing_up")
    assert (best.seed, best.steps.tolist()) == (1, [20])
    assert np.array_equal(best.actions[-1], read_synset(here / f"results/synsets/{CELL}/seed1/synset.npz").actions[-1])
    assert obdistill.load("swing_up", seed=12).seed == obdistill.load("swing_up/seed12").seed == 12


def test_index_and_card_are_about_the_files(here):
    entry = zoo.entries()["swing_up"]
    assert list(zoo.entries()) == ["swing_up"]
    assert {seed: facts["score"] for seed, facts in entry["seeds"].items()} == {
        str(seed): score for seed, score in SCORES.items()
    }
    for facts in entry["seeds"].values():
        assert sha256(here / "zoo" / facts["file"]) == facts["sha256"]
    text = (here / "zoo/swing_up/README.md").read_text()
    assert "license: cc0-1.0\n" in text
    assert "| this synset (seed 1) | 30.0" in text
    assert re.search(r"\| all seeds of the method \| 20\.0 \[.*\] \| 3 seeds \|", text)
    assert "| seed1/synset.npz | mean score 30.0 (the best) |" in text
    assert (here / "zoo/swing_up/croissant.json").is_file()


def test_the_same_results_make_the_same_bytes(here, tmp_path):
    shutil.copytree(here / "zoo", tmp_path / "again")
    make_zoo(here / "results", tmp_path / "again")
    for path in (here / "zoo").rglob("*"):
        if path.suffix in (".npz", ".md") or path.name == "index.json":
            assert path.read_bytes() == (tmp_path / "again" / path.relative_to(here / "zoo")).read_bytes(), path


def test_a_name_without_results_stays(here, tmp_path):
    shutil.copytree(here / "zoo", tmp_path / "zoo")
    before = zoo.entries(tmp_path / "zoo")
    empty = tmp_path / "results"
    empty.mkdir()
    with pytest.raises(UserError, match=r"names\.csv: no synset that it names is in .*results$"):
        make_zoo(empty, tmp_path / "zoo")
    assert zoo.entries(tmp_path / "zoo") == before


def test_a_policy_is_trained_on_a_name(here, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("swing_up", "swing_up/seed12"):
        with pytest.raises(SystemExit) as end:
            main(["train", f"zoo:{name}", "--out", "policy.safetensors", "--set", "steps=1"])
        assert not end.value.code
        assert Policy.load("policy.safetensors").made["synset"]["seed"] == (12 if "/" in name else 1)


@pytest.mark.parametrize(
    ("name", "seed", "line"),
    [
        ("cart", None, "zoo: 'cart' is not in it; there are: swing_up"),
        ("swing_up", 5, "zoo: swing_up has no seed 5; there are: 0, 1, 12"),
        ("swing_up/five", None, "zoo: 'swing_up/five': swing_up or swing_up/seed1 is needed"),
    ],
)
def test_another_name_is_one_line(here, name, seed, line):
    with pytest.raises(UserError, match=f"^{re.escape(line)}$"):
        obdistill.load(name, seed)


def test_a_name_cannot_leave_the_zoo(here, tmp_path):
    shutil.copytree(here / "zoo", tmp_path / "zoo")
    table = tmp_path / "zoo" / TABLE
    table.write_text(table.read_text().replace("swing_up", ".."))
    with pytest.raises(UserError, match=r"names\.csv: name: '\.\.': use lower-case words joined by _$"):
        make_zoo(here / "results", tmp_path / "zoo")


def test_every_seed_needs_its_returns(here, tmp_path):
    shutil.copytree(here / "results", tmp_path / "results")
    gone = tmp_path / f"results/evaluations/{CELL}/seed12/standard.csv"
    gone.unlink()
    with pytest.raises(UserError, match=f"^{re.escape(str(gone))}: no such file; the zoo needs the returns of every"):
        make_zoo(tmp_path / "results", here / "zoo")
