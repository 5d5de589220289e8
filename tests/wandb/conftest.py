"""An emulated W&B server for each test that asks for one."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.wandb.backend import Backend
from tests.wandb.scenarios import IDENTIFIER


@pytest.fixture
def server() -> Iterator[Backend]:
    """A running server that knows nothing yet."""
    with Backend() as backend:
        yield backend


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The run directory of a trial of the experiment `tiny`."""
    return tmp_path / "runs" / "tiny" / IDENTIFIER
