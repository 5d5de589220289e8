"""Why a trial has no result: from its own record, the exit codes of its attempts and the end of its log."""

import re
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from segsuite.errors import SegsuiteError
from segsuite.io import claims, reading, results, store
from segsuite.launch.log_lines import readable

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
        r"execve\(\): .*No such file",
        "its python is not on the node",
        "correct `python` of the profile; `segsuite doctor E.yaml --on-node` looks from a node",
    ),
    (
        r"CUDA error|CUDA driver version|no CUDA-capable device",
        "the GPU or its driver refused",
        "exclude this node in the profile's options, and tell its administrators",
    ),
)
CODES = {
    75: ("it was told to stop and saved", "call `segsuite run` again: it goes on"),
    77: ("its memory was too small", "call `segsuite run` again: it begins anew with smaller batches"),
    137: ("it was killed (SIGKILL), most often for memory", "raise `mem` of the profile, or lower train.batch_size"),
    138: ("it was told to stop before it had begun", "call `segsuite run` again"),
    143: ("it was told to leave: preempted or cancelled", "call `segsuite run` again: it goes on"),
}


@dataclass(frozen=True)
class Known:
    """What is known of a trial beside its run directory: the fate of its last attempt as the queue has it."""

    fate: str = "unknown"
    """alive: its task runs. queued: its task waits. gone: it has no task. cancelled: by `segsuite cancel`. unknown."""
    problem: str = ""
    """Why it is not known."""
    cancelled: str = ""
    """By whom and when."""
    node: str = ""


@dataclass(frozen=True)
class Cause:
    """One sentence of why, one of what to do, and what both were read from."""

    state: str
    reason: str
    advice: str
    where: str
    attempts: tuple[dict[str, Any], ...]
    tail: tuple[str, ...]
    remark: str = ""
    """What a reader of its scores must know, see `smaller_batch`."""


NOTHING_KNOWN = Known()
NO_REASON = "it failed, and its failure.json cannot be read"


def cause(folder: Path, known: Known = NOTHING_KNOWN) -> Cause:
    """Why the trial in `folder` has no result; for a finished or running one, that it is so."""
    look = store.look(folder)
    state = look.state
    attempts, log = read_attempts(folder), store.log_file(folder)
    tail = _tail(log)
    if known.fate == "alive" and state in ("new", "unfinished") and not _has_ended(attempts):
        reason, advice, where = f"its job runs on {known.node}, and its Python is about to begin", "", str(log)
        state = "running"
    elif state in ("damaged", "unreadable"):
        reason, advice, where = look.why, look.to_do, str(folder / results.NAME if state == "damaged" else folder)
    else:
        reason, advice, where = _reason(folder, state, attempts, tail, log, known)
    remark = "" if state == "unreadable" else smaller_batch(folder)
    return Cause(state, reason, advice, where, tuple(attempts), tuple(tail[-SHOWN_LINES:]), remark)


def smaller_batch(folder: Path) -> str:
    """Of a trial whose memory was too small for its batches the sentence that says with which it is trained instead;
    empty for any other.

    >>> smaller_batch(Path("nowhere"))
    ''
    """
    try:
        record = store.smaller_batch(folder)
    except SegsuiteError as error:
        return error.what
    if record is None:
        return ""
    words = store.batches_in_words(record)
    return f"the memory was too small: trained with batches of {words} a step, which batch normalisation sees"


def ended_badly(folder: Path) -> bool:
    """Whether the trial in `folder` was begun, has no result and is not being run."""
    state = store.state(folder)
    return state in ("failed", "damaged", "unfinished", "unreadable") or (
        state == "new" and bool(read_attempts(folder))
    )


