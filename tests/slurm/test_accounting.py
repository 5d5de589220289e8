"""segsuite.launch.slurm.accounting: sums over what sacct printed on a real cluster with a database, and over
attempts.jsonl."""

import time
from pathlib import Path
from typing import Any

import pytest

from segsuite.errors import SegsuiteError
from segsuite.launch.slurm import accounting
from segsuite.launch.slurm.accounting import cost_in, from_attempts, from_sacct
from segsuite.launch.slurm.arrays import Place

# SLURM 22.05.8 with slurmdbd: a result, an error (1), a requeue with its second attempt, a dead node with an attempt
# that was cancelled after it, a cancelled task, one without attempts left (75), one on two GPUs, and a time limit.
LISTING = (Path(__file__).parent / "texts" / "sacct-22.05.txt").read_text()


def attempt(job: str, begin: float, end: float | None = None, code: int | None = None, **more: Any) -> dict[str, Any]:
    ended = {} if end is None else {"end": end, "code": code}
    return {"job": job, "restart": 0, "begin": begin, **ended, **more}


def test_every_attempt_of_a_listing_counts_and_its_steps_do_not() -> None:
    cost = cost_in(LISTING)
    assert cost.attempts == 10
    assert cost.seconds == 8 + 7 + 6 + 5 + 5 + 5 + 43 + 5 + 5 + 74


def test_what_was_saved_before_its_end_is_not_lost() -> None:
    cost = cost_in(LISTING)
    assert cost.lost_by == {"failure": 1, "dead node": 1, "time limit": 1}
    assert (cost.lost_attempts, cost.lost_seconds) == (3, 7 + 5 + 74)


def test_hours_of_gpus_are_elapsed_times_what_was_allocated() -> None:
    cost = cost_in(LISTING)
    assert cost.gpu_hours == pytest.approx((163 + 43) / 3600)
    assert cost.lost_gpu_hours == pytest.approx((7 + 5 + 74) / 3600)


def test_the_largest_memory_is_that_of_the_largest_step() -> None:
    assert cost_in(LISTING).largest_memory_bytes == 208732 * 1024


def test_a_task_that_has_not_begun_costs_nothing() -> None:
    assert cost_in("4_[2-7%2]|PENDING|0:0|0||None assigned|\n").attempts == 0


def test_shares_are_of_their_own_sums() -> None:
    told = cost_in(LISTING).to_json()
    assert told["lost_attempts_fraction"] == pytest.approx(3 / 10)
    assert told["lost_seconds_fraction"] == pytest.approx(86 / 163)
    assert told["lost_gpu_hours_fraction"] == pytest.approx(86 / 206)
    assert cost_in("").to_json()["lost_seconds_fraction"] is None


def test_without_a_database_attempts_tell_the_cost() -> None:
    saved, failed = attempt("1_0", 0, 100, 75, gpus=1), attempt("1_1", 0, 50, 1, gpus=1)
    cost = from_attempts(
        [([saved, attempt("1_0", 200, 300, 0, gpus=1, restart=1)], "finished", "gone"), ([failed], "failed", "gone")]
    )
    assert (cost.attempts, cost.seconds, cost.lost_attempts, cost.lost_seconds) == (3, 250, 1, 50)
    assert cost.gpu_hours == pytest.approx(250 / 3600)
    assert cost.lost_gpu_hours == pytest.approx(50 / 3600)


def test_where_nothing_says_how_many_gpus_no_hours_of_them_are_given() -> None:
    assert from_attempts([([attempt("1_0", 0, 100, 0)], "finished", "gone")]).gpu_hours is None


def test_an_attempt_whose_node_died_is_lost_and_its_time_unknown() -> None:
    cost = from_attempts([([attempt("1_0", 0), attempt("1_0", 500, 600, 0, restart=1)], "finished", "gone")])
    assert (cost.lost_by, cost.without_end, cost.seconds) == ({"dead node": 1}, 1, 100)


def test_an_attempt_that_runs_is_not_lost() -> None:
    cost = from_attempts([([attempt("1_0", time.time() - 60)], "running", "alive")])
    assert (cost.lost_attempts, cost.without_end) == (0, 0)
    assert cost.seconds == pytest.approx(60, abs=5)


@pytest.mark.parametrize(
    ("fate", "lost"),
    [("alive", {}), ("unknown", {}), ("cancelled", {"cancelled": 1}), ("gone", {"killed or dead node": 1})],
)
def test_an_attempt_without_end_is_lost_only_where_that_is_known(fate: str, lost: dict[str, int]) -> None:
    cost = from_attempts([([attempt("1_0", time.time() - 60)], "unfinished", fate)])
    assert (cost.lost_by, cost.without_end) == (lost, int(fate != "alive"))


def test_trials_that_share_a_task_share_its_time() -> None:
    both = [([attempt("1_0", 0, 100, 0, gpus=2)], "finished", "gone") for _ in range(2)]
    cost = from_attempts(both)
    assert cost.seconds == 100
    assert cost.gpu_hours == pytest.approx(2 * 100 / 3600)


def test_a_site_without_a_database_is_not_asked_at_every_look(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def refuse(words: list[str], patience: float) -> str:
        asked.append(words)
        raise SegsuiteError("sacct refused: Slurm accounting storage is disabled")

    monkeypatch.setattr(accounting, "call", refuse)
    monkeypatch.setattr("shutil.which", lambda name: f"/bin/{name}")
    place = Place(tmp_path)
    place.new_table([["a"]])
    for _ in range(3):
        cost, answer = from_sacct(place, "x")
        assert cost is None
        assert "disabled" in answer.problem
    assert len(asked) == 1
    assert f"--name={place.job_name(1, 'x')}" in asked[0]
