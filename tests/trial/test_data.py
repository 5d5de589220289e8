"""segsuite.trial.data: from the settings of sampling to what is drawn, and what is said of wrong ones."""

from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from segsuite.config import Execution, trial_id, validate
from segsuite.config.data import Augment
from segsuite.datasets.decoded import DecodedDataset
from segsuite.datasets.loader import Samples, training_loader
from segsuite.datasets.transforms import Transform
from segsuite.errors import ConfigError, DataError
from segsuite.io import atomic
from segsuite.io.store import RunDirectory
from segsuite.trial.data import (
    TrialData,
    build_data,
    factors_of,
    loader_workers,
    refuse_other_data,
    training_transform,
)
from segsuite.trial.result import training_pixels
from tests.datasets.test_statistics import Labels

SHAPES: dict[str, Any] = {"name": "shapes", "size": [24, 32], "train_images": 12, "val_images": 2, "test_images": 2}
AUGMENT: dict[str, Any] = {"crop": [16, 16], "scale": [0.8, 1.2], "brightness": 0.2}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


def values(**settings: Any) -> dict[str, Any]:
    return {"data": SHAPES, "model": {"name": "unet"}, **settings}


def data(**settings: Any) -> TrialData:
    return build_data(validate(values(**settings), str))


def test_by_default_the_batches_are_those_of_a_plain_loader_and_transform() -> None:
    found = data(augment=AUGMENT, train={"batch_size": 4}, seed=3).training
    samples = found.dataset
    assert isinstance(samples, Samples)
    transform = Transform((16, 16), (0.8, 1.2), horizontal_flip=0.5, brightness=0.2)
    plain = training_loader(Samples(samples.dataset, 3, transform), range(12), 4, 0)
    for one, other in zip(found, plain, strict=True):
        assert torch.equal(one["index"], other["index"])
        assert torch.equal(one["image"], other["image"])
        assert torch.equal(one["label"], other["label"])


def test_images_are_drawn_by_the_classes_that_the_training_split_holds() -> None:
    given = data(data={**SHAPES, "rare_share": 0.001, "train_images": 40}, train={"repeat_threshold": 0.5})
    samples = given.training.dataset
    assert isinstance(samples, Samples)
    present = [set(np.unique(samples.dataset.read(index)[1]).tolist()) - {255} for index in range(40)]
    share = {c: sum(c in classes for classes in present) / 40 for c in set[int]().union(*present)}
    expected = [max(max(1.0, (0.5 / share[c]) ** 0.5) for c in classes) for classes in present]
    assert max(expected) > 1
    assert given.training.sampler.factors is not None
    assert given.training.sampler.factors.tolist() == pytest.approx(expected)
    assert given.training.sampler.indices == list(range(40))


def test_repeated_images_leave_the_number_of_steps_as_it_is() -> None:
    settings = {"data": {**SHAPES, "rare_share": 0.001, "train_images": 40}}
    lengths = [len(data(**settings, train={"repeat_threshold": t}).training) for t in (None, 0.5, 1.0)]
    assert lengths == [5, 5, 5]


def test_crops_are_placed_by_the_shares_of_the_training_split() -> None:
    """With a tiny temperature each crop of one pixel is one of the class that is the rarest of its image."""
    labels = Labels(*[[[0, 0, 0, 0, 1], [0, 0, 2, 1, 1]]] * 4)
    augment = Augment.model_validate({"crop": (1, 1), "crop_classes": {"probability": 1.0, "temperature": 1e-4}})
    transform = training_transform(augment, labels)
    found = {int(transform(*labels.read(0), seed)[1].item()) for seed in range(20)}
    assert found == {2}


def test_a_maximum_share_alone_needs_no_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("segsuite.trial.data.label_counts", None)
    augment = Augment.model_validate({"crop": (1, 2), "crop_classes": {"max_share": 0.5, "tries": 100}})
    labels = Labels([[0, 0, 0, 0, 0, 0, 1]])
    transform = training_transform(augment, labels)
    assert {tuple(sorted(transform(*labels.read(0), seed)[1][0])) for seed in range(20)} == {(0, 1)}


def test_a_sanity_run_repeats_no_image() -> None:
    given = data(train={"overfit_batches": 2, "batch_size": 4, "repeat_threshold": 1.0})
    assert given.training.sampler.factors is None


@pytest.mark.parametrize(
    ("labels", "threshold", "advice"),
    [
        (Labels([[0, 1]], [[0, 0]]), 0.001, "raise it above 0.5, the share of images that hold the rarest class, b"),
        (Labels([[0, 1]], [[1, 0]]), 1.0, "leave it out"),
        (Labels([[255, 255]], [[255, 255]]), 1.0, "leave it out"),
        (Labels([[0, 0]], [[1, 255]]), 1.0, "leave it out"),
    ],
)
def test_a_threshold_that_changes_nothing_is_an_error_that_says_what_would(
    labels: Labels, threshold: float, advice: str
) -> None:
    with pytest.raises(ConfigError, match=r"repeat_threshold.*changes nothing") as error:
        factors_of(labels, range(2), threshold)
    assert advice in error.value.advice


