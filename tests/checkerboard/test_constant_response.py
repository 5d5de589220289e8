"""Decoders whose response to a constant is known: exactly none, or the square of the overlaps."""

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from segsuite.checkerboard.constant_response import Places, Response, constant_response, joined, places_of
from segsuite.models import build_model
from segsuite.upsamplers import build_upsampler


class Decoder(nn.Module):
    """Two seams from stride 4 to 1, a skip of stride 2 between them, and the image at the end."""

    def __init__(self, upsampler: str) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.second = build_upsampler(upsampler, 6, 5), build_upsampler(upsampler, 5 + 4, 3)
        self.head = nn.Conv2d(3 + 3, 4, 3, padding=1)

    def forward(self, features: Sequence[Tensor], image: Tensor) -> Tensor:
        middle = torch.cat([self.first(features[1]).relu(), features[0]], dim=1)
        logits: Tensor = self.head(torch.cat([self.second(middle).relu(), image], dim=1))
        return logits


def places(count: int = 6) -> Places:
    generator = torch.Generator().manual_seed(1)
    fine, coarse, image = (torch.randn(count, channels, generator=generator) for channels in (4, 6, 3))
    return Places((fine, coarse), (2, 4), image)


def places_in_double() -> Places:
    found = places()
    return Places(tuple(level.double() for level in found.levels), found.strides, found.image_KC.double())


def only(values: Tensor) -> Places:
    """One level of stride 2 with the channels of `values` (K, C)."""
    return Places((values,), (2,), torch.zeros(len(values), 3))


@pytest.mark.parametrize("upsampler", ["nearest_conv", "pixel_shuffle_blur", "transposed_balanced"])
def test_upsamplers_that_keep_constants_leave_nothing(upsampler: str) -> None:
    response = constant_response(Decoder(upsampler).double(), places_in_double(), margin=24)
    assert response.index(1.0) < 1e-28
    assert response.flips() == 0


def test_nearest_and_convolution_leave_exactly_nothing() -> None:
    """With weights and features that are multiples of 1/8 nothing is rounded, in whatever order sums are taken."""
    decoder, exact = Decoder("nearest_conv").double(), places_in_double()
    for parameter in decoder.parameters():
        parameter.data = (8 * parameter.data).round() / 8
    eighths = [(8 * values).round() / 8 for values in (*exact.levels, exact.image_KC)]
    response = constant_response(decoder, Places(tuple(eighths[:2]), exact.strides, eighths[2]), margin=24)
    assert response.middle_KCSS.abs().max() > 0.5
    assert response.index(1.0) == 0
    assert response.flips() == 0
    assert response.border(1.0) == 0


@pytest.mark.parametrize("upsampler", ["transposed_k2", "transposed_k3", "transposed_k4", "pixel_shuffle"])
def test_random_kernels_leave_a_pattern(upsampler: str) -> None:
    response = constant_response(Decoder(upsampler), places(), margin=24)
    assert response.index(1.0) > 0.05
    assert response.border(1.0) < 1e-9


def test_overlaps_of_kernel_3_stride_2_are_seen_as_they_are() -> None:
    """Ones in the kernel: phases get 1, 2, 2 and 4 products, whose variance is 25/4 - (9/4)^2."""
    kernel = torch.ones(1, 1, 3, 3)

    def decode(features: Sequence[Tensor], image: Tensor) -> Tensor:
        y = F.conv_transpose2d(features[0], kernel, stride=2, padding=1, output_padding=1)
        return torch.cat([y, -y], dim=1)

    response = constant_response(decode, only(torch.tensor([[1.0], [3.0]])), margin=8)
    expected = (25 / 4 - 81 / 16) * (1 + 9) / 2
    # class-centring leaves (y, -y) as it is; both classes have the variance
    assert response.index(1.0) == pytest.approx(2 * expected)
    assert response.index(4.0) == pytest.approx(2 * expected / 4)
    torch.testing.assert_close(response.middle_KCSS[0, 0].float(), torch.tensor([[1.0, 2.0], [2.0, 4.0]]))


def test_flips_are_the_phases_beside_the_most_frequent_class() -> None:
    tile = torch.tensor([[1.0, 1.0], [1.0, -1.0]])

    def decode(features: Sequence[Tensor], image: Tensor) -> Tensor:
        side = image.shape[-1] // 2
        y = tile.repeat(side, side).expand(len(image), 1, -1, -1)
        return torch.cat([y, -y], dim=1)

    response = constant_response(decode, only(torch.ones(3, 1)), margin=8)
    assert response.flips() == 0.25
    assert response.border_flips() == 0


def test_what_the_border_does_is_told() -> None:
    """A decoder that reaches 10 pixels sees the zeros beyond the border from 8 pixels away, not from 64."""

    def decode(features: Sequence[Tensor], image: Tensor) -> Tensor:
        y = F.avg_pool2d(F.interpolate(features[0], scale_factor=2.0), 21, stride=1, padding=10)
        return torch.cat([y, -y], dim=1)

    near, far = (constant_response(decode, only(torch.ones(2, 1)), margin=margin) for margin in (8, 64))
    assert near.border(1.0) > 1e-4
    assert far.border(1.0) < 1e-12


def test_places_have_all_levels_from_one_spot() -> None:
    """Features that hold their own place, in pixels of the image."""

    def own_place(stride: int) -> Tensor:
        place = (torch.arange(64 // stride) + 0.5) * stride
        return torch.stack(torch.meshgrid(place, 2 * place, indexing="ij"))[None]

    found = places_of([own_place(2), own_place(8), own_place(16)], own_place(1), 7, first=3)
    assert found.strides == (2, 8, 16)
    for level, stride in zip([*found.levels, found.image_KC], (2, 8, 16, 1), strict=True):
        apart = (level - found.levels[-1]).abs() / torch.tensor([1.0, 2.0])
        assert apart.max() <= max(stride / 2, 0.5)
    assert len(found.levels[-1].unique(dim=0)) > 4


def test_places_of_two_images_are_joined_in_order() -> None:
    one, other = places(2), places(3)
    both = joined([one, other])
    assert [len(level) for level in both.levels] == [5, 5]
    torch.testing.assert_close(both.image_KC[2:], other.image_KC)


def test_index_and_flips_of_a_response_made_by_hand() -> None:
    middle = torch.zeros(1, 2, 2, 2, dtype=torch.float64)
    middle[0, :, 0, 0] = torch.tensor([-2.0, 2.0])
    middle[0, 0] += 1
    response = Response(middle, middle + 0.5)
    assert response.index(2.0) == pytest.approx((4 * 3 / 16 * 2) / 2)
    assert response.flips() == 0.25
    assert response.border(1.0) == pytest.approx(2 * 0.5**2 / 2)


@pytest.mark.slow
def test_a_unet_of_stride_32_is_measured_free_of_its_border() -> None:
    torch.manual_seed(0)
    network = build_model("unet", 4, encoder="resnet18", decoder_channels=[16] * 5, upsampler="transposed_k3").eval()
    with torch.no_grad():
        image = torch.randn(1, 3, 128, 128)
        features = network.encoder(image)
        response = constant_response(network.core.decode, places_of(features, image, 4))  # type: ignore[operator]
    assert response.index(1.0) > 0
    assert response.border(1.0) < 1e-4 * response.index(1.0)
