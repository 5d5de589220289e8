"""The effective field, against repeated convolution of boxes, and its measures, against planted fields."""

import numpy as np
import pytest
import torch
from scipy.signal import convolve2d
from torch import Tensor, nn

from segsuite.errors import ConfigError
from segsuite.inspect.effective_field import INPUT, OUTPUT, effective_fields, see
from segsuite.inspect.effective_field_measures import energy_radius, field_measures
from segsuite.inspect.effective_field_support import field_size, path_fields


def ones(layers: int, kernel: int = 3) -> nn.Sequential:
    """Convolutions of ones, without padding."""
    stack = nn.Sequential(*(nn.Conv2d(1, 1, kernel, bias=False, dtype=torch.float64) for _ in range(layers)))
    for parameter in stack.parameters():
        nn.init.ones_(parameter)
    return stack


def images(count: int, side: int, channels: int = 3, kind: torch.dtype = torch.float32) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(1, channels, side, side, generator=generator, dtype=kind) for _ in range(count)]


@pytest.mark.parametrize("layers", [1, 3, 6])
def test_the_amplitude_of_convolutions_of_ones_is_a_repeated_box(layers: int) -> None:
    box = np.ones((1, 1))
    for _ in range(layers):
        box = convolve2d(box, np.ones((3, 3)))
    field = effective_fields(ones(layers), images(2, 1 + 2 * layers, 1, torch.float64))[INPUT]
    np.testing.assert_allclose(field.amplitude_HW, box / box.max(), rtol=1e-12)


def test_the_spread_of_uniform_convolutions_is_that_of_added_boxes() -> None:
    field = effective_fields(ones(8), images(1, 17, 1, torch.float64))[INPUT]
    amplitude = field.amplitude_HW
    found = field_measures(amplitude).spread
    assert found == pytest.approx(((8 * (3**2 - 1) / 12) ** 0.5,) * 2)


def test_random_weights_have_the_energy_of_the_paths() -> None:
    torch.manual_seed(0)
    total = np.zeros((7, 7))
    for _ in range(400):
        stack = nn.Sequential(nn.Conv2d(3, 32, 3), nn.Conv2d(32, 32, 3), nn.Conv2d(32, 4, 3))
        total += effective_fields(stack, images(1, 7))[INPUT].energy_HW
    box = np.ones((1, 1))
    for _ in range(3):
        box = convolve2d(box, np.ones((3, 3)))
    # Squared normals of 3 colours: the relative standard error of the mean of 400 draws is sqrt(2 / 3 / 400) = 0.04.
    assert np.abs(total / total.sum() / (box / box.sum()) - 1).max() < 5 * 0.04


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(8, 4, 3, padding=1), nn.ReLU6()
    ).eval()


def test_scaling_the_weights_changes_no_amplitude() -> None:
    plain, scaled = network(), network()
    with torch.no_grad():
        scaled[0].weight *= 5.0
        scaled[0].bias *= 5.0
    for one in (plain, scaled):
        one[4] = nn.ReLU()
        nn.init.zeros_(one[3].bias)  # it does not scale along
    found = [effective_fields(one, images(3, 16))[INPUT].amplitude_HW for one in (plain, scaled)]
    np.testing.assert_allclose(found[0], found[1], rtol=1e-5, atol=1e-7)


def test_random_signs_give_the_sum_over_the_channels() -> None:
    one, given = network(), images(1, 16)[0].requires_grad_()
    output = one(given)
    expected = torch.zeros(16, 16, dtype=torch.float64)
    for channel in range(4):
        (gradient,) = torch.autograd.grad(output[0, channel, 4, 4], given, retain_graph=True)
        expected += gradient[0].double().square().sum(dim=0)
    found = effective_fields(one, [given] * 400)[INPUT].energy_HW
    assert np.abs(found - expected.numpy()).max() < 0.15 * float(expected.max())


def test_a_field_in_a_layer_is_in_the_pixels_of_that_layer() -> None:
    found = effective_fields(network(), images(1, 16), of="3", by=("2", INPUT))
    assert found["2"].energy_HW.shape == (8, 8)
    assert np.count_nonzero(found["2"].energy_HW) == 9
    assert found["2"].centre == (4, 4)


def test_phases_are_aligned_on_the_place_of_the_output() -> None:
    stack = nn.Sequential(nn.Conv2d(1, 1, 1), nn.Conv2d(1, 1, 1))
    field = effective_fields(stack, images(9, 16, 1), phases=4)[INPUT]
    assert np.count_nonzero(field.energy_HW) == 1
    assert field.energy_HW[field.centre] > 0


