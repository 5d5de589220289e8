"""Separable transposed convolution against loops over the full kernel that it stands for."""

import pytest
import torch
from torch import nn

from segsuite.upsamplers import build_upsampler
from tests.upsamplers.references import cost, float64, random_bias, transposed


@pytest.mark.parametrize("factor", [2, 4])
def test_equals_loops_over_the_product_of_both_kernels(factor: int) -> None:
    module, x_NCHW = build_upsampler("transposed_separable", 2, 3, factor).double(), float64(2, 2, 3, 4)
    random_bias(module)
    spatial = [part for part in module.modules() if isinstance(part, nn.ConvTranspose2d)]
    across = [part for part in module.modules() if isinstance(part, nn.Conv2d)]
    expected_NCHW = x_NCHW
    with torch.no_grad():
        for depthwise, pointwise in zip(spatial, across, strict=True):
            assert pointwise.bias is not None
            kernel_IOKK = depthwise.weight * pointwise.weight.transpose(0, 1)
            assert kernel_IOKK.shape[2:] == (4, 4)
            expected_NCHW = transposed(expected_NCHW, kernel_IOKK, pointwise.bias, 2, -1)
        torch.testing.assert_close(module(x_NCHW), expected_NCHW)


def test_cost_is_as_documented() -> None:
    module = build_upsampler("transposed_separable", 3, 5)
    assert cost(module, torch.randn(1, 3, 4, 6)) == (16 * 3 + 15, 16 * 3 + 4 * 15)
