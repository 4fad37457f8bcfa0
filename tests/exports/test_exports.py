"""Exported synsets come back as they were, and their cards say what is so."""

import json
import re
import sys

import numpy as np
import pytest

from helpers.fake_returns import write_returns
from helpers.small import write_small_inputs
from helpers.synsets import made_synset, write_made_synset
from obdistill.cli import main
from obdistill.core.artifacts import sha256
from obdistill.core.errors import UserError
from obdistill.datasets.d4rl_facts import BUILT_IN
from obdistill.exports.card import card, croissant, snippet
from obdistill.exports.facts import D4RL, Facts, License, Score, gather_facts, license_of
from obdistill.exports.stage import export
from obdistill.paper.statistics.intervals import Interval
from obdistill.policies.settings import BcSettings
from obdistill.synsets.settings import DistillSettings
from obdistill.synsets.stage import make_synset
from obdistill.synsets.synset import read_synset, write_synset


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A small dataset, a near-expert and a synset distilled with them."""
    folder = tmp_path_factory.mktemp("inputs")
    dataset, near_expert = write_small_inputs(folder)
    quick = DistillSettings(
        steps=2, snapshot_every=1, inner={"steps": 1, "learning_rate": 0.2}, outer={"batch_size": 4}
    )
    make_synset(dataset, near_expert, "pbc", 8, 0, quick, folder / "synset.npz")
    return folder


def exported(folder, form, out, **options):
    export(folder / "synset.npz", form, out, **options)
    return read_synset(folder / "synset.npz"), read_synset(out / "synset.npz")


def test_the_last_snapshot_comes_back(folder, tmp_path):
    before, after = exported(folder, "npz", tmp_path / "npz")
    assert after.steps.tolist() == [2]
    assert np.array_equal(after.observations, before.observations[-1:])
    assert np.array_equal(after.actions, before.actions[-1:])
    assert after.artifact.metadata["settings"] == before.artifact.metadata["settings"]
    assert after.artifact.metadata["exported_from"] == {"file": "synset.npz", "sha256": before.artifact.sha256}
    assert sorted(path.name for path in (tmp_path / "npz").iterdir() if path.name[0] != ".") == [
        *("README.md", "croissant.json", "synset.json", "synset.npz")
    ]


def test_json_holds_every_bit(folder, tmp_path):
    before, _ = exported(folder, "json", tmp_path / "json")
    data = json.loads((tmp_path / "json/pairs.json").read_text())
    assert np.array_equal(np.float32(data["observations"]), before.observations[-1])
    assert np.array_equal(np.float32(data["actions"]), before.actions[-1])
    for name, array in before.normalizer.arrays().items():
        assert np.array_equal(np.float32(data["normalizer"][name]), array)
    assert data["normalizer"]["std_floor"] == 0.001
    assert data["bc"] == BcSettings(steps=1, learning_rate=0.2).model_dump()
    assert (data["env_id"], data["size"], data["step"]) == ("Pendulum-v1", 8, 2)


def test_parquet_holds_a_pair_per_row(folder, tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    before, _ = exported(folder, "parquet", tmp_path / "parquet")
    table = parquet.read_table(tmp_path / "parquet/pairs.parquet")
    assert np.array_equal(np.stack(table["observation"].to_numpy()), before.observations[-1])
    assert np.array_equal(np.stack(table["action"].to_numpy()), before.actions[-1])


def test_minari_reads_episodes_of_one_step_without_rewards(folder, tmp_path, monkeypatch):
    minari = pytest.importorskip("minari")
    before, _ = exported(folder, "minari", tmp_path / "root")
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "root"))
    dataset = minari.load_dataset("obd/pendulum/pbc-v0")
    assert (dataset.total_episodes, dataset.total_steps) == (8, 8)
    for index, episode in enumerate(dataset.iterate_episodes()):
        assert np.array_equal(episode.observations, np.repeat(before.observations[-1, index][None], 2, 0))
        assert np.array_equal(episode.actions[0], before.actions[-1, index])
        assert (episode.rewards.tolist(), episode.terminations.tolist(), episode.truncations.tolist()) == (
            *([0.0], [False], [True]),
        )
        assert dataset.action_space.contains(episode.actions[0])
    assert "its reward is 0" in (tmp_path / "root/README.md").read_text()


def test_the_card_says_where_it_is_from_and_how_good(folder, tmp_path):
    before = read_synset(folder / "synset.npz")
    returns = [
        write_returns(tmp_path / f"{seed}.csv", 40.0 + seed, task="pendulum", method="pbc", size=8, seed=seed)
        for seed in (0, 1, 2)
    ]
    facts = gather_facts(
        before, folder / "dataset.npz", folder / "near_expert.safetensors", returns, "MIT", "Made by Ann."
    )
    own, of_all = facts.scores
    assert (own.about, of_all.unit, of_all.interval.n) == ("this synset (seed 0)", "seeds", 3)
    assert of_all.interval.mean == pytest.approx(np.mean([own.interval.mean + seed for seed in range(3)]))
    text = card(facts, 'obdistill.load("pendulum")', {"synset.npz": "pairs"})
    assert "license: mit\n" in text
    assert "| method | PBC (`pbc`, variant `default`) |" in text
    assert "60 transitions" in text
    assert f"| {of_all.interval.n} seeds |" in text
    assert "Made by Ann." in text
    assert '"""' not in text


