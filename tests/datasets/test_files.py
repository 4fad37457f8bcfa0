"""Where files of datasets are: the home folder, Minari's roots, and files that only point to others."""

import subprocess
import sys
from pathlib import Path

import pytest

from obdistill.core.errors import UserError
from obdistill.datasets import d4rl, files
from obdistill.datasets.d4rl import D4rlSettings
from obdistill.datasets.minari import MinariSettings
from obdistill.datasets.minari import load as load_minari

ID = "made/by_hand-v0"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for variable in ("MINARI_DATASETS_PATH", "OBD_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def make(root: Path, *names: str) -> list[Path]:
    paths = [root / ID / "data" / name for name in names]
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return paths


def test_files_of_each_format(tmp_path):
    assert files.data_files(tmp_path, ID) == []
    paths = make(tmp_path, "main_data.hdf5", "metadata.json", "notes.txt")
    assert files.data_files(tmp_path, ID) == paths[:2]
    paths[0].unlink()
    paths[2].unlink()
    parts = make(tmp_path, "0/metadata.json", "0/part-0.arrow", "1/part-0.arrow", "1/.part-0.arrow.tmp", "0/_ignored")
    assert files.data_files(tmp_path, ID) == [*parts[:3], paths[1]]


def test_roots(home, monkeypatch):
    paths = make(home / ".minari/datasets", "main_data.hdf5", "metadata.json")
    assert files.data_files(None, ID) == paths
    assert files.data_files(Path("~/.minari/datasets"), ID) == paths
    monkeypatch.setenv("MINARI_DATASETS_PATH", "~/elsewhere")
    assert files.minari_root(None) == home / "elsewhere"
    assert files.minari_root(Path("here")) == Path("here")


def test_home_folder_in_settings(home, monkeypatch):
    monkeypatch.chdir(home.parent)
    with pytest.raises(UserError, match=f"no such dataset in {home}/sets"):
        load_minari(MinariSettings(source="minari", id=ID, root=Path("~/sets"), download=False))
    with pytest.raises(UserError, match=r"file: '~/a\.hdf5': neither a file"):
        d4rl.load(D4rlSettings(source="d4rl", file="~/a.hdf5"))
    home.mkdir()
    (home / "a.hdf5").touch()
    with pytest.raises(UserError, match=f"{home}/a.hdf5: is no HDF5 file"):
        d4rl.load(D4rlSettings(source="d4rl", file="~/a.hdf5"))
    assert not Path("~").exists()


def no_home(path: Path) -> Path:
    if str(path).startswith("~"):
        raise RuntimeError("Could not determine home directory.")
    return path


def test_a_user_without_home(home, monkeypatch):
    monkeypatch.setattr(Path, "expanduser", no_home)
    with pytest.raises(UserError, match=r"~/\.minari/datasets: the home folder is not known; write the whole path"):
        files.minari_root(None)
    with pytest.raises(UserError, match=r"~/\.cache: the home folder is not known; set OBD_CACHE to a folder"):
        files.default_cache()
    monkeypatch.setenv("OBD_CACHE", "/cache")
    assert files.default_cache() == Path("/cache")
    assert files.minari_root(Path("/data")) == Path("/data")


def test_a_user_that_does_not_exist():
    with pytest.raises(UserError, match="~nobody_of_that_name/a: the home folder is not known"):
        files.expand("~nobody_of_that_name/a")


@pytest.mark.parametrize(
    ("text", "command"),
    [
        ("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n", "git lfs pull"),
        ("/annex/objects/SHA256E-s9--00.hdf5\n", "git annex get"),
    ],
)
def test_pointers_are_told(tmp_path, text, command):
    path = tmp_path / "a.hdf5"
    path.write_text(text)
    with pytest.raises(UserError, match=f"a.hdf5: only points to the file, which has not been fetched; run {command}"):
        d4rl.read(path)


def test_the_module_is_light():
    code = "import sys, obdistill.datasets.files; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"numpy", "torch", "minari", "h5py", "gymnasium"} & set(done.stdout.split())
