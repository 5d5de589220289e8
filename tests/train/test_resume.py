"""A training that is stopped after any step and continued is the uninterrupted one, bit for bit."""

import os
from pathlib import Path
from typing import Any

import pytest

from segsuite.errors import Preempted, SegsuiteError
from segsuite.io.store import events
from segsuite.io.trial_warnings import noted
from segsuite.train import checkpoint_io
from segsuite.train.callbacks import StopRequest
from segsuite.train.module import SegmentationModule
from tests.reliability.trials import NOT_REPEATABLE, digest
from tests.train.tiny import fit, module, train_settings

SETTINGS: dict[str, dict[str, Any]] = {
    "plain": {"epochs": 3},
    "accumulate": {"epochs": 3, "accumulate": 3},
    "average": {"epochs": 3, "ema_decay": 0.9},
    "max-steps": {"epochs": 9, "max_steps": 10},
    "max-steps-validate-every-2": {"epochs": 9, "max_steps": 12, "validate_every": 2},
    "validate-every-2": {"epochs": 3, "validate_every": 2},
    "frozen-encoder": {"epochs": 3, "freeze_encoder_epochs": 2},
    "early-stopping": {"epochs": 9, "early_stopping_patience": 1, "optimizer": {"learning_rate": 1e-12}},
    "early-stopping-validate-every-2": {
        "epochs": 6, "early_stopping_patience": 1, "validate_every": 2, "optimizer": {"learning_rate": 1e-12},
    },
}  # fmt: skip


@pytest.fixture(autouse=True)
def _no_waiting_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hundreds of checkpoints, none of which has to survive a power cut."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


class Stopping(SegmentationModule):
    """Asks for a stop in the batches that `at` names."""

    at: tuple[int, ...] = ()
    stop: StopRequest
    batches = 0

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        super().on_train_batch_start(batch, batch_idx)
        self.batches += 1
        if self.batches in self.at:
            self.stop.set()


def attempt(name: str, folder: Path, stop_at: tuple[int, ...] = ()) -> bool:
    """One attempt, stopped in its batch `stop_at` (counted from 1); whether it came to its end."""
    trained = module(train_settings(**SETTINGS[name]), kind=Stopping)
    assert isinstance(trained, Stopping)
    trained.at, trained.stop = stop_at, StopRequest()
    try:
        fit(trained, folder, stop=trained.stop)
    except Preempted:
        return False
    return True


def outcome(folder: Path) -> dict[str, Any]:
    checkpoint = checkpoint_io.load(folder / "checkpoints" / "last.ckpt")
    return {
        "weights": digest(checkpoint["state_dict"]),
        "trained weights": digest(checkpoint.get("current_model_state")),
        "optimizer": digest(checkpoint["optimizer_states"]),
        "schedule": digest(checkpoint["lr_schedulers"]),
        "step": checkpoint["global_step"],
        "best": digest(checkpoint_io.load(folder / "checkpoints" / "best.ckpt")["state_dict"]),
        "events": [
            {key: value for key, value in event.items() if key not in NOT_REPEATABLE} for event in events(folder)
        ],
    }


@pytest.mark.parametrize("name", SETTINGS)
def test_stopped_in_any_batch_and_continued(name: str, tmp_path: Path) -> None:
    assert attempt(name, tmp_path / "whole")
    expected = outcome(tmp_path / "whole")
    batches = 4 * len(expected["events"])
    for batch in range(1, batches):
        folder = tmp_path / f"batch-{batch}"
        attempt(name, folder, (batch,))
        assert attempt(name, folder)
        assert outcome(folder) == expected, f"stopped in batch {batch}"


@pytest.mark.parametrize("name", SETTINGS)
def test_stopped_again_and_again(name: str, tmp_path: Path) -> None:
    assert attempt(name, tmp_path / "whole")
    attempts = 1
    while not attempt(name, tmp_path / "stopped", (1 if attempts % 2 else 2,)):
        attempts += 1
        assert attempts < 100
    assert attempts > 2
    assert outcome(tmp_path / "stopped") == outcome(tmp_path / "whole")


@pytest.mark.parametrize("name", SETTINGS)
def test_events_newer_than_the_checkpoint_are_run_again(name: str, tmp_path: Path) -> None:
    """A kill, unlike a stop, leaves them behind, and half a line."""
    assert attempt(name, tmp_path / "whole")
    expected = outcome(tmp_path / "whole")
    for batch in (3, 4):
        folder = tmp_path / f"batch-{batch}"
        attempt(name, folder, (batch,))
        (folder / "events.jsonl").write_bytes((tmp_path / "whole" / "events.jsonl").read_bytes() + b'{"epoch": 1, "st')
        assert attempt(name, folder)
        assert outcome(folder) == expected, f"killed after batch {batch}"


def flip_a_bit(path: Path, at: float) -> None:
    content = bytearray(path.read_bytes())
    content[int(at * len(content))] ^= 1
    path.unlink()  # best.ckpt and previous.ckpt may be names of one file
    path.write_bytes(content)


@pytest.mark.parametrize("damaged", [("last",), ("last", "previous")], ids=" and ".join)
def test_a_damaged_checkpoint_is_replaced_by_the_newest_whole_one(damaged: tuple[str, ...], tmp_path: Path) -> None:
    assert attempt("plain", tmp_path / "whole")
    folder = tmp_path / "damaged"
    attempt("plain", folder, (10,))
    checkpoints = folder / "checkpoints"
    for name in damaged:
        flip_a_bit(checkpoints / f"{name}.ckpt", 0.5)
    assert attempt("plain", folder)
    assert outcome(folder) == outcome(tmp_path / "whole")
    (warning,) = noted(folder)
    used = {1: "previous", 2: "best"}[len(damaged)]
    assert warning.startswith(f"last.ckpt was damaged: training went on from {used}.ckpt, step ")


def test_a_training_whose_checkpoints_are_all_damaged_is_an_error(tmp_path: Path) -> None:
    attempt("plain", tmp_path, (10,))
    for path in (tmp_path / "checkpoints").iterdir():
        flip_a_bit(path, 0.5)
    with pytest.raises(SegsuiteError, match="cannot be read") as caught:
        attempt("plain", tmp_path)
    assert caught.value.where.endswith("last.ckpt")
