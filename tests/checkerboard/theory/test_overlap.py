"""Overlap of transposed convolutions, against counting loops, torch on ones, and published values."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from segsuite.checkerboard.theory.overlap import (
    Geometry,
    coefficient_of_variation,
    encoder_shift,
    overlap,
    overlap_2d,
    overlap_of_chain,
)
from segsuite.errors import ConfigError

K3 = Geometry(3, 2, 1)


def geometries() -> st.SearchStrategy[Geometry]:
    return st.tuples(st.integers(1, 9), st.integers(2, 4)).flatmap(
        lambda sizes: st.integers(0, sizes[0] - 1).map(lambda padding: Geometry(*sizes, padding))
    )


def counted(geometry: Geometry) -> list[int]:
    """How often y[o] = sum x[i] w[k], o = s i - p + k, is added to for the s outputs in the middle of 40 inputs."""
    kernel, stride, padding = geometry.kernel, geometry.stride, geometry.padding
    found = [0] * (40 * stride)
    for i in range(40):
        for k in range(kernel):
            o = stride * i - padding + k
            if 0 <= o < len(found):
                found[o] += 1
    return found[20 * stride : 21 * stride]


@given(geometries())
def test_overlap_is_what_the_loops_count(geometry: Geometry) -> None:
    assert overlap(geometry) == counted(geometry)


@given(st.lists(geometries(), min_size=1, max_size=3))
def test_overlap_of_a_chain_is_what_torch_makes_of_ones(chain: list[Geometry]) -> None:
    ones, total = torch.ones(1, 1, 61, dtype=torch.float64), 1
    for geometry in chain:
        kernel = torch.ones(1, 1, geometry.kernel, dtype=torch.float64)
        ones = F.conv_transpose1d(ones, kernel, stride=geometry.stride)[..., geometry.padding :]
        total *= geometry.stride
    middle = 30 * total
    assert overlap_of_chain(chain) == ones[0, 0, middle : middle + total].tolist()


@given(geometries())
def test_overlap_is_even_where_the_stride_divides_the_kernel_and_only_there(geometry: Geometry) -> None:
    cv = coefficient_of_variation(overlap_2d(overlap(geometry)))
    assert (cv == 0) == (geometry.kernel % geometry.stride == 0)


@pytest.mark.parametrize(
    ("kernel", "padding", "cv"), [(2, 0, 0.0), (3, 1, 0.4843), (4, 1, 0.0), (5, 2, 0.2857), (6, 2, 0.0)]
)
def test_variation_of_the_usual_kernels_at_stride_2(kernel: int, padding: int, cv: float) -> None:
    found = coefficient_of_variation(overlap_2d(overlap(Geometry(kernel, 2, padding))))
    assert found == pytest.approx(cv, abs=5e-5)


def test_variation_of_kernel_3_is_that_of_1_2_2_4_taps() -> None:
    assert coefficient_of_variation(overlap_2d(overlap(K3))) == pytest.approx(np.std([1, 2, 2, 4]) / 2.25)


def test_three_steps_of_kernel_3() -> None:
    per_axis = overlap_of_chain([K3] * 3)
    map_SS = overlap_2d(per_axis)
    assert per_axis == [1, 4, 3, 5, 2, 5, 3, 4]
    assert coefficient_of_variation(map_SS) == pytest.approx(0.572, abs=5e-4)
    assert map_SS.max() / map_SS.min() == 25


def test_three_steps_of_kernel_5() -> None:
    per_axis = overlap_of_chain([Geometry(5, 2, 2)] * 3)
    assert coefficient_of_variation(overlap_2d(per_axis)) == pytest.approx(0.300, abs=5e-4)


@pytest.mark.parametrize(("kernel", "stride", "padding"), [(2, 2, 0), (3, 2, 1), (4, 2, 1), (5, 2, 2), (8, 4, 2)])
def test_padding_that_is_left_out_keeps_the_output_centred(kernel: int, stride: int, padding: int) -> None:
    assert Geometry.parse(f"k{kernel}s{stride}") == Geometry(kernel, stride, padding)


@pytest.mark.parametrize("text", ["k0s2p0", "k65s2p0", "k3s1p1", "k3s17p1", "k3s2p3", "3x3", "k3s2p1x"])
def test_a_geometry_that_makes_no_upsampler_is_an_error(text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        Geometry.parse(text)


@given(st.lists(geometries(), min_size=1, max_size=3))
def test_encoder_shift_is_where_a_feature_of_uniform_weights_looks(chain: list[Geometry]) -> None:
    layers, total = nn.Sequential(), 1
    for geometry in chain:
        layers.append(nn.Conv2d(1, 1, geometry.kernel, geometry.stride, geometry.padding, bias=False).double())
        total *= geometry.stride
    for weight in layers.parameters():
        nn.init.ones_(weight)
    pixels = 16 * total
    image = torch.zeros(1, 1, pixels, pixels, dtype=torch.float64, requires_grad=True)
    place = 8  # far from the border
    layers(image)[0, 0, place, place].backward()
    assert image.grad is not None
    seen = image.grad[0, 0].sum(dim=1)
    looks_at = float((seen * torch.arange(pixels)).sum() / seen.sum())
    lies_at = total * place + (total - 1) / 2
    assert encoder_shift(chain) == pytest.approx(lies_at - looks_at, abs=1e-9)
