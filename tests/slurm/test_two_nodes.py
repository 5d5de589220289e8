"""A trial that two nodes of a real cluster train together."""

from pathlib import Path

import pytest

from segsuite.io import store
from tests.reliability.trials import attempt, frozen, outcome, trials_of, write_experiment
from tests.slurm.cluster import Cluster, codes, log, told_that_its_time_ends

pytestmark = pytest.mark.slow
TWO = {"tracker": "none", "execution__checkpoint_minutes": 1e-6, "model__dropout": 0.2}


def test_a_trial_of_two_nodes_is_queued_again_and_ends_as_two_processes_of_one_machine_do(
    cluster: Cluster, tmp_path: Path
) -> None:
    path = write_experiment(tmp_path / "nodes", **TWO, execution__nodes=2)
    (trial,) = trials_of(path)
    told_that_its_time_ends(cluster, path, trial)
    assert codes(trial) == [75, 0], log(trial)
    alone = frozen(write_experiment(tmp_path / "alone", **TWO, execution__devices=2))
    assert attempt(alone) == 0
    assert outcome(trial.folder) == outcome(alone)
    result = store.read_json(trial.folder / "result.json")
    assert result is not None
    assert result["batch"]["ranks"] == 2
