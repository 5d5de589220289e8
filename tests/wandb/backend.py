"""A W&B server in memory, on 127.0.0.1: what wandb 0.31 needs to log, resume, sync and read back, and
wandb-workspaces to save. It says nothing of how a real server shows things.

    with Backend() as server:
        subprocess.run([...], env={**os.environ, **server.environment()})
        server.runs["id"].history
"""

import gzip
import json
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlparse

from tests.wandb import operations, reading

API_KEY = "local-" + "0" * 40
ENTITY = "lab"
assert reading.run_node  # imported for the operations that it registers


@dataclass
class Run:
    """What the server knows of a run."""

    project: str
    name: str
    display_name: str | None = None
    config: dict[str, Any] = field(default_factory=dict)
    group: str | None = None
    job_type: str | None = None
    tags: list[str] = field(default_factory=list)
    complete: bool = False
    exit_code: int | None = None
    preempting: bool = False
    stream: dict[str, dict[int, str]] = field(default_factory=dict)  # file -> offset -> line
    files: dict[str, bytes] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """The server's own id."""
        return operations.encoded(f"Run:v1:{self.name}:{self.project}:{ENTITY}")

    @property
    def history(self) -> list[dict[str, Any]]:
        """Rows in the order of their offsets."""
        return [json.loads(line) for _, line in sorted(self.stream.get("wandb-history.jsonl", {}).items())]

    @property
    def summary(self) -> dict[str, Any]:
        """The last summary."""
        lines = self.stream.get("wandb-summary.json", {})
        return dict(json.loads(lines[max(lines)])) if lines else {}

    @property
    def values(self) -> dict[str, Any]:
        """The config without wandb's own entries."""
        return {key: entry["value"] for key, entry in self.config.items() if key != "_wandb"}

    @property
    def state(self) -> str:
        """finished, failed, preempted or running, by the rules of W&B."""
        if not self.complete:
            return "preempting" if self.preempting else "running"
        if self.exit_code == 0:
            return "finished"
        return "preempted" if self.preempting else "failed"


class Backend:
    """The server and all that it was told; `fail(operation)` may answer (status, body) instead of it."""

    def __init__(self) -> None:
        self.runs: dict[str, Run] = {}
        self.artifacts: dict[str, dict[str, Any]] = {}
        self.views: dict[str, dict[str, Any]] = {}
        self.projects: set[str] = set()
        self.uploads: dict[str, bytes] = {}
        self.requests: list[str] = []
        self.unknown: list[str] = []
        self.fail: Callable[[str], tuple[int, Any] | None] = lambda operation: None
        self.lock = threading.RLock()
        handler = type("Bound", (_Requests,), {"backend": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def environment(self) -> dict[str, str]:
        """What a process needs to talk to this server."""
        return {"WANDB_BASE_URL": self.url, "WANDB_API_KEY": API_KEY, "WANDB_MODE": "online"}

    def __enter__(self) -> "Backend":
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Closes the port: from now on connections are refused."""
        self._server.shutdown()
        self._server.server_close()

    def new_run(self, project: str, name: str) -> Run:
        """A run that has just been created."""
        self.runs[name] = Run(project, name)
        return self.runs[name]

    def graphql(self, query: str, variables: dict[str, Any]) -> tuple[int, Any]:
        """The answer to one GraphQL request."""
        named = re.search(r"(?:query|mutation)\s+(\w+)", query) or re.search(r"\{\s*(\w+)", query)
        name = named[1] if named else ""
        self.requests.append(name)
        failure = self.fail(name)
        if failure is not None:
            return failure
        with self.lock:
            answer = operations.OPERATIONS.get(name)
            if answer is not None:
                return 200, {"data": answer(self, variables)}
        # Valid for any query whose fields may be null: optional features of the client fall away.
        self.unknown.append(f"{name}: {' '.join(query.split())[:800]} {json.dumps(variables)[:200]}")
        return 200, {"data": dict.fromkeys(operations.top_level_fields(query))}

    def stream(self, name: str, told: dict[str, Any]) -> tuple[int, Any]:
        """Lines of the history, the summary and logs; the end of a run."""
        with self.lock:
            run = self.runs.get(name)
            if run is None:
                return 404, {"error": "run not found"}
            for file, chunk in (told.get("files") or {}).items():
                lines = run.stream.setdefault(file, {})
                lines.update({chunk["offset"] + place: line for place, line in enumerate(chunk["content"])})
            run.preempting |= bool(told.get("preempting"))
            if told.get("complete"):
                run.complete, run.exit_code = True, told.get("exitcode")
        return 200, {"exitcode": None, "limits": {}}

    def upload(self, path: str, content: bytes) -> None:
        """A file, at the address that an operation gave for it."""
        with self.lock:
            self.uploads[path] = content
            if path.startswith("/upload/run/"):
                _, _, _, run, name = path.split("/", 4)
                self.runs[run].files[name] = content

    def wait(self, condition: Callable[[], Any], seconds: float = 20.0) -> Any:
        """What `condition` gives as soon as it is true. Raises TimeoutError."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if found := condition():
                return found
            time.sleep(0.02)
        raise TimeoutError("the server was not told in time")


class _Requests(BaseHTTPRequestHandler):
    backend: Backend
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def do_POST(self) -> None:
        path, told = urlparse(self.path).path, json.loads(self._body() or b"{}")
        stream = re.fullmatch(r"/files/[^/]+/[^/]+/([^/]+)/file_stream", path)
        if path == "/graphql":
            self._answer(*self.backend.graphql(told.get("query", ""), told.get("variables") or {}))
        elif stream:
            failure = self.backend.fail("file_stream")
            self._answer(*(failure or self.backend.stream(stream[1], told)))
        else:
            self.backend.unknown.append(f"POST {path}")
            self._answer(404, {"error": path})

    def do_PUT(self) -> None:
        self.backend.upload(unquote(urlparse(self.path).path), self._body())
        self._answer(200, b"")

    def do_GET(self) -> None:
        path = unquote(urlparse(self.path).path)
        if path in self.backend.uploads:
            self._answer(200, self.backend.uploads[path])
        elif path == "/":
            self._answer(200, b"ok")
        else:
            self.backend.unknown.append(f"GET {path}")
            self._answer(404, {"error": path})

    do_HEAD = do_GET

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            body = b""
            while size := int(self.rfile.readline().split(b";")[0], 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        else:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        return gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body

    def _answer(self, status: int, content: Any) -> None:
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
