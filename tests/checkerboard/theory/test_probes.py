"""Responses to constants, polynomials and fields, against numbers known by hand and the exact figures of impulse.py."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from segsuite.checkerboard.theory import impulse as impulses
from segsuite.checkerboard.theory import probes
from segsuite.checkerboard.theory.impulse import measure_impulse
from segsuite.checkerboard.theory.operators import Operator, Step, named
from segsuite.errors import ConfigError

CHANNELS = 4


def operator_of(name: str, init: str = "random", channels: int = CHANNELS, factor: int = 2, seed: int = 0) -> Operator:
    return Operator((named({"name": name, "init": init}, channels, factor, seed),))


def own(module: nn.Module, factor: int, channels: int = 1) -> Operator:
    return Operator((Step(module.double(), channels, channels, factor),))


def scenes(count: int, channels: int = CHANNELS, seed: int = 1) -> Tensor:
    return torch.randn(count, channels, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def reach_of(operator: Operator) -> int:
    scene = scenes(1, operator.in_channels)[0]
    return measure_impulse(operator, scene, scene).reach


def polynomials(operator: Operator) -> list[probes.PolynomialResponse]:
    given = scenes(4, operator.in_channels)
    return [probes.polynomial_response(operator, degree, given, given, reach_of(operator)) for degree in probes.DEGREES]


def keys_taps(offset: float, a: float = -0.75) -> list[float]:
    """Keys' cubic convolution (1981): weights of the pixels at -1, 0, 1, 2 for a place `offset` after pixel 0."""

    def weight(x: float) -> float:
        x = abs(x)
        if x <= 1:
            return (a + 2) * x**3 - (a + 3) * x**2 + 1
        return a * x**3 - 5 * a * x**2 + 8 * a * x - 4 * a

    return [weight(offset - place) for place in (-1, 0, 1, 2)]


ORDERS = [
    ("transposed_k2", "random", 0),
    ("transposed_k3", "random", 0),
    ("transposed_k4", "random", 0),
    ("pixel_shuffle", "random", 0),
    ("nearest_conv", "random", 1),
    ("transposed_k2", "bilinear", 1),
    ("transposed_k4", "equal_phases", 1),
    ("pixel_shuffle", "equal_phases", 1),
    ("transposed_balanced", "random", 1),
    ("transposed_hold", "random", 1),
    ("carafe", "random", 1),
    ("transposed_k3", "bilinear", 2),
    ("pixel_shuffle_blur", "equal_phases", 2),
    ("bilinear_conv", "random", 3),
    ("transposed_k4", "bilinear", 3),
]


@pytest.mark.parametrize(("name", "init", "order"), ORDERS)
def test_strang_fix_order(name: str, init: str, order: int) -> None:
    assert probes.order(polynomials(operator_of(name, init))) == order


@pytest.mark.parametrize(("mode", "factor", "order"), [("nearest", 4, 1), ("bilinear", 4, 2), ("bilinear", 3, 2)])
def test_strang_fix_order_of_a_hat_function_is_2_at_other_factors(mode: str, factor: int, order: int) -> None:
    align = None if mode == "nearest" else False
    operator = own(nn.Upsample(scale_factor=factor, mode=mode, align_corners=align), factor)
    assert probes.order(polynomials(operator)) == order


def test_bicubic_of_torch_does_not_keep_ramps() -> None:
    # its a = -0.75 does not fulfil sum of w[k] k = offset, which Keys' own a = -0.5 does
    for a, keeps in ((-0.5, True), (-0.75, False)):
        moment = sum(weight * place for weight, place in zip(keys_taps(0.25, a), (-1, 0, 1, 2), strict=True))
        assert (moment == pytest.approx(0.25, abs=1e-12)) == keeps
    operator = own(nn.Upsample(scale_factor=2, mode="bicubic", align_corners=False), 2)
    response = polynomials(operator)
    # the pattern is symmetric: the first and the second phase err by the same amount, to opposite sides
    error = sum(weight * place for weight, place in zip(keys_taps(0.25), (-1, 0, 1, 2), strict=True)) - 0.25
    assert probes.order(response) == 1
    assert response[1].ramp_residual == pytest.approx(abs(error), rel=1e-9)