def read_attempts(folder: Path) -> list[dict[str, Any]]:
    """The attempts on a cluster, oldest first: job, restart, node, begin and, once it has ended, end and code."""
    found: dict[tuple[str, int], dict[str, Any]] = {}
    try:
        lines, _ = reading.json_lines(folder / "attempts.jsonl")
    except (OSError, ValueError, reading.Unreadable):
        return []
    for part in lines:
        if _is_part(part):
            found.setdefault((part["job"], part["restart"]), {}).update(part)
    return list(found.values())


def _is_part(part: dict[str, Any]) -> bool:
    """Whether a line of attempts.jsonl is one of ours: its job is a text, and times and codes are numbers."""
    numbers = (part.get(name, 0) for name in ("restart", "begin", "end", "code"))
    return isinstance(part.get("job"), str) and "restart" in part and all(map(results.is_number, numbers))


def is_over(folder: Path, job: str) -> bool:
    """Whether a job that several trials share will not run this one again, since it failed there: see trial.sbatch."""
    return any(attempt["job"] == job and "over" in attempt for attempt in read_attempts(folder))


def _has_ended(attempts: list[dict[str, Any]]) -> bool:
    return bool(attempts) and "code" in attempts[-1]


def _without_end(attempt: dict[str, Any], known: Known) -> tuple[str, str]:
    """Of an attempt whose end nobody could note."""
    node = attempt.get("node")
    if known.fate == "queued":
        return f"its last attempt, on {node}, ended without a word, and it is queued again", ""
    again = "call `segsuite run` again: it goes on"
    killed = f"its node ({node}) went away, or its job was killed"
    if known.fate == "gone":
        return f"{killed}: it is no longer in the queue", again
    return f"{killed}, or it is about to begin: the queue is not known", again


def _reason(
    folder: Path, state: str, attempts: list[dict[str, Any]], tail: list[str], log: Path, known: Known
) -> tuple[str, str, str]:
    if state == "finished":
        return "it has a result", "", str(folder / "result.json")
    if state == "running":
        return f"it is being run by {claims.in_words(claims.read(folder) or {})}", "", str(log)
    if known.fate == "cancelled" and state != "failed":
        before = "" if attempts else " before it began"
        return f"it was {known.cancelled}{before}", "call `segsuite run` again: it goes on", str(log)
    if state == "new" and not attempts:
        return "it has not begun", "`segsuite run` runs it", str(folder)
    failure = store.read_json(folder / "failure.json")
    if failure is None and state == "failed":
        return NO_REASON, "see its log, or run it again", str(folder / "failure.json")
    recorded = ("", "", "")
    if failure is not None:
        place = failure.get("where") or str(log)
        recorded = str(failure.get("reason")), str(failure.get("advice") or "see its log"), str(place)
        if failure.get("advice") and failure.get("kind") != "Died":  # the trial knows better than what it printed
            return recorded
    text = "\n".join(tail)
    for pattern, reason, advice in PATTERNS:
        if re.search(pattern, text):
            return reason, advice, str(log)
    if failure is not None:
        return recorded
    last = attempts[-1] if attempts else {}
    if attempts and "code" not in last:
        return (*_without_end(last, known), str(log))
    code = last.get("code")
    if code and last.get("python") is False and code not in (75, 138, 143):  # by a signal: else trial.sbatch records it
        lines = " ".join(line for line in tail[-2:] if line.strip()) or "none"
        reason = f"the job ended with code {code} before Python began; the last lines of its log: {lines}"
        return reason, "correct `python`, `container` or `mem` of the profile", str(log)
    if code in CODES:
        return (*CODES[code], str(log))
    if isinstance(code, int) and code > 128:
        return f"it was ended by {_signal(code - 128)}", "see its log", str(log)
    raised = [line for line in tail if re.match(r"[\w.]+(Error|Exception): ", line)]
    if code and raised:  # before it could record its own failure: at an import
        return raised[-1], "see its log", str(log)
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
            lines = file.read().decode(errors="replace").splitlines()
            return [told for line in lines if (told := readable(line)) is not None]
    except OSError:
        return []
