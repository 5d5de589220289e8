"""Sub-pixel convolution against loops, ICNR and fastai's blur."""

import pytest
import torch
from torch import Tensor, nn

from segsuite.upsamplers import build_upsampler
from segsuite.upsamplers.base import Upsampler
from tests.upsamplers.references import convolved, cost, float64, random_bias, shift


def convolutions(module: Upsampler) -> list[nn.Conv2d]:
    return [part for part in module.modules() if isinstance(part, nn.Conv2d)]


def sub_pixel_by_loops(x_NCHW: Tensor, conv: nn.Conv2d) -> Tensor:
    """Output (2 i + a, 2 j + b) of channel c is channel 4 c + 2 a + b of the convolution at (i, j)."""
    assert conv.bias is not None
    convolved_NCHW = convolved(x_NCHW, conv.weight, conv.bias)
    n, channels, height, width = convolved_NCHW.shape
    y_NCHW = torch.empty(n, channels // 4, 2 * height, 2 * width, dtype=x_NCHW.dtype)
    for c in range(channels // 4):
        for i in range(2 * height):
            for j in range(2 * width):
                y_NCHW[:, c, i, j] = convolved_NCHW[:, 4 * c + 2 * (i % 2) + j % 2, i // 2, j // 2]
    return y_NCHW


@pytest.mark.parametrize("factor", [2, 4])
def test_chain_equals_plain_loops(factor: int) -> None:
    module, x_NCHW = build_upsampler("pixel_shuffle", 2, 3, factor).double(), float64(2, 2, 3, 4)
    random_bias(module)
    expected_NCHW = x_NCHW
    with torch.no_grad():
        for conv in convolutions(module):
            expected_NCHW = sub_pixel_by_loops(expected_NCHW, conv)
        torch.testing.assert_close(module(x_NCHW), expected_NCHW)


def test_blur_is_the_padding_and_mean_of_fastai_and_mirrored_in_later_steps() -> None:
    module, x_NCHW = build_upsampler("pixel_shuffle_blur", 2, 3, 4).double(), float64(2, 2, 3, 4)
    random_bias(module)
    first, second = convolutions(module)
    of_fastai = nn.Sequential(nn.ReplicationPad2d((1, 0, 1, 0)), nn.AvgPool2d(2, stride=1))
    mirrored = nn.Sequential(nn.ReplicationPad2d((0, 1, 0, 1)), nn.AvgPool2d(2, stride=1))
    with torch.no_grad():
        expected_NCHW = mirrored(sub_pixel_by_loops(of_fastai(sub_pixel_by_loops(x_NCHW, first)), second))
        torch.testing.assert_close(module(x_NCHW), expected_NCHW)


@pytest.mark.parametrize("factor", [2, 4, 8])
def test_blur_moves_content_by_half_a_pixel_of_the_final_output(factor: int) -> None:
    assert shift(build_upsampler("pixel_shuffle_blur", 1, 1, factor), 1) == pytest.approx(0.5, abs=1e-6)


@pytest.mark.parametrize("name", ["pixel_shuffle", "pixel_shuffle_blur"])
def test_equal_phases_gives_the_four_sub_kernels_of_a_channel_one_value(name: str) -> None:
    for conv in convolutions(build_upsampler({"name": name, "init": "equal_phases"}, 3, 5, 4)):
        sub_kernels = conv.weight.detach().view(5, 4, -1)
        assert sub_kernels[:, 0].std() > 0.1
        assert torch.equal(sub_kernels, sub_kernels[:, :1].expand_as(sub_kernels))


def test_equal_phases_starts_as_repeated_pixels_of_a_convolution() -> None:
    module = build_upsampler({"name": "pixel_shuffle", "init": "equal_phases"}, 2, 3).double()
    (conv,), x_NCHW = convolutions(module), float64(1, 2, 3, 4)
    with torch.no_grad():
        coarse_NCHW = convolved(x_NCHW, conv.weight[::4], torch.zeros(3).double())
        expected_NCHW = coarse_NCHW.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
        torch.testing.assert_close(module(x_NCHW), expected_NCHW)


def test_torch_init_draws_what_reset_parameters_draws() -> None:
    module = build_upsampler({"name": "pixel_shuffle", "init": "torch"}, 3, 5)
    module.initialise(torch.Generator().manual_seed(3))
    torch.manual_seed(3)
    expected = nn.Conv2d(3, 20, 3)
    assert all(torch.equal(a, b) for a, b in zip(module.parameters(), expected.parameters(), strict=True))


@pytest.mark.parametrize("name", ["pixel_shuffle", "pixel_shuffle_blur"])
def test_cost_is_as_documented(name: str) -> None:
    assert cost(build_upsampler(name, 3, 5), torch.randn(1, 3, 4, 6)) == (36 * 15, 36 * 15)
