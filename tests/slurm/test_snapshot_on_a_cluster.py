"""Which code a job runs that is submitted from a checkout, on a real cluster: the checkout has changed by then."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from segsuite.io import store
from segsuite.launch.slurm.checkout import code_of
from tests.reliability.trials import REPOSITORY, environment, trials_of, write_experiment
from tests.slurm.checkouts import git
from tests.slurm.cluster import Cluster, log

pytestmark = pytest.mark.slow


def checkout(folder: Path) -> Path:
    """A checkout of this code, whose trials say so in their log."""
    for path in code_of(REPOSITORY, "copy").files:
        if path.startswith(("segsuite/", "slurm/")):
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(REPOSITORY / path, folder / path)
    mark(folder, "the code of the submission")
    for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "first"]):
        git(folder, *words)
    return folder


def mark(folder: Path, text: str) -> None:
    main = folder / "segsuite" / "trial" / "__main__.py"
    rest = re.sub(r'\nprint\("mark: .*\n', "\n", main.read_text())
    main.write_text(rest.replace("\nimport os\n", f'\nprint("mark: {text}", flush=True)\nimport os\n', 1))


def submit(cluster: Cluster, code: Path, path: Path) -> str:
    """`segsuite run` from the checkout's own folder, as its README says; the array's number."""
    words = [sys.executable, "-m", "segsuite", "run", path, "--on", "slurm", "--profile", cluster.profile]
    own = environment(PYTHONPATH=str(code))
    done = subprocess.run(words, cwd=code, env=own, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    found = re.search(r"submitted 1 trial as (\d+)", done.stdout)
    assert found is not None, done.stdout
    return found[1]


def test_a_job_runs_the_code_of_its_submission_or_none(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = checkout(tmp_path / "checkout")
    paths = [write_experiment(tmp_path / name, train__max_steps=1) for name in ("plain", "wrapper", "container")]
    # A folder for runs that is relative to where `segsuite run` is called.
    paths[0].write_text(re.sub("runs_root: .*", "runs_root: ../plain/runs", paths[0].read_text()))
    real = shutil.which("sbatch")
    wrapper = tmp_path / "programs" / "sbatch"
    wrapper.parent.mkdir()
    wrapper.write_text(f'#!/bin/sh\nexec {real} --hold --export=NONE "$@"\n')
    wrapper.chmod(0o755)
    cluster.write_profile(sbatch=["--hold"])
    jobs = [submit(cluster, code, paths[0])]
    cluster.write_profile(sbatch=["--hold"], container=["env", f"PYTHONPATH={code}"])
    jobs.append(submit(cluster, code, paths[2]))
    with monkeypatch.context() as site:  # a site whose sbatch passes on no environment
        site.setenv("PATH", f"{wrapper.parent}:{os.environ['PATH']}")
        cluster.write_profile()
        jobs.append(submit(cluster, code, paths[1]))

    mark(code, "another code")
    (code / "statistics.py").write_text("raise SystemExit('a module of the working folder')\n")
    for job in jobs:
        cluster.call("scontrol", "release", job)
    for line in cluster.queue():  # the reports wait for the arrays; they are held, too
        if "report" in line:
            cluster.call("scontrol", "release", line.split()[0])
    cluster.wait_until_idle()

    monkeypatch.chdir(code)
    for path in paths[:2]:
        (trial,) = trials_of(path)
        assert store.state(trial.folder) == "finished", log(trial)
        assert "mark: the code of the submission" in log(trial)
        assert "another code" not in log(trial)
        assert (trial.folder.parent / "report" / "report.html").exists()
    (trial,) = trials_of(paths[2])
    (copy,) = (trial.folder.parent / "slurm" / "code").iterdir()
    words = [sys.executable, "-P", "-m", "segsuite", "why", paths[2], trial.id]
    why = subprocess.run(words, env=environment(), capture_output=True, text=True, check=True).stdout
    assert f"Python imports segsuite from {code}, and not from {copy}, the code of the job" in why
    assert "`container` or `python` of the profile changes PYTHONPATH" in why
    assert "mark" not in log(trial)
