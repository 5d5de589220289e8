import hashlib
import subprocess
import sys

import numpy as np
import pytest

from segsuite.datasets import build_dataset
from segsuite.datasets.audit import audit
from segsuite.datasets.base import VOID
from segsuite.datasets.scenes import WIRE
from segsuite.datasets.shapes import Shapes
from segsuite.errors import ConfigError

DIGEST = """
import hashlib
from segsuite.datasets.shapes import Shapes
d = hashlib.sha256()
for split in ("train", "val"):
    for i in range(3):
        image, label = Shapes(split, scene_seed=5).read(i)
        d.update(image.tobytes() + label.tobytes())
"""


@pytest.fixture(scope="module")
def train():
    return audit(Shapes("train"))


def test_pixel_shares_span_two_orders_of_magnitude(train):
    assert train.shares[0] > 0.5
    assert train.shares.max() / train.shares.min() > 100


def test_every_class_is_in_many_train_images_and_some_lack_it(train):
    assert (train.presence.mean(0) > 0.5).all()
    assert (train.presence[:, 1:].mean(0) < 1).any()


@pytest.mark.parametrize("split", ["val", "test"])
def test_every_class_is_in_the_held_out_splits(split):
    assert audit(Shapes(split)).pixels.min() > 0


def test_image_and_label_have_the_types_of_the_contract():
    image, label = Shapes("val", size=(17, 31)).read(0)
    assert (image.shape, image.dtype) == ((17, 31, 3), np.uint8)
    assert (label.shape, label.dtype) == ((17, 31), np.uint8)
    assert image.flags.c_contiguous


def test_scenes_are_the_same_in_another_process():
    scope: dict[str, hashlib._Hash] = {}
    exec(DIGEST, scope)
    command = [sys.executable, "-c", DIGEST + "print(d.hexdigest())"]
    other = subprocess.run(command, capture_output=True, text=True, check=True)
    assert other.stdout.strip() == scope["d"].hexdigest()


def test_seed_split_and_index_each_change_the_scene():
    scenes = [
        Shapes("train").read(0),
        Shapes("train").read(1),
        Shapes("val").read(0),
        Shapes("train", scene_seed=1).read(0),
    ]
    assert len({label.tobytes() for _, label in scenes}) == len({image.tobytes() for image, _ in scenes}) == 4


def test_scene_is_the_same_at_three_times_the_resolution():
    small, large = Shapes("train", size=(33, 44)), Shapes("train", size=(99, 132))
    for i in range(20):
        np.testing.assert_array_equal(small.read(i)[1], large.read(i)[1][1::3, 1::3])


def test_images_at_two_resolutions_show_the_same_picture():
    coarse, fine = Shapes("train").read(3)[0], Shapes("train", size=(192, 256)).read(3)[0]
    averaged = fine.reshape(96, 2, 128, 2, 3).mean((1, 3))
    assert np.corrcoef(coarse.ravel(), averaged.ravel())[0, 1] > 0.9


def test_void_lies_between_different_classes():
    same = touching = 0
    for i in range(20):
        label = Shapes("train", size=(192, 256)).read(i)[1].astype(int)
        for a, b in ((label[:, 1:], label[:, :-1]), (label[1:], label[:-1])):
            touching += int(((a != b) & (a != VOID) & (b != VOID)).sum())
            same += int(((a != b) & ((a == VOID) | (b == VOID))).sum())
    assert touching == 0
    assert same > 0


def test_void_is_a_thin_band(train):
    assert 0.03 < 1 - train.shares.sum() < 0.1


def test_wires_are_one_to_three_pixels_wide():
    widths = []
    for i in range(60):
        wire = Shapes("train").read(i)[1] == WIRE
        padded = np.pad(wire, ((1, 1), (0, 0))).astype(int)
        starts, ends = (np.argwhere(np.diff(padded.T, axis=1) == step)[:, 1] for step in (1, -1))
        widths += (ends - starts).tolist()
    assert 1 <= np.median(widths) <= 3


def test_colour_alone_does_not_give_the_class():
    """The best guess from colour alone (16 levels a channel, learnt on train) stays far below a network."""
    counts = np.zeros((4096, 8))
    seen = [(image // 16 @ np.array([256, 16, 1]), label) for image, label in map(Shapes("train").read, range(60))]
    for code, label in seen:
        np.add.at(counts, (code[label != VOID], label[label != VOID]), 1)
    confusion = np.zeros((8, 8))
    for image, label in map(Shapes("val").read, range(60)):
        guess = counts.argmax(1)[image // 16 @ np.array([256, 16, 1])]
        np.add.at(confusion, (label[label != VOID], guess[label != VOID]), 1)
    hits = confusion.diagonal()
    assert np.mean(hits / (confusion.sum(0) + confusion.sum(1) - hits)) < 0.5


def test_fingerprint_follows_the_settings():
    prints = {
        Shapes("train", **s).fingerprint() for s in ({}, {"scene_seed": 1}, {"size": (48, 64)}, {"train_images": 9})
    }
    assert len(prints) == 4
    assert Shapes("train").fingerprint() == Shapes("train").fingerprint()
    assert all(len(text) == 16 for text in prints)


def test_unknown_split_and_wrong_size_are_config_errors():
    with pytest.raises(ConfigError, match="did you mean 'train'"):
        Shapes("trian")
    with pytest.raises(ConfigError, match="size"):
        Shapes("train", size=(0, 8))


def test_unknown_setting_is_a_type_error_and_unknown_name_a_config_error():
    with pytest.raises(TypeError):
        build_dataset("shapes", "train", sizes=(9, 9))
    with pytest.raises(ConfigError, match="did you mean 'shapes'"):
        build_dataset("shape", "train")


def test_reading_past_the_end_is_an_index_error():
    with pytest.raises(IndexError):
        Shapes("train", train_images=2).read(2)
