"""SLURM's controller dies and comes back while trials run, on a real cluster."""

from pathlib import Path

import pytest

from segsuite.io import store
from tests.reliability.trials import segsuite, trials_of, write_experiment
from tests.slurm.cluster import Cluster, codes, log, started, submitted

pytestmark = pytest.mark.slow


def test_a_controller_that_restarts_loses_no_trial_and_none_is_submitted_twice(
    cluster: Cluster, tmp_path: Path
) -> None:
    path = write_experiment(tmp_path, train__epochs=8, seeds=[0, 1])
    submitted(cluster, path)
    started(trials_of(path)[0])
    path = write_experiment(tmp_path, train__epochs=8, seeds=[0, 1, 2])
    cluster.kill_controller()
    try:
        refused, told = cluster.run(path), segsuite("status", path)
    finally:
        cluster.mend()
    assert refused.returncode == 1
    assert refused.stderr.startswith("error: squeue refused: ")
    assert "Unable to contact slurm controller" in refused.stderr
    assert "Traceback" not in refused.stderr + told.stderr
    assert (told.returncode, "1 new" in told.stdout) == (0, True), told.stdout + told.stderr
    submitted(cluster, path)
    cluster.wait_until_idle()
    trials = trials_of(path)
    assert [store.state(trial.folder) for trial in trials] == ["finished"] * 3, [log(trial) for trial in trials]
    assert [codes(trial) for trial in trials] == [[0]] * 3
    tables = (tmp_path / "runs" / "tiny" / "slurm" / "tables").iterdir()
    listed = [trial for table in tables for trial in table.read_text().split()]
    assert sorted(listed) == sorted(trial.id for trial in trials)
    assert (tmp_path / "runs" / "tiny" / "report" / "report.html").exists()
