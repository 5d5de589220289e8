"""What a compute node sees: a short job that looks at the folder of the runs, its clock, its Python and its GPUs.

`python -m segsuite.launch.slurm.node FOLDER CODE` is the job; it answers with FOLDER/answer.json.
"""

import platform
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from segsuite.errors import SegsuiteError
from segsuite.io import atomic, store
from segsuite.launch.doctor import Check, ok, problem, warning
from segsuite.launch.doctor.folder import clock, held, locks
from segsuite.launch.doctor.machine import PROGRAM, answer_of
from segsuite.launch.doctor.neighbour import lock, see
from segsuite.launch.slurm.arrays import Code, in_pattern
from segsuite.launch.slurm.begun import ADVICE, found_elsewhere
from segsuite.launch.slurm.command import call
from segsuite.launch.slurm.profile import Profile
from segsuite.launch.slurm.queue import Task, live_tasks

WAIT_SECONDS = 60.0
LOOK_SECONDS, ASK_SECONDS = 0.5, 10.0
NAME = "segsuite-doctor"


def main(folder: Path, code: Path) -> None:
    """The job's part. `code`: the folder that segsuite is to be imported from."""
    torch, said = answer_of([sys.executable, "-c", PROGRAM])
    other = found_elsewhere(code)
    answer = {**see(folder), "locked": not lock(folder), "host": platform.node(), "torch": torch, "said": said}
    answer |= {"python": platform.python_version(), "other_code": None if other is None else str(other)}
    atomic.write_json(folder / "answer.json", answer)


def check_node(profile: Profile, folder: Path, code: Code, wants_gpu: bool) -> Iterator[Check]:
    """Submits the job and waits for at most a minute; it is cancelled then. `folder`: where the runs lie."""
    there = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.is_dir())
    probe = Path(tempfile.mkdtemp(dir=there, prefix=".doctor-"))
    try:
        probe.chmod(0o755)
        (probe / "mark").write_text(probe.name)
        with held(probe):
            job = call(node_command(profile, probe, code)).strip().partition(";")[0]
            try:
                answer = _wait(probe, job)
            except KeyboardInterrupt:
                call(["scancel", job])
                raise
        if answer is None:
            yield _without_answer(probe, job)
            return
        _let_end(job)
        yield from seen(answer, probe, profile.gpus > 0 and wants_gpu, code)
    except SegsuiteError as error:
        yield problem("node", error.what, error.advice)
    finally:
        shutil.rmtree(probe, ignore_errors=True)


def node_command(profile: Profile, probe: Path, code: Code) -> list[str]:
    """The sbatch command of the job that looks from a node and answers in the folder `probe`."""
    options = [option for option in profile.sbatch_options() if not option.startswith(("--time=", "--signal="))]
    return [
        "sbatch",
        "--parsable",
        f"--job-name={NAME}",
        f"--output={in_pattern(probe)}/log.txt",
        f"--chdir={code.work}",
        "--time=5",
        "--no-requeue",
        "--nodes=1",
        "--ntasks-per-node=1",
        *options,
        str(code.folder / "slurm" / "node.sbatch"),
        *(str(code.folder), code.python, str(code.work), str(probe)),
        *profile.site_words(),
    ]


def _wait(probe: Path, job: str) -> dict[str, Any] | None:
    begun = asked = time.monotonic()
    while time.monotonic() - begun < WAIT_SECONDS:
        alive = True
        if time.monotonic() - asked > ASK_SECONDS:
            alive, asked = _task(job) is not None, time.monotonic()
        probe.touch()  # makes a network file system look again
        answer = store.read_json(probe / "answer.json")
        if answer is not None or not alive:
            return answer
        time.sleep(LOOK_SECONDS)
    return None


def _let_end(job: str) -> None:
    """Waits a little until the job has closed its log, which else stays in the folder on NFS."""
    deadline = time.monotonic() + ASK_SECONDS
    while _task(job) is not None and time.monotonic() < deadline:
        time.sleep(1.0)


def _task(job: str) -> Task | None:
    return next((task for task in live_tasks(NAME) if task.job == job), None)


def _without_answer(probe: Path, job: str) -> Check:
    task = _task(job)
    if task is not None:
        call(["scancel", job])
        waits = "it runs, and said nothing" if task.is_running else task.reason_in_words
        advice = "ask again when nodes are free; the profile may ask for what no node has"
        return warning("node", f"no answer within {WAIT_SECONDS:.0f} s: {waits}", advice)
    log = probe / "log.txt"
    if not log.exists():
        advice = "runs must lie where compute nodes see them: --set runs_root=FOLDER"
        return problem("node", f"the job has ended and left nothing in {probe.parent}", advice)
    lines = [line for line in log.read_text(errors="replace").splitlines() if not line.startswith("srun: ")]
    last = (lines or ["it said nothing"])[-1]
    return problem(
        "node", f"the job failed: {last[:200]}", "correct python, modules, prologue or container of the profile"
    )


def seen(answer: dict[str, Any], probe: Path, wants_gpu: bool, code: Code) -> Iterator[Check]:
    """What a node's answer means."""
    host = f"node {answer['host']}"
    if answer["mark"] == probe.name:
        yield ok(host, f"sees {probe.parent}, Python {answer['python']}")
    else:
        yield problem(host, f"does not see what is written here to {probe.parent}", "let runs lie on a shared folder")
    if (other := answer.get("other_code")) is not None:
        yield problem(f"{host}, code", f"Python imports segsuite from {other}, and not from {code.folder}", ADVICE)
    yield locks(bool(answer["locked"]), f"{host}, locks")
    yield clock(float(answer["skew"]), f"{host}, clock")
    torch = answer["torch"]
    if torch is None:
        yield problem(f"{host}, torch", f"cannot be imported: {answer['said']}", "correct `python` of the profile")
    elif wants_gpu and not torch["gpus"]:
        advice = "correct gres or gpus_per_node, or install a torch for the nodes' driver"
        yield problem(f"{host}, GPU", f"torch {torch['torch']} sees none", advice)
    else:
        yield ok(f"{host}, torch", f"{torch['torch']}, GPUs: {', '.join(torch['gpus']) or 'none'}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
