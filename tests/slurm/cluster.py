"""What the tests ask of the cluster: its programs, and the ways in which it can hurt a job."""

import getpass
import json
import os
import re
import signal
import subprocess
from pathlib import Path
from typing import Any

from segsuite import yaml_io
from segsuite.experiment import Trial
from tests.reliability.trials import REPOSITORY, kill, saved_step, start, wait_for

LOCAL = REPOSITORY / "slurm" / "local-cluster"


class Cluster:
    """A running cluster; SLURM_CONF is set to it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.user = getpass.getuser()
        self.profile = Path()

    def write_profile(self, **changes: object) -> None:
        # No `time` of a minute or two: SLURM may send USR1 a minute early.
        values = {"cpus": 1, "mem": "300M", "time": "00:20:00", "signal_seconds": 60, **changes}
        self.profile.write_text(yaml_io.to_text(values))

    def call(self, *words: str) -> str:
        done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, f"{words}: {done.stderr}"
        return done.stdout

    def run(self, experiment: Path, *options: str) -> subprocess.CompletedProcess[str]:
        """`segsuite run --on slurm`, to its end."""
        process = self.start(experiment, *options)
        try:
            output, errors = process.communicate(timeout=300)
        finally:
            kill(process)
        return subprocess.CompletedProcess(process.args, process.returncode, output, errors)

    def start(self, experiment: Path, *options: str) -> subprocess.Popen[str]:
        return start("segsuite", "run", experiment, "--on", "slurm", "--profile", self.profile, *options)

    def states(self, job: str) -> dict[str, str]:
        """State of each task that SLURM still knows, ended ones too."""
        listing = self.call("squeue", "-h", "-r", "-t", "all", "-j", job, "-o", "%i %T")
        return dict(line.split(maxsplit=1) for line in listing.splitlines())

    def queue(self) -> list[str]:
        """The tasks that have not ended."""
        return self.call("squeue", "-h", "-r", "-o", "%i %T %r %j").splitlines()

    def release(self) -> None:
        """Lets tasks start that SLURM holds back for two minutes after a requeue."""
        for line in self.queue():
            task, state, reason, *_ = line.split()
            if state == "PENDING" and reason == "BeginTime":
                self.call("scontrol", "update", f"JobId={task}", "StartTime=now")

    def wait_until_idle(self, seconds: float = 600.0) -> None:
        """Until no job is left; requeued ones go on at once."""

        def idle() -> bool:
            self.release()
            return not self.queue()

        wait_for(idle, f"the queue to be empty: {self.queue()}", seconds)

    def daemon(self, node: str) -> int:
        return int((self.folder / "run" / f"slurmd.{node}.pid").read_text())

    def kill_node(self, node: str) -> None:
        """Ends the daemon of a node; processes of its jobs live on."""
        os.kill(self.daemon(node), signal.SIGKILL)
        self.call("scontrol", "update", f"NodeName={node}", "State=DOWN", "Reason=test")

    def kill_controller(self) -> None:
        """Ends slurmctld; jobs go on, and nobody answers until `mend`."""
        os.kill(int((self.folder / "run" / "slurmctld.pid").read_text()), signal.SIGKILL)

    def mend(self) -> None:
        """Starts the daemons that were ended."""
        environment = {**os.environ, "CLUSTER_DIR": str(self.folder)}
        (port,) = [
            line.partition("=")[2]
            for line in (self.folder / "slurm.conf").read_text().splitlines()
            if line.startswith("SlurmctldPort=")
        ]
        done = subprocess.run(
            [LOCAL / "up"], env={**environment, "CLUSTER_PORT": port}, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr


def attempts(trial: Trial) -> list[dict[str, Any]]:
    """The lines of attempts.jsonl."""
    lines = (trial.folder / "attempts.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def codes(trial: Trial) -> list[int]:
    """The exit code of each attempt that has ended."""
    return [line["code"] for line in attempts(trial) if "code" in line]


def log(trial: Trial) -> str:
    return (trial.folder / "slurm.log").read_text()


def submitted(cluster: Cluster, path: Path) -> str:
    """Submits the experiment; the first array's number."""
    ran = cluster.run(path)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    found = re.search(r"submitted \d+ trials? as (\d+)", ran.stdout)
    assert found is not None, ran.stdout
    return found[1]


def started(trial: Trial, step: int = 5) -> None:
    """Waits until the trial has saved that optimizer step."""
    wait_for(lambda: saved_step(trial.folder) >= step, f"step {step}", 300)


def told_that_its_time_ends(cluster: Cluster, path: Path, trial: Trial) -> None:
    """Submits the experiment, lets SLURM tell its only trial to save once it trains, and waits until no job is left."""
    job = submitted(cluster, path)
    started(trial)
    cluster.call("scancel", "--signal=USR1", f"{job}_0")
    cluster.wait_until_idle()
