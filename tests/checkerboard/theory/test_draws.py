"""The figures of every upsampler of the suite and every initialisation of it, over draws of the weights."""

import json
from functools import cache, partial

import pytest
import torch

from segsuite.checkerboard.theory.build import build_operator
from segsuite.checkerboard.theory.draws import profile
from segsuite.checkerboard.theory.profile import Estimate, Profile
from segsuite.checkerboard.theory.targets import every_upsampler, parse_target
from segsuite.upsamplers import UPSAMPLERS
from segsuite.upsamplers.base import Upsampler

CHANNELS, DRAWS = 8, 3
EXACT = 1e-20  # of the energy: 1e-10 of the amplitude

# Independent weights in every phase: 1 - 1/4 of the response to a constant is pattern, in expectation.
INDEPENDENT_PHASES = {
    *("transposed_k2", "transposed_k2s", "transposed_k3", "transposed_k4", "transposed_separable"),
    *("pixel_shuffle", "dupsampling", "max_unpool"),
    *("transposed_k2:torch", "transposed_k2s:torch", "transposed_k3:torch", "transposed_k4:torch"),
    "pixel_shuffle:torch",
}


@cache
def profile_of(text: str, draws: int = DRAWS, seed: int = 0, factor: int = 2, channels: int = CHANNELS) -> Profile:
    build = partial(build_operator, parse_target(text), channels, factor)
    return profile(text, build, draws, seed)


every_target = pytest.mark.parametrize("target", list(every_upsampler()))


@every_target
def test_a_constant_stays_constant_unless_the_phases_are_independent(target: str) -> None:
    found = profile_of(target).imbalance
    if target in INDEPENDENT_PHASES:
        error = max(found.standard_error or 0.0, 0.02)
        assert abs(found.mean - 0.75) < 4 * error
    else:
        assert found.mean < EXACT


@every_target
def test_harmonics_sum_to_the_imbalance(target: str) -> None:
    found = profile_of(target)
    shares = torch.tensor(found.harmonics, dtype=torch.float64)
    assert float(shares.sum()) == pytest.approx(1)
    assert float(shares.sum() - shares[0, 0]) == pytest.approx(found.imbalance.mean, abs=1e-12)


@every_target
def test_json_is_plain_and_whole(target: str) -> None:
    found = json.loads(json.dumps(profile_of(target).to_json(), allow_nan=False))
    assert found["imbalance"]["draws"] == profile_of(target).draws
    assert set(found["rejection"]) == {"0.25", "0.5"}


@pytest.mark.parametrize("name", UPSAMPLERS)
def test_what_promises_to_keep_constants_keeps_them(name: str) -> None:
    (step,) = build_operator(parse_target(name), CHANNELS, 2, 0).steps
    assert isinstance(step.module, Upsampler)
    if step.module.keeps_constants:
        assert profile_of(name).imbalance.mean < EXACT


@pytest.mark.parametrize("target", ["transposed_k2", "transposed_k3", "transposed_k4"])
@pytest.mark.parametrize("factor", [2, 4])
def test_independent_phases_have_imbalance_1_minus_1_by_s2_whatever_the_overlap(target: str, factor: int) -> None:
    found = profile_of(target, 10, factor=factor, channels=16).imbalance
    assert found.draws == 10
    assert found.standard_error is not None
    assert abs(found.mean - (1 - factor**-2)) < 5 * found.standard_error
    assert abs(found.mean - (1 - factor**-2)) < 0.04


@pytest.mark.parametrize("target", ["transposed_k4", "pixel_shuffle"])
def test_images_of_independent_phases_hold_s2_minus_1_times_the_base_band(target: str) -> None:
    for found in profile_of(target, 10, channels=16).rejection.values():
        assert found.standard_error is not None
        assert abs(found.mean - 4.77) < 5 * found.standard_error + 0.05


@pytest.mark.parametrize(
    ("target", "quarter", "half"),
    [
        ("nearest_conv", -15.85, -9.68),
        ("pixel_shuffle:equal_phases", -15.85, -9.68),
        ("transposed_hold", -15.85, -9.68),
        ("pixel_shuffle_blur:equal_phases", -32.23, -20.09),
        ("carafe", -17.5, -16.0),
        ("bilinear_conv", -47.82, -29.68),
        ("dysample", -47.82, -29.68),
    ],
)
def test_image_rejection_at_the_start(target: str, quarter: float, half: float) -> None:
    found = profile_of(target).rejection
    assert found[0.25].mean == pytest.approx(quarter, abs=0.6)
    assert found[0.5].mean == pytest.approx(half, abs=0.6)


