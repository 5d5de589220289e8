"""Sentences about a dataset, from made labels."""

import numpy as np
import pytest

from segsuite.data_command.striking import mismatch, percent, striking
from segsuite.datasets import build_dataset
from segsuite.datasets.objects import Objects
from segsuite.datasets.overview import DatasetOverview, SplitOverview

CLASSES = build_dataset("shapes", "train", train_images=1).classes
SIDE = 100


def split(
    pixels: dict[str, int], areas: dict[str, int] | None = None, images: dict[str, int] | None = None, total: int = 10
) -> SplitOverview:
    """A split of images of 100 x 100: of each class `pixels` an image, in objects of `areas`, in `images` of them."""
    rows = []
    for name, count in pixels.items():
        area = (areas or {}).get(name, count)
        for image in range((images or {}).get(name, total)):
            rows += [(CLASSES.index(name), area, image)] * (count // area)
    classes, found, place = (np.array(column) for column in zip(*rows, strict=True))
    dataset = build_dataset("shapes", "train", train_images=total)
    return SplitOverview(dataset, Objects(classes.astype(np.uint8), found, place, np.full((total, 2), SIDE)))


def overview(**splits: SplitOverview) -> DatasetOverview:
    return DatasetOverview("shapes", {}, splits, {})


EVEN = dict.fromkeys(CLASSES, SIDE**2 // 8)


def test_an_even_dataset_has_nothing_striking() -> None:
    assert striking(overview(train=split(EVEN), val=split(EVEN))) == [
        "Nothing is striking: classes are about as frequent in each split, and none is rare."
    ]


def test_a_class_with_other_shares_is_named_with_those_of_all_splits() -> None:
    other = {**EVEN, "ring": 250, "blob": 2250}
    found = overview(train=split(EVEN), val=split(other), test=split(EVEN))
    assert mismatch(found)["ring"] == pytest.approx(5)
    assert striking(found)[0] == (
        "ring is 12 % of train, 2.5 % of val and 12 % of test: a score on one split says little about another."
    )


def test_imbalance_is_said_with_what_a_blind_model_reaches() -> None:
    pixels = {**EVEN, "spot": 50, "background": 2450}
    sentence = striking(overview(train=split(pixels), val=split(pixels)))[0]
    assert sentence == (
        "background has 49 times the pixels of spot; spot has 0.50 % of the labelled pixels of train: a model that "
        "never predicts it can still reach a pixel accuracy of 0.995."
    )


def test_absent_classes_come_first() -> None:
    without = {name: count for name, count in EVEN.items() if name not in ("wire", "spot")}
    first, second, *_ = striking(overview(train=split(without), val=split(EVEN), test=split(without)))
    assert first == "wire and spot are not in train: what is absent cannot be learnt."
    assert second == "wire and spot are not in test: what is absent is in no score there."


def test_rarely_present_classes_are_named() -> None:
    found = overview(train=split(EVEN, images={"spot": 1, "wire": 2}, total=20))
    assert "Few images of train have spot (5.0 %): most batches have none." in striking(found)


def test_classes_in_small_objects_specks_and_void_are_named() -> None:
    small = split({**EVEN, "marker": 800}, areas={"marker": 4})
    sentences = striking(overview(train=small))
    assert "Most pixels of marker (100 %) are in objects smaller than 32 x 32 pixels." in sentences
    assert any(sentence.endswith("specks of at most 4 pixels: count objects with care.") for sentence in sentences)
    half = {name: count // 2 for name, count in EVEN.items()}
    assert striking(overview(train=split(half)))[-1] == "50 % of train has no class (void)."


@pytest.mark.parametrize(
    ("share", "text"), [(0.00292, "0.29 %"), (0.317, "32 %"), (1.0, "100 %"), (0.0, "0 %"), (0.0992, "9.9 %")]
)
def test_shares_have_two_digits(share: float, text: str) -> None:
    assert percent(share) == text
