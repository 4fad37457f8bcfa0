"""Bad and hostile input through the command line: one line on stderr, a status, no file, nothing executed."""

import re
from pathlib import Path

import h5py
import numpy as np
import pytest
import yaml

from helpers import configurations
from helpers.good_files import COMMANDS, EXPERT, METADATA, MINARI_ID, RETURNS, edit_text, refused, words, write_good
from obdistill.cli import STAGES
from obdistill.core import artifacts


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    return write_good(tmp_path_factory.mktemp("good"))


OPTIONS = [
    ("", "obd: No such command 'bogus'", "bogus"),
    *((name, f"obd {name}: Missing (option|argument)", name) for name in STAGES if name not in ("check", "schema")),
    ("check", "two.yaml.: cannot be read|two.yaml: cannot be read", "check two.yaml"),
    ("check", "obd check: No such option '--two'", "check config.yaml --two two.yaml"),
    ("train", "'--out': 'p.npz' ends in '.npz'; .safetensors is needed", "train two.npz --out p.npz"),
    ("train", "two.npz: no such file", "train two.npz --out p.safetensors"),
    ("train", "settings: stepz: unknown key", "train two.npz --out p.safetensors --set stepz=1"),
    ("collect", "'--seed': -1 is not in the range x>=0", "--seed -1"),
    ("collect", "levels", "--set levels=[medium,medium]"),
    ("collect", "expert_steps", "--set expert_steps=1"),
    ("collect", "env_id: 'Unheard-v0'", "--set env_id=Unheard-v0"),
    ("collect", "env_id: 'os:system-v0'|No module named|env_id", "--set env_id=nowhere_module:Env-v0"),
    ("collect", "env_id: 'CartPole-v1'.*Box", "--set env_id=CartPole-v1"),
    ("collect", "max_replay_transitions: 5: below the 200 steps", "--set max_replay_transitions=5"),
    ("collect", "hidden_widths", "--set hidden_widths=[0]"),
    ("collect", "reference_returns", "--set reference_returns=[1]"),
    ("collect", "--out.*is a file", "--out data.hdf5"),
    ("d4rl", "task: '../x': use lower-case words", "--task ../x"),
    ("d4rl", r"task: '\$\(touch marker\)'", "--task '$(touch marker)'"),
    ("d4rl", "task: 'a;b'", "--task 'a;b'"),
    ("d4rl", "file: 'no.hdf5': neither a file nor a URL", "--set file=no.hdf5"),
    ("d4rl", "file", "--set file="),
    ("d4rl", "sha256: \"abc\": should match pattern", "--set sha256=abc"),
    ("d4rl", "data.hdf5: has the sha256", f"--set sha256={'a' * 64}"),
    ("d4rl", r"shape \(3,\) are not those of Hopper-v5", "--set env_id=Hopper-v5"),
    ("d4rl", r"reference_returns: \[3.0, 1.0\]: the first must be below", "--set reference_returns=[3,1]"),
    ("d4rl", "settings: source: \"rlds\": not known; allowed: minari, d4rl, collect", "--set source=rlds"),
    ("d4rl", "ends in '.zip'; .npz is needed", "--out new/dataset.zip"),
    ("minari", "id: \"../x-v0\": should match pattern", "--set id=../x-v0"),
    ("minari", "id: .*: should match pattern", "--set 'id=$(touch marker)-v0'"),
    ("minari", "no such dataset in", "--set id=other-v0"),
    ("near-expert", "no.npz: no such file; a dataset is needed", "--dataset no.npz"),
    ("near-expert", "is a synset by its synset.json; a dataset is needed", "--dataset synset.npz"),
    ("near-expert", "data.json: cannot be read .*data.hdf5 is of no use without it", "--dataset data.hdf5"),
    ("near-expert", "'banana' is no torch device", "--device banana"),
    ("near-expert", "'cuda:7' is no torch device", "--device cuda:7"),
    ("near-expert", "-1 is not in the range|-1.0 is not in the range", "--checkpoint-minutes -1"),
    ("near-expert", "steps: 0: should be greater than or equal to 1", "--set steps=0"),
    ("near-expert", "algorithm: \"sac\": not known", "--set algorithm=sac"),
    ("near-expert", "settings: critic_learning_rate: \"fast\": should be a number", "--set critic_learning_rate=fast"),
    ("near-expert", "ends in '.npz'; .safetensors is needed", "--out new/x.npz"),
    ("import", "CORL's actions lie in", ""),
    ("import", "no.pt: no such file; a checkpoint", "--set checkpoint=no.pt"),
    ("import", "dataset.json: is no readable|dataset.json", "--set checkpoint=dataset.json"),
    (EXPERT, "no.safetensors: no such file; a near_expert", "--near-expert no.safetensors"),
    (EXPERT, "a near_expert is needed", "--near-expert dataset.npz"),
    (EXPERT, "episodes: 1: should be greater than or equal to 10", "--set episodes=1"),
    (EXPERT, "discount: 1.0: should be less than 1", "--set discount=1.0"),
    ("select", "'--method': 'dbc' is not one of 'random', 'random_relabeled'", "--method dbc"),
    ("select", "size: 61: is more than the 60 states of pendulum", "--size 61"),
    ("select", "no.safetensors: no such file; a near_expert", "--near-expert no.safetensors"),
    ("distill", "'--objective': 'sdw' is not one of 'dbc', 'pbc'", "--objective sdw"),
    ("distill", "size: 1000: is more than the 60 transitions", "--size 1000"),
    ("distill", "0 is not in the range x>=1", "--size 0"),
    ("distill", "'x' is not a valid integer", "--seed x"),
    ("distill", "--settings: is not JSON", "--settings '{'"),
    ("distill", "--settings: holds list; a JSON object is needed", "--settings '[1]'"),
    ("distill", "--settings: is not JSON", f"--settings '{'[' * 100_000}'"),
    ("distill", "settings: inner: 3: should be a mapping", "--set inner=3"),
    ("distill", "NaN", "--settings '{\"outer\": {\"clip\": NaN}}'"),
    ("distill", "--set 'steps': write key=value", "--set steps"),
    ("distill", "--set 'steps=\\[': the value is not YAML", "--set steps=["),
    ("distill", "--set .*the value is not YAML", "--set 'steps=!!python/object/apply:os.system [touch marker]'"),
    ("distill", "settings: outer.optimiser: unknown key .did you mean 'optimizer'", "--set outer.optimiser=adam"),
    ("distill", "0 is not in the range x>=1", "--threads 0"),
    ("distill", "ends in '.csv'; .npz is needed", "--out new/synset.csv"),
    ("evaluate", "no.npz: no such file", "--pairs no.npz"),
    ("evaluate", "a synset is needed", "--pairs near_expert.safetensors"),
    ("evaluate", "0 is not in the range x>=1", "--workers 0"),
    ("evaluate", "--protocol.*a b", "--protocol 'a b'"),
    ("table", "'table_9' is not 'table_1'|not one of", "--name table_9"),
    ("table", "ends in '.txt'; .csv is needed", "--out new/t.txt"),
    ("table", "size 3", "--set size=3"),
    ("table", "paper_datasets.hopper_medium: 'x' is not one of the paper's", "--set paper_datasets.hopper_medium=x"),
    ("table", "is made from one file, the gathered returns", RETURNS),
    ("gather", "is also in standard.csv; each run may be given once", RETURNS),
    ("gather", "no.csv: no such file; a returns is needed", "no.csv"),
    ("figure", "ends in '.svg'; .png is needed", "--out new/f.svg"),
    ("figure", "dpi: 5: should be greater", "--set dpi=5"),
    ("gather", "synset.npz: is a synset", "synset.npz"),
    ("figure-data", "is made from one file, the gathered returns", "synset.npz"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "line", "change"), OPTIONS, ids=[f"{n} {c[:40]}" for n, _, c in OPTIONS])
