"""segsuite.launch.slurm.queue and asking: what squeue prints becomes tasks, and it is asked seldom."""

import itertools
import json
from pathlib import Path

import pytest

from segsuite.errors import SegsuiteError
from segsuite.launch.slurm import asking, queue
from segsuite.launch.slurm.asking import ask
from segsuite.launch.slurm.queue import Task, live_tasks, tasks_in

# SLURM 22.05.8; the fields of queue.FORMAT. The last two lines are made up: another's job, and a state of the future.
LISTING = """\
1_0|segsuite-1-1-x|RUNNING|n1|0:05|None
1_1|segsuite-1-1-x|FAILED|n1|0:07|NonZeroExitCode
1_2|segsuite-1-1-x|PENDING||0:00|launch failed requeued held
1_3|segsuite-1-1-x|PENDING||0:00|BeginTime
1_4|segsuite-1-1-x|CANCELLED|n3|0:05|None
1_5|segsuite-1-1-x|COMPLETING|n2|1-02:03:04|None
8|segsuite-1-report-x|PENDING||0:00|Dependency
9_0|other|RUNNING|n1|0:01|None
1_6|segsuite-1-1-x|SOMETHING_NEW||INVALID|a|b
"""


class Clock:
    def __init__(self) -> None:
        self.now = 1_000_000.0

    def time(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(asking, "time", clock)
    monkeypatch.setattr("shutil.which", lambda name: f"/bin/{name}")
    return clock


class Squeue:
    """Counts how often it is asked; refuses when told to."""

    def __init__(self) -> None:
        self.asked, self.refuses = 0, False

    def __call__(self) -> str:
        self.asked += 1
        if self.refuses:
            raise SegsuiteError("squeue gave no answer for 15 s")
        return f"answer {self.asked}"


def test_a_listing_of_squeue_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue, "call", lambda words, patience: LISTING)
    found = live_tasks("segsuite-1-")
    assert [(task.id, task.is_running, task.is_held, task.elapsed_seconds) for task in found] == [
        ("1_0", True, False, 5),
        ("1_2", False, True, 0),
        ("1_3", False, False, 0),
        ("1_5", True, False, 93784),
        ("8", False, False, 0),
        ("1_6", False, False, 0),
    ]


@pytest.mark.parametrize(
    ("word", "meaning"),
    [
        ("Priority", "other jobs come first"),
        ("Resources", "no node is free yet"),
        ("(Resources)", "no node is free yet"),
        ("Dependency", "waits for another job"),
        ("DependencyNeverSatisfied", "waits for a job that has failed: it never starts"),
        ("QOSMaxJobsPerUserLimit", "limit of your quality of service"),
        ("QOSMaxGRESPerUser", "limit of your quality of service"),
        ("JobHeldUser", "held by its user"),
        ("ReqNodeNotAvail,_UnavailableNodes:n[1-4]", "nodes that it needs are down or reserved"),
        ("Nodes_required_for_job_are_DOWN,_DRAINED_or_reserved", "nodes that it needs are down or reserved"),
        ("SomethingNew", "SomethingNew"),
    ],
)
def test_reasons_are_told_in_words(word: str, meaning: str) -> None:
    assert Task("1", 0, "x", "PENDING", word, "").reason_in_words == meaning


@pytest.mark.parametrize("state", ["REQUEUE_HOLD", "SPECIAL_EXIT"])
def test_states_of_holding_are_held(state: str) -> None:
    assert Task("1", 0, "x", state, "None", "").is_held


def test_a_running_task_is_never_held() -> None:
    assert not Task("1", 0, "x", "RUNNING", "JobHeldUser", "n1").is_held


def test_tasks_that_have_ended_are_left_out() -> None:
    assert tasks_in("1_1|x|CANCELLED by 0|n1|0:01|None\n") == []


def test_it_is_asked_once_in_thirty_seconds(clock: Clock, tmp_path: Path) -> None:
    squeue, path = Squeue(), tmp_path / "squeue.json"
    for wait in (0, 10, 19, 2, 29):
        clock.now += wait
        answer = ask(path, "squeue", squeue, 30, 300)
    assert squeue.asked == 2
    assert (answer.text, answer.problem) == ("answer 2", "")
    assert clock.now - (answer.time or 0) == 29


def test_each_refusal_doubles_the_time_until_the_next_question_up_to_five_minutes(clock: Clock, tmp_path: Path) -> None:
    squeue, path = Squeue(), tmp_path / "squeue.json"
    squeue.refuses = True
    asked_at = []
    for _ in range(1200):
        before = squeue.asked
        ask(path, "squeue", squeue, 30, 300)
        if squeue.asked > before:
            asked_at.append(clock.now)
        clock.now += 1
    assert [after - before for before, after in itertools.pairwise(asked_at)] == [60, 120, 240, 300, 300]


def test_the_last_answer_is_kept_while_it_refuses_and_a_new_one_ends_the_waiting(clock: Clock, tmp_path: Path) -> None:
    squeue, path = Squeue(), tmp_path / "squeue.json"
    first = ask(path, "squeue", squeue, 30, 300)
    squeue.refuses = True
    clock.now += 31
    refused = ask(path, "squeue", squeue, 30, 300)
    assert (refused.text, refused.time) == (first.text, first.time)
    assert "no answer" in refused.problem
    squeue.refuses = False
    clock.now += 61
    assert ask(path, "squeue", squeue, 30, 300).text == "answer 3"
    clock.now += 31
    assert ask(path, "squeue", squeue, 30, 300).text == "answer 4"


def test_a_second_terminal_does_not_ask_while_the_first_waits(clock: Clock, tmp_path: Path) -> None:
    path, second = tmp_path / "squeue.json", Squeue()

    def slow() -> str:
        assert ask(path, "squeue", second, 30, 300).time is None
        return "answer"

    assert ask(path, "squeue", slow, 30, 300).text == "answer"
    assert second.asked == 0


def test_a_machine_without_squeue_keeps_nobody_else_from_asking(
    clock: Clock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    squeue, path = Squeue(), tmp_path / "squeue.json"
    monkeypatch.setattr("shutil.which", lambda name: None)
    assert ask(path, "squeue", squeue, 30, 300).problem == "there is no program squeue on this machine"
    monkeypatch.setattr("shutil.which", lambda name: f"/bin/{name}")
    assert ask(path, "squeue", squeue, 30, 300).text == "answer 1"


@pytest.mark.parametrize("damage", ["", "[]", '{"asked": 9e99, "text": "old"}', "{}"])
def test_a_damaged_file_or_a_clock_that_was_ahead_only_asks_again(clock: Clock, tmp_path: Path, damage: str) -> None:
    path = tmp_path / "squeue.json"
    path.write_text(damage)
    assert ask(path, "squeue", Squeue(), 30, 300).text == "answer 1"


def test_a_folder_that_cannot_be_written_to_is_looked_at_all_the_same(clock: Clock, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert ask(tmp_path / "file" / "squeue.json", "squeue", Squeue(), 30, 300).text == "answer 1"


def test_the_file_is_json_that_a_person_can_read(clock: Clock, tmp_path: Path) -> None:
    ask(tmp_path / "squeue.json", "squeue", Squeue(), 30, 300)
    kept = json.loads((tmp_path / "squeue.json").read_text())
    assert (kept["text"], kept["time"], kept["refusals"]) == ("answer 1", clock.now, 0)
