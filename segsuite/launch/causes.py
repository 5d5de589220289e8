"""Why a trial has no result: from its own record, the exit codes of its attempts and the end of its log."""

import json
import re
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from segsuite.io import store

TAIL_BYTES = 20_000
SHOWN_LINES = 12

# What the log's end means: the first that fits. A sentence, and what to do.
PATTERNS: tuple[tuple[str, str, str], ...] = (
    (
        r"CUDA out of memory|OutOfMemoryError",
        "the GPU's memory was too small",
        "lower train.batch_size and raise train.accumulate by the same factor, or set train.full_resolution: fused",
    ),
    (
        r"oom-kill|Out [Oo]f [Mm]emory|Cannot allocate memory",
        "the machine's memory was too small",
        "raise `mem` of the profile, or lower execution.workers",
    ),
    (r"No space left on device|Disk quota exceeded", "the disk is full", "free space, then call `segsuite run` again"),
    (
        r"DUE TO TIME LIMIT",
        "the time limit ended it before it could save",
        "raise `signal_seconds` of the profile: an optimizer step must fit into it",
    ),
    (r"NCCL (error|WARN)|NCCL_", "processes on GPUs could not speak to each other", "see the log for NCCL's own words"),
    (
        r"CUDA error|CUDA driver version|no CUDA-capable device",
        "the GPU or its driver refused",
        "exclude this node in the profile's options, and tell its administrators",
    ),
)
CODES = {
    75: ("it was told to stop and saved", "call `segsuite run` again: it goes on"),
    137: ("it was killed (SIGKILL), most often for memory", "raise `mem` of the profile, or lower train.batch_size"),
    138: ("it was told to stop before it had begun", "call `segsuite run` again"),
    143: ("it was told to leave: preempted or cancelled", "call `segsuite run` again: it goes on"),
}


@dataclass(frozen=True)
class Cause:
    """One sentence of why, one of what to do, and what both were read from."""

    state: str
    reason: str
    advice: str
    where: str
    attempts: tuple[dict[str, Any], ...]
    tail: tuple[str, ...]


def cause(folder: Path) -> Cause:
    """Why the trial in `folder` has no result; for a finished or running one, that it is so."""
    state = store.state(folder)
    attempts, log = read_attempts(folder), store.log_file(folder)
    tail = _tail(log)
    reason, advice, where = _reason(folder, state, attempts, tail, log)
    return Cause(state, reason, advice, where, tuple(attempts), tuple(tail[-SHOWN_LINES:]))


def read_attempts(folder: Path) -> list[dict[str, Any]]:
    """The attempts on a cluster, oldest first: job, restart, node, begin and, once it has ended, end and code."""
    found: dict[tuple[str, int], dict[str, Any]] = {}
    try:
        lines = (folder / "attempts.jsonl").read_text().splitlines()
    except OSError:
        return []
    for line in lines:
        try:
            part = json.loads(line)
            found.setdefault((part["job"], part["restart"]), {}).update(part)
        except (ValueError, KeyError, TypeError):  # half a line of a node that died
            continue
    return list(found.values())


def _reason(
    folder: Path, state: str, attempts: list[dict[str, Any]], tail: list[str], log: Path
) -> tuple[str, str, str]:
    if state == "finished":
        return "it has a result", "", str(folder / "result.json")
    if state == "running":
        return "it is being run", "", str(log)
    if state == "new":
        return "it has not begun", "`segsuite run` runs it", str(folder)
    text = "\n".join(tail)
    for pattern, reason, advice in PATTERNS:
        if re.search(pattern, text):
            return reason, advice, str(log)
    failure = store.read_json(folder / "failure.json")
    if failure is not None:
        place = failure.get("where") or str(log)
        return str(failure.get("reason")), str(failure.get("advice") or "see its log"), str(place)
    last = attempts[-1] if attempts else {}
    if attempts and "code" not in last:
        return f"its node ({last.get('node')}) went away", "call `segsuite run` again: it goes on", str(log)
    code = last.get("code")
    if code in CODES:
        return (*CODES[code], str(log))
    if isinstance(code, int) and code > 128:
        return f"it was ended by {_signal(code - 128)}", "see its log", str(log)
    if code:
        return f"it ended with exit code {code}", "see its log", str(log)
    return "it was stopped", "call `segsuite run` again: it goes on", str(log)


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _tail(path: Path) -> list[str]:
    try:
        with open(path, "rb") as file:
            file.seek(max(0, path.stat().st_size - TAIL_BYTES))
            return file.read().decode(errors="replace").splitlines()
    except OSError:
        return []
