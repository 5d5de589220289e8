"""segsuite.launch.same_failure and its use: trials that fail for one reason are not tried one after the other."""

import json
import os
import time
from pathlib import Path

import pytest

from segsuite.errors import ConfigError, NonFiniteError
from segsuite.io import atomic, store
from segsuite.io.store import RunDirectory
from segsuite.launch.causes import cause
from segsuite.launch.same_failure import common_failure, failure_of, failures_in_words
from segsuite.launch.slurm import hold
from tests.results import whole_result


def broken(number: int) -> None:
    raise RuntimeError(f"mask {number} has no pixels")


def broken_elsewhere() -> None:
    raise RuntimeError("mask 0 has no pixels")


def failed(folder: Path, error: Exception) -> Path:
    RunDirectory(folder).fail(error)
    return folder


def raised(folder: Path, number: int = 0, elsewhere: bool = False) -> Path:
    """A run directory whose trial failed with a traceback."""
    try:
        broken_elsewhere() if elsewhere else broken(number)
    except RuntimeError as error:
        return failed(folder, error)
    raise AssertionError


def died(folder: Path, code: int, begin: float = 100.0, end: float = 130.0) -> Path:
    """A run directory of a cluster whose trial ended with an exit code and wrote nothing."""
    line = json.dumps({"job": "7_1", "restart": 0, "node": "n3", "begin": begin, "end": end, "code": code})
    atomic.write_text(folder / "attempts.jsonl", f"{line}\n")
    return folder


def test_three_failures_at_one_line_are_one_although_their_sentences_differ(tmp_path: Path) -> None:
    said = common_failure([raised(tmp_path / str(number), number) for number in range(3)])
    assert said is not None
    line = broken.__code__.co_firstlineno + 1
    assert said == (
        "the first 3 trials failed in the same way: RuntimeError: mask 0 has no pixels "
        f"({'/'.join(Path(__file__).parts[-3:])}:{line})"
    )


def test_two_failures_are_not_enough(tmp_path: Path) -> None:
    assert common_failure([raised(tmp_path / str(number)) for number in range(2)]) is None


def test_another_line_is_another_failure(tmp_path: Path) -> None:
    folders = [raised(tmp_path / str(number), elsewhere=number == 2) for number in range(3)]
    assert common_failure(folders) is None


def test_another_exception_at_that_line_is_another_failure(tmp_path: Path) -> None:
    folders = [raised(tmp_path / str(number)) for number in range(3)]
    record = store.read_json(folders[1] / "failure.json")
    assert record is not None
    atomic.write_json(folders[1] / "failure.json", record | {"kind": "ValueError"})
    assert common_failure(folders) is None


def test_one_result_shows_that_not_all_is_broken(tmp_path: Path) -> None:
    folders = [raised(tmp_path / str(number)) for number in range(3)]
    atomic.write_json(tmp_path / "good" / "result.json", whole_result())
    assert common_failure([*folders, tmp_path / "good"]) is None


def test_only_the_first_three_count(tmp_path: Path) -> None:
    folders = [raised(tmp_path / str(number), elsewhere=number == 0) for number in range(5)]
    assert common_failure(folders) is None
    assert common_failure(folders[1:]) is not None


@pytest.mark.parametrize(("sentence", "same"), [("no epoch was validated", True), ("another", False)])
def test_errors_of_a_user_are_the_same_by_kind_and_sentence(tmp_path: Path, sentence: str, same: bool) -> None:
    sentences = ["no epoch was validated", "no epoch was validated", sentence]
    folders = [failed(tmp_path / str(at), ConfigError(text)) for at, text in enumerate(sentences)]
    assert (common_failure(folders) is not None) is same


def test_arms_that_diverge_stop_no_others(tmp_path: Path) -> None:
    folders = [failed(tmp_path / str(at), NonFiniteError("the loss became nan in epoch 0, step 1")) for at in range(3)]
    assert common_failure(folders) is None


def test_what_failed_before_is_not_counted(tmp_path: Path) -> None:
    os.utime(raised(tmp_path) / "failure.json", (100, 100))
    assert failure_of(tmp_path) is not None
    assert failure_of(tmp_path, since=120.0) is None


