"""Servers on this machine, one of which misbehaves on purpose."""

import functools
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class LocalServer:
    """Serves until `close`; each request gets a handler, made with this server as its first argument."""

    def __init__(self, handler: Callable[..., BaseHTTPRequestHandler]) -> None:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(handler, self))
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()
        self.root = f"http://127.0.0.1:{self._server.server_port}/"

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class Server(LocalServer):
    """Serves `body` at every path; the tests set how it misbehaves and read `requests`."""

    def __init__(self, body: bytes, name: str = "hopper.hdf5") -> None:
        self.body = body
        self.cut_after: list[int] = []  # bytes after which the next answers are cut
        self.ranges = True
        self.validator: dict[str, str] = {"ETag": '"one"'}
        self.hang_after: list[int] = []  # bytes after which the next answers stop, with the connection left open
        self.closed = threading.Event()
        self.status = 200
        self.content_type = "application/x-hdf5"
        self.raw: bytes | None = None  # the whole answer, if it is not HTTP as it should be
        self.requests: list[str | None] = []  # the Range header of each request
        super().__init__(_Handler)
        self.url = f"{self.root}data/{name}"

    def close(self) -> None:
        self.closed.set()
        super().close()


class _Handler(BaseHTTPRequestHandler):
    def __init__(self, server: Server, *arguments) -> None:
        self.behavior = server
        super().__init__(*arguments)

    def do_GET(self) -> None:
        server = self.behavior
        if server.raw is not None:
            self.wfile.write(server.raw)
            self.close_connection = True
            return
        wanted = self.headers.get("Range")
        server.requests.append(wanted)
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and server.ranges else 0
        if self.headers.get("If-Range") not in (None, *server.validator.values()):
            start = 0
        if start >= len(server.body):
            self.send_error(416)
            return
        self.send_response(206 if start else server.status)
        for name, value in server.validator.items():
            self.send_header(name, value)
        self.send_header("Content-Type", server.content_type)
        self.send_header("Content-Length", str(len(server.body) - start))
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(server.body) - 1}/{len(server.body)}")
        self.end_headers()
        body = server.body[start:]
        if server.hang_after:
            self.wfile.write(body[: server.hang_after.pop(0)])
            server.closed.wait(20)
            return
        self.wfile.write(body[: server.cut_after.pop(0)] if server.cut_after else body)

    def log_message(self, *_) -> None:
        """Say nothing."""