@pytest.mark.parametrize(
    ("section", "given", "message"),
    [
        ("augment", {"crop_classes": {"probability": 0.3}}, "augment: crop_classes needs a crop"),
        ("augment", {"crop_classes": {"max_share": 0.7}}, "augment: crop_classes needs a crop"),
        ("augment", {**AUGMENT, "crop_classes": {"probability": 2}}, "must be at most 1, not"),
        ("augment", {**AUGMENT, "crop_classes": {"temperature": 0}}, "must be above 0, not 0"),
        ("augment", {**AUGMENT, "crop_classes": {"tries": 0}}, "must be at least 1, not 0"),
        ("augment", {**AUGMENT, "crop_classes": {"maxshare": 0.7}}, "did you mean 'max_share'"),
        ("augment", {**AUGMENT, "crop_classes": 0.3}, "must be a mapping"),
        ("train", {"repeat_threshold": 0}, "must be above 0, not 0"),
        ("train", {"repeat_threshold": 1.5}, "must be at most 1, not"),
        ("data", {**SHAPES, "rare_share": 0.2}, "must be at most 0.1, not 0.2"),
    ],
)
def test_a_wrong_setting_is_one_sentence(section: str, given: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as error:
        validate(values(**{section: given}), str)
    assert "\n" not in error.value.what


@pytest.mark.parametrize(
    "settings",
    [
        {"augment": {"crop_classes": {}}},
        {"augment": {"crop_classes": {"probability": 0, "max_share": 1}}},
        {"train": {"repeat_threshold": None}},
        {"data": {**SHAPES, "rare_share": None}},
    ],
)
def test_sampling_that_is_off_moves_no_id(settings: dict[str, Any]) -> None:
    assert trial_id(validate(values(**settings), str)) == trial_id(validate(values(), str))


@pytest.mark.parametrize(
    "settings",
    [
        {"augment": {"crop": [16, 16], "crop_classes": {"probability": 0.3}}},
        {"augment": {"crop": [16, 16], "crop_classes": {"max_share": 0.7}}},
        {"train": {"repeat_threshold": 0.3}},
        {"data": {**SHAPES, "rare_share": 0.01}},
    ],
)
def test_sampling_that_is_on_is_another_trial(settings: dict[str, Any]) -> None:
    plain = {"augment": {"crop": [16, 16]}} if "augment" in settings else {}
    assert trial_id(validate(values(**settings), str)) != trial_id(validate(values(**plain), str))


@pytest.mark.parametrize(
    ("seen", "has_checkpoint", "refused"),
    [("a-b", True, False), ("a-c", True, True), ("a-c", False, False), (None, True, False)],
)
def test_a_trial_does_not_go_on_with_other_data(
    tmp_path: Path, seen: str | None, has_checkpoint: bool, refused: bool
) -> None:
    run = RunDirectory(tmp_path)
    if seen is not None:
        atomic.write_json(tmp_path / "manifest.json", {"dataset_fingerprint": seen})
    if has_checkpoint:
        atomic.write_text(run.last_checkpoint, "")
    with pytest.raises(DataError, match="changed since this trial began") if refused else nullcontext():
        refuse_other_data("a-b", run)


def test_images_are_decoded_once_for_all_trials_and_told() -> None:
    told: list[dict[str, Any]] = []
    for _ in range(2):
        found = build_data(validate(values(), str), report=told.append)
        assert isinstance(found.training.dataset.dataset, DecodedDataset)
    of_train = [event for event in told if event["of"] == 12]
    assert [event["images"] for event in of_train] == list(range(1, 13))
    plain = build_data(validate(values(execution={"cache_images": False}), str), report=told.append)
    assert not isinstance(plain.training.dataset.dataset, DecodedDataset)
    for expected, ours in zip(plain.training, found.training, strict=True):
        assert torch.equal(expected["image"], ours["image"])


ON_DEVICE = {"augment": {**AUGMENT, "contrast": 0.2}, "execution": {"data_on_device": True}}


def test_batches_made_on_the_device_are_those_of_the_cpu() -> None:
    plain = data(augment=ON_DEVICE["augment"], train={"batch_size": 4}, seed=3)
    ours = data(**ON_DEVICE, train={"batch_size": 4}, seed=3)
    assert ours.on_device is not None
    for expected, drawn in zip(plain.training, ours.training, strict=True):
        made = ours.on_device.batch(drawn)
        assert torch.equal(made["index"], expected["index"])
        assert torch.equal(made["label"], expected["label"])
        assert (made["image"].int() - expected["image"].int()).abs().max() <= 3


def test_labels_of_a_step_come_with_its_first_batch_also_where_batches_are_made_on_the_device() -> None:
    ours = data(**ON_DEVICE, train={"batch_size": 2, "accumulate": 4})
    assert ours.on_device is not None
    batches = list(ours.training)
    assert [len(batch.get("labels_of_step", ())) for batch in batches] == [4, 0, 0, 0, 2, 0]
    assert all(drawn is not batches[0] for drawn in batches[0]["labels_of_step"]), "moving it would not end"
    for batch, drawn in zip(batches[:4], batches[0]["labels_of_step"], strict=True):
        assert torch.equal(ours.on_device.label(drawn), ours.on_device.batch(batch)["label"])


def test_training_pixels_are_the_same_where_the_data_lies_on_the_device() -> None:
    plain, ours = data(augment=ON_DEVICE["augment"]), data(**ON_DEVICE)
    assert training_pixels(ours) == training_pixels(plain)


def test_by_default_the_data_lies_on_a_gpu_only() -> None:
    assert data(augment=AUGMENT).on_device is None


@pytest.mark.parametrize(
    ("augment", "reason"),
    [
        ({**AUGMENT, "hue": 0.1}, "hue, which is 0.1, is computed on the CPU"),
        ({"scale": [0.5, 2.0]}, "images of many sizes"),
    ],
)
def test_data_that_cannot_lie_on_the_device_is_refused_where_it_is_wanted(augment: dict[str, Any], reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        data(augment=augment, execution={"data_on_device": True}, train={"batch_size": 1})


@pytest.mark.parametrize(("device", "threads", "workers"), [("cuda", "16", 8), ("cuda", "3", 3), ("cpu", "16", 0)])
def test_workers_by_default(device: str, threads: str, workers: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", threads)
    assert loader_workers(Execution(), device) == workers
    assert loader_workers(Execution(workers=2), device) == 2
