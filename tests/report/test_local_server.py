"""The server that `report --serve` answers with, over real sockets: who gets in, and that nobody stops the others."""

import contextlib
import http.client
import socket
import stat
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from segsuite.errors import ConfigError
from segsuite.report import local_server
from segsuite.report.local_server import Content, LocalServer
from segsuite.report.serve import leading_to


class Answer(NamedTuple):
    status: int
    text: str
    headers: dict[str, str]


class Site(NamedTuple):
    server: LocalServer

    def get(self, path: str = "/", **headers: str) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.server.server_port, timeout=20)
        connection.request("GET", path, headers={key.replace("_", "-"): value for key, value in headers.items()})
        response = connection.getresponse()
        answer = Answer(response.status, response.read().decode(), dict(response.getheaders()))
        connection.close()
        return answer

    def cookie(self, token: str = "") -> str:
        return f"segsuite-{self.server.server_port}={token or self.server.token}"

    def connected(self, sent: bytes = b"") -> socket.socket:
        made = socket.create_connection(("127.0.0.1", self.server.server_port), timeout=20)
        made.sendall(sent)
        return made


Start = Callable[[Callable[[str], Content | None]], Site]


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts servers, which end with the test."""
    servers: list[LocalServer] = []

    def begin(find: Callable[[str], Content | None]) -> Site:
        servers.append(LocalServer(find))
        threading.Thread(target=servers[-1].serve_forever, args=(0.05,), daemon=True).start()
        return Site(servers[-1])

    yield begin
    for server in servers:
        server.shutdown()
        server.server_close()


def page(path: str) -> Content | None:
    return Content("text/plain", b"the page") if path == "/" else None


@pytest.fixture
def site(start: Start) -> Site:
    return start(page)


def test_it_listens_on_the_loopback_interface_alone(site: Site) -> None:
    assert site.server.server_address[0] == "127.0.0.1"
    assert site.server.address == f"http://127.0.0.1:{site.server.server_port}/?token={site.server.token}"
    assert len(site.server.token) == 43, "256 bits"


def test_two_servers_have_tokens_of_their_own(start: Start) -> None:
    one, other = start(page), start(page)
    assert one.server.token != other.server.token
    assert one.get(f"/?token={other.server.token}").status == 403


@pytest.mark.parametrize("path", ["/", "/?token=", "/?token=wrong", "/?token=%ff%00", "/?other=1", "//[", "/version"])
def test_without_the_token_the_answer_is_one_sentence(site: Site, path: str) -> None:
    answer = site.get(path)
    assert (answer.status, answer.text) == (403, "open the address that the terminal shows, with its token\n")
    assert "Set-Cookie" not in answer.headers


def test_the_token_in_the_address_becomes_a_cookie_that_links_work_with(site: Site) -> None:
    first = site.get(f"/?token={site.server.token}")
    assert (first.status, first.text) == (200, "the page")
    name, *limits = first.headers["Set-Cookie"].split("; ")
    assert limits == ["HttpOnly", "SameSite=Strict", "Path=/"]
    assert site.get("/", Cookie=name).text == "the page"
    assert site.get("/none", Cookie=name).status == 404


def test_cookies_of_other_servers_of_this_machine_are_in_nobodys_way(site: Site) -> None:
    assert site.get("/", Cookie=f'x={{"a": "b;c"}}; y="1; {site.cookie()}; \xe4=1').status == 200
    assert site.get("/", Cookie=site.cookie("wrong")).status == 403
    assert site.get("/", Cookie=f"{site.cookie('wrong')}; {site.cookie()}").status == 200


@pytest.mark.parametrize("host", ["attacker.example", "127.0.0.1.attacker.example", "localhost.", "", "0.0.0.0", "::1"])
def test_another_name_for_this_machine_is_refused_even_with_the_token(site: Site, host: str) -> None:
    assert site.get(f"/?token={site.server.token}", Host=host).status == 403


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost:9999", "LOCALHOST", "[::1]:80"])
def test_this_machine_may_be_reached_through_any_port(site: Site, host: str) -> None:
    assert site.get(f"/?token={site.server.token}", Host=host).status == 200


def test_an_error_is_a_500_and_one_line_of_the_log(start: Start, capsys: pytest.CaptureFixture[str]) -> None:
    def broken(path: str) -> Content | None:
        raise ValueError(f"/secret/place\nof {path}")

    site = start(broken)
    for _ in range(3):
        answer = site.get("/a?x=1", Cookie=site.cookie())
        assert (answer.status, answer.text) == (500, "the page could not be made; the terminal says why\n")
    assert capsys.readouterr().err == "segsuite: GET /a: ValueError: /secret/place of /a\n"


def test_a_reader_that_goes_away_is_no_error(start: Start, capsys: pytest.CaptureFixture[str]) -> None:
    entered, go_on = threading.Event(), threading.Event()

    def large(path: str) -> Content | None:
        entered.set()
        go_on.wait(20)
        return Content("text/plain", b"x" * 50_000_000)

    site = start(large)
    site.connected(f"GET / HTTP/1.0\r\nHost: localhost\r\nCookie: {site.cookie()}\r\n\r\n".encode()).close()
    assert entered.wait(20)
    go_on.set()
    assert len(site.get("/", Cookie=site.cookie()).text) == 50_000_000
    assert capsys.readouterr().err == ""


def test_many_slow_connections_do_not_stop_the_others(site: Site) -> None:
    slow = [site.connected(b"GET / HTTP/1.1\r\nHost: local") for _ in range(local_server.MOST_CONNECTIONS + 20)]
    began = time.monotonic()
    assert site.get("/", Cookie=site.cookie()).status == 200
    assert time.monotonic() - began < 5 < local_server.READ_SECONDS
    assert len(site.server._waiting) <= local_server.MOST_CONNECTIONS
    for one in slow:
        one.close()


def test_a_request_must_arrive_within_its_time_however_it_is_spread(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local_server, "READ_SECONDS", 0.5)
    slow = site.connected(b"GET / HTTP/1.1\r\nX: ")
    began = time.monotonic()
    with contextlib.suppress(OSError):  # reset, or a broken pipe
        while time.monotonic() - began < 20:
            slow.sendall(b"a")  # each byte comes within any time that a single read could be given
            time.sleep(0.05)
    assert time.monotonic() - began < 10
    slow.close()


def test_connections_are_no_more_than_their_bound(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local_server, "MOST_CONNECTIONS", 2)
    go_on = threading.Event()
    entered = threading.Semaphore(0)

    def held(path: str) -> Content | None:
        entered.release()
        go_on.wait(20)
        return Content("text/plain", b"done")

    site = start(held)
    request = f"GET / HTTP/1.0\r\nHost: localhost\r\nCookie: {site.cookie()}\r\n\r\n".encode()
    busy = [site.connected(request) for _ in range(2)]
    assert all(entered.acquire(timeout=20) for _ in busy)
    with site.connected() as third:
        assert third.recv(10) == b"", "closed at once"
    go_on.set()
    for one in busy:
        with one, one.makefile("rb") as answer:
            assert answer.read().endswith(b"done")
    assert site.get("/", Cookie=site.cookie()).text == "done", "there is room again"


@pytest.mark.parametrize("port", [-1, 65536, 10**9])
def test_a_port_that_is_none_is_a_sentence(port: int) -> None:
    with pytest.raises(ConfigError, match=f"port {port} cannot be listened on"):
        LocalServer(page, port)


def test_a_browser_gets_the_token_from_a_file_that_no_other_user_reads(tmp_path: Path) -> None:
    with leading_to("http://127.0.0.1:1/?token=a&b", tmp_path) as file:
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert "url=http://127.0.0.1:1/?token=a&amp;b" in file.read_text()
    assert list(tmp_path.iterdir()) == []
