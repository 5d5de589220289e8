"""Whether a site will take an experiment's jobs: its programs, limits and partitions, and the folder of the runs."""

import re
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from segsuite.errors import SegsuiteError, plural
from segsuite.io import users
from segsuite.launch.doctor import Check, ok, problem, warning
from segsuite.launch.doctor.folder import file_system, is_shared
from segsuite.launch.slurm import estimate
from segsuite.launch.slurm.command import call
from segsuite.launch.slurm.profile import Profile, seconds

PROGRAMS = ("sbatch", "squeue", "scontrol", "scancel", "sinfo", "srun")
SLOW_SECONDS = 5.0
PATIENCE_SECONDS = 30.0


def is_here() -> bool:
    """Whether this machine speaks to a SLURM cluster."""
    return shutil.which("sbatch") is not None


def check_site(
    profile: Profile, folder: Path, command: Sequence[str], trials: int, wants_gpu: bool = False, asked: bool = True
) -> Iterator[Check]:
    """`command`: the sbatch command of an array, which is only tested; `folder`: where the runs lie; `asked`: whether
    a cluster was asked for, so that one which does not answer is a problem."""
    missing = [name for name in PROGRAMS if shutil.which(name) is None]
    if missing:
        yield problem("SLURM", f"there is no {', '.join(missing)}", "call this on a login node of the cluster")
        return
    begun = time.monotonic()
    try:
        config = settings(call(["scontrol", "show", "config"], PATIENCE_SECONDS))
        call(["squeue", "--noheader", f"--user={users.name()}"], PATIENCE_SECONDS)
        partitions = records(call(["scontrol", "show", "partition", "--oneliner"], PATIENCE_SECONDS))
        resources = call(["sinfo", "--noheader", "--format=%R|%G"], PATIENCE_SECONDS)
    except SegsuiteError as error:
        yield Check("SLURM", "problem" if asked else "warning", error.what, error.advice)
        return
    took = time.monotonic() - begun
    answers = f"{config.get('SLURM_VERSION', 'unknown version')} answers, 4 questions in {took:.1f} s"
    if took < SLOW_SECONDS:
        yield ok("SLURM", answers)
    else:
        yield warning("SLURM", answers, "it is busy: look seldom")
    yield _accounting(config)
    yield _limits(config, trials)
    wanted = [name for name in partitions if name in _wanted(profile, partitions)]
    yield from _partitions(profile, partitions)
    yield from _account(profile, config)
    yield _gpu(profile, resources, wanted, wants_gpu)
    yield _requeue(config)
    yield _folder(folder)
    try:
        yield ok("sbatch --test-only", estimate.start(command))
    except SegsuiteError as error:
        yield problem("sbatch --test-only", error.what, "correct the profile: see slurm/README.md")


def settings(text: str) -> dict[str, str]:
    """What `scontrol show config` prints.

    >>> settings("Configuration data\\nMaxArraySize            = 1001\\nMaxJobCount = 10")
    {'MaxArraySize': '1001', 'MaxJobCount': '10'}
    """
    found = (line.partition("=") for line in text.splitlines() if "=" in line)
    return {name.strip(): value.strip() for name, _, value in found}


def records(text: str) -> dict[str, dict[str, str]]:
    """What `scontrol show partition --oneliner` prints, by the partitions' names.

    >>> records("PartitionName=gpu Default=YES MaxTime=1-00:00:00 State=UP")["gpu"]["MaxTime"]
    '1-00:00:00'
    """
    found = {}
    for line in text.splitlines():
        values = {name: value for name, _, value in (word.partition("=") for word in line.split())}
        if "PartitionName" in values:
            found[values["PartitionName"]] = values
    return found


def _wanted(profile: Profile, partitions: Mapping[str, Mapping[str, str]]) -> list[str]:
    if profile.partition is not None:
        return profile.partition.split(",")
    return [name for name, values in partitions.items() if values.get("Default") == "YES"]


def _accounting(config: Mapping[str, str]) -> Check:
    kind = config.get("AccountingStorageType", "").removeprefix("accounting_storage/")
    if kind in ("none", "", "(null)"):
        return ok("accounting", "off: hours are counted from the trials' own attempts.jsonl")
    try:
        call(["sacct", "--noheader", "--allocations", "--starttime=now"], PATIENCE_SECONDS)
    except SegsuiteError as error:
        return warning("accounting", error.what, "hours are counted from the trials' own attempts.jsonl")
    return ok("accounting", f"on ({kind})")


