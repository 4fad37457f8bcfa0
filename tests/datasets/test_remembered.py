"""Files without checksums: other bytes under the same date are damage, another date is another file."""

import os

import pytest

from helpers.d4rl_files import write_file
from obdistill.core.errors import UserError
from obdistill.datasets import d4rl, files, remembered
from obdistill.datasets.settings import D4rlSettings


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("OBD_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def damage(path):
    """Flip a bit of a file and leave its date, as a failing disk does."""
    status, whole = path.stat(), bytearray(path.read_bytes())
    whole[-1] ^= 1
    path.write_bytes(whole)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def load(path, **settings):
    return d4rl.load(D4rlSettings(source="d4rl", file=str(path), **settings))


def test_a_plain_file_that_was_read_before_is_checked(cache, tmp_path):
    path = write_file(tmp_path / "data.hdf5", ["....T", "...L"])
    before = load(path).origin["sha256"]
    assert load(path).origin["sha256"] == before
    damage(path)
    with pytest.raises(UserError, match=rf"data\.hdf5: damaged: its sha256 is \w+, but was {before} when it was last"):
        load(path)


def test_a_file_with_another_date_is_another_file(cache, tmp_path):
    path = tmp_path / "data.json"
    path.write_text("1")
    remembered.check([path], "first")
    path.write_text("2")
    os.utime(path, ns=(0, 0))
    remembered.check([path], "second")
    with pytest.raises(UserError, match="but was second when it was last read"):
        remembered.check([path], "third")


def test_several_files_are_one_source(cache, tmp_path):
    paths = [tmp_path / name for name in "ab"]
    for path in paths:
        path.write_text("1")
    remembered.check(paths, "first")
    with pytest.raises(UserError, match=r"a: damaged"):
        remembered.check(paths, "second")
    os.utime(paths[1], ns=(0, 0))
    remembered.check(paths, "second")


def test_a_sha256_of_the_settings_needs_no_memory(cache, tmp_path):
    path = write_file(tmp_path / "data.hdf5", ["....T", "...L"])
    load(path, sha256=load(path).origin["sha256"])
    wanted = load(path).origin["sha256"]
    damage(path)
    with pytest.raises(UserError, match=rf"the setting sha256 is {wanted}"):
        load(path, sha256=wanted)


@pytest.mark.parametrize("why", ["no home", "read-only", "damaged note"])
def test_without_a_memory_files_are_read_all_the_same(why, cache, tmp_path, monkeypatch):
    path = tmp_path / "data.json"
    path.write_text("1")
    if why == "no home":
        monkeypatch.delenv("OBD_CACHE")
        monkeypatch.setenv("XDG_CACHE_HOME", "~nobody-of-this-name/cache")
        with pytest.raises(UserError, match="the home folder is not known"):
            files.default_cache()
    elif why == "read-only":
        cache.write_text("a file where the folder would be")
    else:
        remembered.check([path], "first")
        next(cache.rglob("*.json")).write_text("{")
    remembered.check([path], "second")
