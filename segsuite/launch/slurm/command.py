"""The one place that calls SLURM's programs: words as a list, no shell, an environment without another job's."""

import os
import re
import subprocess
from collections.abc import Mapping, Sequence

from segsuite.errors import ConfigError, SegsuiteError

# Of the job that this process may itself run in (a notebook on a node): `SLURM_CPU_BIND` of it made every trial of
# somebody three times slower. SLURM_CONF and SLURM_CLUSTERS say which cluster is meant.
OF_A_JOB = re.compile(r"(SLURM|SBATCH|SRUN|PMI|PMIX|PMI2|SPANK|SALLOC)(_|$)")
KEPT = ("SLURM_CONF", "SLURM_CLUSTERS")
SECONDS = 120.0


def clean(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment without what belongs to a running job or to a wandb service.

    >>> clean({"SLURM_CONF": "a", "SLURM_JOB_ID": "3", "PATH": "b", "WANDB_SERVICE": "c", "SLURMX": "d"})
    {'SLURM_CONF': 'a', 'PATH': 'b', 'SLURMX': 'd'}
    """
    return {
        key: value
        for key, value in environment.items()
        if key in KEPT or not (OF_A_JOB.match(key) or key == "WANDB_SERVICE")
    }


def call(words: Sequence[str], seconds: float = SECONDS, errors: bool = False) -> str:
    """What a program of SLURM prints; with `errors` on standard error, where `sbatch --test-only` answers. Raises
    SegsuiteError with its own words when it refuses, or gives no answer for so many seconds."""
    try:
        done = subprocess.run(
            list(words), capture_output=True, text=True, timeout=seconds, env=clean(os.environ), check=False
        )
    except FileNotFoundError:
        advice = "run this on a login node of the cluster, or without --on slurm"
        raise ConfigError(f"there is no program {words[0]} on this machine", "SLURM", advice) from None
    except subprocess.TimeoutExpired:
        advice = "SLURM may be restarting: call this again later"
        raise SegsuiteError(f"{words[0]} gave no answer for {seconds:g} s", "SLURM", advice) from None
    if done.returncode != 0:
        said = " ".join((done.stderr or done.stdout).split()) or f"exit code {done.returncode}"
        raise SegsuiteError(f"{words[0]} refused: {said[:1000]}", "SLURM", "see slurm/README.md, `When sbatch refuses`")
    return done.stderr if errors else done.stdout
