"""SAPA against loops from the paper's similarity kernel."""

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from segsuite.upsamplers.sapa import Sapa
from tests.upsamplers.plain_loops import Floats, array, conv_by_loops, weighted_sum_by_loops


def sapa_with_bias(factor: int, in_channels: int = 3, guide_channels: int = 4) -> Sapa:
    """In float64, with similarities of the order of 1."""
    torch.manual_seed(0)
    module = Sapa(in_channels, 2, factor, guide_channels=guide_channels).double()
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter, std=0.7)
    return module


def normalised_by_loops(x_CHW: Floats, groups: int) -> Floats:
    members = x_CHW.shape[0] // groups
    y_CHW = np.zeros_like(x_CHW)
    for g in range(groups):
        group = x_CHW[g * members : (g + 1) * members]
        y_CHW[g * members : (g + 1) * members] = (group - group.mean()) / np.sqrt(group.var() + 1e-5)
    return y_CHW


def sapa_by_loops(x_NCHW: Tensor, guide_NCHW: Tensor, module: Sapa, groups: tuple[int, int]) -> Floats:
    """The convolution to out_channels after the weighted sum, unlike the module."""
    images = []
    for x_CHW, guide_CHW in zip(array(x_NCHW), array(guide_NCHW), strict=True):
        key_EHW = conv_by_loops(normalised_by_loops(x_CHW, groups[0]), module.key)
        query_EHW = conv_by_loops(normalised_by_loops(guide_CHW, groups[1]), module.query)

        def similarity(
            i: int, j: int, row: int, column: int, query_EHW: Floats = query_EHW, key_EHW: Floats = key_EHW
        ) -> float:
            return float(query_EHW[:, i, j] @ key_EHW[:, row, column])

        images.append(conv_by_loops(weighted_sum_by_loops(x_CHW, module.factor, similarity), module.project))
    return np.stack(images)


@pytest.mark.parametrize(("factor", "height_width"), [(2, (3, 4)), (4, (2, 3)), (2, (1, 1))])
def test_equals_the_loops(factor: int, height_width: tuple[int, int]) -> None:
    module, (height, width) = sapa_with_bias(factor), height_width
    x_NCHW = torch.randn(2, 3, height, width, dtype=torch.float64)
    guide_NCHW = torch.randn(2, 4, height * factor, width * factor, dtype=torch.float64)
    expected_NCHW = sapa_by_loops(x_NCHW, guide_NCHW, module, groups=(3, 4))
    np.testing.assert_allclose(array(module(x_NCHW, guide=guide_NCHW)), expected_NCHW, rtol=1e-9, atol=1e-12)


def test_wide_maps_are_normalised_in_at_most_32_groups() -> None:
    module = sapa_with_bias(2, in_channels=66, guide_channels=64)
    x_NCHW = torch.randn(1, 66, 3, 3, dtype=torch.float64)
    guide_NCHW = torch.randn(1, 64, 6, 6, dtype=torch.float64)
    expected_NCHW = sapa_by_loops(x_NCHW, guide_NCHW, module, groups=(22, 32))
    np.testing.assert_allclose(array(module(x_NCHW, guide=guide_NCHW)), expected_NCHW, rtol=1e-9, atol=1e-12)


def test_fine_pixels_take_the_side_of_the_edge_that_they_resemble() -> None:
    # an edge between fine columns 2 and 3, in the middle of the coarse column 1
    module = Sapa(1, 1, 2, guide_channels=1)
    for weight in (module.query.weight, module.key.weight):
        torch.nn.init.constant_(weight, 5.0)
    torch.nn.init.ones_(module.project.weight)
    x_NCHW = torch.tensor([-1.0, 0.0, 1.0, 1.0]).expand(1, 1, 3, 4)
    guide_NCHW = torch.tensor([-1.0, -1.0, -1.0, 1.0, 1.0, 1.0, 1.0, 1.0]).expand(1, 1, 6, 8)
    y_W = module(x_NCHW, guide=guide_NCHW)[0, 0, 3]
    torch.testing.assert_close(y_W[2:4], torch.tensor([-1.0, 1.0]), atol=0.01, rtol=0)


def test_constant_stays_constant_whatever_the_guide() -> None:
    module, x_NCHW = sapa_with_bias(2), torch.randn(1, 3, 1, 1, dtype=torch.float64).expand(1, 3, 4, 6)
    y_NCHW = module(x_NCHW, guide=torch.randn(1, 4, 8, 12, dtype=torch.float64))
    assert (y_NCHW - module.project(x_NCHW)[..., :1, :1]).abs().max() < 1e-12


def test_brightness_of_an_image_counts_as_guide() -> None:
    # grey steps: the layer norm over channels of the first release would see a constant
    module, x_NCHW = sapa_with_bias(2, guide_channels=3), torch.randn(1, 3, 4, 4, dtype=torch.float64)
    grey_NCHW = torch.randn(1, 1, 8, 8, dtype=torch.float64).expand(1, 3, 8, 8)
    flat_NCHW = torch.zeros_like(grey_NCHW)
    assert (module(x_NCHW, guide=grey_NCHW) - module(x_NCHW, guide=flat_NCHW)).abs().max() > 0.1


@pytest.mark.parametrize("factor", [2, 4])
def test_cost_is_the_formula_of_the_docstring(factor: int) -> None:
    c, d, g, e = 48, 16, 8, 32
    module = Sapa(c, d, factor, guide_channels=g)
    with FlopCounterMode(display=False) as counter:
        module(torch.randn(1, c, 4, 4), guide=torch.randn(1, g, 4 * factor, 4 * factor))
    assert sum(p.numel() for p in module.parameters()) == e * (c + g + 1) + d * (c + 1)
    assert counter.get_total_flops() / 2 / 16 == c * e + c * d + factor**2 * (g * e + 25 * e + 25 * d)