def test_bad_options(name, line, change, folder, capfd):
    whole = change.split(" ")[0] in ("bogus", "check", name, "dataset")
    said = refused(capfd, words(change if whole else f"{COMMANDS[name]} {change}"))
    assert re.search(line, said), said
    assert not list(folder.parent.rglob("marker"))


def rewrite(path: str, kind: str, change) -> None:
    """Write an artifact again with changed arrays or table, with hashes that fit."""
    read = artifacts.read_table if path.endswith(".csv") else artifacts.read_arrays
    data, metadata = read(Path(path), kind)
    data = {**data} if isinstance(data, dict) else data
    result = change(data, metadata)
    artifacts.write_artifact(Path(path), data if result is None else result, metadata)


def put(**arrays):
    return lambda data, metadata: data.update(arrays)


def drop(name):
    return lambda data, metadata: data.__delitem__(name)


def forget(name):
    return lambda data, metadata: metadata.__delitem__(name)


def column(name, value):
    return lambda data, metadata: data.astype({name: object}).assign(**{name: value})


ARTIFACTS = [
    ("distill", "dataset.npz", "dataset", drop("actions"), "lacks the array 'actions'"),
    ("distill", "dataset.npz", "dataset", drop("state_std"), "lacks the array 'state_std'"),
    ("distill", "dataset.npz", "dataset", forget("env_id"), "has no task, env_id and reference_returns"),
    ("distill", "dataset.npz", "dataset", put(rewards=np.full(60, np.nan)), "rewards is not finite at transition 0"),
    ("distill", "dataset.npz", "dataset", put(rewards=np.ones(3)), "3 rows in 2 dimension"),
    ("distill", "dataset.npz", "dataset", put(state_std=np.ones(4)), "arrays state_"),
    ("near-expert", "dataset.npz", "dataset", put(actions=np.ones((60, 2), "f")), "do not fit the normalizer"),
    ("near-expert", "dataset.npz", "dataset", put(episode=np.zeros(60, int)), "an episode ends without a flag"),
    (EXPERT, "near_expert.safetensors", "near_expert", drop("actor.0.bias"), "lacks the array"),
    (EXPERT, "near_expert.safetensors", "near_expert", put(**{"actor.0.weight": np.ones((8, 9), "f")}), "takes 9"),
    (EXPERT, "near_expert.safetensors", "near_expert", put(**{"critic_0.0.bias": np.ones(3, "f")}), "do not fit each"),
    (EXPERT, "near_expert.safetensors", "near_expert", forget("algorithm"), "has no algorithm"),
    ("distill", "near_expert.safetensors", "near_expert", put(**{"actor.0.bias": np.full(8, np.inf, "f")}), "finite"),
    ("evaluate", "synset.npz", "synset", drop("steps"), "'steps' is missing"),
    ("evaluate", "synset.npz", "synset", put(steps=np.arange(5)), r"'steps' has the shape \(5,\)"),
    ("evaluate", "synset.npz", "synset", put(actions=np.ones((1, 8, 2), "f")), "'actions' has the shape"),
    ("evaluate", "synset.npz", "synset", put(observations=np.full((1, 8, 3), np.nan, "f")), "is not finite"),
    ("evaluate", "synset.npz", "synset", forget("seed"), "has no seed"),
    ("gather", RETURNS, "returns", lambda d, m: d.drop(columns="score"), "lacks the column 'score'"),
    ("gather", RETURNS, "returns", lambda d, m: d.iloc[:0], "holds no episode"),
    ("gather", RETURNS, "returns", column("score", "high"), "row 1: score is high; a finite number is needed"),
    ("gather", RETURNS, "returns", column("score", "inf"), "row 1: score is inf"),
    ("gather", RETURNS, "returns", column("method", "sdw"), "sdw"),
    ("gather", RETURNS, "returns", column("task", ["a", "b"] * 2), "column 'task' holds a and b; a returns"),
    ("gather", RETURNS, "returns", column("size", [1, 2, 1, 2]), "column 'size' holds 1 and 2; a returns"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "path", "kind", "change", "line"), ARTIFACTS, ids=[a[-1] for a in ARTIFACTS])
