"""Downloads from a local server that misbehaves on purpose."""

from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
import pytest

from helpers.server import Server
from obdistill.core.errors import UserError
from obdistill.datasets import d4rl, download
from obdistill.datasets.d4rl import D4rlSettings


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr(download, "PAUSE", 0)
    monkeypatch.setattr(download, "CHUNK", 500)
    path = tmp_path / "original.hdf5"
    with h5py.File(path, "w") as file:
        generator = np.random.default_rng(0)
        file["observations"] = generator.normal(size=(1000, 11))
        file["actions"] = generator.normal(size=(1000, 3))
        file["rewards"] = generator.normal(size=1000)
        file["terminals"] = np.zeros(1000, bool)
    server = Server(path.read_bytes())
    yield server
    server.close()


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def fetch(server: Server, cache: Path) -> bytes:
    return download.fetch(server.url, cache, lambda path: None).read_bytes()


def leftovers(cache: Path) -> list[str]:
    return [path.name for path in cache.iterdir() if path.suffix in (".part", ".json")]


def test_download_once(server, cache):
    assert fetch(server, cache) == server.body
    assert fetch(server, cache) == server.body
    assert server.requests == [None]
    assert leftovers(cache) == []


def test_cut_connection_is_resumed(server, cache):
    server.cut_after = [30_000, 10_000]
    assert fetch(server, cache) == server.body
    assert server.requests == [None, "bytes=30000-", "bytes=40000-"]


def test_three_cuts_are_an_error_and_the_next_run_goes_on(server, cache):
    server.cut_after = [1000, 1000, 1000]
    with pytest.raises(
        UserError, match=r"hopper.hdf5: cannot be downloaded \(.*3000 bytes are kept, run again"
    ) as caught:
        fetch(server, cache)
    assert "\n" not in str(caught.value)
    assert fetch(server, cache) == server.body
    assert server.requests[-1] == "bytes=3000-"


@pytest.mark.parametrize("validator", [{"ETag": '"one"'}, {"Last-Modified": "Sun, 22 Nov 2020 10:00:00 GMT"}])
def test_changed_file_begins_again(server, cache, validator):
    server.validator = validator
    server.cut_after = [1000, 0, 0]
    with pytest.raises(UserError, match="cannot be downloaded"):
        fetch(server, cache)
    server.body = server.body[::-1]
    server.validator = {"ETag": '"two"', "Last-Modified": "Mon, 23 Nov 2020 10:00:00 GMT"}
    assert fetch(server, cache) == server.body
    assert server.requests[-1] == "bytes=1000-"


@pytest.mark.parametrize("validator", [{}, {"ETag": 'W/"one"'}])
def test_file_without_a_strong_validator_begins_again(server, cache, validator):
    server.validator = validator
    server.cut_after = [1000]
    assert fetch(server, cache) == server.body
    assert server.requests == [None, None]


def test_server_without_ranges_begins_again(server, cache):
    server.ranges = False
    server.cut_after = [1000]
    assert fetch(server, cache) == server.body
    assert server.requests == [None, "bytes=1000-"]


def test_shorter_file_than_what_is_held_begins_again(server, cache):
    server.cut_after = [1000, 0, 0]
    with pytest.raises(UserError, match="cannot be downloaded"):
        fetch(server, cache)
    server.body = b"short"  # same validator: the server lies
    assert fetch(server, cache) == b"short"


@pytest.mark.parametrize(("status", "reason"), [(404, "404 Not Found"), (500, "500 Internal"), (403, "403 Forbidden")])
def test_http_errors(server, cache, status, reason):
    server.status = status
    with pytest.raises(UserError, match=f"hopper.hdf5: the server answers {reason}"):
        fetch(server, cache)
    assert len(server.requests) == 1
    assert leftovers(cache) == []


@pytest.mark.parametrize("held", [0, 5000])
def test_a_server_that_hangs_is_given_up_and_asked_again(server, cache, monkeypatch, held):
    monkeypatch.setattr(download, "TIMEOUT", (0.3, 0.3))
    server.hang_after = [held]
    assert fetch(server, cache) == server.body
    assert server.requests == [None, f"bytes={held}-" if held else None]


def test_a_server_that_always_hangs_is_one_line(server, cache, monkeypatch):
    monkeypatch.setattr(download, "TIMEOUT", (0.3, 0.3))
    server.hang_after = [1000, 0, 0]
    with pytest.raises(UserError, match=r"cannot be downloaded \(.*timed out.*\); 1000 bytes are kept, run again"):
        fetch(server, cache)


