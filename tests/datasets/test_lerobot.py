"""LeRobot's datasets, version 3: frames of all episodes in Parquet files, described by meta/info.json.

The package installs some hundred others (video, cameras, Hugging Face): the folders here are written in its documented
form instead.
"""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from obdistill.core.errors import UserError
from obdistill.datasets import files, lerobot
from obdistill.datasets.settings import LerobotSettings
from obdistill.datasets.transitions import Dataset

pyarrow = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")

INFO = {"codebase_version": "v3.0", "total_episodes": 3, "total_frames": 12, "fps": 10}


def frames() -> dict[str, np.ndarray]:
    """Three episodes of four frames, of which the first ends in a success."""
    rng = np.random.default_rng(0)
    return {
        "observation.state": rng.normal(size=(12, 3)).astype(np.float32),
        "action": rng.uniform(-2, 2, (12, 1)).astype(np.float32),
        "next.reward": np.arange(12, dtype=np.float32),
        "next.success": np.isin(np.arange(12), [2, 3]),
        "next.done": np.arange(12) % 4 == 3,
        "episode_index": np.repeat(np.arange(3), 4),
        "frame_index": np.tile(np.arange(4), 3),
        "timestamp": np.tile(np.arange(4, dtype=np.float32), 3) / 10,
    }


def write(folder: Path, without: tuple[str, ...] = (), **info: object) -> Path:
    """Write the frames into two files, the second begins within an episode."""
    columns = {name: values for name, values in frames().items() if name not in without}
    features = {name: {"dtype": str(values.dtype)} for name, values in columns.items()}
    features["observation.images.top"] = {"dtype": "video", "shape": [480, 640, 3]}
    for number, part in enumerate((slice(0, 6), slice(6, 12))):
        lists = {}
        for name, values in columns.items():
            kind = pyarrow.list_(pyarrow.float32(), values.shape[1]) if values.ndim == 2 else None
            lists[name] = pyarrow.array(values[part].tolist(), kind)
        path = folder / f"data/chunk-000/file-{number:03d}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        parquet.write_table(pyarrow.table(lists), path)
    (folder / "meta").mkdir()
    (folder / "meta/info.json").write_text(json.dumps(INFO | {"features": features} | info))
    return folder


def load(folder: Path, **other: object):
    return lerobot.load(LerobotSettings(source="lerobot", folder=folder, env_id="Pendulum-v1", **other))


@pytest.mark.parametrize("knows_success", [True, False])
def test_frames_become_transitions(tmp_path, knows_success):
    folder = write(tmp_path / "robot", () if knows_success else ("next.success",))
    found = load(folder)
    given = frames()
    last = given["next.done"]
    expected = Dataset.from_arrays(
        given["observation.state"],
        given["action"],
        given["next.reward"],
        terminated=last & given["next.success"] & knows_success,
        truncated=last,
        action_low=-2,
        action_high=2,
    ).transitions
    for name, values in vars(expected).items():
        np.testing.assert_array_equal(getattr(found.transitions, name), values, err_msg=name)
    assert int(found.transitions.terminated.sum()) == knows_success
    sha256 = files.sha256_of(files.lerobot_files(folder))
    assert found.origin == {"source": "lerobot", "folder": "robot", "sha256": sha256}
    assert load(folder, sha256=sha256).verified


@pytest.mark.parametrize(
    ("without", "info", "line"),
    [
        (("next.reward",), {}, "robot: its frames have no next.reward, which is needed; they have: observation.state, "
         "action, next.success, next.done, episode_index, frame_index, timestamp, observation.images.top"),
        (("observation.state",), {}, "robot: its frames have no observation.state, which is needed; they have: action, "
         "next.reward, next.success, next.done, episode_index, frame_index, timestamp, observation.images.top"),
        ((), {"codebase_version": "v2.1"}, 'robot/meta/info.json: says codebase_version: "v2.1"; v3.0 or a later v3 is '
         "needed"),
        ((), {"total_frames": 13}, "robot/meta/info.json: says total_frames: 13; the data hold 12"),
        ((), {"features": 3}, "robot: its frames have no observation.state, which is needed; they have: nothing"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_one_line(tmp_path, monkeypatch, without, info, line):
    monkeypatch.chdir(tmp_path)
    write(Path("robot"), without, **info)
    with pytest.raises(UserError, match=f"^{re.escape(line)}$"):
        load(Path("robot"))


def test_missing_files(tmp_path):
    with pytest.raises(UserError, match=r"meta/info\.json: cannot be read"):
        load(tmp_path)
    folder = write(tmp_path / "robot")
    (folder / "data/chunk-000/file-001.parquet").write_bytes(b"PAR1")
    with pytest.raises(UserError, match=r"file-001\.parquet: is no readable Parquet file"):
        load(folder)
    for path in folder.rglob("*.parquet"):
        path.unlink()
    with pytest.raises(UserError, match=r"robot: holds no data/chunk-\*/file-\*\.parquet$"):
        load(folder)
