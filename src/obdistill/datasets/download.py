"""Download of one file over HTTP: resumed after a cut, checked, and in place only when whole."""

import hashlib
import http.client
import logging
import math
import time
import urllib.parse
from collections.abc import Callable, Sequence
from pathlib import Path

import requests
import urllib3

from obdistill.core import artifacts, atomic, lock, logs
from obdistill.core.errors import UserError

ATTEMPTS = 3
CHUNK = 2**16  # bytes; what is lost at most when a connection is cut
TIMEOUT = (20, 60)  # seconds to connect, and without any data
PAUSE = 2.0  # seconds between attempts
# what a server's malformed answer can raise; ValueError: numbers and names that are none
NETWORK_ERRORS = (requests.RequestException, urllib3.exceptions.HTTPError, http.client.HTTPException, ValueError)
log = logging.getLogger(__name__)


def fetch(
    url: str, cache: Path, check: Callable[[Path], None], sha256: str | None = None, mirrors: Sequence[str] = ()
) -> Path:
    """Return the file of a URL in a cache folder, downloaded if it is not there.

    A cut download is resumed where the server supports it and the file there is still the same one, else it begins
    again. What `check` refuses does not stay in the cache. The checksum of the first download is kept beside the file
    (``<file>.sha256``) and demanded from then on.

    Parameters
    ----------
    url : str
        ``http://`` or ``https://``.
    cache : Path
        Folder for downloads; several processes may share it.
    check : callable
        Raises `UserError` if the whole file is not the wanted one.
    sha256 : str, optional
        Checksum that the file must have; default: that of the first download, wherever it came from.
    mirrors : sequence of str, optional
        Other addresses of the same file, tried in this order if the first does not give it.

    Returns
    -------
    Path
        The checked file.

    Raises
    ------
    UserError
        If a URL holds a password, or if at every address the server cannot be reached, answers with an error or a web
        page, cuts the connection three times, the file has another checksum, or `check` refuses it. The line says what
        was tried.
    """
    sources = (url, *mirrors)
    for source in sources:
        _check_url(source)
    path = _place(url, cache)
    try:
        cache.mkdir(parents=True, exist_ok=True)
        busy = f"{url}: another process is downloading it"
        with lock.held(path.with_name(path.name + ".lock"), busy, patience=math.inf, tell=True):
            note = path.with_name(path.name + ".sha256")
            if path.is_file():
                try:
                    _check(url, path, note, sha256, check)
                    return path
                except UserError as error:
                    log.warning("%s; downloading it again", error)
                    path.unlink()
            refused = []
            for source in sources:
                try:
                    _fetch_new(source, cache, note, sha256, check).rename(path)
                    return path
                except UserError as error:
                    refused.append(str(error))
                    if source != sources[-1]:
                        log.warning("%s; trying the next address", error)
            tried = f"{url}: none of {len(sources)} addresses gives it: " if mirrors else ""
            raise UserError(tried + "; ".join(refused))
    except OSError as error:
        raise UserError(f"{cache}: cannot be written ({error.strerror or error})") from None


def _place(url: str, cache: Path) -> Path:
    """Return where the file of a URL goes; the same name at two addresses is two files."""
    name = Path(urllib.parse.urlparse(url).path).name or "download"
    return cache / f"{hashlib.sha256(url.encode()).hexdigest()[:12]}_{name}"


def _fetch_new(url: str, cache: Path, note: Path, setting: str | None, check: Callable[[Path], None]) -> Path:
    """Download a file and check it; returns where it is. What is refused is deleted."""
    part = _place(url, cache)
    part = part.with_name(part.name + ".part")
    _download(url, part)
    try:
        _check(url, part, note, setting, check)
    except UserError:
        part.unlink()
        raise
    return part


