"""FADE against loops from the paper's semi-shift convolution and gate."""

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from segsuite.upsamplers.fade import Fade
from tests.upsamplers.plain_loops import Floats, array, conv_by_loops, weighted_sum_by_loops


def fade_with_bias(factor: int) -> Fade:
    torch.manual_seed(0)
    module = Fade(3, 2, factor, guide_channels=4).double()
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter, std=0.4)
    return module


def fade_by_loops(x_NCHW: Tensor, guide_NCHW: Tensor, module: Fade) -> Floats:
    s, images = module.factor, []
    for x_CHW, guide_CHW in zip(array(x_NCHW), array(guide_NCHW), strict=True):
        fine_THW = conv_by_loops(conv_by_loops(guide_CHW, module.compress_guide), module.content)
        coarse_THW = conv_by_loops(conv_by_loops(x_CHW, module.compress_x), module.content, bias=False)

        def log_weight(
            i: int, j: int, row: int, column: int, fine_THW: Floats = fine_THW, coarse_THW: Floats = coarse_THW
        ) -> float:
            tap = 5 * (row - i // s + 2) + column - j // s + 2
            return float(fine_THW[tap, i, j] + coarse_THW[tap, i // s, j // s])

        y_CHW = conv_by_loops(weighted_sum_by_loops(x_CHW, s, log_weight), module.project_x)
        projected_CHW = conv_by_loops(guide_CHW, module.project_guide)
        gate_HW = 1 / (1 + np.exp(-conv_by_loops(x_CHW, module.gate)[0]))
        for i in range(y_CHW.shape[1]):
            for j in range(y_CHW.shape[2]):
                gate = gate_HW[i // s, j // s]
                y_CHW[:, i, j] = gate * projected_CHW[:, i, j] + (1 - gate) * y_CHW[:, i, j]
        images.append(y_CHW)
    return np.stack(images)


@pytest.mark.parametrize(("factor", "height_width"), [(2, (3, 4)), (4, (2, 3)), (2, (1, 1))])
def test_equals_the_loops(factor: int, height_width: tuple[int, int]) -> None:
    module, (height, width) = fade_with_bias(factor), height_width
    x_NCHW = torch.randn(2, 3, height, width, dtype=torch.float64)
    guide_NCHW = torch.randn(2, 4, height * factor, width * factor, dtype=torch.float64)
    expected_NCHW = fade_by_loops(x_NCHW, guide_NCHW, module)
    np.testing.assert_allclose(array(module(x_NCHW, guide=guide_NCHW)), expected_NCHW, rtol=1e-9, atol=1e-12)


def test_the_shared_convolution_starts_with_the_variance_of_the_authors() -> None:
    """Xavier: 2 / (fan in + fan out), of 3 x 3 from 64 to 25 channels."""
    torch.manual_seed(0)
    weight = Fade(40, 8, guide_channels=30).content.weight.detach()
    assert weight.shape == (25, 64, 3, 3)
    assert float(weight.square().mean()) == pytest.approx(2 / (9 * (64 + 25)), rel=0.03)


def test_open_gate_gives_the_guide() -> None:
    module, guide_NCHW = fade_with_bias(2), torch.randn(1, 4, 8, 6, dtype=torch.float64)
    torch.nn.init.constant_(module.gate.bias, 1000.0)  # type: ignore[arg-type]  # it has a bias
    y_NCHW = module(torch.randn(1, 3, 4, 3, dtype=torch.float64), guide=guide_NCHW)
    torch.testing.assert_close(y_NCHW, module.project_guide(guide_NCHW))


def test_constant_features_and_guide_give_a_constant() -> None:
    # at the border too, where the 3x3 convolutions read zeros: the kernels differ there, their sum stays 1
    module, x_NCHW = fade_with_bias(2), torch.randn(1, 3, 1, 1, dtype=torch.float64).expand(1, 3, 4, 5)
    y_NCHW = module(x_NCHW, guide=torch.ones(1, 4, 8, 10, dtype=torch.float64))
    assert (y_NCHW - y_NCHW[..., :1, :1]).abs().max() < 1e-12


def test_gate_starts_half_open() -> None:
    module, x_NCHW = Fade(32, 8, guide_channels=4), torch.randn(1, 32, 6, 6)
    torch.testing.assert_close(module.gate(x_NCHW).sigmoid(), torch.full((1, 1, 6, 6), 0.5), atol=0.01, rtol=0)


@pytest.mark.parametrize(("channels", "guide_channels", "compressed"), [(48, 8, 56), (128, 64, 64)])
@pytest.mark.parametrize("factor", [2, 4])
def test_cost_is_the_formula_of_the_docstring(channels: int, guide_channels: int, compressed: int, factor: int) -> None:
    c, d, g, m = channels, 16, guide_channels, compressed
    module = Fade(c, d, factor, guide_channels=g)
    with FlopCounterMode(display=False) as counter:
        module(torch.randn(1, c, 4, 4), guide=torch.randn(1, g, 4 * factor, 4 * factor))
    parameters = m * (c + g + 1) + 25 * (9 * m + 1) + c + 1 + d * (c + g + 2)
    assert sum(p.numel() for p in module.parameters()) == parameters
    fine = factor**2 * (g * m + 225 * m + g * d + 25 * d)
    assert counter.get_total_flops() / 2 / 16 == c * m + 225 * m + c * d + c + fine
