"""The dataset stage: one artifact whatever the source, and what cannot fit is refused."""

import json
from pathlib import Path

import h5py
import numpy as np
import pytest
from click.testing import CliRunner

from obdistill.core import artifacts
from obdistill.core.errors import UserError
from obdistill.core.parsing import parse
from obdistill.datasets.collect import CollectSettings, collect
from obdistill.datasets.stage import DatasetSettings, build_dataset, command
from obdistill.datasets.transitions import read_dataset

SHIPPED = Path(__file__).parents[2] / "data"


def d4rl_file(path: Path, state_dim: int = 11, action_dim: int = 3) -> Path:
    with h5py.File(path, "w") as file:
        file["observations"] = np.random.default_rng(0).normal(size=(20, state_dim))
        file["actions"] = np.zeros((20, action_dim))
        file["rewards"] = np.ones(20)
        file["terminals"] = np.arange(20) % 5 == 4
    return path


def settings(**given: object) -> DatasetSettings:
    return parse(DatasetSettings, given, "settings")


def test_d4rl(tmp_path):
    path = d4rl_file(tmp_path / "hopper.hdf5")
    out = tmp_path / "results/dataset.npz"
    build_dataset("hopper_small", settings(source="d4rl", file=str(path), env_id="Hopper-v4"), out)
    dataset = read_dataset(out)
    assert dataset.task.metadata() == {
        "task": "hopper_small",
        "env_id": "Hopper-v4",
        "reference_returns": [-20.272305, 3234.3],
    }
    assert len(dataset.transitions) == 19
    assert dataset.normalizer.action_low.tolist() == [-1, -1, -1]
    metadata = artifacts.read_metadata(out, "dataset")
    assert metadata["source"] == {"source": "d4rl", "file": "hopper.hdf5", "sha256": artifacts.sha256(path)}
    assert metadata["settings"]["file"] == str(path)
    assert (metadata["transitions"], metadata["episodes"], metadata["terminated"]) == (19, 4, 3)


def test_same_input_same_bytes(tmp_path):
    chosen = settings(source="d4rl", file=str(d4rl_file(tmp_path / "a.hdf5")), env_id="Hopper-v4")
    for name in ("first", "second"):
        build_dataset("hopper", chosen, tmp_path / f"{name}.npz")
    assert (tmp_path / "first.npz").read_bytes() == (tmp_path / "second.npz").read_bytes()


def test_collection(tmp_path):
    tiny = {"env_id": "Pendulum-v1", "levels": ["random"], "transitions": 450}
    folder = tmp_path / "collection"
    collect(parse(CollectSettings, tiny, "test"), folder, seed=0)
    chosen = settings(source="collect", collection="mine", level="random", reference_returns=[-1500.0, -150.0])
    build_dataset("pendulum", chosen, tmp_path / "dataset.npz", folder)
    dataset = read_dataset(tmp_path / "dataset.npz")
    assert dataset.task.env_id == "Pendulum-v1"
    assert np.bincount(dataset.transitions.episode).tolist() == [200, 200, 50]
    assert dataset.normalizer.action_high.tolist() == [2]

    with pytest.raises(
        UserError, match="reference_returns: missing; neither the data nor D4RL have any for Pendulum-v1"
    ):
        build_dataset("p", settings(source="collect", collection="mine", level="random"), tmp_path / "x.npz", folder)
    with pytest.raises(UserError, match=r"level: 'expert': not in .*collection.json; it has: random"):
        build_dataset("p", settings(source="collect", collection="mine", level="expert"), tmp_path / "x.npz", folder)
    with pytest.raises(UserError, match="--collection: missing"):
        build_dataset("p", settings(source="collect", collection="mine", level="random"), tmp_path / "x.npz")
    with h5py.File(folder / "obd/pendulum/random-v0/data/main_data.hdf5", "a") as file:
        file["episode_0/rewards"][0] = 7
    with pytest.raises(UserError, match=r"damaged: its sha256 is not the one in collection\.json"):
        build_dataset("p", chosen, tmp_path / "x.npz", folder)


def test_collection_cannot_lead_out_of_its_folder(tmp_path):
    artifacts.write_json(
        tmp_path / "collection.json", {"levels": {"random": {"dataset_id": "../../etc-v0", "sha256": ""}}}
    )
    with pytest.raises(UserError, match="is no Minari id"):
        build_dataset("p", settings(source="collect", collection="c", level="random"), tmp_path / "x.npz", tmp_path)


@pytest.mark.parametrize(
    "name", ["", "Hopper", "hopper-medium", "../hopper", "hopper__medium", "hopper_", "2d", "a b", "a\n"]
)
def test_task_names(tmp_path, name):
    with pytest.raises(UserError, match="task: "):
        build_dataset(name, settings(source="d4rl", file="hopper-medium-v2"), tmp_path / "x.npz")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({}, "env_id: missing; the data do not name"),
        ({"env_id": "Unheard-v0"}, "env_id: 'Unheard-v0'"),
        ({"env_id": "HalfCheetah-v4"}, r"observations of shape \(11,\) are not those of HalfCheetah-v4, \(17,\)"),
        ({"env_id": "InvertedPendulum-v4"}, "reference_returns: missing"),
        ({"env_id": "Hopper-v4", "reference_returns": [3.0, 3.0]}, "the first must be below the second"),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path, changes, message):
    path = d4rl_file(tmp_path / "hopper.hdf5")
    with pytest.raises(UserError, match=message):
        build_dataset("hopper", settings(source="d4rl", file=str(path), **changes), tmp_path / "x.npz")
    assert not (tmp_path / "x.npz").exists()


def test_actions_that_do_not_fit_are_refused(tmp_path):
    path = d4rl_file(tmp_path / "hopper.hdf5", action_dim=2)
    with pytest.raises(UserError, match=r"actions of dimension \(2,\) do not fit"):
        build_dataset("hopper", settings(source="d4rl", file=str(path), env_id="Hopper-v4"), tmp_path / "x.npz")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"file": "a"}, "source: missing; allowed: minari, d4rl, collect"),
        ({"source": "web"}, 'source: "web": not known; allowed: minari, d4rl, collect'),
        ({"source": "d4rl"}, "file: missing"),
        ({"source": "d4rl", "file": "a", "checksum": "b"}, "checksum: unknown key"),
        ({"source": "d4rl", "file": "a", "sha256": "B" * 64}, "sha256: "),
        ({"source": "minari", "id": "a"}, "id: "),
    ],
)
def test_settings_are_checked(given, message):
    with pytest.raises(UserError, match=message):
        settings(**given)


def test_command(tmp_path):
    path = d4rl_file(tmp_path / "hopper.hdf5")
    given = json.dumps({"source": "d4rl", "file": str(path)})
    arguments = ["--task", "hopper", "--out", str(tmp_path / "d.npz"), "--settings", given]
    result = CliRunner().invoke(command, [*arguments, "--set", "env_id=Hopper-v4"])
    assert result.exit_code == 0, result.output
    assert len(read_dataset(tmp_path / "d.npz").transitions) == 19
    assert CliRunner().invoke(command, arguments).exit_code == 2  # no environment
