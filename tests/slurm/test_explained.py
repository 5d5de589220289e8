"""What breaks a job before Python begins, on a real cluster: `status` and `why` explain it."""

import os
import shutil
from pathlib import Path

import pytest

from segsuite.io import store
from tests.reliability.trials import segsuite, trials_of, write_experiment
from tests.slurm.cluster import Cluster, log, submitted
from tests.slurm.scripts import write_program

pytestmark = pytest.mark.slow


def told(path: Path) -> tuple[str, str]:
    """What `status` and `why` of the only trial print."""
    (trial,) = trials_of(path)
    status, why = segsuite("status", path), segsuite("why", path, trial.id)
    print(f"$ segsuite status\n{status.stdout}$ segsuite why {trial.id}\n{why.stdout}")
    assert why.returncode == 0, why.stderr
    return status.stdout, why.stdout


def test_a_broken_module_a_broken_container_and_a_wrapper_that_exports_nothing_are_explained(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A percent sign in the path: sbatch reads it in --output.
    paths = [write_experiment(tmp_path / name, train__max_steps=1) for name in ("50%_module", "container", "export")]
    cluster.write_profile(modules=["cuda/99"])
    submitted(cluster, paths[0])
    cluster.write_profile(container=["apptainer-of-nobody", "exec", "--nv", "/no/image.sif"])
    submitted(cluster, paths[1])
    cluster.write_profile()
    real = shutil.which("sbatch")
    write_program(tmp_path / "programs" / "sbatch", f'#!/bin/sh\nexec {real} --export=NONE "$@"\n')
    monkeypatch.setenv("PATH", f"{tmp_path / 'programs'}:{os.environ['PATH']}")
    submitted(cluster, paths[2])
    cluster.wait_until_idle()

    status, why = told(paths[0])
    (trial,) = trials_of(paths[0])
    assert "1 failed" in status
    for text in (status, why):
        assert "the job ended with code 127 before Python began, at: module load cuda/99" in text
    assert "a job's shell has no command `module` here" in why
    assert "to do: correct `modules` or `prologue` of the profile" in why
    assert "50%_module" in os.readlink(trial.folder / "slurm.log")

    status, why = told(paths[1])
    for text in (status, why):
        assert "the job ended with code 2 before Python began; the last lines of its log: " in text
        assert "apptainer-of-nobody: No such file or directory" in text
    assert "to do: correct `python` or `container` of the profile" in why

    status, why = told(paths[2])
    (trial,) = trials_of(paths[2])
    assert "1 finished" in status, log(trial)
    assert "why: it has a result" in why
    manifest = store.read_json(trial.folder / "manifest.json") or {}
    assert manifest["code"]["dirty"] is not None  # only the copy of the code knows it: not the live checkout
    assert len(manifest["code"]["commit"]) == 40