@pytest.mark.parametrize(
    "head",
    [
        "HTTP/1.0 200 OK\r\nContent-Length: many\r\n",
        "HTTP/1.0 200 OK\r\nContent-Length: 3\r\nContent-Length: 5\r\n",
        "HTTP/1.0 200 OK\r\nContent-Length: -5\r\n",
        "HTTP/1.0 200 OK\r\nContent-Type: a\r\nno colon here\r\n",
        "HTTP/1.0 200 OK\r\nContent-Encoding: gzip\r\n",
        "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n",
        "HTTP/1.0 200 OK\r\n" + 200 * "X-A: b\r\n",
        f"HTTP/1.0 200 OK\r\nX-A: {70_000 * 'b'}\r\n",
        "HTTP/1.0 two hundred\r\n",
        "nothing of HTTP\r\n",
        "HTTP/1.0 206 Partial Content\r\nContent-Range: bytes x-y/z\r\n",
        "HTTP/1.0 416 Range Not Satisfiable\r\n",
        "HTTP/1.0 302 Found\r\nLocation: http://[::1/a\r\n",
        "HTTP/1.0 302 Found\r\nLocation: http://..a/b\r\n",
        "HTTP/1.0 302 Found\r\nLocation: http://a:b/c\r\n",
        "HTTP/1.0 302 Found\r\nLocation: file:///etc/passwd\r\n",
        "HTTP/1.0 302 Found\r\nLocation: http://127.0.0.1:99999/\r\n",
        "",
    ],
)
def test_malformed_answers_are_one_line(server, cache, head):
    server.raw = head.encode() + (b"\r\nbody" if head else b"")
    with pytest.raises(UserError) as caught:
        load(server, cache)
    assert server.url in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not list(cache.glob("*.hdf5"))


def test_schemes_in_capitals_are_urls(server, cache):
    server.url = server.url.replace("http://", "HTTP://")
    assert load(server, cache).origin["url"] == server.url


@pytest.mark.parametrize("url", ["http://user:secret@host.org/a.hdf5", "HTTPS://:secret@host.org/a.hdf5"])
def test_a_password_is_neither_used_nor_repeated(cache, url, caplog):
    with pytest.raises(UserError, match=r"://host\.org/a\.hdf5: its URL holds a password.*~/\.netrc") as caught:
        download.fetch(url, cache, lambda path: None)
    assert "secret" not in str(caught.value) + caplog.text
    assert not cache.exists()


@pytest.mark.parametrize("url", ["http://user:secret@[::1/a", "http://user:secret@host:port/a"])
def test_what_is_no_url_is_told_without_its_password(cache, url):
    with pytest.raises(UserError, match="is no valid URL") as caught:
        download.fetch(url, cache, lambda path: None)
    assert "secret" not in str(caught.value)


def test_no_server(server, cache):
    server.close()
    with pytest.raises(UserError, match=r"cannot be downloaded .*refused"):
        fetch(server, cache)


def test_two_addresses_with_one_name_are_two_files(server, cache):
    first = download.fetch(server.url, cache, lambda path: None)
    second = download.fetch(server.url.replace("/data/", "/other/"), cache, lambda path: None)
    assert first != second


def test_unwritable_cache(server, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="file/cache: cannot be written"):
        fetch(server, tmp_path / "file" / "cache")


def load(server: Server, cache: Path, **settings: str):
    return d4rl.load(D4rlSettings(source="d4rl", file=server.url, cache=cache, env_id="Hopper-v4", **settings))


def test_d4rl_url(server, cache):
    loaded = load(server, cache)
    assert len(loaded.transitions) == 999  # 1000 rows, the last one is dropped (and is the time limit)
    assert loaded.origin["url"] == server.url
    load(server, cache, sha256=loaded.origin["sha256"])
    assert len(server.requests) == 1


def test_default_cache(server, cache, monkeypatch):
    monkeypatch.setenv("OBD_CACHE", str(cache))
    d4rl.load(D4rlSettings(source="d4rl", file=server.url))
    assert len(list(cache.glob("*_hopper.hdf5"))) == 1


def test_wrong_checksum_is_not_kept(server, cache):
    with pytest.raises(UserError, match=r"http://.*has the sha256 [0-9a-f]{64}; the setting sha256 is 000"):
        load(server, cache, sha256="0" * 64)
    assert not list(cache.glob("*.hdf5"))
    assert leftovers(cache) == []


