"""The dataset stage: one artifact whatever the source, and what cannot fit is refused."""

import json
from pathlib import Path

import gymnasium
import h5py
import numpy as np
import pytest
from click.testing import CliRunner

from helpers import minari_files
from helpers.minari_files import ID, make
from obdistill.core import artifacts, atomic
from obdistill.core.errors import UserError
from obdistill.core.parsing import parse
from obdistill.datasets import download
from obdistill.datasets.collect import collect
from obdistill.datasets.command import dataset as command
from obdistill.datasets.settings import CollectSettings, DatasetSettings
from obdistill.datasets.stage import build_dataset
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


def test_an_unknown_source_gives_the_checksum_to_set(tmp_path, caplog):
    path = d4rl_file(tmp_path / "hopper.hdf5")
    given = {"source": "d4rl", "file": str(path), "env_id": "Hopper-v4"}
    sha256 = artifacts.sha256(path)
    with caplog.at_level("INFO"):
        build_dataset("hopper", settings(**given), tmp_path / "d.npz")
        assert f"sha256 of the source: {sha256}; set sha256 to it, and a damaged source is noticed" in caplog.messages
        caplog.clear()
        build_dataset("hopper", settings(**given, sha256=sha256), tmp_path / "d.npz")
        assert "sha256 of the source" not in caplog.text


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
    with pytest.raises(UserError, match=r"random-v0: has the sha256 \w{64}; that in collection\.json is \w{64}"):
        build_dataset("p", chosen, tmp_path / "x.npz", folder)


def test_the_metadata_of_a_collection_are_checked(tmp_path):
    tiny = {"env_id": "Pendulum-v1", "levels": ["random"], "transitions": 30, "reference_returns": [-1500.0, -150.0]}
    collect(parse(CollectSettings, tiny, "test"), tmp_path, seed=0)
    chosen = settings(source="collect", collection="mine", level="random")
    build_dataset("pendulum", chosen, tmp_path / "d.npz", tmp_path)
    assert read_dataset(tmp_path / "d.npz").task.reference_returns == (-1500, -150)
    path = tmp_path / "obd/pendulum/random-v0/data/metadata.json"
    path.write_text(path.read_text().replace("-1500", "-1400"))
    with pytest.raises(UserError, match=r"random-v0: has the metadata_sha256 \w{64}; that in collection\.json is"):
        build_dataset("pendulum", chosen, tmp_path / "d.npz", tmp_path)


@pytest.mark.parametrize("facts", [{"dataset_id": "../../etc-v0", "sha256": ""}, {}, "a/b-v0", 3, None])
def test_collection_cannot_lead_out_of_its_folder(tmp_path, facts):
    atomic.write_json(tmp_path / "collection.json", {"levels": {"random": facts}})
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
        ({"env_id": "Reacher-v4"}, "reference_returns: missing"),
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


def hopper_file(path: Path, **changes: np.ndarray) -> Path:
    """Rows of a Hopper whose actions use the whole range."""
    d4rl_file(path)
    with h5py.File(path, "a") as file:
        file["actions"][:] = np.random.default_rng(1).uniform(-1, 1, (20, 3))
        for key, array in changes.items():
            file[key] = array
    return path


def test_warnings_are_told_last_and_kept(tmp_path, caplog):
    path = hopper_file(tmp_path / "hopper.hdf5", timeouts=np.arange(20) == 9)
    with caplog.at_level("INFO"):
        build_dataset("hopper", settings(source="d4rl", file=str(path), env_id="Hopper-v4"), tmp_path / "d.npz")
    text = "hopper.hdf5: 1 of 4 terminal states are lost: timeouts is set at the same rows, and D4RL's rule drops those"
    assert caplog.messages[-1] == f"hopper: {text}"
    assert caplog.records[-1].levelname == "WARNING"
    assert artifacts.read_metadata(tmp_path / "d.npz", "dataset")["warnings"] == [text]


def test_actions_far_outside_are_refused_or_cut(tmp_path):
    path = hopper_file(tmp_path / "hopper.hdf5")
    with h5py.File(path, "a") as file:
        actions = file["actions"][:] = 10 * file["actions"][()]
    given = {"source": "d4rl", "file": str(path), "env_id": "Hopper-v4"}
    message = r"actions range from -9\.\d+ to 9\.\d+, Hopper-v4 takes -1 to 1: those of 19 of 19 .*; set clip_actions"
    with pytest.raises(UserError, match=message):
        build_dataset("hopper", settings(**given), tmp_path / "d.npz")
    build_dataset("hopper", settings(**given, clip_actions=True), tmp_path / "d.npz")
    found = read_dataset(tmp_path / "d.npz").transitions.actions
    np.testing.assert_array_equal(found, np.clip(actions[:-1], -1, 1).astype(np.float32))


def test_actions_that_are_not_finite_are_told_as_such(tmp_path):
    path = hopper_file(tmp_path / "hopper.hdf5")
    with h5py.File(path, "a") as file:
        file["actions"][3, 0] = np.inf
    with pytest.raises(UserError, match="hopper: actions is not finite at transition 3"):
        build_dataset("hopper", settings(source="d4rl", file=str(path), env_id="Hopper-v4"), tmp_path / "d.npz")


def minari_settings(root: Path, **given: object) -> DatasetSettings:
    reference = [-1500.0, -150.0]
    return settings(source="minari", id=ID, root=str(root), download=False, reference_returns=reference, **given)


def test_recorded_bounds_must_be_those_of_the_environment(tmp_path, monkeypatch):
    monkeypatch.setattr(minari_files, "ACTIONS", gymnasium.spaces.Box(-1, 1, (1,), np.float32))
    make(tmp_path)
    with pytest.raises(UserError, match=r"recorded with actions from \[-1.0\] to \[1.0\]; those of Pendulum-v1 have"):
        build_dataset("pendulum", minari_settings(tmp_path), tmp_path / "d.npz")
    build_dataset("pendulum", minari_settings(tmp_path, env_id="Pendulum-v1"), tmp_path / "d.npz")
    first, *_ = artifacts.read_metadata(tmp_path / "d.npz", "dataset")["warnings"]
    assert first.startswith("recorded with actions from [-1.0] to [1.0]")


def test_bounds_that_a_recording_does_not_know_are_no_matter(tmp_path, monkeypatch):
    monkeypatch.setattr(minari_files, "ACTIONS", gymnasium.spaces.Box(-np.inf, np.inf, (1,), np.float32))
    make(tmp_path)
    build_dataset("pendulum", minari_settings(tmp_path), tmp_path / "d.npz")


def test_a_built_in_set_in_another_environment_is_a_warning(tmp_path, monkeypatch):
    path = hopper_file(tmp_path / "hopper.hdf5")
    monkeypatch.setattr(download, "fetch", lambda *_: path)
    build_dataset("hopper", settings(source="d4rl", file="hopper-medium-v2", env_id="Hopper-v5"), tmp_path / "d.npz")
    assert artifacts.read_metadata(tmp_path / "d.npz", "dataset")["warnings"] == [
        "env_id: Hopper-v5 is used; hopper-medium-v2 was recorded in Hopper-v4"
    ]


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
