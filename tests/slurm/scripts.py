"""slurm/*.sbatch run with bash, beside programs that stand in for SLURM's."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from segsuite.experiment import Experiment, Trial, load
from segsuite.launch.freeze import freeze
from segsuite.launch.slurm.arrays import Code, Layout, Place, array_command
from segsuite.launch.slurm.profile import Profile
from tests.reliability.trials import REPOSITORY, write_experiment
from tests.results import whole_result

# What srun does with the environment under `sbatch --export=NONE`, and with a program that is not there.
SRUN = """#!/bin/bash
printf '%s\\n' "$@" >>FOLDER/srun.words
export_all=${SLURM_EXPORT_ENV:-ALL}
while case ${1:-} in -*) true ;; *) false ;; esac; do
    [ "${1#--export=}" != "$1" ] && export_all=${1#--export=}
    shift
done
[ "$export_all" = ALL ] || exec env -i PATH="$PATH" "$@"
type "$1" >/dev/null 2>&1 && exec "$@"
echo "slurmstepd: error: execve(): $1: No such file or directory" >&2
echo "srun: error: n1: task 0: Exited with exit code 2" >&2
exit 2
"""
SCONTROL = """#!/bin/bash
echo "$*" >>FOLDER/scontrol.words
"""
PYTHON = """#!/bin/bash
# In the place of python: the trial begins, and leaves what the test wants to know.
[ "${3##*/}" = begun.py ] || exit 0
touch "$4"
env >"$6/environment"
echo 'RESULT' >"$6/result.json"
""".replace("RESULT", json.dumps(whole_result()))


def write_program(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


class Node:
    """A node that runs the tasks of an experiment's array."""

    def __init__(self, folder: Path, profile: dict[str, Any] | None = None, trials: int = 1, **settings: Any) -> None:
        self.folder = folder
        self.path = write_experiment(folder, seeds=list(range(trials)), **settings)
        self.experiment: Experiment = load(self.path)
        self.place = Place.of(self.experiment)
        self.place.logs.mkdir(parents=True)
        self.programs = folder / "programs"
        for name, text in (("srun", SRUN), ("scontrol", SCONTROL)):
            write_program(self.programs / name, text.replace("FOLDER", str(folder)))
        python = str(write_program(folder / "python", PYTHON))
        self.profile = Profile.model_validate({"python": python, **(profile or {})})

    @property
    def trials(self) -> Sequence[Trial]:
        return self.experiment.trials

    code = REPOSITORY

    def table(self, pack: int = 1) -> int:
        """Freezes all trials and writes their table, `pack` in a line."""
        names = [freeze(trial).name for trial in self.trials]
        return self.place.new_table([names[at : at + pack] for at in range(0, len(names), pack)])

    def command(self, table: int, code: Path) -> list[str]:
        """What sbatch would run of the array's command: the script and its words."""
        assert self.profile.python is not None
        words = array_command(
            self.place, "job", str(table), 1, self.profile, Code(code, self.profile.python), Layout(pack=1)
        )
        return words[words.index(str(code / "slurm" / "trial.sbatch")) :]

    def variables(self, index: int, job: int) -> dict[str, str]:
        """The environment that SLURM gives to a task."""
        return {
            "PATH": f"{self.programs}:{Path(sys.executable).parent}:/usr/bin:/bin", "SLURM_ARRAY_JOB_ID": str(job),
            "SLURM_ARRAY_TASK_ID": str(index), "SLURM_JOB_ID": str(job + index), "SLURM_JOB_NUM_NODES": "1",
            "SLURMD_NODENAME": f"n{index + 1}", "HOME": os.environ["HOME"],
        }  # fmt: skip

    def start(
        self, table: int, index: int = 0, job: int = 7, code: Path = REPOSITORY, **more: str
    ) -> "subprocess.Popen[bytes]":
        environment = {**self.variables(index, job), **more}
        with open(self.place.logs / f"{job}_{index}.log", "ab") as log:
            return subprocess.Popen(
                ["bash", *self.command(table, code)], env=environment, cwd=self.folder, stdout=log, stderr=log
            )

    def run(self, table: int, index: int = 0, job: int = 7, code: Path = REPOSITORY, **more: str) -> int:
        """One task to its end; the script's exit code."""
        return self.start(table, index, job, code, **more).wait(120)

    def log(self, index: int = 0, job: int = 7) -> str:
        return (self.place.logs / f"{job}_{index}.log").read_text()

    def environment(self, trial: Trial) -> dict[str, str]:
        """What the trial found in its environment."""
        lines = (trial.folder / "environment").read_text().splitlines()
        return dict(line.split("=", 1) for line in lines if "=" in line)


def attempt_lines(trial: Trial) -> list[dict[str, Any]]:
    lines = (trial.folder / "attempts.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def later(seconds: float, action: Any) -> None:
    time.sleep(seconds)
    action()