def test_bad_artifacts(name, path, kind, change, line, folder, capfd):
    rewrite(path, kind, change)
    said = refused(capfd, words(COMMANDS[name]))
    assert re.search(line, said), said
    assert path.partition(".")[0] in said


def hdf5(**arrays):
    def change(path="data.hdf5"):
        with h5py.File(path, "a") as file:
            for name, array in arrays.items():
                del file[name]
                if array is not None:
                    file[name] = array

    return change


def huge(name):
    def change():
        with h5py.File("data.hdf5", "a") as file:
            del file[name]
            file.create_dataset(name, (20, 10**9), "f8", chunks=(1, 1000))

    return change


MINARI = f"{MINARI_ID}/data/main_data.hdf5"


DATA = [
    ("d4rl", hdf5(rewards=None), "lacks the array 'rewards'"),
    ("d4rl", hdf5(rewards=np.array([b"a"] * 20)), r"rewards: holds .*numbers are needed"),
    ("d4rl", hdf5(actions=np.ones(20)), "observations .* and actions"),
    ("d4rl", hdf5(observations=np.ones((3, 3))), r"observations \(3, 3\) and actions \(20, 1\);"),
    ("d4rl", hdf5(rewards=np.full(20, np.nan)), "rewards is not finite at transition 0"),
    ("d4rl", hdf5(actions=np.ones((20, 2))), "do not fit the finite bounds"),
    ("d4rl", huge("observations"), r"refused: \d+ bytes would unpack to 149\.0 GiB"),
    ("d4rl", lambda: Path("data.hdf5").write_bytes(b""), "is no HDF5 file"),
    ("d4rl", lambda: Path("data.hdf5").write_text("<html>"), "is no HDF5 file"),
    ("minari", lambda: Path(METADATA).unlink(), "metadata.json: cannot be read"),
    ("minari", lambda: Path(METADATA).write_text("{"), "metadata.json: is not JSON"),
    ("minari", lambda: Path(METADATA).write_text("[" * 100_000), "metadata.json: is not JSON"),
    ("minari", lambda: Path(METADATA).write_bytes(b"\xff\xfe"), "metadata.json: is not JSON"),
    ("minari", edit_text(METADATA, '"observation_space"', '"space"'), "has no observation_space"),
    ("minari", lambda: Path(MINARI).unlink(), "main_data.hdf5: no such file"),
    ("minari", lambda: Path(MINARI).write_bytes(Path(MINARI).read_bytes()[:3000]), "only a part of one"),
]