@pytest.mark.parametrize(
    ("target", "factor", "variation"),
    [
        ("transposed_k3", 2, 0.4843),
        ("transposed_k3", 8, 0.5725),
        ("transposed_k3+transposed_k3+transposed_k3", 2, 0.5725),
        ("k3s2p1+k3s2p1+k3s2p1", 2, 0.5725),
        ("transposed_k3:equal_phases", 2, 0.4843),
        ("k5s2p2", 2, 0.2857),
        ("transposed_k4", 8, 0.0),
        ("nearest_conv", 4, 0.0),
        ("bilinear_conv", 8, 0.0),
        ("transposed_k2:bilinear", 2, 0.0),
        ("transposed_hold", 2, 0.2857),  # with the mean over 2 x 2 it is a kernel 5
    ],
)
def test_overlap_variation(target: str, factor: int, variation: float) -> None:
    assert profile_of(target, 1, factor=factor).overlap_cv == pytest.approx(variation, abs=5e-5)


def test_overlap_of_a_chain_counts_paths() -> None:
    found = profile_of("transposed_k3", 1, factor=8).overlap
    per_axis = [1, 4, 3, 5, 2, 5, 3, 4]
    assert found == [[down * right for right in per_axis] for down in per_axis]


@pytest.mark.parametrize(
    ("target", "parameters", "multiply_adds"),
    [
        ("transposed_k2", 4 * 64 + 8, 4 * 64),
        ("transposed_k3", 9 * 64 + 8, 9 * 64),
        ("transposed_k4", 16 * 64 + 8, 16 * 64),
        ("bilinear_conv", 9 * 64 + 8, 36 * 64),
        ("pixel_shuffle", 4 * (9 * 64 + 8), 36 * 64),
        ("bilinear", 0, 0),
    ],
)
def test_cost_is_that_of_the_formulas(target: str, parameters: int, multiply_adds: int) -> None:
    found = profile_of(target)
    assert (found.parameters, found.multiply_adds) == (parameters, multiply_adds)


def test_the_default_start_of_torch_has_a_twelfth_of_the_power() -> None:
    # U(-b, b), b^2 = 1 / (C_out K^2), has variance b^2 / 3; C_in K^2 / 4 products are summed: 1 / 12 for C_in = C_out
    for kernel in (2, 3, 4):
        found = profile_of(f"transposed_k{kernel}:torch", 8).noise_gain
        assert found.standard_error is not None
        assert abs(found.mean - 1 / 12) < 5 * found.standard_error


def test_data_dependent_upsamplers_are_known_as_such() -> None:
    dependent = {name for name in UPSAMPLERS if profile_of(name).data_dependent}
    assert dependent == {"carafe", "dysample", "fade", "joint_bilateral", "max_unpool", "sapa"}


def test_the_same_seed_gives_the_same_figures_and_another_gives_others() -> None:
    build = partial(build_operator, parse_target("carafe"), CHANNELS, 2)
    assert profile("carafe", build, 2, 0).to_json() == profile("carafe", build, 2, 0).to_json()
    assert profile("carafe", build, 2, 0).condition != profile("carafe", build, 2, 1).condition


def test_what_has_nothing_to_draw_is_drawn_once() -> None:
    assert profile_of("transposed_k4:bilinear", 20).imbalance == Estimate(0.0, None, 1)


def test_standard_error_is_that_of_the_mean() -> None:
    found = Estimate.of([1.0, 2.0, 4.0])
    assert found.mean == pytest.approx(7 / 3)
    assert found.standard_error == pytest.approx((7 / 3 / 3) ** 0.5)  # variance 7/3 of 3 draws


def test_geometric_mean_has_its_own_standard_error() -> None:
    found = Estimate.geometric([1.0, 100.0])
    assert found.mean == pytest.approx(10)
    assert found.standard_error == pytest.approx(10 * 2.302585093)  # of the logarithm: ln 10


def test_an_infinite_condition_is_told_in_words() -> None:
    found = profile_of("bilinear_additive").to_json()
    assert found["condition"]["mean"] == "infinite"


def test_pictures_have_the_sizes_they_are_drawn_with() -> None:
    found = profile_of("transposed_k4").pictures
    assert (len(found.impulse), len(found.constant), len(found.spectrum)) == (6, 16, 48)
    assert max(abs(value) for row in found.impulse for value in row) == 1
    assert found.spectrum[0][0] == 0
