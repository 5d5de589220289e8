"""`segsuite logs` and `segsuite why`."""

import json
import threading
import time
from pathlib import Path

import pytest

from segsuite.cli import main
from segsuite.experiment import Trial
from segsuite.io import atomic, claims, store
from segsuite.launch.freeze import freeze
from segsuite.launch.log_lines import Lines
from tests.reliability.trials import trials_of, write_experiment
from tests.results import whole_result


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write_experiment(tmp_path, seeds=[0, 1, 2])


@pytest.fixture
def trials(path: Path) -> tuple[Trial, ...]:
    finished, failed, new = trials_of(path)
    atomic.write_json(freeze(finished) / "result.json", whole_result())
    store.record_failure(freeze(failed), "Died", "the reason", "the place", "the advice")
    (failed.folder / "log.txt").write_text("first\nlast\n")
    return finished, failed, new


def test_why_tells_of_all_that_ended_badly(
    path: Path, trials: tuple[Trial, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["why", str(path)]) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"{trials[1].id} tiny, seed 1: failed",
        "  why: the reason",
        "  where: the place",
        f"  to do: the advice; then segsuite retry {path} {trials[1].id}",
    ]


def test_why_of_one_trial_shows_the_end_of_its_log(
    path: Path, trials: tuple[Trial, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["why", str(path), trials[1].id[:6]]) == 0
    assert capsys.readouterr().out.splitlines()[-2:] == ["  | first", "  | last"]


def test_why_as_json(path: Path, trials: tuple[Trial, ...], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["why", str(path), "--json"]) == 0
    (told,) = json.loads(capsys.readouterr().out)
    assert (told["id"], told["state"], told["reason"]) == (trials[1].id, "failed", "the reason")


def test_nothing_to_explain_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["why", str(write_experiment(tmp_path))]) == 0
    assert capsys.readouterr().out == "no trial has ended without a result, none has a warning\n"


def test_an_id_that_is_none_names_the_nearest(
    path: Path, trials: tuple[Trial, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = trials[0].id[:-1] + ("0" if trials[0].id[-1] != "0" else "1")
    assert main(["logs", str(path), wrong]) == 2
    assert trials[0].id in capsys.readouterr().err


def test_an_ambiguous_id_is_refused(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["logs", str(path), ""]) == 2
    assert "3 trials begin with ''" in capsys.readouterr().err


def test_logs_are_printed(path: Path, trials: tuple[Trial, ...], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["logs", str(path), trials[1].id]) == 0
    assert capsys.readouterr().out == "first\nlast\n"


def test_progress_in_a_log_is_told_in_words(
    path: Path, trials: tuple[Trial, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    events = [
        {"phase": "train", "epoch": 0, "step": 1, "loss": 0.9},
        {"phase": "epoch", "epoch": 0, "epochs": 3, "step": 12, "loss": 0.7, "miou": 0.25, "seconds": 8.2},
        {"phase": "warning", "warning": "W&B does not answer"},
    ]
    text = "".join(f"{json.dumps(event)}\n" for event in events)
    (trials[1].folder / "log.txt").write_text(f"Gr\u00fc\u00dfe\n{text}{{half", encoding="utf-8")
    assert main(["logs", str(path), trials[1].id]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "Gr\u00fc\u00dfe",
        "epoch 1 of 3, step 12, loss 0.700, val mIoU 0.250, 8 s",
        "warning: W&B does not answer",
        "{half",
    ]


def test_lines_are_told_whole_however_a_log_is_cut() -> None:
    log = '\u00e4 {"phase": 1}\n{"phase": "train"}\n{"phase": "warning", "warning": "\u00fc"}\nend'.encode()
    for size in range(1, len(log)):
        lines = Lines()
        pieces = [log[at : at + size] for at in range(0, len(log), size)]
        told = "".join(lines.add(piece) for piece in pieces) + lines.add(b"", last=True)
        assert told == '\u00e4 {"phase": 1}\nwarning: \u00fc\nend\n'


def test_logs_are_followed_until_the_trial_has_ended(
    path: Path, trials: tuple[Trial, ...], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("segsuite.commands.following.LOOK_SECONDS", 0.01)
    begun = threading.Event()

    def write() -> None:
        with claims.claim(trials[1].folder):
            begun.set()
            time.sleep(0.2)
            with open(trials[1].folder / "log.txt", "a") as log:
                log.write("later\n")

    writer = threading.Thread(target=write)
    writer.start()
    begun.wait(10)
    assert main(["logs", str(path), trials[1].id, "--follow"]) == 0
    writer.join()
    assert capsys.readouterr().out == "first\nlast\nlater\n"


def test_why_adds_what_the_records_of_slurm_say(
    path: Path, trials: tuple[Trial, ...], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def call(words: list[str], *_: object) -> str:
        asked.append(words)
        return "7_1|NODE_FAIL\n7_1|OUT_OF_MEMORY\n"

    monkeypatch.setattr("segsuite.launch.slurm.endings.call", call)
    attempt = {"job": "7_1", "restart": 0, "node": "n3", "begin": 100}
    (trials[1].folder / "attempts.jsonl").write_text(json.dumps(attempt) + "\n")
    assert main(["why", str(path)]) == 0
    assert capsys.readouterr().out.splitlines()[-2:] == [
        "  attempt 1: job 7_1 on n3, no end",
        "  sacct: OUT_OF_MEMORY: more memory than the job had: raise `mem` of the profile",
    ]
    (words,) = asked
    assert words[-1] == "--jobs=7_1"


def test_why_without_records_of_slurm_says_the_rest(
    path: Path, trials: tuple[Trial, ...], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(path.parent))
    attempt = {"job": "7_1", "restart": 0, "node": "n3", "begin": 100}
    (trials[1].folder / "attempts.jsonl").write_text(json.dumps(attempt) + "\n")
    assert main(["why", str(path)]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "  attempt 1: job 7_1 on n3, no end"


def test_a_trial_that_died_before_it_began_is_explained(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (trial, *_) = trials_of(path)
    attempt = {"job": "7_1", "restart": 0, "node": "n3", "begin": 100, "end": 101, "code": 127}
    freeze(trial)
    (trial.folder / "attempts.jsonl").write_text(json.dumps(attempt) + "\n")
    assert main(["why", str(path)]) == 0
    assert "why: it ended with exit code 127" in capsys.readouterr().out


def test_logs_of_a_trial_that_printed_nothing_tell_its_epochs(
    path: Path, trials: tuple[Trial, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    folder = trials[1].folder
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "log.txt").write_text("")
    (folder / "events.jsonl").write_text('{"epoch": 0, "step": 6, "loss": 0.5, "miou": 0.25, "seconds": 3.2}\n')
    assert main(["logs", str(path), trials[1].id]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed[0] == f"{trials[1].id} has printed nothing; its epochs:"
    assert printed[1].startswith("epoch 1 of ")
    assert printed[1].endswith(", step 6, loss 0.500, val mIoU 0.250, 3 s")
