"""One trial in several processes, on one node and on two, on a real cluster."""

import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from segsuite.launch.freeze import freeze
from segsuite.launch.slurm.arrays import Code, Layout, Place, array_command
from segsuite.launch.slurm.profile import read_profile
from tests.reliability.trials import REPOSITORY, attempt, frozen, outcome, trials_of, write_experiment
from tests.results import whole_result
from tests.slurm.cluster import Cluster, codes, log, started, submitted

pytestmark = pytest.mark.slow
# In the place of python: what the processes of a trial find, and an exit code for each of them.
PRETENDED = """#!/bin/bash
[ "$5" = segsuite.trial ] || exit 0
echo "$SLURM_PROCID $SLURM_LOCALID $SLURM_NTASKS $SLURM_NODEID $MASTER_ADDR $MASTER_PORT" >>"$6/processes"
cat "$SEGSUITE_STAGED/a.txt" >>"$6/staged"
sleep "0.$SLURM_PROCID"
code=CODE
[ $code -ne 0 ] || echo 'RESULT' >"$6/result.json"
exit $code
""".replace("RESULT", json.dumps(whole_result()))


@pytest.mark.parametrize("layout", [Layout(nodes=2, devices=1), Layout(nodes=1, devices=2)])
def test_each_process_of_a_trial_finds_its_place(cluster: Cluster, tmp_path: Path, layout: Layout) -> None:
    ports = []
    for trial, found in processes(cluster, tmp_path, layout, "0"):
        assert codes(trial) == [0]
        places = [line.split() for line in found]
        ranks = [(rank, of, node) for rank, _, of, node, *_ in sorted(places)]
        assert ranks == [("0", "2", "0"), ("1", "2", "1" if layout.nodes == 2 else "0")]
        assert {address for *_, address, _ in places} == {"127.0.0.1"}
        (port,) = {port for *_, port in places}
        ports.append(port)
        assert (trial.folder / "staged").read_text() == "staged\n" * 2
    assert len(set(ports)) == 2


def test_several_processes_that_save_and_leave_are_queued_again(cluster: Cluster, tmp_path: Path) -> None:
    (trial, found), *_ = processes(cluster, tmp_path, Layout(nodes=2), "$((75 * (SLURM_RESTART_COUNT == 0)))")
    assert codes(trial) == [75, 0]
    assert len(found) == 4


def processes(cluster: Cluster, tmp_path: Path, layout: Layout, code: str) -> list[tuple[Any, list[str]]]:
    """Two trials on the cluster whose processes only tell what they find; each with the lines that they wrote."""
    pretended = tmp_path / "python"
    pretended.write_text(PRETENDED.replace("CODE", code))
    pretended.chmod(0o755)
    (tmp_path / "a.txt").write_text("staged\n")
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        archive.add(tmp_path / "a.txt", "a.txt")
    stage = {"archive": str(tmp_path / "a.tar"), "to": str(tmp_path / "disk")}
    cluster.write_profile(python=str(pretended), stage=stage)
    trials = trials_of(write_experiment(tmp_path, seeds=[0, 1]))
    place = Place(tmp_path / "runs" / "tiny")
    place.logs.mkdir(parents=True)
    table = place.new_table([[freeze(trial).name] for trial in trials])
    _, profile = read_profile(str(cluster.profile))
    cluster.call(*array_command(place, "processes", str(table), 2, profile, Code(REPOSITORY, str(pretended)), layout))
    cluster.wait_until_idle()
    return [(trial, (trial.folder / "processes").read_text().splitlines()) for trial in trials]


def test_two_processes_on_one_node_are_queued_again_and_end_with_the_bits_of_two_here(
    cluster: Cluster, tmp_path: Path
) -> None:
    here = frozen(write_experiment(tmp_path / "here", train__epochs=1, execution__devices=2))
    assert attempt(here) == 0, (here / "log.txt").read_text()
    path = write_experiment(tmp_path / "there", train__epochs=1, execution__devices=2)
    (trial,) = trials_of(path)
    job = submitted(cluster, path)
    started(trial, 3)
    cluster.call("scancel", "--signal=USR1", f"{job}_0")
    cluster.wait_until_idle()
    assert codes(trial) == [75, 0], log(trial)
    assert outcome(trial.folder) == outcome(here)
