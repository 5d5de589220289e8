"""Image rejection against adaptive quadrature, the autocorrelation of kernels and values known by hand."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.integrate import quad  # type: ignore[import-untyped]
from torch import nn

from segsuite.checkerboard.theory.overlap import Geometry
from tests.checkerboard.theory.tried import GEOMETRIES, Hold, measured, of, own, transposed


def by_quadrature(kernel: NDArray[np.float64], factor: int, fraction: float) -> float:
    """Image rejection of a separable interpolator with that kernel along an axis: adaptive quadrature of |H|^2."""
    half, place = fraction / 2 / factor, np.arange(len(kernel))

    def power(nu: float) -> float:
        return float(np.abs((kernel * np.exp(-2j * np.pi * nu * place)).sum()) ** 2)

    base, *images = (quad(power, k / factor - half, k / factor + half, epsabs=0)[0] for k in range(factor))
    return float(10 * np.log10(sum(images) * (2 * base + sum(images)) / base**2))


NEAREST, TENT = np.ones(2), np.array([0.25, 0.75, 0.75, 0.25])


@pytest.mark.parametrize(
    ("name", "init", "kernel", "quarter", "half"),
    [
        ("transposed_k2", "bilinear", NEAREST, -15.85, -9.68),
        ("bilinear", "random", TENT, -47.82, -29.68),
        ("transposed_k4", "bilinear", TENT, -47.82, -29.68),
        ("transposed_k3", "bilinear", np.array([0.5, 1, 0.5]), -32.23, -20.09),
    ],
)
def test_image_rejection_of_interpolators(
    name: str, init: str, kernel: NDArray[np.float64], quarter: float, half: float
) -> None:
    impulse = of(name, init)
    for fraction, known in ((0.25, quarter), (0.5, half)):
        assert impulse.image_rejection(fraction) == pytest.approx(by_quadrature(kernel, 2, fraction), abs=1e-9)
        assert impulse.image_rejection(fraction) == pytest.approx(known, abs=0.005)


@pytest.mark.parametrize("factor", [2, 3, 8])
def test_image_rejection_of_repetition_by_any_factor(factor: int) -> None:
    found = measured(own(Hold(factor), factor)).image_rejection(0.5)
    assert found == pytest.approx(by_quadrature(np.ones(factor), factor, 0.5), abs=1e-9)


@pytest.mark.parametrize("geometry", GEOMETRIES, ids=str)
def test_image_rejection_of_random_kernels_is_that_of_their_autocorrelation(geometry: Geometry) -> None:
    """|H|^2 is the transform of the autocorrelation: over a band of half width w each lag integrates to a sinc; of
    all bands around k/S the lags remain that S divides."""
    operator, weight = transposed(geometry)
    kernel, stride, half = geometry.kernel, geometry.stride, 0.25 / 2 / geometry.stride
    base = everything = 0.0
    for down in range(1 - kernel, kernel):
        for right in range(1 - kernel, kernel):
            rows, columns = (slice(max(0, lag), kernel + min(0, lag)) for lag in (down, right))
            back_rows, back_columns = (slice(max(0, -lag), kernel + min(0, -lag)) for lag in (down, right))
            correlation = (weight[:, :, rows, columns] * weight[:, :, back_rows, back_columns]).sum()
            band = correlation * (2 * half) ** 2 * np.sinc(2 * half * down) * np.sinc(2 * half * right)
            base += band
            everything += stride**2 * band * (down % stride == right % stride == 0)
    expected = 10 * np.log10((everything - base) / base)
    assert measured(operator).image_rejection(0.25) == pytest.approx(expected, abs=1e-8)


def test_image_rejection_of_zero_insertion_is_what_s2_minus_1_images_hold() -> None:
    zeros = own(nn.ConvTranspose2d(1, 1, 1, 3, 0, output_padding=2, bias=False), 3)
    assert measured(zeros).image_rejection(0.5) == pytest.approx(10 * np.log10(8))


def test_an_interpolator_that_is_nearly_ideal_rejects_nearly_all() -> None:
    """A sinc of 64 values under a Kaiser window, 0 at the images to 1e-7 of the amplitude."""
    sinc = nn.ConvTranspose2d(1, 1, 64, 2, 31, bias=False).double()
    place = np.arange(64) - 31.5
    kernel = np.sinc(place / 2) * np.kaiser(64, 14)
    sinc.weight.data[0, 0] = torch.from_numpy(np.outer(kernel, kernel))
    found = measured(own(sinc, 2)).image_rejection(0.5)
    assert found == pytest.approx(by_quadrature(kernel, 2, 0.5), abs=1e-4)
    assert found < -130
