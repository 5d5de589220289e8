"""Commands on a machine with SLURM's programs and without a cluster, and what reaches those programs of a login
profile."""

import os
from pathlib import Path

import pytest

from segsuite.cli import main
from segsuite.errors import ConfigError
from segsuite.launch.slurm import command
from tests.reliability.trials import write_experiment
from tests.slurm.scripts import write_program

RESOLVER = """#!/bin/bash
echo "NAME: error: resolve_ctls_from_dns_srv: res_nsearch error: Unknown host" >&2
echo "NAME: fatal: Could not establish a configuration source" >&2
exit 1
"""


@pytest.fixture
def no_cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("sbatch", "squeue", "scontrol", "scancel", "sinfo", "srun", "sacct"):
        write_program(tmp_path / "programs" / name, RESOLVER.replace("NAME", name))
    monkeypatch.setenv("PATH", f"{tmp_path / 'programs'}:{os.environ['PATH']}")
    monkeypatch.delenv("SLURM_CONF", raising=False)
    return write_experiment(tmp_path, seeds=[0, 1])


def test_a_dry_run_needs_no_cluster(no_cluster: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", str(no_cluster), "--on", "slurm", "--dry-run"]) == 0
    said = capsys.readouterr()
    assert (
        "note: nothing is taken as queued, since the queue was not asked: this machine belongs to no cluster"
        in said.out
    )
    assert "tiny: 2 new" in said.out
    assert "sbatch --parsable" in said.out
    assert "resolve_ctls" not in said.out + said.err


@pytest.mark.parametrize("words", [["cancel"], ["run", "--on", "slurm"]])
def test_what_needs_a_cluster_says_that_there_is_none(
    words: list[str], no_cluster: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([words[0], str(no_cluster), *words[1:]]) == 2
    said = capsys.readouterr()
    assert "this machine belongs to no cluster" in said.err
    assert "login node" in said.err
    assert "resolve_ctls" not in said.out + said.err


def test_the_doctor_says_that_there_is_no_cluster(no_cluster: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (no_cluster.parent / "site.yaml").write_text("cpus: 1\n")
    assert main(["doctor", str(no_cluster), "--profile", str(no_cluster.parent / "site.yaml")]) == 1
    said = capsys.readouterr().out
    assert "problem  SLURM: this machine belongs to no cluster: scontrol finds no configuration of SLURM" in said
    assert "resolve_ctls" not in said


def test_a_configuration_that_is_not_there_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_CONF", "/no/such/slurm.conf")
    with pytest.raises(ConfigError, match="belongs to no cluster") as caught:
        command.call(["sh", "-c", "sleep 60"])
    assert caught.value.where == "SLURM_CONF is /no/such/slurm.conf"


LOGIN = {
    "SBATCH_ACCOUNT": "a", "SBATCH_PARTITION": "b", "SALLOC_ACCOUNT": "c", "SLURM_ACCOUNT": "d", "SRUN_CPUS": "e",
    "SLURM_CONF": "f",
}  # fmt: skip


def test_what_a_login_profile_sets_reaches_sbatch(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("SLURM_CONF", raising=False)
    for name in ("SLURM_JOB_ID", "SLURM_JOBID"):
        monkeypatch.delenv(name, raising=False)
    for name, value in LOGIN.items():
        if name != "SLURM_CONF":
            monkeypatch.setenv(name, value)
    found = dict(line.split("=", 1) for line in command.call(["env"]).splitlines() if "=" in line)
    assert {name: found.get(name) for name in LOGIN if name != "SLURM_CONF"} == {
        name: value for name, value in LOGIN.items() if name != "SLURM_CONF"
    }


def test_what_a_job_sets_around_the_launcher_does_not() -> None:
    for name in ("SLURM_JOB_ID", "SLURM_JOBID"):
        assert command.clean({**LOGIN, name: "3"}) == {"SLURM_CONF": "f"}


def test_a_filter_for_reading_by_eye_hides_no_task() -> None:
    filters = {"SQUEUE_PARTITION": "a", "SQUEUE_STATES": "b", "SACCT_FORMAT": "c", "SLURM_TIME_FORMAT": "relative"}
    assert command.clean({**filters, "SBATCH_QOS": "d"}) == {"SBATCH_QOS": "d"}
