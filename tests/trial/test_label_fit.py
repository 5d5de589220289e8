"""segsuite.trial.label_fit: which upsamplers start from labels, from which labels, and when."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from segsuite.config import validate
from segsuite.io.store import RunDirectory
from segsuite.models import build_model
from segsuite.models.network import SegmentationNetwork
from segsuite.trial import label_fit
from segsuite.trial.data import TrialData, build_data
from segsuite.upsamplers.dupsampling import label_code
from tests.train.tiny import Core

Labels = list[NDArray[np.uint8]]


class FromLabels(nn.Module):
    """Keeps the labels that it is given."""

    fits_labels = True

    def __init__(self, out_channels: int) -> None:
        super().__init__()
        self.out_channels = out_channels
        self.seen: Labels = []

    def fit_labels(self, masks: Iterable[NDArray[np.uint8]], num_classes: int) -> None:
        assert num_classes == self.out_channels
        self.seen = list(masks)


def data(train_images: int = 6, **settings: Any) -> TrialData:
    shapes = {"name": "shapes", "size": [16, 16], "train_images": train_images, "val_images": 2, "test_images": 2}
    settings = {"train": {"batch_size": min(8, train_images)}, **settings}
    return build_data(validate({"data": shapes, "model": {"name": "unet"}, **settings}, str))


def network(*upsamplers: nn.Module) -> SegmentationNetwork:
    core = Core()
    core.upsamplers = nn.ModuleList(upsamplers)
    return SegmentationNetwork(core, 2, core, 8, 8)


def fitted(given: TrialData, folder: Path) -> Labels:
    upsampler = FromLabels(given.num_classes)
    label_fit.fit_to_labels(network(upsampler), given, RunDirectory(folder))
    return upsampler.seen


def test_a_few_labels_are_all_used_unchanged(tmp_path: Path) -> None:
    given = data(6, augment={"crop": [8, 8]})
    expected = [given.training.dataset.dataset.read(index)[1] for index in range(6)]  # type: ignore[attr-defined]
    assert all(np.array_equal(a, b) for a, b in zip(fitted(given, tmp_path), expected, strict=True))


def test_many_labels_are_sampled_evenly_from_the_first_to_the_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(label_fit, "LABELS", 4)
    given = data(10)
    expected = [given.training.dataset.dataset.read(index)[1] for index in (0, 3, 6, 9)]  # type: ignore[attr-defined]
    assert all(np.array_equal(a, b) for a, b in zip(fitted(given, tmp_path), expected, strict=True))


def test_only_what_gives_a_channel_a_class_is_fitted(tmp_path: Path) -> None:
    given = data()
    other, logits = FromLabels(given.num_classes + 1), FromLabels(given.num_classes)
    label_fit.fit_to_labels(network(other, logits), given, RunDirectory(tmp_path))
    assert (len(other.seen), len(logits.seen)) == (0, 6)


def test_a_trial_with_a_checkpoint_is_left_alone(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path)
    run.last_checkpoint.parent.mkdir(parents=True)
    run.last_checkpoint.touch()
    assert fitted(data(), tmp_path) == []


def test_the_last_seam_of_an_fcn_starts_as_the_code_of_the_labels(tmp_path: Path) -> None:
    given = data()
    torch.manual_seed(0)
    fcn = build_model("fcn", given.num_classes, encoder="mobilenetv3_small_100", upsampler="dupsampling")
    state = torch.get_rng_state()
    label_fit.fit_to_labels(fcn, given, RunDirectory(tmp_path))
    decode_DC, _ = label_code(label_fit.spaced_labels(given), given.num_classes, 8, given.num_classes)
    weight_DC = fcn.get_parameter("core.last_upsampler.decode.weight").detach()[:, :, 0, 0]
    torch.testing.assert_close(weight_DC, torch.from_numpy(decode_DC).float())
    assert torch.equal(torch.get_rng_state(), state)
