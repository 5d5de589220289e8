"""Fixtures of the tests of encoders."""

import socket
from collections.abc import Iterator
from typing import Any

import pytest


@pytest.fixture
def sockets_blocked(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Any attempt to reach another machine, or to look up its address, fails the test, even if the code catches it."""

    def refuse(*args: Any, **kwargs: Any) -> Any:
        attempts.append(args)
        raise OSError("blocked")

    attempts: list[Any] = []
    for name in ("connect", "connect_ex", "sendto"):
        monkeypatch.setattr(socket.socket, name, refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    yield
    assert not attempts