@pytest.mark.parametrize("factor", [2, 3, 4, 8])
def test_nearest_neighbour_turns_a_ramp_into_steps(factor: int) -> None:
    operator = own(nn.Upsample(scale_factor=factor, mode="nearest"), factor)
    phases = (np.arange(factor) + 0.5) / factor - 0.5
    assert polynomials(operator)[1].ramp_residual == pytest.approx(phases.std(), rel=1e-9)


def test_ramp_residual_of_nearest_neighbour_at_factor_2_is_a_quarter() -> None:
    operator = own(nn.Upsample(scale_factor=2, mode="nearest"), 2)
    assert polynomials(operator)[1].ramp_residual == pytest.approx(0.25, rel=1e-9)


def test_pattern_of_constants_is_the_gain_of_each_phase() -> None:
    operator, given = operator_of("transposed_k3"), scenes(3)
    impulse = measure_impulse(operator, given[0], given[0])
    pattern = probes.pattern_of_constants(operator, given, given, impulse.reach)
    torch.testing.assert_close(pattern, torch.einsum("pqoi,ni->nopq", impulse.gains(), given))


def test_a_bias_is_no_pattern() -> None:
    module = nn.ConvTranspose2d(1, 1, 2, 2)
    nn.init.ones_(module.weight)
    nn.init.constant_(module.bias, 7.0)  # type: ignore[arg-type]  # it has a bias
    pattern = probes.pattern_of_constants(own(module, 2), scenes(2, 1), scenes(2, 1), 1)
    torch.testing.assert_close(pattern, scenes(2, 1)[:, :, None, None].expand(-1, -1, 2, 2))


@pytest.mark.parametrize("name", ["transposed_k2", "transposed_k3", "transposed_separable"])
def test_imbalance_of_many_constants_is_that_of_the_gains(name: str) -> None:
    operator, given = operator_of(name), scenes(4000)
    impulse = measure_impulse(operator, given[0], given[0])
    pattern = probes.pattern_of_constants(operator, given, given, impulse.reach)
    parts = [probes.constant_imbalance(part) for part in pattern.split(400)]
    error = float(np.std(parts, ddof=1) / len(parts) ** 0.5)
    assert abs(probes.constant_imbalance(pattern) - impulses.imbalance(impulse.gains())) < 5 * error


def test_harmonics_of_many_constants_are_those_of_the_gains() -> None:
    operator, given = operator_of("transposed_k3"), scenes(4000)
    impulse = measure_impulse(operator, given[0], given[0])
    pattern = probes.pattern_of_constants(operator, given, given, impulse.reach)
    difference = probes.constant_harmonics(pattern) - impulses.harmonics(impulse.gains())
    assert float(difference.abs().max()) < 0.02


@pytest.mark.parametrize("fraction", [0.25, 0.5])
@pytest.mark.parametrize(
    ("name", "init"),
    [("transposed_k3", "random"), ("transposed_k4", "random"), ("nearest_conv", "random"), ("bilinear", "random")],
)
def test_image_rejection_of_random_fields_is_that_of_the_response(name: str, init: str, fraction: float) -> None:
    operator, given = operator_of(name, init), scenes(1)[0]
    impulse = measure_impulse(operator, given, given)
    generator = torch.Generator().manual_seed(2)
    found = [probes.field_rejection(operator, fraction, 4, impulse.reach, generator) for _ in range(12)]
    error = float(np.std(found, ddof=1) / len(found) ** 0.5)
    # 17 bins stand for the band: by the midpoint rule bilinear's nu^4 comes out 0.05 dB too low
    assert abs(float(np.mean(found)) - impulse.image_rejection(fraction)) < 5 * error + 0.06


def test_a_module_that_knows_the_place_is_an_error() -> None:
    class Position(nn.Module):
        def forward(self, x_NCHW: Tensor) -> Tensor:
            y = x_NCHW.repeat_interleave(2, 2).repeat_interleave(2, 3)
            return y * torch.linspace(1, 2, y.shape[-1], dtype=y.dtype)

    with pytest.raises(ConfigError, match="does not treat all places alike"):
        probes.pattern_of_constants(own(Position(), 2), scenes(2, 1), scenes(2, 1), 1)
