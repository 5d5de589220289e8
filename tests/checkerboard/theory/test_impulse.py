"""What follows from the response to a pixel, against loops over kernels, numpy transforms and values known by hand."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from segsuite.checkerboard.theory import impulse as impulses
from segsuite.checkerboard.theory.impulse import measure_impulse
from segsuite.checkerboard.theory.operators import Operator, constant_guide, named
from segsuite.checkerboard.theory.overlap import Geometry
from segsuite.errors import ConfigError
from tests.checkerboard.theory.tried import CHANNELS, GEOMETRIES, Hold, measured, of, own, transposed


def gains_by_loops(weight_IOKK: NDArray[np.float64], geometry: Geometry) -> NDArray[np.float64]:
    """Sum of the taps with o = s i - p + k in each phase."""
    kernel, stride = geometry.kernel, geometry.stride
    gains = np.zeros((stride, stride, CHANNELS, CHANNELS))
    for down in range(kernel):
        for right in range(kernel):
            phase = (down - geometry.padding) % stride, (right - geometry.padding) % stride
            gains[phase] += weight_IOKK[:, :, down, right].T
    return gains


class Squared(Hold):
    """The square of each value, repeated: its derivative at u is 2 u times the repetition."""

    def forward(self, x_NCHW: Tensor) -> Tensor:
        return super().forward(x_NCHW.square())


@pytest.mark.parametrize("geometry", GEOMETRIES, ids=str)
def test_phase_gains_are_the_sums_of_the_taps_of_each_phase(geometry: Geometry) -> None:
    operator, weight = transposed(geometry)
    np.testing.assert_allclose(measured(operator).gains(), gains_by_loops(weight, geometry), atol=1e-12)


@pytest.mark.parametrize("geometry", GEOMETRIES, ids=str)
def test_imbalance_is_the_variance_of_the_gains_by_their_mean_square(geometry: Geometry) -> None:
    operator, weight = transposed(geometry)
    gains = gains_by_loops(weight, geometry)
    variance = energy = 0.0
    for pair in gains.reshape(geometry.stride**2, -1).T:
        variance += float(np.mean((pair - pair.mean()) ** 2))
        energy += float(np.mean(pair**2))
    assert impulses.imbalance(measured(operator).gains()) == pytest.approx(variance / energy, rel=1e-12)


def test_one_phase_of_four_alone_has_imbalance_three_quarters() -> None:
    gains = torch.zeros(2, 2, 1, 1, dtype=torch.float64)
    gains[0, 1] = 3.0
    assert impulses.imbalance(gains) == pytest.approx(0.75)


@pytest.mark.parametrize("geometry", GEOMETRIES, ids=str)
def test_harmonics_are_those_of_the_response_to_constants(geometry: Geometry) -> None:
    # all bins but the multiples of 1/S of the transform of a real, large response are empty
    operator, _ = transposed(geometry)
    stride, energies = geometry.stride, 0.0
    guide = constant_guide(torch.zeros(CHANNELS, CHANNELS), 12)
    y = operator(torch.eye(CHANNELS, dtype=torch.float64)[:, :, None, None].expand(-1, -1, 12, 12), guide)
    inside = y[..., 3 * stride : 9 * stride, 3 * stride : 9 * stride].numpy()
    energies = (np.abs(np.fft.fft2(inside)) ** 2).sum(axis=(0, 1))
    found = impulses.harmonics(measured(operator).gains())
    np.testing.assert_allclose(energies[::6, ::6] / energies.sum(), found, atol=1e-12)


def test_harmonics_but_the_first_sum_to_the_imbalance() -> None:
    gains = of("transposed_k3", factor=4).gains()
    shares = impulses.harmonics(gains)
    assert float(shares.sum()) == pytest.approx(1)
    assert float(shares.sum() - shares[0, 0]) == pytest.approx(impulses.imbalance(gains), rel=1e-12)


@pytest.mark.parametrize(
    ("pattern", "place"),
    [([[1, -1], [1, -1]], (0, 1)), ([[1, 1], [-1, -1]], (1, 0)), ([[1, -1], [-1, 1]], (1, 1))],
)
def test_stripes_and_checkerboards_excite_one_harmonic(pattern: list[list[int]], place: tuple[int, int]) -> None:
    gains = torch.tensor(pattern, dtype=torch.float64)[:, :, None, None]
    shares = impulses.harmonics(gains)
    assert float(shares[place]) == pytest.approx(1)


def test_noise_gain_is_the_power_of_filtered_white_noise() -> None:
    operator, _ = transposed(Geometry(4, 2, 1))
    noise = torch.randn(400, CHANNELS, 8, 8, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    y = operator(noise, constant_guide(torch.zeros(400, CHANNELS), 8))[..., 4:-4, 4:-4]
    power = y.square().mean(dim=(1, 2, 3))
    error = float(power.std() / 400**0.5)
    assert abs(float(power.mean()) - measured(operator).noise_gain()) < 5 * error


@pytest.mark.parametrize(
    ("name", "init", "shift"),
    [
        ("bilinear", "random", 0.0),
        ("transposed_k2", "bilinear", 0.0),
        ("transposed_k3", "bilinear", -0.5),
        ("transposed_k4", "bilinear", 0.0),
    ],
)
def test_shift_of_symmetric_kernels(name: str, init: str, shift: float) -> None:
    assert of(name, init).shift() == pytest.approx((shift, shift), abs=1e-12)


def test_three_steps_of_kernel_3_move_the_content_by_three_and_a_half_pixels() -> None:
    assert of("transposed_k3", "bilinear", factor=8).shift() == pytest.approx((-3.5, -3.5), abs=1e-9)


def test_shift_of_a_module_that_moves_by_two_down_and_one_right() -> None:
    class Moved(Hold):
        def forward(self, x_NCHW: Tensor) -> Tensor:
            return super().forward(x_NCHW).roll((2, 1), (2, 3))

    assert measured(own(Moved(2), 2)).shift() == pytest.approx((2, 1))


def test_condition_of_nearest_neighbour_is_1() -> None:
    assert measured(own(Hold(3), 3)).condition() == pytest.approx(1)


def test_condition_of_bilinear_is_4() -> None:
    # per axis the phases (1/4, 3/4) and (3/4, 1/4) give |P|^2 = 5/4 + 3/4 cos w: 2 at 0 and 1/2 at Nyquist
    assert of("bilinear").condition() == pytest.approx(4)


def test_condition_of_kernel_2_is_that_of_its_stacked_matrices() -> None:
    operator, weight = transposed(Geometry(2, 2, 0))
    stacked = weight.transpose(2, 3, 1, 0).reshape(4 * CHANNELS, CHANNELS)
    assert measured(operator).condition() == pytest.approx(np.linalg.cond(stacked))


def test_condition_of_kernel_4_is_that_of_its_matrix_on_a_torus() -> None:
    # all 16 x 16 pixels of a periodic input, one column of the whole matrix each: the same frequencies
    kernel = np.random.default_rng(0).normal(size=(4, 4))
    conv = nn.ConvTranspose2d(1, 1, 4, 2, 1, bias=False).double()
    conv.weight.data[0, 0] = torch.from_numpy(kernel)
    matrix = np.zeros((32, 32, 16, 16))
    for row in range(16):
        for column in range(16):
            for down in range(4):
                for right in range(4):
                    matrix[(2 * row - 1 + down) % 32, (2 * column - 1 + right) % 32, row, column] += kernel[down, right]
    expected = np.linalg.cond(matrix.reshape(1024, 256))
    assert measured(own(conv, 2)).condition() == pytest.approx(expected)


def test_condition_is_infinite_where_channels_are_summed() -> None:
    assert of("bilinear_additive").condition() == float("inf")


def test_condition_is_infinite_where_there_are_fewer_outputs_than_inputs() -> None:
    operator = own(nn.ConvTranspose2d(5, 1, 2, 2), 2, channels=5)
    assert measured(operator).condition() == float("inf")


def test_power_at_the_harmonics_is_that_of_the_gains() -> None:
    impulse = of("transposed_k3", factor=4)
    at_harmonics = impulse.power(6)[::6, ::6]
    torch.testing.assert_close(at_harmonics / at_harmonics.sum(), impulses.harmonics(impulse.gains()))


@pytest.mark.parametrize("size", [3, 8, 32])
def test_power_is_the_transform_of_the_response_whatever_the_number_of_bins(size: int) -> None:
    operator, weight = transposed(Geometry(4, 2, 1))
    power = measured(operator).power(size)
    bins, taps = np.arange(2 * size) / (2 * size), np.arange(4)
    waves = np.exp(-2j * np.pi * np.outer(bins, taps))
    expected = (np.abs(np.einsum("ak,iokl,bl->ioab", waves, weight, waves)) ** 2).sum(axis=(0, 1))
    np.testing.assert_allclose(power, expected, atol=1e-9)


def test_power_is_all_that_leaves() -> None:
    impulse = of("transposed_k4")
    mean = float(impulse.power(32).mean())
    assert mean == pytest.approx(float(impulse.map_IOYX.square().sum()))


def test_a_nonlinear_module_is_linearised_at_the_scene() -> None:
    scene = torch.tensor([1.5], dtype=torch.float64)
    impulse = measure_impulse(own(Squared(2), 2), scene, scene)
    torch.testing.assert_close(impulse.gains(), torch.full((2, 2, 1, 1), 3.0, dtype=torch.float64))
    assert not impulse.exact


@pytest.mark.parametrize("name", ["carafe", "dysample"])
def test_a_data_dependent_upsampler_is_linearised_where_its_kernels_are_fixed(name: str) -> None:
    # at a constant the derivative of the kernels meets no difference: the response sums to the projection alone
    step = named(name, CHANNELS, 2, 0)
    impulse = measured(Operator((step,)))
    project = step.module.get_submodule("steps.0.project")
    assert isinstance(project, nn.Conv2d)
    expected = project.weight[..., 0, 0].expand(2, 2, -1, -1)
    torch.testing.assert_close(impulse.gains(), expected.detach(), atol=1e-9, rtol=1e-9)


def test_support_is_where_a_phase_looks() -> None:
    support = of("bilinear").support()
    # the first phase lies before its pixel's middle: it looks 0 and 1 pixels back
    assert support[0, 0].tolist() == [[False, False, False], [False, True, True], [False, True, True]]
    assert support[1, 1].tolist() == [[True, True, False], [True, True, False], [False, False, False]]


def test_the_grid_grows_until_the_response_fits() -> None:
    wide = nn.Sequential(nn.Conv2d(1, 1, 21, padding=10, bias=False), Hold(2))
    assert measured(own(wide, 2)).reach == 10


def test_a_module_that_looks_everywhere_is_an_error() -> None:
    class Centred(Hold):
        def forward(self, x_NCHW: Tensor) -> Tensor:
            return super().forward(x_NCHW - x_NCHW.mean(dim=(2, 3), keepdim=True))

    with pytest.raises(ConfigError, match="more than 65 x 65"):
        measured(own(Centred(2), 2))


def test_aligned_corners_are_an_error() -> None:
    with pytest.raises(ConfigError, match="does not treat all places alike"):
        measured(own(nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True), 2))
