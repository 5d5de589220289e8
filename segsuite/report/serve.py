"""`segsuite report --serve`: the page of a running experiment on a small local server, made anew when trials go on."""

import contextlib
import hashlib
import html
import tempfile
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

from segsuite.experiment import Experiment
from segsuite.io import store
from segsuite.report.build import BESIDE, Report, build_report, write_report
from segsuite.report.local_server import Content, LocalServer

KINDS = {"csv": "text/csv", "json": "application/json", "tex": "text/plain", "md": "text/plain"}
WATCHED = ("result.json", "failure.json", "events.jsonl", "trial.yaml")


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


def pages(follower: Follower, path: str) -> Content | None:
    """The page, its version, or a file beside the page; nothing else is reachable."""
    if path == "/":
        return Content("text/html", follower.newest().page)
    if path == "/version":
        return Content("text/plain", follower.newest().version.encode())
    name = path.removeprefix("/")
    if name not in BESIDE:
        return None
    follower.newest()
    return Content(KINDS[name.rpartition(".")[2]], (follower.folder / name).read_bytes())


def serve(follower: Follower, port: int = 0, ready: Callable[[str], object] = print) -> None:
    """Serves until Ctrl-C on the loopback interface; port 0 takes any free one. `ready` is given the address.

    Raises ConfigError when the port is taken.
    """
    follower.newest()
    with LocalServer(partial(pages, follower), port, "segsuite report") as server:
        ready(server.address)
        try:
            server.serve_forever(poll_interval=0.2)
        except KeyboardInterrupt:
            return


@contextlib.contextmanager
def leading_to(address: str, folder: Path) -> Iterator[Path]:
    """A file in `folder`, of this user alone, that leads to `address`, for a browser: what a process is called with,
    other users can read. It is removed after the body."""
    descriptor, name = tempfile.mkstemp(prefix="open-", suffix=".html", dir=folder.resolve())
    try:
        with open(descriptor, "w", encoding="utf-8") as file:
            to = html.escape(address)
            file.write(f'<!doctype html><meta http-equiv="refresh" content="0; url={to}"><a href="{to}">the report</a>')
        yield Path(name)
    finally:
        Path(name).unlink(missing_ok=True)