def test_damaged_file_in_the_cache_is_downloaded_again(server, cache):
    right = load(server, cache).origin["sha256"]
    (path,) = cache.glob("*.hdf5")
    path.write_bytes(path.read_bytes()[:-100])
    assert load(server, cache).origin["sha256"] == right
    assert len(server.requests) == 2


@pytest.mark.parametrize("content_type", ["text/html; charset=utf-8", "application/octet-stream"])
def test_web_page_instead_of_data(server, cache, content_type):
    server.body, server.content_type = b"<html>Down for maintenance</html>", content_type
    with pytest.raises(UserError, match=r"http://.*(web page|no HDF5 file)"):
        load(server, cache)
    assert not list(cache.glob("*.hdf5"))
    assert leftovers(cache) == []


def test_shortened_file_without_a_content_length_error(server, cache):
    server.body = server.body[:-1000]
    with pytest.raises(UserError, match=r"http://.*only a part of one"):
        load(server, cache)
    assert not list(cache.glob("*.hdf5"))


def record(cache: Path) -> Path:
    (path,) = cache.glob("*_hopper.hdf5.sha256")
    return path


def test_a_flipped_bit_in_the_cache_is_noticed(server, cache):
    right = load(server, cache).origin["sha256"]
    assert record(cache).read_text() == f"{right}\n"
    (path,) = cache.glob("*.hdf5")
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    assert load(server, cache).origin["sha256"] == right
    assert len(server.requests) == 2


def test_other_bytes_than_at_the_first_download_are_refused(server, cache):
    first = load(server, cache).origin["sha256"]
    (path,) = cache.glob("*.hdf5")
    path.unlink()
    data = bytearray(server.body)
    data[len(data) // 2] ^= 1
    server.body = bytes(data)
    message = rf"has the sha256 [0-9a-f]{{64}}; that of its first download is {first} \(noted in {record(cache)}: "
    with pytest.raises(UserError, match=message) as caught:
        load(server, cache)
    assert not list(cache.glob("*.hdf5"))
    found = str(caught.value).split("has the sha256 ")[1][:64]
    load(server, cache, sha256=found)  # the setting comes first, and is noted
    assert load(server, cache).origin["sha256"] == found
    assert record(cache).read_text() == f"{found}\n"


def test_what_was_refused_is_not_noted(server, cache):
    right, server.body = server.body, b"<html>Down for maintenance</html>"
    with pytest.raises(UserError, match="no HDF5 file"):
        load(server, cache)
    server.body = right
    load(server, cache)


def test_a_file_of_an_older_version_is_noted_when_it_is_next_used(server, cache):
    right = load(server, cache).origin["sha256"]
    record(cache).unlink()
    load(server, cache)
    assert record(cache).read_text() == f"{right}\n"


@pytest.fixture
def mirror(server):
    other = Server(server.body)
    yield other
    other.close()


def test_mirrors_are_tried_in_order(server, mirror, cache):
    server.status = 503
    loaded = load(server, cache, mirrors=(mirror.url, "http://127.0.0.1:9/never.hdf5"))
    assert loaded.origin["url"] == server.url
    assert len(mirror.requests) == 1
    server.status = 200
    load(server, cache)  # it is in the cache, under the first address
    assert len(server.requests) == 1
    assert leftovers(cache) == []


def test_a_mirror_must_give_the_bytes_of_the_first_download(server, mirror, cache):
    first = load(server, cache).origin["sha256"]
    next(cache.glob("*.hdf5")).unlink()
    server.status, data = 404, bytearray(mirror.body)
    data[len(data) // 2] ^= 1
    mirror.body = bytes(data)
    with pytest.raises(UserError) as caught:
        load(server, cache, mirrors=(mirror.url,))
    said = str(caught.value)
    assert said.startswith(
        f"{server.url}: none of 2 addresses gives it: {server.url}: the server answers 404 Not Found; "
    )
    assert f"{mirror.url}: has the sha256 " in said
    assert f"that of its first download is {first}" in said
    assert "\n" not in said


def test_a_bad_mirror_is_told_before_anything_is_fetched(server, cache):
    with pytest.raises(UserError, match="its URL holds a password"):
        load(server, cache, mirrors=("http://me:secret@127.0.0.1/a.hdf5",))
    assert server.requests == []
