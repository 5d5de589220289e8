"""What the tests ask of the cluster: its programs, and the ways in which it can hurt a job."""

import getpass
import os
import signal
import subprocess
from pathlib import Path

from segsuite import yaml_io
from tests.reliability.trials import REPOSITORY, kill, start, wait_for

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

    def mend(self) -> None:
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
