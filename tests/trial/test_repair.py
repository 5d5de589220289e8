"""A damaged result.json: the kept weights are scored again, else the trial is trained anew; nothing is deleted."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from segsuite.errors import SegsuiteError
from segsuite.experiment import load
from segsuite.io import store, trial_warnings
from segsuite.io.reading import Unreadable
from segsuite.io.store import RunDirectory
from segsuite.launch.freeze import freeze
from segsuite.train import checkpoint_io
from segsuite.train.callbacks import StopRequest
from segsuite.trial import frozen, run_trial
from segsuite.trial.repair import set_aside_damaged
from tests.reliability.trials import write_experiment


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run directory of a trial that has finished."""
    few = {"train__epochs": 2, "train__max_steps": 4, "data__train_images": 4, "execution__checkpoint_minutes": 60}
    path = write_experiment(tmp_path_factory.mktemp("finished"), **few, execution__keep="weights")
    (trial,) = load(path).trials
    run_trial(freeze(trial), lambda event: None, StopRequest())
    return trial.folder


@pytest.fixture
def folder(finished: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / finished.name))


def run(folder: Path) -> list[dict[str, Any]]:
    """Runs the trial again; what it reported."""
    told: list[dict[str, Any]] = []
    run_trial(folder, told.append, StopRequest())
    return told


def scores(folder: Path) -> dict[str, Any]:
    result = store.look(folder).result
    assert result is not None
    return {name: result[name] for name in ("scores", "class_scores", "boundary_scores", "ranking", "epochs")}


@pytest.mark.parametrize("damage", [b"", b'{"scores": {"miou": NaN}}', b"{}"], ids=["empty", "NaN", "lacking"])
def test_kept_weights_are_scored_again(finished: Path, folder: Path, damage: bytes) -> None:
    (folder / "result.json").write_bytes(damage)
    assert store.state(folder) == "damaged"
    before = (folder / "checkpoints" / "last.ckpt").read_bytes()
    told = run(folder)
    assert not any(event.get("phase") == "train" for event in told)
    assert scores(folder) == scores(finished)
    assert (folder / "checkpoints" / "last.ckpt").read_bytes() == before
    assert (folder / "result.json.damaged").read_bytes() == damage
    (warning,) = trial_warnings.noted(folder)
    assert "kept as result.json.damaged" in warning


def test_without_the_weights_that_are_scored_it_is_trained_anew(finished: Path, folder: Path) -> None:
    """best.ckpt is whole, and is not what this trial is scored with."""
    last, best = folder / "checkpoints" / "last.ckpt", folder / "checkpoints" / "best.ckpt"
    best.unlink(missing_ok=True)
    shutil.copy(last, best)
    last.write_bytes(b"")
    (folder / "result.json").write_text("{")
    told = run(folder)
    assert any(event.get("phase") == "epoch" for event in told)
    assert scores(folder) == scores(finished)
    assert (folder / "checkpoints" / "last.ckpt.damaged").read_bytes() == b""
    assert (folder / "checkpoints" / "best.ckpt.damaged").exists()
    assert "trained anew" in trial_warnings.noted(folder)[-1]


def test_events_that_are_damaged_too_cost_no_result(finished: Path, folder: Path) -> None:
    (folder / "result.json").write_text("[]")
    (folder / "events.jsonl").write_bytes(b"\xff\xff\n")
    run(folder)
    assert store.state(folder) == "finished"
    assert scores(folder)["scores"] == scores(finished)["scores"]


def test_a_whole_result_is_not_touched(folder: Path) -> None:
    before = (folder / "result.json").stat().st_mtime_ns
    assert run(folder) == []
    assert (folder / "result.json").stat().st_mtime_ns == before


def test_other_batches_are_never_guessed(folder: Path) -> None:
    (folder / "result.json").unlink()
    (folder / "smaller_batch.json").write_text(json.dumps({"batch_size": "1"}))
    with pytest.raises(SegsuiteError, match=r"smaller_batch\.json is damaged"):
        run(folder)


def test_weights_that_cannot_be_read_now_change_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "result.json").write_text("{")
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}

    def away(path: Path) -> None:
        raise Unreadable("last.ckpt cannot be read: it is away")

    monkeypatch.setattr(checkpoint_io, "load", away)
    settings = frozen.read(folder).settings
    with pytest.raises(Unreadable):
        set_aside_damaged(settings, RunDirectory(folder))
    assert before == {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
