"""`segsuite report --serve`: the page of a running experiment on a small local server, made anew when trials go on."""

import hashlib
import threading
from collections.abc import Callable
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import NamedTuple

from segsuite.errors import ConfigError
from segsuite.experiment import Experiment
from segsuite.io import store
from segsuite.report.build import BESIDE, Report, build_report, write_report

LOOPBACK = "127.0.0.1"
KINDS = {"csv": "text/csv", "json": "application/json", "tex": "text/plain", "md": "text/plain"}
WATCHED = ("result.json", "failure.json", "events.jsonl", "trial.yaml")
HEADERS = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class Served(NamedTuple):
    """A page and the state of the run directories that it was made from."""

    version: str
    page: bytes


def state_of(experiment: Experiment) -> str:
    """16 hex digits that change when a trial starts, ends an epoch, finishes or fails."""
    digest = hashlib.sha256()
    for trial in experiment.trials:
        for name in WATCHED:
            try:
                found = (trial.folder / name).stat()
            except OSError:
                continue
            digest.update(f"{trial.id}/{name}:{found.st_size}:{found.st_mtime_ns};".encode())
        digest.update(store.state(trial.folder).encode())
    return digest.hexdigest()[:16]


class Follower:
    """Keeps the newest page; makes it anew, one at a time, when it is asked and something has changed."""

    def __init__(self, experiment: Experiment, folder: Path, with_images: bool = True) -> None:
        self.experiment, self.folder, self.with_images = experiment, folder, with_images
        self._lock = threading.Lock()
        self._served = Served("", b"")

    def newest(self) -> Served:
        """The page of the run directories as they are now; also writes it, and what lies beside it, to the folder."""
        with self._lock:
            version = state_of(self.experiment)
            if version != self._served.version:
                report: Report = build_report(self.experiment, self.with_images)
                write_report(report, self.folder)
                self._served = Served(version, report.page(version).encode())
            return self._served


class _Requests(BaseHTTPRequestHandler):
    """Answers the page, its version and the files beside it; nothing else is reachable."""

    server_version = "segsuite"
    sys_version = ""

    def __init__(self, follower: Follower, *arguments: object) -> None:
        self.follower = follower
        super().__init__(*arguments)  # type: ignore[arg-type]

    def do_GET(self) -> None:
        """The page, `/version`, or a file beside the page."""
        self._answer(with_body=True)

    def do_HEAD(self) -> None:
        """The headers of what GET answers."""
        self._answer(with_body=False)

    def _answer(self, with_body: bool) -> None:
        # Another site whose name was made to point here (DNS rebinding) calls this server by its own name.
        assert isinstance(self.server, ThreadingHTTPServer)
        port = self.server.server_port
        if self.headers.get("Host") not in (f"{LOOPBACK}:{port}", f"localhost:{port}", LOOPBACK, "localhost"):
            self._send(403, "text/plain", b"this server answers to 127.0.0.1 and localhost\n", with_body)
            return
        path = self.path.partition("?")[0]
        if path == "/":
            self._send(200, "text/html", self.follower.newest().page, with_body)
        elif path == "/version":
            self._send(200, "text/plain", self.follower.newest().version.encode(), with_body)
        elif path.removeprefix("/") in BESIDE:
            self.follower.newest()
            content = (self.follower.folder / path.removeprefix("/")).read_bytes()
            self._send(200, KINDS[path.rpartition(".")[2]], content, with_body)
        else:
            self._send(404, "text/plain", b"there is no such page\n", with_body)

    def _send(self, code: int, kind: str, content: bytes, with_body: bool) -> None:
        self.send_response(code)
        for name, value in HEADERS.items():
            self.send_header(name, value)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if with_body:
            self.wfile.write(content)

    def log_message(self, format: str, *arguments: object) -> None:
        """Quiet: a browser asks every few seconds."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True

    def handle_error(self, request: object, client_address: object) -> None:
        """A browser that goes away in the middle of an answer is no error."""


def serve(follower: Follower, port: int = 0, ready: Callable[[str], object] = print) -> None:
    """Serves until Ctrl-C on the loopback interface; port 0 takes any free one. `ready` is given the address.

    Raises ConfigError when the port is taken.
    """
    follower.newest()
    try:
        server = _Server((LOOPBACK, port), partial(_Requests, follower))
    except OSError as error:
        raise ConfigError(
            f"port {port} cannot be listened on: {error.strerror}", "--port", "choose another, or 0 for any free one"
        ) from error
    with server:
        ready(f"http://{LOOPBACK}:{server.server_port}/")
        try:
            server.serve_forever(poll_interval=0.2)
        except KeyboardInterrupt:
            return
