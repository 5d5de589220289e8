"""Losses of single pixels: hardest pixels, borders, recall, focal at its corners."""

import math

import numpy as np
import pytest
import torch
from scipy import ndimage

from segsuite.losses import build_loss
from segsuite.losses.border import distance_to, is_border
from segsuite.losses.boundary import signed_distance, signed_distance_on_cpu
from segsuite.losses.boundary_weighted import border_weights
from segsuite.losses.hardest import mean_of_hardest
from segsuite.losses.pixels import Pixels
from tests.losses.cases import batch, value_and_gradient


@pytest.mark.parametrize("gamma", [0.5, 1.0, 2.0])
def test_focal_has_a_finite_gradient_at_a_pixel_without_any_doubt(gamma: float) -> None:
    logits_NCHW = torch.tensor([500.0, 0.0]).view(1, 2, 1, 1)
    value, gradient = value_and_gradient(build_loss("focal", gamma=gamma), logits_NCHW, torch.zeros(1, 1, 1).long())
    assert value.item() == 0.0
    assert (gradient == 0).all()


def test_focal_keeps_the_digits_of_a_nearly_certain_pixel() -> None:
    logits_NCHW = torch.tensor([16.0, 0.0], dtype=torch.float64).view(1, 2, 1, 1)
    q = math.exp(-16) / (1 + math.exp(-16))
    value = build_loss("focal", gamma=2.0)(logits_NCHW, torch.zeros(1, 1, 1).long())
    assert value.item() == pytest.approx(q**2 * -math.log1p(-q), rel=1e-9)


def test_pixels_that_tie_for_the_last_place_share_it() -> None:
    loss_NHW = torch.tensor([[[5.0, 2.0, 2.0, 2.0, 1.0]]], requires_grad=True)
    pixels = Pixels(torch.zeros(1, 2, 1, 5), torch.zeros(1, 1, 5).long())
    mean = mean_of_hardest(loss_NHW, pixels, torch.tensor(2.0))
    assert mean.item() == pytest.approx(3.5)
    (gradient,) = torch.autograd.grad(mean, loss_NHW)
    assert gradient.flatten().tolist() == pytest.approx([1 / 2, 1 / 6, 1 / 6, 1 / 6, 0])


def test_ohem_keeps_every_pixel_below_the_threshold_and_the_minimum() -> None:
    p = torch.tensor([0.1, 0.2, 0.6, 0.9, 0.95, 0.99])
    logits_NCHW = torch.stack([p.logit(), torch.zeros(6)]).view(1, 2, 1, 6)
    labels_NHW = torch.zeros(1, 1, 6).long()
    by_threshold = build_loss("ohem_cross_entropy", threshold=0.7, min_kept_fraction=0.0)
    assert by_threshold(logits_NCHW, labels_NHW).item() == pytest.approx(-p[:3].log().mean().item())
    by_minimum = build_loss("ohem_cross_entropy", threshold=0.15, min_kept_fraction=2 / 3)
    assert by_minimum(logits_NCHW, labels_NHW).item() == pytest.approx(-p[:4].log().mean().item())


@pytest.mark.parametrize(("shape", "share"), [((37, 23), 0.03), ((5, 40), 0.2), ((1, 9), 0.3), ((9, 1), 0.3)])
@pytest.mark.parametrize("radius", [1, 4, 60])
def test_distances_are_those_of_scipy_up_to_the_radius(shape: tuple[int, int], share: float, radius: int) -> None:
    mask_NHW = torch.rand(2, *shape, generator=torch.Generator().manual_seed(0)) < share
    mask_NHW[:, -1, -1] = True
    expected = np.stack([ndimage.distance_transform_edt(~mask.numpy()) for mask in mask_NHW])
    found = distance_to(mask_NHW, radius).numpy()
    np.testing.assert_allclose(found, np.where(expected <= radius, expected, np.inf), rtol=1e-6)


def test_distance_to_nothing_is_infinite() -> None:
    assert distance_to(torch.zeros(1, 4, 5, dtype=torch.bool), 50).isinf().all()


def test_void_has_no_border() -> None:
    label_NHW = torch.tensor([[[0, 0, 255, 1, 1, 0]]])
    assert is_border(label_NHW).int().tolist() == [[[0, 0, 0, 0, 1, 1]]]


def test_border_weights_fall_as_in_unet() -> None:
    label_NHW = torch.tensor([[[0] * 6 + [1] * 6]])
    expected = [10 * math.exp(-((2 * d) ** 2) / 50) for d in (5, 4, 3, 2, 1, 0, 0, 1, 2, 3, 4, 5)]
    assert border_weights(label_NHW).flatten().tolist() == pytest.approx(expected, rel=1e-5)


def test_signed_distances_are_the_same_on_every_device() -> None:
    _, labels_NHW = batch(images=3)
    regions_NCHW = labels_NHW[:, None] == torch.arange(6)[:, None, None]
    regions_NCHW[2, 0], regions_NCHW[2, 1] = True, False
    torch.testing.assert_close(signed_distance(regions_NCHW), signed_distance_on_cpu(regions_NCHW))


def test_recall_weights_are_the_share_that_is_missed() -> None:
    labels_NHW = torch.tensor([[[0, 0, 0, 0, 1, 1]]])
    wrong = torch.tensor([True, False, False, False, True, True])
    logits_NCHW = torch.zeros(1, 2, 1, 6)
    logits_NCHW[0, 0, 0] = torch.where((labels_NHW.flatten() == 0) ^ wrong, 1.0, -1.0)
    p = torch.where(wrong, 1 / (1 + math.e), math.e / (1 + math.e))
    weights = torch.tensor([0.25] * 4 + [1.0] * 2)
    value = build_loss("recall_weighted_cross_entropy")(logits_NCHW, labels_NHW)
    assert value.item() == pytest.approx((weights * -p.log()).mean().item())


def test_shapes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match=r"logits \(2, 5, 6, 7\) and labels \(2, 7, 6\)"):
        build_loss("dice")(batch()[0], torch.zeros(2, 7, 6).long())