def test_reasons_are_counted_the_most_frequent_first(tmp_path: Path) -> None:
    folders = [failed(tmp_path / "0", ConfigError("one"))]
    folders += [failed(tmp_path / str(at), ConfigError("two")) for at in (1, 2)]
    assert failures_in_words([*folders, tmp_path / "new"]) == ["2 failed: two", "1 failed: one"]


def table(folder: Path, *lines: str) -> None:
    atomic.write_text(folder / "slurm" / "tables" / "4.txt", "".join(f"{line}\n" for line in lines))
    os.utime(folder / "slurm" / "tables" / "4.txt", (time.time() - 10,) * 2)


def test_an_array_is_held_with_its_reason_when_its_first_trials_fail_alike(tmp_path: Path) -> None:
    table(tmp_path, "a b", "c", "d")  # packed: a line has several
    for name in ("a", "b"):
        raised(tmp_path / name)
    assert hold.main(tmp_path, "4", "17") == 0
    raised(tmp_path / "d")
    assert hold.main(tmp_path, "4", "17") == hold.EXIT_HOLD
    held = hold.read(tmp_path)
    assert held is not None
    assert held["job"] == "17"
    assert str(held["reason"]).startswith("the first 3 trials failed in the same way: RuntimeError: mask")


def test_an_array_with_a_result_is_not_held(tmp_path: Path) -> None:
    table(tmp_path, "a", "b", "c", "d")
    for name in ("a", "b", "c"):
        raised(tmp_path / name)
    atomic.write_json(tmp_path / "d" / "result.json", whole_result())
    assert hold.main(tmp_path, "4", "17") == 0
    assert hold.read(tmp_path) is None


def test_failures_of_an_earlier_array_hold_no_new_one(tmp_path: Path) -> None:
    table(tmp_path, "a", "b", "c")
    for name in ("a", "b", "c"):
        os.utime(raised(tmp_path / name) / "failure.json", (100, 100))
    assert hold.main(tmp_path, "4", "17") == 0


def test_who_wants_to_keep_going_is_let(tmp_path: Path) -> None:
    table(tmp_path, "a", "b", "c")
    for name in ("a", "b", "c"):
        raised(tmp_path / name)
    hold.keep_going(tmp_path, True)
    assert hold.main(tmp_path, "4", "17") == 0
    hold.keep_going(tmp_path, False)
    assert hold.main(tmp_path, "4", "17") == hold.EXIT_HOLD


@pytest.mark.parametrize("code", [1, 127, 137])
def test_an_end_that_a_trial_could_not_record_is_recorded_and_counts(tmp_path: Path, code: int) -> None:
    table(tmp_path, "a", "b", "c")
    assert [hold.main(died(tmp_path / name, code).parent, "4", "17") for name in "abc"] == [0, 0, hold.EXIT_HOLD]
    assert store.state(tmp_path / "a") == "failed"


def test_an_import_that_fails_is_told_by_its_exception(tmp_path: Path) -> None:
    table(tmp_path, "a")
    atomic.write_text(
        died(tmp_path / "a", 1) / "log.txt", "Traceback\nModuleNotFoundError: No module named 'lightly'\n"
    )
    hold.main(tmp_path, "4", "17")
    assert cause(tmp_path / "a").reason == "ModuleNotFoundError: No module named 'lightly'"


def test_an_own_failure_stays_and_one_of_an_earlier_attempt_does_not(tmp_path: Path) -> None:
    table(tmp_path, "a", "b")
    now = time.time()
    for name, begun in (("a", now - 5), ("b", now + 5)):
        failed(died(tmp_path / name, 1, begin=begun, end=begun + 1), ConfigError("the old one"))
    hold.main(tmp_path, "4", "17")
    assert [cause(tmp_path / name).reason for name in "ab"] == ["the old one", "it ended with exit code 1"]


@pytest.mark.parametrize("code", [0, 75, 77, 138, 143])
def test_an_exit_code_that_asks_to_go_on_is_no_failure(tmp_path: Path, code: int) -> None:
    table(tmp_path, "a")
    hold.main(died(tmp_path / "a", code).parent, "4", "17")
    assert failure_of(tmp_path / "a") is None