@pytest.mark.parametrize(
    ("of", "by", "hint"),
    [("5", INPUT, "unknown layer"), ("0", "3", "does not depend"), (OUTPUT, "0[x]", "unknown layer")],
)
def test_layers_that_do_not_fit_are_refused(of: str, by: str, hint: str) -> None:
    with pytest.raises(ConfigError, match=hint):
        effective_fields(network(), images(1, 16), of, (by,))


def test_a_layer_of_a_list_is_chosen_by_its_index() -> None:
    class Encoder(nn.Module):
        def forward(self, x: Tensor) -> list[Tensor]:
            return [x * 2, x[..., ::2, ::2] * 3]

    class Whole(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.encoder = Encoder()

        def forward(self, x: Tensor) -> Tensor:
            return self.encoder(x)[-1]

    seen = see(Whole(), images(1, 8)[0], ("encoder", "encoder[0]"))
    assert seen["encoder"].shape[-1] == 4
    assert seen["encoder[0]"].shape[-1] == 8


class Residual(nn.Module):
    """What no list of windows can tell: branches, a norm, a gate from the whole map."""

    def __init__(self, rate: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(4, 4, 3, padding=rate, dilation=rate)
        self.norm = nn.BatchNorm2d(4)
        self.gate = nn.Conv2d(4, 4, 1)

    def forward(self, x: Tensor) -> Tensor:
        y = torch.relu(self.norm(self.first(x)))
        return x + y * self.gate(y.mean((2, 3), keepdim=True)).sigmoid()


@pytest.mark.parametrize(("rates", "pooled"), [([1], True), ([2, 2], False), ([3, 2, 1], True), ([3], False)])
def test_paths_are_where_random_weights_have_a_gradient(rates: list[int], pooled: bool) -> None:
    torch.manual_seed(1)
    start = [nn.Conv2d(3, 4, 3, 2, 1)] + ([nn.MaxPool2d(3, 1, 1)] if pooled else [])
    stack = nn.Sequential(*start, *(Residual(rate) for rate in rates)).eval()
    for module in stack.modules():
        if isinstance(module, Residual):
            nn.init.zeros_(module.gate.weight)  # no path over the mean of the map, the gate stays half open
    reached = path_fields(stack, (40, 40))[INPUT].energy_HW > 0
    drawn = effective_fields(stack, images(20, 40))[INPUT].energy_HW > 0
    assert not (drawn & ~reached).any()
    assert (drawn[reached]).mean() > 0.9


def test_the_side_of_a_strided_stack_is_that_of_the_recursion() -> None:
    stack = nn.Sequential(nn.Conv2d(3, 4, 7, 2, 3), nn.MaxPool2d(3, 2, 1), nn.Conv2d(4, 4, 3, 1, 2, 2))
    assert field_size(stack) == (7 + 2 * 2 + 4 * 4, True)


def test_a_ceil_mode_pooling_reaches_what_it_pads() -> None:
    stack = nn.Sequential(nn.MaxPool2d(3, 2, ceil_mode=True), nn.Conv2d(3, 1, 1))
    assert np.count_nonzero(path_fields(stack, (16, 16))[INPUT].energy_HW) == 9


def test_area_and_radii_of_a_planted_gaussian() -> None:
    places = np.arange(201) - 100
    energy = np.exp(-(places[:, None] ** 2 + places[None] ** 2) / 20.0**2)  # amplitude of deviation 20
    found = field_measures(energy, theoretical=161)
    assert found.side == pytest.approx((2 * np.pi * np.log(1 / 0.0455)) ** 0.5 * 20, rel=0.01)
    assert found.share() == pytest.approx(found.side**2 / 161**2)
    assert found.radii[0.5] == pytest.approx(20 * np.log(2) ** 0.5, rel=0.02)
    assert found.radii[0.9] == pytest.approx(20 * np.log(10) ** 0.5, rel=0.02)
    assert found.spread == pytest.approx((20 / 2**0.5,) * 2, rel=0.01)
    assert found.cut == 0.0


def test_a_single_pixel_has_the_radius_of_its_area() -> None:
    energy = np.zeros((5, 5))
    energy[2, 3] = 2.0
    assert energy_radius(energy, 0.9, (2.0, 3.0)) == pytest.approx(np.pi**-0.5)


def test_what_lies_beyond_the_image_is_told() -> None:
    assert field_measures(np.ones((10, 20)), theoretical=20).cut == pytest.approx(0.5)
