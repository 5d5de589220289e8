"""segsuite.io.store: the state of a trial, and files that a crash leaves readable."""

import json
import os
from pathlib import Path

import pytest

from segsuite.errors import NonFiniteError
from segsuite.io import claims, store
from segsuite.io.claims import claim
from segsuite.io.store import RunDirectory
from tests.results import whole_result


def event(epoch: int, **values: object) -> dict[str, object]:
    return {"epoch": epoch, "loss": 0.5, "iou": {"road": 0.25}, **values}


def test_a_new_folder_is_new(tmp_path: Path) -> None:
    assert store.state(tmp_path / "absent") == "new"


def test_a_trial_with_events_or_a_checkpoint_is_unfinished(tmp_path: Path) -> None:
    RunDirectory(tmp_path).add_event(event(0))
    assert store.state(tmp_path) == "unfinished"


def test_a_claimed_trial_is_running_whatever_else_is_there(tmp_path: Path) -> None:
    store.record_failure(tmp_path, "Died", "of old age")
    with claim(tmp_path):
        assert store.state(tmp_path) == "running"
    assert store.state(tmp_path) == "failed"


def test_a_trial_that_ends_while_it_is_looked_at_is_finished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def ended(folder: Path) -> bool:
        RunDirectory(folder).finish(whole_result())
        (folder / "claim.json").unlink()
        return False

    monkeypatch.setattr(claims, "is_live", ended)
    (tmp_path / "claim.json").write_text("{}")
    assert store.state(tmp_path) == "finished"


def test_a_result_makes_a_trial_finished(tmp_path: Path) -> None:
    store.record_failure(tmp_path, "Died", "of old age")
    RunDirectory(tmp_path).finish(whole_result(scores={"miou": float("nan")}))
    assert store.state(tmp_path) == "finished"
    assert (store.read_json(tmp_path / "result.json") or {})["scores"] == {"miou": None, "pixel_accuracy": 0.75}


def test_a_torn_last_line_is_not_an_event(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path)
    run.add_event(event(0))
    with open(tmp_path / "events.jsonl", "a") as file:
        file.write('{"epoch": 1, "los')
    assert [found["epoch"] for found in store.events(tmp_path)] == [0]


def test_an_event_after_a_torn_line_is_kept_when_the_run_is_rewound(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path)
    run.add_event(event(0))
    with open(tmp_path / "events.jsonl", "a") as file:
        file.write('{"epoch": 1, "los')
    run.rewind(1)
    run.add_event(event(1))
    assert [found["epoch"] for found in store.events(tmp_path)] == [0, 1]


def test_rewinding_forgets_the_epochs_that_are_run_again(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path)
    for epoch in range(4):
        run.add_event(event(epoch))
    run.rewind(2)
    assert [found["epoch"] for found in store.events(tmp_path)] == [0, 1]


def test_events_hold_null_for_nan(tmp_path: Path) -> None:
    RunDirectory(tmp_path).add_event(event(0, miou=float("nan")))
    assert json.loads((tmp_path / "events.jsonl").read_text())["miou"] is None


def test_metrics_csv_has_a_row_an_epoch_and_a_column_a_number(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path)
    run.add_event(event(0))
    run.add_event(event(1, miou=0.75))
    assert (tmp_path / "metrics.csv").read_text() == "epoch,loss,miou\n0,0.5,\n1,0.5,0.75\n"


def test_a_failure_keeps_the_three_sentences(tmp_path: Path) -> None:
    RunDirectory(tmp_path).fail(NonFiniteError("the loss became nan", "epoch 3", "lower the rate"))
    failure = store.read_json(tmp_path / "failure.json")
    assert failure is not None
    assert [failure[key] for key in ("kind", "reason", "where", "advice")] == [
        "NonFiniteError", "the loss became nan", "epoch 3", "lower the rate",
    ]  # fmt: skip


def test_a_defect_keeps_its_traceback(tmp_path: Path) -> None:
    try:
        1 / 0  # noqa: B018
    except ZeroDivisionError as error:
        RunDirectory(tmp_path).fail(error)
    failure = store.read_json(tmp_path / "failure.json")
    assert failure is not None
    assert failure["reason"] == "ZeroDivisionError: division by zero"
    assert "test_store.py" in failure["traceback"]


def test_a_new_attempt_removes_the_failure_and_what_a_killed_writer_left(tmp_path: Path) -> None:
    store.record_failure(tmp_path, "Died", "of old age")
    (tmp_path / "checkpoints").mkdir()
    left = [tmp_path / "checkpoints" / ".last.ckpt.0000000000000009.tmp", tmp_path / ".counts.npz.0000000000000009.tmp"]
    for path in left:
        path.write_text("half")
        os.utime(path, (0, 0))
    RunDirectory(tmp_path).open()
    assert not [path for path in (*left, tmp_path / "failure.json") if path.exists()]


def test_the_temporaries_of_another_launcher_stay(tmp_path: Path) -> None:
    (tmp_path / ".trial.yaml.0000000000000009.tmp").write_text("being written now")
    RunDirectory(tmp_path).open()
    assert (tmp_path / ".trial.yaml.0000000000000009.tmp").exists()


@pytest.mark.parametrize("text", ["", "[1]", '{"a": '])
def test_json_that_is_not_a_whole_mapping_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.json").write_text(text)
    assert store.read_json(tmp_path / "a.json") is None