def test_what_the_card_is_told_must_be_about_the_synset(folder, tmp_path):
    before = read_synset(folder / "synset.npz")
    other = write_made_synset(tmp_path / "a.npz")
    line = f"{other}: is a synset by its a.json; a dataset is needed"
    with pytest.raises(UserError, match=f"^{re.escape(line)}$"):
        gather_facts(before, dataset=other)
    returns = write_returns(tmp_path / "r.csv", 40.0, task="pendulum", method="dbc", size=8)
    with pytest.raises(UserError, match=f"^{re.escape(str(returns))}: method is dbc; that of the synset is pbc$"):
        gather_facts(before, returns=[returns])


def test_the_snippet_of_the_card_runs(folder, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    exported(folder, "npz", tmp_path)
    (code,) = re.findall(r"```python\n(.*?)```", (tmp_path / "README.md").read_text(), re.S)
    assert len(code.split("\n\n")[1].splitlines()) == 4
    assert "obdistill.train(synset)" in code  # evaluated as it was made to be
    exec(code.replace("episodes=10", "episodes=1"), {})
    assert float(capsys.readouterr().out) < 100


def test_a_task_without_environment_has_a_shorter_snippet():
    synset = made_synset()
    bare = type(synset.task)("own")
    facts = Facts(type(synset)(**{**synset.__dict__, "task": bare}), BcSettings())
    assert snippet(facts, "x").splitlines()[-1] == "policy = obdistill.train(synset)"
    other = Facts(facts.synset, BcSettings(learning_rate=0.2, steps=1))
    assert snippet(other, "x").splitlines()[-1] == "policy = obdistill.train(synset, learning_rate=0.2, steps=1)"
    assert "| environment | none |" in card(facts, "x", {})
    assert "Not stated." in card(facts, "x", {})


@pytest.mark.parametrize(
    ("training", "words"),
    [
        (BcSettings(), "Initial weights matter: orthogonal with gain √2, biases zero. The training here: "),
        (BcSettings(architecture="mlp_2_16384", optimizer="ridge"), "bias / 3 are a random direction of length √2."),
    ],
)
def test_the_card_says_how_policies_begin(training, words):
    assert words in card(Facts(made_synset(), training), "x", {})


def test_the_licenses_are_those_of_the_data(tmp_path):
    facts = Facts(
        made_synset(), BcSettings(), license=D4RL, scores=[Score(Interval(1, np.nan, np.nan, 1), "seeds", "x")]
    )
    text = card(facts, "x", {})
    assert "license: cc-by-4.0\n" in text
    assert "licensed under CC BY 4.0" in text
    assert "| x | 1.0 | 1 seeds |" in text
    (tmp_path / "synset.npz").write_bytes(b"1")
    metadata = croissant(facts, tmp_path, {"synset.npz": "pairs"})
    assert metadata["license"] == "https://spdx.org/licenses/CC-BY-4.0.html"
    assert metadata["distribution"][0]["sha256"] == sha256(tmp_path / "synset.npz")
    assert "license" not in croissant(Facts(made_synset(), BcSettings()), tmp_path, {})


@pytest.mark.parametrize("form", ["npz", "parquet", "json"])
def test_croissant_is_valid(folder, tmp_path, form):
    mlcroissant = pytest.importorskip("mlcroissant")
    exported(folder, form, tmp_path / form, license_name="MIT")
    dataset = mlcroissant.Dataset(jsonld=tmp_path / form / "croissant.json")
    assert not dataset.metadata.ctx.issues.errors


@pytest.mark.parametrize(
    ("command", "line"),
    [
        ("synset.npz --to onnx --out a.onnx", "--to onnx: synset.npz is exported to npz, parquet, json, minari"),
        ("synset.npz --to npz --out synset.json", "--out synset.json: is a file; a folder is needed"),
        ("policy.safetensors --to npz --out a", "--to npz: policy.safetensors is exported to onnx, sb3"),
        ("policy.safetensors --to onnx --out a", "--out a: ends in 'nothing'; .onnx is needed"),
        ("zoo:unheard --to npz --out a", r"zoo: 'unheard' is not in it; there are: "),
    ],
)
def test_what_does_not_fit_is_one_line(tmp_path, monkeypatch, capfd, command, line):
    monkeypatch.chdir(tmp_path)
    write_synset("synset.npz", made_synset())
    with pytest.raises(SystemExit) as end:
        main(["export", *command.split()])
    assert end.value.code == 2
    assert f"error: {line}" in capfd.readouterr().err


def test_a_missing_package_is_named(folder, tmp_path, monkeypatch, capfd):
    monkeypatch.setitem(sys.modules, "minari", None)
    with pytest.raises(SystemExit) as end:
        main(["export", str(folder / "synset.npz"), "--to", "minari", "--out", str(tmp_path / "m")])
    assert end.value.code == 2
    assert "error: export needs minari: pip install 'obdistill[minari]'" in capfd.readouterr().err


def test_only_files_of_d4rl_are_known_to_have_its_license():
    url, _ = BUILT_IN["hopper-medium-v2"]
    assert license_of({"source": "d4rl", "name": "hopper-medium-v2", "url": url}) == D4RL
    assert license_of({"source": "d4rl", "url": "https://example.org/own.hdf5"}) is None
    assert license_of({"source": "minari", "id": "obd/halfcheetah/medium-v0"}) is None


def test_a_license_is_named(folder):
    given = gather_facts(read_synset(folder / "synset.npz"), license_name="ODbL-1.0", attribution="Ann.")
    assert given.license == License("ODbL-1.0", "Ann.")
