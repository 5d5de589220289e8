"""The one place that calls SLURM's programs: words as a list, no shell, an environment without another job's."""

import os
import re
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import segsuite
from segsuite.errors import ConfigError, SegsuiteError

CHECKOUT = Path(segsuite.__file__).resolve().parents[1]
"""The code that this process runs."""

# Of the job that this process may itself run in (a notebook on a node): `SLURM_CPU_BIND` of it made every trial of
# somebody three times slower. SLURM_CONF and SLURM_CLUSTERS say which cluster is meant.
OF_A_JOB = re.compile(r"(SLURM|SBATCH|SRUN|PMI|PMIX|PMI2|SPANK|SALLOC)(_|$)")
KEPT = ("SLURM_CONF", "SLURM_CLUSTERS")
# What a person has set for reading by eye: a filter would hide tasks, which would then be submitted twice.
OF_READING = re.compile(r"(SQUEUE|SACCT|SINFO|SCONTROL|SLURM_TIME_FORMAT|SLURM_BITSTR_LEN)(_|$)")
SECONDS = 120.0
# What SLURM's programs say on a machine that is part of no cluster.
NO_CLUSTER = re.compile(
    r"resolve_ctls_from_dns_srv|Could not establish a configuration source|Unable to process configuration file"
    r"|error: s_p_parse_file|fetch_config"
)


class NoCluster(ConfigError):
    """This machine has no cluster, or not its programs."""


def clean(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment without what belongs to a running job, to reading by eye or to a wandb service. Outside of a job
    SBATCH_ACCOUNT and the like are a person's own, set in the login profile, and stay.

    >>> clean({"SLURM_CONF": "a", "SLURM_JOB_ID": "3", "PATH": "b", "WANDB_SERVICE": "c", "SBATCH_ACCOUNT": "d"})
    {'SLURM_CONF': 'a', 'PATH': 'b'}
    >>> clean({"SBATCH_ACCOUNT": "d", "SQUEUE_PARTITION": "e"})
    {'SBATCH_ACCOUNT': 'd'}
    """
    in_a_job = "SLURM_JOB_ID" in environment or "SLURM_JOBID" in environment

    def stays(key: str) -> bool:
        if key in KEPT:
            return True
        # squeue does not read the second: what went to another cluster would be submitted again.
        return not (
            key in ("WANDB_SERVICE", "SBATCH_CLUSTERS") or OF_READING.match(key) or (in_a_job and OF_A_JOB.match(key))
        )

    return {key: value for key, value in environment.items() if stays(key)}


def without_folder(environment: Mapping[str, str], folder: Path) -> dict[str, str]:
    """The environment with that folder taken out of PYTHONPATH: the copy of the code takes its place in a job.

    >>> without_folder({"PYTHONPATH": "/a:/checkout/:/b"}, Path("/checkout"))
    {'PYTHONPATH': '/a:/b'}
    """
    named = environment.get("PYTHONPATH", "").split(os.pathsep)
    left = [place for place in named if place and Path(place).resolve() != folder]
    return {key: value for key, value in environment.items() if key != "PYTHONPATH"} | (
        {"PYTHONPATH": os.pathsep.join(left)} if left else {}
    )


def _without_configuration(program: str) -> NoCluster:
    found = os.environ.get("SLURM_CONF")
    why = f"SLURM_CONF is {found}" if found else "SLURM_CONF is not set"
    advice = "call this on a login node of the cluster, or set SLURM_CONF to its slurm.conf"
    return NoCluster(f"this machine belongs to no cluster: {program} finds no configuration of SLURM", why, advice)


def call(words: Sequence[str], seconds: float = SECONDS, errors: bool = False) -> str:
    """What a program of SLURM prints; with `errors` on standard error, where `sbatch --test-only` answers. Raises
    SegsuiteError with its own words when it refuses, or gives no answer for so many seconds."""
    configuration = os.environ.get("SLURM_CONF")
    if configuration and not Path(configuration).exists():  # its programs would look for it for a minute
        raise _without_configuration(words[0])
    environment = without_folder(clean(os.environ), CHECKOUT)
    try:
        done = subprocess.run(
            list(words), capture_output=True, text=True, timeout=seconds, env=environment, check=False
        )
    except FileNotFoundError:
        advice = "run this on a login node of the cluster, or without --on slurm"
        raise NoCluster(f"there is no program {words[0]} on this machine", "SLURM", advice) from None
    except subprocess.TimeoutExpired:
        advice = "SLURM may be restarting: call this again later"
        raise SegsuiteError(f"{words[0]} gave no answer for {seconds:g} s", "SLURM", advice) from None
    if done.returncode != 0:
        said = " ".join((done.stderr or done.stdout).split()) or f"exit code {done.returncode}"
        if NO_CLUSTER.search(said):
            raise _without_configuration(words[0])
        raise SegsuiteError(f"{words[0]} refused: {said[:1000]}", "SLURM", "see slurm/README.md, `When sbatch refuses`")
    return done.stderr if errors else done.stdout