def _check(url: str, path: Path, note: Path, setting: str | None, check: Callable[[Path], None]) -> None:
    """Check the file and its checksum, which is the setting, else what the first download had; then note it."""
    found = artifacts.sha256(path)
    noted = note.read_text(encoding="utf-8", errors="replace").strip() if note.is_file() else None
    wanted = setting or noted
    if wanted not in (None, found):
        if setting:
            raise UserError(f"{url}: has the sha256 {found}; the setting sha256 is {wanted}")
        raise UserError(
            f"{url}: has the sha256 {found}; that of its first download is {wanted:.64} (noted in {note}: delete it if "
            "the file may have changed)"
        )
    check(path)
    if noted != found:
        atomic.write_text(note, f"{found}\n")


def _check_url(url: str) -> None:
    """Refuse what is no URL, and a password in it: settings are written into logs and results."""
    try:
        parts = urllib.parse.urlsplit(url)
        has_password, _ = parts.password is not None, parts.port
    except ValueError as error:
        raise UserError(f"{url.rpartition('@')[2]}: is no valid URL ({error})") from None
    if has_password:
        raise UserError(
            f"{parts.scheme}://{parts.hostname}{parts.path}: its URL holds a password, which would be written into "
            "the results; put it into ~/.netrc"
        )


def _download(url: str, part: Path) -> None:
    """Bring `part` up to the whole file, in a few attempts."""
    held, reason = 0, ""
    for attempt in range(1, ATTEMPTS + 1):
        try:
            return _attempt(url, part)
        except requests.exceptions.InvalidURL as error:
            raise UserError(f"{url}: is no valid URL ({error})") from None
        except NETWORK_ERRORS as error:
            held = part.stat().st_size if part.exists() else 0
            reason = _reason(error)
            log.warning(
                "%s: connection lost after %d bytes (%s), attempt %d of %d", url, held, reason, attempt, ATTEMPTS
            )
            time.sleep(PAUSE if attempt < ATTEMPTS else 0)
    kept = f"; {held} bytes are kept, run again to go on" if held else ""
    raise UserError(f"{url}: cannot be downloaded ({reason}){kept}")


def _attempt(url: str, part: Path) -> None:
    validator_file = part.with_name(part.name + ".json")
    validator = (
        artifacts.read_json(validator_file).get("validator") if part.exists() and validator_file.exists() else None
    )
    # compressed transfer would make byte ranges those of another file
    headers: dict[str, str] = {"Accept-Encoding": "identity"}
    held = part.stat().st_size if validator else 0
    if held:
        # If-Range: the rest only if the file is still the one that was begun, else all of it
        headers |= {"Range": f"bytes={held}-", "If-Range": str(validator)}
    with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT) as response:
        if response.status_code == 416 and held:  # nothing after what is held: it is whole, or not what it should be
            part.unlink()
            return _attempt(url, part)
        if response.status_code not in (200, 206):
            raise UserError(f"{url}: the server answers {response.status_code} {response.reason}")
        if "html" in response.headers.get("Content-Type", ""):
            raise UserError(f"{url}: the server sends a web page instead of the file")
        resumed = response.status_code == 206 and response.headers.get("Content-Range", "").startswith(f"bytes {held}-")
        if response.status_code == 206 and not resumed:
            part.unlink(missing_ok=True)
            raise requests.ConnectionError("the server sends another range than the wanted one")
        if not resumed:
            held = 0
            part.unlink(missing_ok=True)  # before its validator changes: a kill in between must not mix two files
        etag = response.headers.get("ETag", "")
        # a weak ETag may stand for other bytes
        validator = etag if etag.startswith('"') else response.headers.get("Last-Modified")
        atomic.write_json(validator_file, {"url": url, "validator": validator})
        length = max(0, int(response.headers.get("Content-Length", 0)))
        with (
            part.open("ab" if resumed else "wb") as file,
            logs.progress(held + length, "download", "byte", held) as meter,
        ):
            for chunk in response.iter_content(CHUNK):
                file.write(chunk)
                meter.update(len(chunk))
    validator_file.unlink()


def _reason(error: Exception) -> str:
    """Return the last, most telling part of a chain of wrapped network errors."""
    while error.args and isinstance(error.args[-1], Exception):
        error = error.args[-1]
    return " ".join(str(getattr(error, "reason", None) or error).split()) or type(error).__name__
