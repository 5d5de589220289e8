"""The processes of a trial that several train together: which one this is, and starting those of one machine."""

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, MutableMapping
from pathlib import Path

from segsuite.config import Execution
from segsuite.errors import EXIT_DONE, EXIT_FAILED, EXIT_PREEMPTED, EXIT_SMALLER_BATCH, ClaimError, ConfigError
from segsuite.io import store
from segsuite.io.claims import Claim, claim
from segsuite.io.machine import cores
from segsuite.train.callbacks import StopRequest
from segsuite.train.distributed import RENDEZVOUS, Ranks

LOOK_SECONDS = 0.05
GRACE_SECONDS = 30.0
"""How long the others may take to end by themselves once one rank has."""


def is_rank(execution: Execution, environment: MutableMapping[str, str] = os.environ) -> bool:
    """Whether this process is one of the trial's; if not, its ranks are to be started here.

    RANK, LOCAL_RANK and WORLD_SIZE say so, or what srun tells its tasks, which is then written down by these names.
    Raises ConfigError when there are more or fewer processes than execution.nodes x execution.devices.
    """
    if execution.ranks == 1:
        return True
    tasks = environment.get("SLURM_STEP_NUM_TASKS", environment.get("SLURM_NTASKS", "1"))
    if "RANK" not in environment and "SLURM_PROCID" in environment and int(tasks) > 1:
        environment["RANK"], environment["WORLD_SIZE"] = environment["SLURM_PROCID"], tasks
        environment["LOCAL_RANK"] = environment["SLURM_LOCALID"]
    asked = f"execution.nodes x execution.devices is {execution.nodes} x {execution.devices}"
    if "RANK" in environment:
        if int(environment["WORLD_SIZE"]) != execution.ranks:
            raise ConfigError(
                f"{asked}, but {environment['WORLD_SIZE']} processes were started",
                advice=f"start {execution.ranks} of them, {execution.devices} on each machine",
            )
        if RENDEZVOUS not in environment and "MASTER_ADDR" not in environment:
            raise ConfigError(f"{asked}, but MASTER_ADDR is not set", advice="set it and MASTER_PORT for all processes")
        return True
    if execution.nodes > 1:
        raise ConfigError(f"{asked}, but this is one machine", advice="use SLURM, or set execution.nodes to 1")
    return False


@contextlib.contextmanager
def claimed(folder: Path, ranks: Ranks) -> Iterator[Claim | None]:
    """Holds the claim of the trial, which the first rank makes for all and has. Raises its ClaimError in every rank."""
    held = contextlib.ExitStack()
    refusal: ClaimError | None = None
    own: Claim | None = None
    if ranks.is_first:
        try:
            own = held.enter_context(claim(folder))
        except ClaimError as error:
            refusal = error
    told = ranks.of_first(None if refusal is None else (refusal.what, refusal.where, refusal.advice))
    if told is not None:
        raise ClaimError(*told)
    with held:
        yield own


def run_ranks(folder: Path, devices: int, progress: int, stop: StopRequest) -> int:
    """Runs the trial in `folder` as `devices` processes of this machine; the exit code of the first that did not end
    well, else 0.

    `progress` is the descriptor to which the first rank writes what it reports. When `stop` is set all are asked to
    stop. Once one has died the others are ended, at the latest after 30 s: none waits for the dead. They leave, too,
    when this process is killed, since their standard input ends with it.
    """
    with tempfile.TemporaryDirectory() as meeting:
        processes: list[subprocess.Popen[bytes]] = []
        try:
            for rank in range(devices):
                processes.append(
                    subprocess.Popen(
                        [sys.executable, "-m", "segsuite.trial", str(folder)],
                        stdin=subprocess.PIPE,
                        stdout=progress if rank == 0 else subprocess.DEVNULL,
                        env=_environment(os.environ, rank, devices, f"{meeting}/ranks"),
                        start_new_session=True,  # Ctrl-C in a terminal reaches this process only, which passes it on
                    )
                )
            code = _watch(folder, processes, stop)
            if code == EXIT_SMALLER_BATCH:  # the others failed only because one of them left
                (folder / "failure.json").unlink(missing_ok=True)
            return code
        finally:
            for process in processes:
                process.kill()
                process.wait()


def _environment(given: Mapping[str, str], rank: int, devices: int, meeting: str) -> dict[str, str]:
    threads = given.get("OMP_NUM_THREADS", "")
    share = max(1, (int(threads) if threads.isdecimal() else cores()) // devices)
    return {
        "GLOO_SOCKET_IFNAME": "lo" if sys.platform == "linux" else "lo0",  # a machine's own name may lead nowhere
        **given,
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": str(devices),
        RENDEZVOUS: meeting,
        "OMP_NUM_THREADS": str(share),
        "SEGSUITE_LAUNCHER": "1",
    }


def _watch(folder: Path, processes: list[subprocess.Popen[bytes]], stop: StopRequest) -> int:
    """Waits for all processes; see `run_ranks`."""
    code, deadline, asked = EXIT_DONE, float("inf"), False
    while True:
        are_running = any(process.poll() is None for process in processes)
        if stop.is_set and not asked:
            asked = True
            for process in processes:
                process.send_signal(signal.SIGTERM if stop.told_to_leave else signal.SIGUSR1)
        ended = {process.returncode: rank for rank, process in enumerate(processes) if process.returncode}
        if ended and code == EXIT_DONE:
            deadline = time.monotonic() + GRACE_SECONDS
            # A rank that others miss makes them fail at once: those that ended otherwise are the cause.
            cause = min(ended, key=lambda found: (found > 0, found == EXIT_FAILED))
            code = _explained(folder, ended[cause], cause, asked)
        elif EXIT_SMALLER_BATCH in ended:
            code = EXIT_SMALLER_BATCH
        if not are_running or time.monotonic() > deadline:
            return code
        time.sleep(LOOK_SECONDS)


def _explained(folder: Path, rank: int, code: int, asked: bool) -> int:
    """The exit code of the trial when `rank` was the first to end with `code`; a death by a signal is recorded."""
    if code > 0:
        return code
    if asked and -code in (signal.SIGTERM, signal.SIGUSR1):  # it came before python could hear it
        return EXIT_PREEMPTED
    name = signal.Signals(-code).name
    advice = "out of memory? lower train.batch_size" if name == "SIGKILL" else "see its log"
    store.record_failure(folder, "Died", f"process {rank} of the trial was ended by {name}", "", advice)
    return EXIT_FAILED
