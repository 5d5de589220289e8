"""TensorBoard shows what the run directory holds: read back with TensorBoard's own reader."""

from pathlib import Path

import numpy as np
import pytest

from segsuite.config import validate
from segsuite.train.tensorboard_tracker import TensorBoardTracker
from segsuite.train.tracking import Shown, Subject

accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
RESULT = {
    "scores": {"miou": 0.5, "pixel_accuracy": 0.75},
    "class_scores": {"iou": {"sky": 0.25, "road": None}},
    "cost": {"parameters": 12},
    "epochs": 2,
}


def tracker(folder: Path, warnings: list[dict[str, object]]) -> TensorBoardTracker:
    settings = validate({"data": {"name": "shapes"}, "model": {"name": "unet"}}, lambda path: "here")
    subject = Subject("abc", "e", "arm", 3, {"model.upsampler": "transposed_k2"}, settings, folder)
    made = TensorBoardTracker(subject, warnings.append)
    made.start()
    return made


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_scalars_images_and_the_result_are_there_after_two_attempts(tmp_path: Path) -> None:
    warnings: list[dict[str, object]] = []
    first = tracker(tmp_path, warnings)
    photo = np.zeros((4, 6, 3), dtype=np.uint8)
    first.truth([Shown("one", photo, np.zeros((4, 6), dtype=np.uint8))], ("sky", "road"))
    first.epoch({"epoch": 0, "step": 10, "loss": 1.5, "miou": 0.25, "iou": {"sky": 0.5, "road": None}})
    first.end(75)
    second = tracker(tmp_path, warnings)
    second.epoch({"epoch": 1, "step": 20, "loss": 1.25, "miou": 0.5, "iou": {"sky": 0.25, "road": None}})
    second.predictions(["one"], [np.ones((4, 6), dtype=np.uint8)], [(0, 0, 0), (9, 8, 7)])
    second.finish(RESULT)
    second.end(0)

    events = accumulator.EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()

    assert warnings == []
    assert [(event.step, event.value) for event in events.Scalars("train/loss")] == [(10, 1.5), (20, 1.25)]
    assert [event.value for event in events.Scalars("val/miou")] == [0.25, 0.5]
    assert events.Scalars("final/miou")[0].value == 0.5
    assert events.Scalars("hparam/miou")[0].value == 0.5
    images = events.Tags()["images"]
    assert {"samples/one/photo", "samples/one/prediction"} == set(images)
    assert (events.Images("samples/one/photo")[0].width, events.Images("samples/one/photo")[0].height) == (6, 4)
