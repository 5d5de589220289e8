"""A small HTTP server for the person who started it alone: reads only, on the loopback interface, behind a token.

Other users of the machine, and pages of other sites in the person's browser, can reach the loopback interface too. What
keeps them out: a random token in the address, which becomes a cookie (as Jupyter does it); the Host header, since
another site's name can be made to point here (DNS rebinding); and a time and a number that connections are held to, so
that none of them stops the others.
"""

import contextlib
import hmac
import secrets
import socket
import sys
import threading
import time
import urllib.parse
from collections.abc import Callable, Mapping
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple

from segsuite.errors import ConfigError

LOOPBACK = "127.0.0.1"
NAMES = frozenset({LOOPBACK, "localhost", "[::1]"})
"""What this machine calls itself; `ssh -L` brings any port along."""
READ_SECONDS = 10.0
"""How long a request may take to arrive, altogether."""
WRITE_SECONDS = 60.0
"""How long an answer may take to be fetched, altogether."""
MOST_CONNECTIONS = 32
HEADERS = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class Content(NamedTuple):
    """What is at a path, and its MIME type."""

    kind: str
    body: bytes


Find = Callable[[str], Content | None]
"""Path -> what is there, None for nothing."""


class LocalServer(ThreadingHTTPServer):
    """Serves what `find` finds at `address`. Raises ConfigError when the port is taken; port 0 takes any free one."""

    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = MOST_CONNECTIONS

    def __init__(self, find: Find, port: int = 0, name: str = "segsuite") -> None:
        self.name, self.token = name, secrets.token_urlsafe(32)
        self._waiting: dict[socket.socket, float] = {}
        """Connections whose request has not arrived yet -> when they must have sent it."""
        self._answering: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._said = ""
        try:
            super().__init__((LOOPBACK, port), partial(_Requests, find))
        except (OSError, OverflowError) as error:
            reason = error.strerror if isinstance(error, OSError) else "ports are 0 to 65535"
            raise ConfigError(
                f"port {port} cannot be listened on: {reason}", "--port", "choose another, or 0 for any free one"
            ) from error

    @property
    def address(self) -> str:
        """Where the person finds it, with the token."""
        return f"http://{LOOPBACK}:{self.server_port}/?token={self.token}"

    @property
    def cookie(self) -> str:
        """The name of the cookie: servers of one machine share its cookies, whatever their ports."""
        return f"segsuite-{self.server_port}"

    def process_request(self, request: object, client_address: object) -> None:
        """Makes room for one more connection: the one that has taken the longest to say what it wants goes."""
        assert isinstance(request, socket.socket)
        with self._lock:
            if len(self._waiting) + len(self._answering) >= MOST_CONNECTIONS and self._waiting:
                self._drop(min(self._waiting, key=self._waiting.__getitem__))
            is_room = len(self._waiting) + len(self._answering) < MOST_CONNECTIONS
            if is_room:
                self._waiting[request] = time.monotonic() + READ_SECONDS
        if is_room:
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def service_actions(self) -> None:
        """Drops the connections that are too slow; the loop of `serve_forever` calls it several times a second."""
        now = time.monotonic()
        with self._lock:
            for request in [one for one, end in self._waiting.items() if end < now]:
                self._drop(request)

    def arrived(self, request: socket.socket) -> None:
        """A connection's request is there: it is no longer waited for, but counts until it is answered."""
        with self._lock:
            if self._waiting.pop(request, None) is not None:
                self._answering.add(request)

    def shutdown_request(self, request: object) -> None:
        """The end of a connection, however it ends."""
        assert isinstance(request, socket.socket)
        with self._lock:
            self._waiting.pop(request, None)
            self._answering.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: object, client_address: object) -> None:
        """A browser that goes away in the middle of an answer is no error; anything else is a line in the log."""
        error = sys.exception()
        if error is not None and not isinstance(error, OSError):
            self.say(f"{type(error).__name__}: {error}")

    def say(self, text: str) -> None:
        """One line on standard error, once while it stays the same: a browser asks every few seconds."""
        if text != self._said:
            self._said = text
            if text:
                print(f"{self.name}: {' '.join(text.split())}", file=sys.stderr, flush=True)

    def _drop(self, request: socket.socket) -> None:
        del self._waiting[request]
        with contextlib.suppress(OSError):
            request.shutdown(socket.SHUT_RDWR)  # its thread reads the end, and closes it


class _Requests(BaseHTTPRequestHandler):
    """Answers one request of a connection."""

    server: LocalServer
    server_version = "segsuite"
    sys_version = ""
    timeout = WRITE_SECONDS

    def __init__(self, find: Find, *arguments: object) -> None:
        self.find = find
        super().__init__(*arguments)  # type: ignore[arg-type]

    def parse_request(self) -> bool:
        """The first line and the headers."""
        whole = super().parse_request()
        self.server.arrived(self.request)
        return whole

    def do_GET(self) -> None:
        """What is at the path."""
        self._answer(with_body=True)

    def do_HEAD(self) -> None:
        """The headers of what GET answers."""
        self._answer(with_body=False)

    def _answer(self, with_body: bool) -> None:
        path, _, query = self.path.partition("?")
        headers: dict[str, str] = {}
        try:
            if _name(self.headers.get("Host", "")) not in NAMES:
                code, content = 403, _text("this server answers to 127.0.0.1 and localhost alone")
            elif not (given := self._token(query)):
                code, content = 403, _text("open the address that the terminal shows, with its token")
            else:
                if given == "address":
                    headers["Set-Cookie"] = (
                        f"{self.server.cookie}={self.server.token}; HttpOnly; SameSite=Strict; Path=/"
                    )
                found = self.find(path)
                code, content = (404, _text("there is no such page")) if found is None else (200, found)
                self.server.say("")
        except Exception as error:
            self.server.say(f"{self.command} {path}: {type(error).__name__}: {error}")
            code, content = 500, _text("the page could not be made; the terminal says why")
        self._send(code, content, headers, with_body)

    def _token(self, query: str) -> str:
        """Where the right token stands: `cookie`, `address`, or empty for nowhere."""
        right = self.server.token.encode()
        # Not http.cookies: it gives up at the first cookie of another server of this machine that it cannot read.
        for cookie in ";".join(self.headers.get_all("Cookie", [])).split(";"):
            name, _, value = cookie.strip().partition("=")
            if name == self.server.cookie and hmac.compare_digest(value.encode(), right):
                return "cookie"
        given = urllib.parse.parse_qs(query).get("token", [""])[0]
        return "address" if hmac.compare_digest(given.encode(), right) else ""

    def _send(self, code: int, content: Content, headers: Mapping[str, str], with_body: bool) -> None:
        self.send_response(code)
        for name, value in {**HEADERS, **headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Type", f"{content.kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(content.body)))
        self.end_headers()
        if with_body:
            self.wfile.write(content.body)

    def log_message(self, format: str, *arguments: object) -> None:
        """Quiet: a browser asks every few seconds."""


def _name(host: str) -> str:
    """The Host header without its port.

    >>> _name("127.0.0.1:8000"), _name("localhost"), _name("[::1]:80")
    ('127.0.0.1', 'localhost', '[::1]')
    """
    name, colon, port = host.rpartition(":")
    return name.lower() if colon and port.isdecimal() else host.lower()


def _text(sentence: str) -> Content:
    return Content("text/plain", f"{sentence}\n".encode())
