"""A real cluster on this machine for the tests of this folder; it ends with them."""

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pytest

from segsuite.launch.slurm import snapshot
from tests.slurm.checkouts import small_repository
from tests.slurm.cluster import LOCAL, Cluster

PROGRAMS = ("slurmctld", "slurmd", "sbatch", "munged")
PLACES = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/sbin"))


@pytest.fixture(scope="session")
def running_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    missing = [name for name in PROGRAMS if shutil.which(name, path=PLACES) is None]
    if missing:
        _without_cluster(f"no {', '.join(missing)}: apt-get install slurmctld slurmd slurm-client munge")
    folder = tmp_path_factory.mktemp("cluster")
    environment = {**os.environ, "CLUSTER_DIR": str(folder), "CLUSTER_PORT": str(_free_ports(5))}
    up = subprocess.run([LOCAL / "up"], env=environment, capture_output=True, text=True, timeout=120, check=False)
    try:
        if up.returncode != 0:
            _without_cluster(f"the cluster does not start: {up.stdout} {up.stderr}")
        yield Cluster(folder)
    finally:
        subprocess.run([LOCAL / "down", "--purge"], env=environment, capture_output=True, timeout=120, check=True)


@pytest.fixture
def cluster(running_cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    """The cluster without jobs, and a profile in which a task takes one core."""
    monkeypatch.setenv("SLURM_CONF", str(running_cluster.folder / "slurm.conf"))
    running_cluster.profile = tmp_path / "profile.yaml"
    running_cluster.write_profile()
    yield running_cluster
    running_cluster.call("scancel", f"--user={running_cluster.user}")
    running_cluster.wait_until_idle()


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small checkout, which is taken for that of the suite."""
    folder = small_repository(tmp_path / "repository")
    monkeypatch.setattr(snapshot, "CHECKOUT", folder)
    return folder


def _without_cluster(reason: str) -> NoReturn:
    if os.environ.get("SEGSUITE_NEEDS_SLURM") == "1":
        pytest.fail(reason)
    pytest.skip(reason)


def _free_ports(count: int) -> int:
    """The first of `count` ports in a row that nobody listens on."""
    for first in range(16817, 30000, 50):
        try:
            for port in range(first, first + count):
                with socket.socket() as probe:
                    probe.bind(("127.0.0.1", port))
        except OSError:
            continue
        return first
    raise RuntimeError("no free ports")