def _limits(config: Mapping[str, str], trials: int) -> Check:
    size, count = int(config.get("MaxArraySize", 1001)), int(config.get("MaxJobCount", 10_000))
    arrays = plural(-(-trials // max(1, size)), "array")
    found = f"MaxArraySize {size}, MaxJobCount {count}; {plural(trials, 'trial')} in {arrays}"
    if size < 2:
        return problem("limits", f"{found}: arrays are off", "ask the site's administrators for MaxArraySize > 1")
    if trials >= count:
        return problem("limits", found, "submit parts of the experiment one after the other")
    return ok("limits", found)


def _partitions(profile: Profile, partitions: Mapping[str, Mapping[str, str]]) -> Iterator[Check]:
    wanted = _wanted(profile, partitions)
    if not wanted:
        yield problem("partition", "the profile names none and the site has no default", f"one of {_list(partitions)}")
    for name in wanted:
        values = partitions.get(name)
        if values is None:
            yield problem(
                "partition", f"there is no {name}", f"correct `partition` of the profile: {_list(partitions)}"
            )
            continue
        longest = values.get("MaxTime", "UNLIMITED")
        found = f"{name}: {values.get('State', 'unknown')}, at most {longest} a job, {values.get('TotalNodes')} nodes"
        if values.get("State") != "UP":
            yield problem("partition", found, "choose another, or wait for it")
        elif re.match(r"[\d:-]+$", longest) and seconds(longest) < seconds(profile.time):
            # SLURM may accept it all the same, and it would wait for ever.
            yield problem("partition", f"{found}; the profile asks for {profile.time}", f'set time: "{longest}"')
        else:
            yield ok("partition", found)


def _account(profile: Profile, config: Mapping[str, str]) -> Iterator[Check]:
    if not (profile.account or profile.qos) or "slurmdbd" not in config.get("AccountingStorageType", ""):
        return
    try:
        words = ["sacctmgr", "--noheader", "--parsable2", "show", "associations", f"user={users.name()}"]
        rows = [line.split("|") for line in call([*words, "format=Account,QOS"], PATIENCE_SECONDS).splitlines()]
    except SegsuiteError as error:
        yield warning("account", f"not known: {error.what}", "sbatch will say whether it takes them")
        return
    accounts = sorted({row[0] for row in rows})
    qos = sorted({name for row in rows for name in row[-1].split(",") if name})
    for name, given, valid in (("account", profile.account, accounts), ("qos", profile.qos, qos)):
        if given is not None:
            if given in valid:
                yield ok(name, given)
            else:
                yield problem(name, f"{given} is none of yours", f"yours: {', '.join(valid) or 'none'}")


def _gpu(profile: Profile, resources: str, partitions: Sequence[str], wants_gpu: bool) -> Check:
    """`resources`: of each partition what its nodes have, such as `gpu|gpu:a100:4(S:0-1)`."""
    rows = [line.partition("|") for line in resources.splitlines()]
    there = sorted({re.sub(r"\(.*?\)", "", has) for name, _, has in rows if name in partitions and "gpu" in has})
    asked = profile.gres or (f"gpu:{profile.gpus_per_node}" if profile.gpus_per_node is not None else None)
    found = f"the profile asks for {asked or 'none'}, nodes have {', '.join(there) or 'none'}"
    if asked is None:
        if there and wants_gpu:
            return warning("GPU of a job", found, "set gpus_per_node: 1 in the profile, or execution.device: cpu")
        return ok("GPU of a job", found)
    kind = re.match(r"gpu:([A-Za-z]\w*)", asked)
    if not there:
        return problem("GPU of a job", found, "choose a partition with GPUs, see `sinfo -o '%P %G'`")
    if kind and not any(f":{kind[1]}:" in f"{has}:".replace(",", ":") for has in there):
        return problem("GPU of a job", found, "correct the kind in `gres` or `gpus_per_node` of the profile")
    return ok("GPU of a job", found)


def _requeue(config: Mapping[str, str]) -> Check:
    mode = config.get("PreemptMode", "OFF")
    found = f"JobRequeue {config.get('JobRequeue', '?')}, PreemptMode {mode}, KillWait {config.get('KillWait', '?')}"
    if "CANCEL" in mode:
        return warning("preemption", found, "a preempted trial ends: `segsuite run` submits it again")
    return ok("preemption", found)


def _folder(folder: Path) -> Check:
    there = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.is_dir())
    kind = file_system(there)
    if is_shared(kind):
        return ok("shared folder", f"{there} is on {kind}")
    advice = "compute nodes must see it: `segsuite doctor E.yaml --on-node` asks one"
    return warning("shared folder", f"{there} is on {kind}, which looks like this machine's own", advice)


def _list(names: Mapping[str, object]) -> str:
    return ", ".join(sorted(names)) or "none"
