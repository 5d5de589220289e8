"""`python -m segsuite.trial RUN_DIRECTORY`: one attempt of a trial as a process.

Exit codes: 0, result.json is written; 1, failure.json says why; 75, stopped on request, another attempt continues; 77,
the memory was too small, another attempt takes smaller batches; 78, it was too small beside other trials, another
attempt has it alone; 79, a launcher is told that another process runs the trial.
Within a SLURM job also 143, told to leave by SIGTERM: after a preemption it is queued again, after scancel it must not
be; and 75 when another process runs the trial, such as one on a node taken for dead.
"""

import os
import signal
import sys
import threading
from pathlib import Path

from segsuite.errors import EXIT_CLAIMED, EXIT_DONE, EXIT_PREEMPTED, ClaimError, Preempted, SegsuiteError
from segsuite.train.callbacks import StopRequest
from segsuite.trial import run_trial
from segsuite.trial.frozen import read
from segsuite.trial.progress import ProgressChannel
from segsuite.trial.ranks import is_rank, run_ranks

EXIT_TOLD_TO_LEAVE = 143


def main(folder: Path) -> int:
    """Progress as JSON lines on the real standard output; what libraries print there goes to standard error."""
    stop = StopRequest()
    stop.listen()
    channel = os.dup(sys.stdout.fileno())
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    if os.environ.get("SEGSUITE_LAUNCHER") == "1":
        threading.Thread(target=_stop_without_launcher, args=(stop,), daemon=True).start()
    try:
        execution = read(folder).settings.execution
        if not is_rank(execution):
            return run_ranks(folder, execution.devices, channel, stop)
        run_trial(folder, ProgressChannel(channel).tell, stop)
    except SegsuiteError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return _exit_code(error, stop)
    finally:
        for late in (signal.SIGUSR1, signal.SIGTERM):  # while the interpreter ends they would change the exit code
            signal.signal(late, signal.SIG_IGN)
    return EXIT_DONE


def _exit_code(error: SegsuiteError, stop: StopRequest) -> int:
    if "SLURM_JOB_ID" in os.environ:
        if isinstance(error, ClaimError):
            return EXIT_PREEMPTED
        if isinstance(error, Preempted) and stop.told_to_leave:
            return EXIT_TOLD_TO_LEAVE
    if isinstance(error, ClaimError) and os.environ.get("SEGSUITE_LAUNCHER") == "1":
        return EXIT_CLAIMED
    return error.exit_code


def _stop_without_launcher(stop: StopRequest) -> None:
    # Returns when the launcher has gone, however it went. Not sys.stdin: its lock would upset the interpreter's end.
    os.read(0, 1)
    stop.set()


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
