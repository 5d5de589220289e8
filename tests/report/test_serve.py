"""The local server: the page follows the run directories, and nothing else can be reached."""

import http.client
import socket
import threading
import urllib.parse
from pathlib import Path
from typing import NamedTuple

import pytest

from segsuite.errors import ConfigError
from segsuite.experiment import Experiment
from segsuite.report.serve import Follower, serve, state_of
from tests.report.runs import experiment_in, finish, stop


class Answer(NamedTuple):
    status: int
    text: str
    headers: dict[str, str]


class Site(NamedTuple):
    experiment: Experiment
    port: int
    token: str

    def get(self, path: str, host: str | None = None, method: str = "GET", **headers: str) -> Answer:
        headers = headers or {"Cookie": f"segsuite-{self.port}={self.token}"}
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        connection.request(method, path, headers={"Host": host or f"127.0.0.1:{self.port}", **headers})
        response = connection.getresponse()
        answer = Answer(response.status, response.read().decode(), dict(response.getheaders()))
        connection.close()
        return answer


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    experiment = experiment_in(tmp_path_factory.mktemp("serve"), images=4)
    finish(experiment, only=lambda trial: trial.seed == 0)
    told: list[str] = []
    known = threading.Event()

    def ready(address: str) -> None:
        told.append(address)
        known.set()

    follower = Follower(experiment, experiment.folder / "report")
    threading.Thread(target=serve, args=(follower, 0, ready), daemon=True).start()
    assert known.wait(20)
    address = urllib.parse.urlsplit(told[0])
    return Site(experiment, int(address.port or 0), urllib.parse.parse_qs(address.query)["token"][0])


def test_the_page_is_served_with_its_policy(site: Site) -> None:
    answer = site.get("/")
    assert answer.status == 200
    assert "connect-src &#39;self&#39;" in answer.text
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Cache-Control"] == "no-store"


def test_the_page_carries_the_version_that_the_server_tells(site: Site) -> None:
    assert f'data-version="{site.get("/version").text}"' in site.get("/").text


def test_a_finished_trial_makes_a_new_version_and_a_new_page(site: Site) -> None:
    before = site.get("/version").text
    assert "3 of 9 trials finished" in site.get("/").text
    finish(site.experiment, only=lambda trial: trial is site.experiment.trials[3])
    assert site.get("/version").text != before
    assert "4 of 9 trials finished" in site.get("/").text


def test_an_epoch_makes_a_new_version(tmp_path: Path) -> None:
    experiment = experiment_in(tmp_path)
    stop(experiment.trials[0], epochs=1)
    before = state_of(experiment)
    stop(experiment.trials[0], epochs=2)
    assert state_of(experiment) != before


def test_a_quiet_experiment_keeps_its_version(site: Site) -> None:
    assert site.get("/version").text == site.get("/version").text


@pytest.mark.parametrize("path", ["/results.csv", "/report.json", "/table.tex", "/table.md"])
def test_the_files_beside_the_page_are_served(site: Site, path: str) -> None:
    assert site.get(path).status == 200


@pytest.mark.parametrize(
    "path",
    ["/figures/", "/figures/seeds.json", "/../made.yaml", "/%2e%2e/made.yaml", "//etc/passwd", "/report.html/..", "/."],
)
def test_no_other_path_is_known(site: Site, path: str) -> None:
    assert site.get(path).status == 404


def test_without_the_token_nothing_of_the_experiment_is_told(site: Site) -> None:
    for path in ("/", "/version", "/results.csv", "/nothing"):
        answer = site.get(path, Cookie="other=1")
        assert (answer.status, answer.text) == (403, "open the address that the terminal shows, with its token\n")


def test_the_address_of_the_terminal_shows_the_page_and_leaves_the_cookie(site: Site) -> None:
    answer = site.get(f"/?token={site.token}", Cookie="")
    assert answer.status == 200
    assert "3 of 9 trials finished" in answer.text or "4 of 9 trials finished" in answer.text
    assert answer.headers["Set-Cookie"] == f"segsuite-{site.port}={site.token}; HttpOnly; SameSite=Strict; Path=/"


def test_only_reading_is_possible(site: Site) -> None:
    assert site.get("/", method="POST").status == 501


def test_head_has_no_body(site: Site) -> None:
    answer = site.get("/", method="HEAD")
    assert answer.status == 200
    assert answer.text == ""


def test_a_taken_port_is_a_sentence(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=f"port {port} cannot be listened on"):
            serve(Follower(experiment_in(tmp_path), tmp_path / "report"), port)