@pytest.mark.parametrize(("name", "change", "line"), DATA, ids=[f"{name} {line[:40]}" for name, _, line in DATA])
def test_bad_data(name, change, line, folder, capfd):
    change()
    said = refused(capfd, words(COMMANDS[name]))
    assert re.search(line, said), said


@pytest.mark.parametrize(
    ("path", "value", "line"), configurations.BAD, ids=[f"{p}={str(v)[:20]}" for p, v, _ in configurations.BAD]
)
def test_bad_configurations_end_the_command_in_one_line(path, value, line, folder, capfd):
    Path("bad.yaml").write_text(yaml.safe_dump(configurations.bad(path, value)))
    assert refused(capfd, ["check", "bad.yaml"]).startswith(f"error: bad.yaml: {line}")


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("tasks: &a [*a]", "bad.yaml: "),
        ("[" * 5000, "is not YAML|bad.yaml"),
        ("seeds: [2026-13-45]\ntasks: {}", "is not YAML"),
        ("? [1, 2]\n: 3", "bad.yaml"),
        ("1: 2\ntasks: {a: {dataset: {source: minari, id: a-v0}}}\nmethods: [random]", "bad.yaml: 1: unknown key"),
        ("tasks: \x00", "is not YAML"),
    ],
)
def test_odd_yaml(text, line, folder, capfd):
    Path("bad.yaml").write_text(text)
    assert re.search(line, refused(capfd, ["check", "bad.yaml"]))
