"""segsuite.launch.causes: one sentence of why, read from what a trial left behind."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from segsuite.io import atomic, store
from segsuite.launch.causes import Known, cause, is_over, read_attempts
from tests.results import whole_result


def attempt(folder: Path, code: int | None, restart: int = 0, job: str = "7_1") -> None:
    common = {"job": job, "restart": restart, "node": "n3"}
    parts: list[dict[str, Any]] = [{**common, "begin": 100}]
    if code is not None:
        parts.append({**common, "end": 130, "code": code})
    with open(folder / "attempts.jsonl", "a") as file:
        file.writelines(json.dumps(part) + "\n" for part in parts)


@pytest.fixture
def stopped(tmp_path: Path) -> Path:
    """A run directory with a checkpoint, that nobody runs."""
    atomic.write_text(tmp_path / "checkpoints" / "last.ckpt", "")
    return tmp_path


@pytest.mark.parametrize(
    ("line", "reason", "advice"),
    [
        ("torch.OutOfMemoryError: CUDA out of memory. Tried", "the GPU's memory was too small", "train.batch_size"),
        ("slurmstepd: error: Detected 1 oom-kill event", "the machine's memory was too small", "`mem`"),
        ("OSError: [Errno 28] No space left on device", "the disk is full", "free space"),
        ("*** JOB 4 ON n1 CANCELLED AT x DUE TO TIME LIMIT ***", "the time limit ended it", "signal_seconds"),
    ],
)
def test_the_end_of_the_log_tells(stopped: Path, line: str, reason: str, advice: str) -> None:
    (stopped / "log.txt").write_text(f"a\nb\n{line}\n")
    found = cause(stopped)
    assert found.reason.startswith(reason)
    assert advice in found.advice
    assert found.where == str(stopped / "log.txt")
    assert found.tail[-1] == line


def test_only_the_end_of_a_long_log_is_read(stopped: Path) -> None:
    (stopped / "log.txt").write_text("CUDA out of memory\n" + "x\n" * 100_000)
    assert cause(stopped).reason == "it was stopped"


def test_what_the_trial_recorded_itself_is_told(tmp_path: Path) -> None:
    store.record_failure(tmp_path, "ConfigError", "no epoch was validated", "here", "lower it")
    found = cause(tmp_path)
    assert (found.state, found.reason, found.advice, found.where) == (
        "failed",
        "no epoch was validated",
        "lower it",
        "here",
    )


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (75, "it was told to stop and saved"),
        (143, "it was told to leave: preempted or cancelled"),
        (137, "it was killed (SIGKILL), most often for memory"),
        (139, "it was ended by SIGSEGV"),
        (9, "it ended with exit code 9"),
        (None, "its node (n3) went away, or its job was killed, or it is about to begin: the queue is not known"),
    ],
)
def test_the_last_exit_code_tells(stopped: Path, code: int | None, reason: str) -> None:
    attempt(stopped, 75)
    attempt(stopped, code, restart=1)
    assert cause(stopped).reason == reason


@pytest.mark.parametrize(
    ("known", "state", "reason"),
    [
        (Known("gone"), "unfinished", "its node (n3) went away, or its job was killed: it is no longer in the queue"),
        (Known("alive", node="n5"), "running", "its job runs on n5, and its Python is about to begin"),
        (Known("queued"), "unfinished", "its last attempt, on n3, ended without a word, and it is queued again"),
        (Known("cancelled", cancelled="cancelled by me, today"), "unfinished", "it was cancelled by me, today"),
    ],
)
def test_the_fate_of_an_attempt_without_end_is_that_of_the_queue(
    stopped: Path, known: Known, state: str, reason: str
) -> None:
    attempt(stopped, 75)
    attempt(stopped, None, restart=1)
    found = cause(stopped, known)
    assert (found.state, found.reason) == (state, reason)


def test_a_trial_that_was_cancelled_while_it_waited_is_told_so(tmp_path: Path) -> None:
    found = cause(tmp_path, Known("cancelled", cancelled="cancelled by me, today"))
    assert found.reason == "it was cancelled by me, today before it began"


def test_a_process_that_was_killed_before_python_began_is_told_so(tmp_path: Path) -> None:
    attempt(tmp_path, 137)
    lines = (tmp_path / "attempts.jsonl").read_text().replace('"code": 137', '"code": 137, "python": false')
    (tmp_path / "attempts.jsonl").write_text(lines)
    (tmp_path / "log.txt").write_text("image.sif: out of space\n")
    reason = "the job ended with code 137 before Python began; the last lines of its log: image.sif: out of space"
    assert cause(tmp_path).reason == reason


def test_attempts_are_put_together_and_half_a_line_is_left_out(tmp_path: Path) -> None:
    attempt(tmp_path, 75)
    attempt(tmp_path, None, restart=1)
    with open(tmp_path / "attempts.jsonl", "a") as file:
        file.write('{"job": "7_1", "resta')
    assert read_attempts(tmp_path) == [
        {"job": "7_1", "restart": 0, "node": "n3", "begin": 100, "end": 130, "code": 75},
        {"job": "7_1", "restart": 1, "node": "n3", "begin": 100},
    ]


def test_states_that_are_no_failure_are_said(tmp_path: Path) -> None:
    assert cause(tmp_path).reason == "it has not begun"
    atomic.write_json(tmp_path / "result.json", whole_result())
    assert cause(tmp_path).reason == "it has a result"


def test_the_log_of_a_cluster_is_read_where_it_lies(stopped: Path, tmp_path: Path) -> None:
    (stopped / "log.txt").write_text("local\n")
    log = tmp_path / "elsewhere.log"
    log.write_text("No space left on device\n")
    os.symlink(log, stopped / "slurm.log")
    assert cause(stopped).reason == "the disk is full"


def test_what_the_trial_recorded_with_advice_is_before_what_an_earlier_attempt_printed(tmp_path: Path) -> None:
    (tmp_path / "log.txt").write_text("torch.OutOfMemoryError: CUDA out of memory\nthe next attempt\n")
    store.record_failure(tmp_path, "NonFiniteError", "the loss became nan", "", "lower the rate")
    assert cause(tmp_path).reason == "the loss became nan"


def test_a_trial_with_smaller_batches_says_so_also_when_it_has_finished(tmp_path: Path) -> None:
    record = {"batch_size": 4, "accumulate": 2, "was": {"batch_size": 8, "accumulate": 1}}
    atomic.write_json(tmp_path / "smaller_batch.json", record)
    atomic.write_json(tmp_path / "result.json", whole_result())
    assert "4 x 2 instead of 8 x 1" in cause(tmp_path).remark


def test_a_trial_is_over_for_the_job_in_which_it_failed_beside_others(tmp_path: Path) -> None:
    attempt(tmp_path, 1)
    assert not is_over(tmp_path, "7_1")
    with open(tmp_path / "attempts.jsonl", "a") as file:
        file.write('{"job":"7_1","restart":0,"node":"n3","over":140}\n')
    assert is_over(tmp_path, "7_1")
    assert not is_over(tmp_path, "8_1")
