"""Measuring changes nothing of a training, and survives being stopped."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from segsuite.checkerboard import MEASURES
from segsuite.config import Checkerboard, Train
from segsuite.datasets.base import SegmentationDataset
from segsuite.datasets.loader import Samples, evaluation_loader, training_loader
from segsuite.errors import Preempted
from segsuite.io.store import RunDirectory
from segsuite.losses import build_loss
from segsuite.train import checkpoint_io
from segsuite.train.callbacks import StopRequest
from segsuite.train.checkerboard import CheckerboardMeasurement, is_measured, measure_at_the_end
from segsuite.train.fit import fit_or_resume, total_steps
from segsuite.train.module import SegmentationModule
from tests.checkerboard.tiny import network, samples
from tests.reliability.trials import digest

CLASSES = ("a", "b", "c", "d")


@pytest.fixture(autouse=True)
def _no_waiting_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


class Rectangles(SegmentationDataset):
    """The samples of tests.checkerboard.tiny."""

    classes, palette, split = CLASSES, ((0, 0, 0),) * 4, "val"

    def __init__(self) -> None:
        self.samples = samples(6, (48, 56))

    def __len__(self) -> int:
        return len(self.samples)

    def sample_name(self, index: int) -> str:
        return self.samples[index][0]

    def read(self, index: int) -> tuple[NDArray[Any], NDArray[np.uint8]]:
        return self.samples[index][1], self.samples[index][2]

    def fingerprint(self) -> str:
        return "0" * 16


class Stopping(SegmentationModule):
    """Asks for a stop in batch `at`, counted from 1."""

    at = 0
    stop: StopRequest
    batches = 0

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        super().on_train_batch_start(batch, batch_idx)
        self.batches += 1
        if self.batches == self.at:
            self.stop.set()


def attempt(folder: Path, checkerboard: Checkerboard | None, stop_at: int = 0, **train: Any) -> bool:
    """One attempt of a training of 3 epochs of 3 steps; whether it came to its end."""
    settings = Train.model_validate({"epochs": 3, "batch_size": 2, "precision": "fp32", **train})
    data = Samples(Rectangles())
    training, validation = training_loader(data, range(6), 2, 0), evaluation_loader(data, range(6), 4, 0)
    module = Stopping(network(), build_loss("cross_entropy"), CLASSES, settings, total_steps(settings, 3))
    module.at, module.stop = stop_at, StopRequest()
    torch.manual_seed(1)  # dropout
    watching = [CheckerboardMeasurement(folder, validation, checkerboard)] if checkerboard else []
    folder.mkdir(exist_ok=True)
    run = RunDirectory(folder)
    try:
        fit_or_resume(module, training, validation, run, "cpu", "fp32", 1e-6, module.stop, lambda event: None, watching)
    except Preempted:
        return False
    return True


def outcome(folder: Path) -> str:
    checkpoint = checkpoint_io.load(folder / "checkpoints" / "last.ckpt")
    callbacks = {name: state for name, state in checkpoint["callbacks"].items() if "RandomState" in name}
    assert callbacks
    return digest([checkpoint["state_dict"], checkpoint["optimizer_states"], checkpoint["lr_schedulers"], callbacks])


def artefacts(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "artefacts.json").read_text())
    return found


MEASURING = Checkerboard(measure=True, images=2)


@pytest.mark.parametrize("train", [{}, {"accumulate": 2, "ema_decay": 0.9}, {"freeze_encoder_epochs": 2}])
def test_a_training_that_is_measured_is_the_same_bit_for_bit(train: dict[str, Any], tmp_path: Path) -> None:
    assert attempt(tmp_path / "plain", None, **train)
    assert attempt(tmp_path / "measured", MEASURING, **train)
    assert outcome(tmp_path / "measured") == outcome(tmp_path / "plain")
    assert not (tmp_path / "plain" / "artefacts.json").exists()


def test_rows_are_those_of_the_epochs_that_were_asked_for(tmp_path: Path) -> None:
    assert attempt(tmp_path / "run", MEASURING)
    found = artefacts(tmp_path / "run")
    assert list(dict.fromkeys((row["epoch"], row["step"]) for row in found["rows"])) == [(0, 0), (1, 3), (2, 6), (3, 9)]
    assert found["version"] == 2
    assert found["stride"] == 4
    assert found["seams"] == [
        {"name": "core.first", "stride_from": 4, "stride_to": 2},
        {"name": "core.second", "stride_from": 2, "stride_to": 1},
    ]
    assert found["images"] == ["image 0", "image 5"]
    assert found["final"] == []
    assert {row["measure"] for row in found["rows"]} <= set(MEASURES)
    assert set(found["rows"][0]) == {"epoch", "step", "place", "stride", "measure", "value", "control"}


def test_epochs_that_are_listed_are_measured_alone(tmp_path: Path) -> None:
    assert attempt(tmp_path / "run", Checkerboard(measure=True, images=1, epochs=(2,)))
    assert {row["epoch"] for row in artefacts(tmp_path / "run")["rows"]} == {2}
    assert not (tmp_path / "run" / "artefacts.npz").exists()


TRAININGS: dict[str, dict[str, Any]] = {
    "plain": {},
    "max-steps": {"epochs": 9, "max_steps": 8},
    "early-stopping": {"epochs": 9, "early_stopping_patience": 1, "optimizer": {"learning_rate": 1e-12}},
}


@pytest.mark.parametrize("name", TRAININGS)
def test_a_stopped_and_continued_training_has_every_row_once(name: str, tmp_path: Path) -> None:
    train = TRAININGS[name]
    assert attempt(tmp_path / "whole", MEASURING, **train)
    expected = artefacts(tmp_path / "whole")["rows"]
    batches = max(row["step"] for row in expected)
    assert (
        expected[-1]["step"] == batches == checkpoint_io.load(tmp_path / "whole/checkpoints/last.ckpt")["global_step"]
    )
    for batch in (1, 3, batches):  # within an epoch, at the end of one, at the end of all
        folder = tmp_path / f"batch-{batch}"
        attempt(folder, MEASURING, batch, **train)
        assert attempt(folder, MEASURING, **train)
        assert artefacts(folder)["rows"] == expected, f"stopped in batch {batch}"


def test_rows_newer_than_the_checkpoint_are_measured_again(tmp_path: Path) -> None:
    """A kill leaves them behind."""
    assert attempt(tmp_path / "whole", MEASURING)
    expected = artefacts(tmp_path / "whole")
    folder = tmp_path / "killed"
    assert not attempt(folder, MEASURING, 5)
    (folder / "artefacts.json").write_text(json.dumps(expected))
    assert attempt(folder, MEASURING)
    assert artefacts(folder)["rows"] == expected["rows"]


def test_a_damaged_file_of_an_earlier_attempt_is_no_obstacle(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    for name in ("artefacts.json", "artefacts.npz"):
        (folder / name).write_text('{"version": 2, "ro')
    assert attempt(folder, MEASURING)
    assert {row["epoch"] for row in artefacts(folder)["rows"]} == {0, 1, 2, 3}


def test_the_end_is_added_to_what_was_measured_in_training(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    assert attempt(folder, MEASURING)
    before, net, data = artefacts(folder), network("nearest_conv").eval(), Rectangles()
    for _ in range(2):  # an attempt that is repeated writes the same
        measure_at_the_end(net, data, range(6), MEASURING, folder)
        found = artefacts(folder)
        assert found["rows"] == before["rows"]
        assert found["images"] == ["image 0", "image 5"]
        assert found["final_images"] == [f"image {i}" for i in range(6)]
        assert "epoch" not in found["final"][0]
        (flips,) = (row for row in found["final"] if row["measure"] == "shift_flips")
        assert flips["control"] is not None
    with np.load(folder / "artefacts.npz") as arrays:
        names = set(arrays.files)
    assert {name.split("_", 1)[0] for name in names} == {"start", "final"}
    assert {name.split("_", 1)[1] for name in names} == {
        *("spectrum", "phase_map", "constant_response", "constant_response_classes"),
        *("margin", "margin_image", "margin_label", "margin_prediction"),
    }
    assert (folder / "artefacts.npz").stat().st_size < 300_000


def test_epochs_without_a_list_are_powers_of_two_and_the_last() -> None:
    assert [done for done in range(21) if is_measured(done, done == 20, None)] == [0, 1, 2, 4, 8, 16, 20]
    assert [done for done in range(21) if is_measured(done, done == 20, (0, 3))] == [0, 3]
