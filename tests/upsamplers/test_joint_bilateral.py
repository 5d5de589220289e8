"""Joint bilateral upsampling against loops over the paper's two Gaussians."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from segsuite.upsamplers.joint_bilateral import JointBilateral
from tests.upsamplers.plain_loops import Floats, array, conv_by_loops, weighted_sum_by_loops


def bilateral_by_loops(x_NCHW: Tensor, guide_NCHW: Tensor, factor: int) -> Floats:
    images = []
    for x_CHW, guide_CHW in zip(array(x_NCHW), array(guide_NCHW), strict=True):

        def log_weight(i: int, j: int, row: int, column: int, guide_CHW: Floats = guide_CHW) -> float:
            place = (i + 0.5) / factor - 0.5, (j + 0.5) / factor - 0.5
            distance_squared = (place[0] - row) ** 2 + (place[1] - column) ** 2
            cell_C = guide_CHW[:, row * factor : (row + 1) * factor, column * factor : (column + 1) * factor].mean(
                axis=(1, 2)
            )
            difference_squared = ((guide_CHW[:, i, j] - cell_C) ** 2).mean()
            return float(-distance_squared / (2 * 0.5**2) - difference_squared / (2 * 0.5**2))

        images.append(weighted_sum_by_loops(x_CHW, factor, log_weight))
    return np.stack(images)


@pytest.mark.parametrize(("factor", "height_width"), [(2, (3, 4)), (3, (6, 2)), (4, (2, 3)), (2, (1, 1))])
def test_equals_the_loops(factor: int, height_width: tuple[int, int]) -> None:
    height, width = height_width
    x_NCHW = torch.randn(2, 3, height, width, dtype=torch.float64)
    guide_NCHW = torch.randn(2, 4, height * factor, width * factor, dtype=torch.float64)
    module = JointBilateral(3, 3, factor, guide_channels=4)
    expected_NCHW = bilateral_by_loops(x_NCHW, guide_NCHW, factor)
    np.testing.assert_allclose(array(module(x_NCHW, guide=guide_NCHW)), expected_NCHW, rtol=1e-9, atol=1e-12)


def test_channels_are_mapped_where_they_differ_only() -> None:
    module, guide_NCHW = JointBilateral(3, 2, guide_channels=4).double(), torch.randn(1, 4, 6, 8, dtype=torch.float64)
    x_NCHW = torch.randn(1, 3, 3, 4, dtype=torch.float64)
    assert isinstance(module.project, nn.Conv2d)
    nn.init.normal_(module.project.bias)  # type: ignore[arg-type]  # it has a bias
    expected_CHW = conv_by_loops(bilateral_by_loops(x_NCHW, guide_NCHW, 2)[0], module.project)
    np.testing.assert_allclose(array(module(x_NCHW, guide=guide_NCHW))[0], expected_CHW, rtol=1e-9, atol=1e-12)
    assert not list(JointBilateral(3, 3, guide_channels=4).parameters())


def test_flat_guide_gives_nearly_bilinear_weights() -> None:
    impulse_NCHW = torch.zeros(1, 1, 1, 9)
    impulse_NCHW[..., 4] = 1
    y_W = JointBilateral(1, 1, guide_channels=1)(impulse_NCHW, guide=torch.zeros(1, 1, 2, 18))[0, 0, 0]
    torch.testing.assert_close(y_W[6:12], torch.tensor([0.035, 0.26, 0.70, 0.70, 0.26, 0.035]), atol=0.005, rtol=0)


def test_fine_pixels_take_the_side_of_the_edge_that_they_resemble() -> None:
    # an edge between fine columns 2 and 3, in the middle of the coarse column 1
    x_NCHW = torch.tensor([-1.0, 0.0, 1.0, 1.0]).expand(1, 1, 3, 4)
    guide_NCHW = torch.tensor([-2.0, -2.0, -2.0, 2.0, 2.0, 2.0, 2.0, 2.0]).expand(1, 3, 6, 8)
    y_W = JointBilateral(1, 1, guide_channels=3)(x_NCHW, guide=guide_NCHW)[0, 0, 3]
    assert y_W[2] < -0.45
    assert y_W[3] > 0.45


def test_large_mean_of_the_guide_does_not_eat_its_small_differences() -> None:
    # whole numbers and halves: exact in float32 at 4096, so any difference is the module's
    x_NCHW = torch.randn(1, 2, 4, 5)
    guide_NCHW = torch.randint(-2, 3, (1, 3, 8, 10)).float()
    module = JointBilateral(2, 2, guide_channels=3)
    shifted_NCHW = module(x_NCHW, guide=guide_NCHW + 4096)
    torch.testing.assert_close(shifted_NCHW, module(x_NCHW, guide=guide_NCHW), rtol=1e-5, atol=1e-6)


def test_constant_stays_constant_whatever_the_guide() -> None:
    x_NCHW = torch.randn(1, 3, 1, 1).expand(1, 3, 4, 6)
    y_NCHW = JointBilateral(3, 3, guide_channels=4)(x_NCHW, guide=10 * torch.randn(1, 4, 8, 12))
    torch.testing.assert_close(y_NCHW, x_NCHW[..., :1, :1].expand_as(y_NCHW))


@pytest.mark.parametrize("factor", [2, 4])
def test_cost_is_the_formula_of_the_docstring(factor: int) -> None:
    c, d, g = 48, 16, 8
    module = JointBilateral(c, d, factor, guide_channels=g)
    with FlopCounterMode(display=False) as counter:
        module(torch.randn(1, c, 4, 4), guide=torch.randn(1, g, 4 * factor, 4 * factor))
    assert sum(p.numel() for p in module.parameters()) == d * (c + 1)
    # the 25 squares of the guide's means are no matrix product: 25 G of the formula
    assert counter.get_total_flops() / 2 / 16 == c * d + 25 * factor**2 * (g + d)
