"""One finished experiment with two seeds, trained once for all tests of this folder."""

from pathlib import Path

import pytest

from segsuite.cli import main
from segsuite.experiment import Trial
from tests.reliability.trials import trials_of, write_experiment


@pytest.fixture(scope="session")
def experiment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = write_experiment(
        tmp_path_factory.mktemp("trained"),
        seeds=[0, 1],
        train__epochs=1,
        wandb__mode="disabled",
        execution__keep="weights",
    )
    assert main(["run", str(path)]) == 0
    return path


@pytest.fixture(scope="session")
def trials(experiment: Path) -> tuple[Trial, ...]:
    return trials_of(experiment)
