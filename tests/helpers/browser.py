"""A headless Chromium, driven by its DevTools protocol over a pipe, and a local server of a folder."""

import base64
import json
import os
import subprocess
import time
from http.server import SimpleHTTPRequestHandler
from pathlib import Path

from helpers.server import LocalServer

# no name is looked up but the local server's; shared memory of containers is too small
OPTIONS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--window-size=1000,980"]
NO_NETWORK = "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"


class Browser:
    """One page; `problems` collects its uncaught errors and failed requests."""

    def __init__(self, profile: Path) -> None:
        self.problems: list[str] = []
        self._number = 0
        (to_browser, self._to), (self._from, from_browser) = os.pipe(), os.pipe()
        # Chromium reads from file 3 and writes to file 4
        redirected = f'exec "$@" 3<&{to_browser} 4>&{from_browser}'
        arguments = ["chromium", *OPTIONS, NO_NETWORK, f"--user-data-dir={profile}", "--remote-debugging-pipe"]
        self._process = subprocess.Popen(
            ["bash", "-c", redirected, "bash", *arguments],
            pass_fds=(to_browser, from_browser),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(to_browser)
        os.close(from_browser)
        self._answers = os.fdopen(self._from, "rb", buffering=0)
        self._buffer = b""
        self._session: dict[str, str] = {}
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = {"sessionId": self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]}
        for domain in ("Page", "Runtime", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: object) -> dict:
        """Call a method of the protocol and return its result."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters, **self._session}
        os.write(self._to, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._read()
            if answer.get("id") == self._number:
                assert "error" not in answer, answer
                return answer["result"]
            if answer.get("method") == "Runtime.exceptionThrown":
                self.problems.append(str(answer["params"]["exceptionDetails"]))
            if answer.get("method") == "Log.entryAdded" and answer["params"]["entry"]["level"] == "error":
                self.problems.append(str(answer["params"]["entry"]))

    def _read(self) -> dict:
        while b"\0" not in self._buffer:
            part = self._answers.read(1 << 16)
            assert part, "Chromium has ended"
            self._buffer += part
        message, _, self._buffer = self._buffer.partition(b"\0")
        return json.loads(message)

    def evaluate(self, expression: str) -> object:
        """Return the JSON value of an expression, after waiting for it if it is a promise."""
        answer = self.call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def open(self, url: str) -> None:
        self.call("Page.navigate", url=url)
        self.wait_for("document.readyState === 'complete'")

    def wait_for(self, expression: str, seconds: float = 60) -> None:
        """Wait until an expression holds."""
        end = time.monotonic() + seconds
        while not self.evaluate(expression):
            assert time.monotonic() < end, f"{expression}: not within {seconds} s; {self.problems}"
            time.sleep(0.05)

    def screenshot(self, path: Path) -> None:
        path.write_bytes(base64.b64decode(self.call("Page.captureScreenshot")["data"]))

    def close(self) -> None:
        self._process.terminate()
        self._process.wait(20)
        self._answers.close()
        os.close(self._to)


class FolderServer(LocalServer):
    """Serves a folder."""

    def __init__(self, folder: Path) -> None:
        super().__init__(_Handler)
        self.folder = folder


class _Handler(SimpleHTTPRequestHandler):
    def __init__(self, server: FolderServer, *arguments) -> None:
        super().__init__(*arguments, directory=str(server.folder))

    def log_message(self, *_) -> None:
        """Say nothing."""
