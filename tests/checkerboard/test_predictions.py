"""Patterns in class ids, counted one by one and by hand."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from segsuite.checkerboard.predictions import blockiness, isolated_pixels, moved, shift_flips, transitions


def labels(height: int = 24, width: int = 30, classes: int = 3, seed: int = 0) -> Tensor:
    values = np.random.default_rng(seed).integers(0, classes, (height, width), dtype=np.uint8)
    return torch.from_numpy(values)


def enlarged(factor: int) -> Tensor:
    return labels(16, 16).repeat_interleave(factor, 0).repeat_interleave(factor, 1)


def test_isolated_pixels_are_those_found_one_by_one() -> None:
    found, valid = labels(classes=5), labels(seed=1) > 0
    count = total = 0
    for y in range(1, 23):
        for x in range(1, 29):
            neighbours = {int(found[y - 1, x]), int(found[y + 1, x]), int(found[y, x - 1]), int(found[y, x + 1])}
            total += bool(valid[y, x])
            count += bool(valid[y, x]) and int(found[y, x]) not in neighbours
    assert isolated_pixels(found, valid) == (count, total)
    assert 0 < count < total


def test_a_board_is_all_isolated_and_an_even_label_not_at_all() -> None:
    board = (torch.arange(20)[:, None] + torch.arange(20)) % 2
    everywhere = torch.ones(20, 20, dtype=torch.bool)
    assert isolated_pixels(board, everywhere) == (18 * 18, 18 * 18)
    assert isolated_pixels(torch.zeros(20, 20), everywhere) == (0, 18 * 18)


def test_transitions_are_those_found_one_by_one() -> None:
    found = labels()
    rows = [0] + [sum(int(found[y, x] != found[y - 1, x]) for x in range(30)) for y in range(1, 24)]
    columns = [0] + [sum(int(found[y, x] != found[y, x - 1]) for y in range(24)) for x in range(1, 30)]
    assert [counts.tolist() for counts in transitions(found)] == [rows, columns]


@pytest.mark.parametrize("factor", [2, 4, 8])
def test_labels_enlarged_by_repetition_have_the_largest_blockiness(factor: int) -> None:
    assert blockiness(transitions(enlarged(factor)), factor) == 1 - 1 / factor


def test_blockiness_of_a_factor_of_4_at_period_2_is_a_half() -> None:
    """All borders lie at even places; at period 8 every other phase is empty, too."""
    assert blockiness(transitions(enlarged(4)), 2) == 0.5
    assert blockiness(transitions(enlarged(4)), 8) == pytest.approx(0.75, abs=0.02)


def test_random_labels_have_no_blockiness() -> None:
    assert blockiness(transitions(labels(200, 200)), 4) < 0.01


def test_blockiness_does_not_depend_on_how_often_a_phase_occurs() -> None:
    """Places 1 to 6 with one border each: phase 1 of 4 has two places, phase 0 one."""
    counts = torch.tensor([0, 1, 1, 1, 1, 1, 1])
    assert blockiness((counts, counts), 4) == pytest.approx(0)


def test_a_label_without_borders_has_no_blockiness() -> None:
    assert math.isnan(blockiness(transitions(torch.zeros(8, 8)), 2))


def test_moved_images_hold_the_image_further_down_and_right() -> None:
    image = torch.rand(1, 3, 10, 12)
    torch.testing.assert_close(moved(image, 3)[..., 3:, 3:], image[..., :-3, :-3])
    assert moved(image, 3).shape == image.shape


@pytest.mark.parametrize("pixels", [1, 2, 8])
def test_what_moves_with_the_image_does_not_flip(pixels: int) -> None:
    image = torch.rand(1, 1, 64, 80)
    prediction, of_moved = (x[0, 0] > 0.5 for x in (image, moved(image, pixels)))
    flips, total = shift_flips(prediction, of_moved, pixels)
    assert flips == 0
    assert total == (64 - 8 - max(8, pixels)) * (80 - 8 - max(8, pixels))


def test_what_stays_with_the_lattice_flips() -> None:
    """Pixels of even rows are of another class, wherever the image is."""
    stays = (torch.arange(64) % 2)[:, None].expand(64, 64)
    flips, total = shift_flips(stays, stays, 1)
    assert flips == total
    assert shift_flips(stays, stays, 2)[0] == 0
