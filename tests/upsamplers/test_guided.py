"""What all upsamplers with a guide share, beyond the contract: the guide's size, its gradient, its absence."""

import pytest
import torch

from segsuite.errors import ConfigError
from segsuite.upsamplers import build_upsampler
from segsuite.upsamplers.base import Upsampler

every_guided = pytest.mark.parametrize("name", ["sapa", "fade", "joint_bilateral"])


def make(name: str, factor: int = 2) -> Upsampler:
    torch.manual_seed(0)
    return build_upsampler(name, 3, 5, factor, guide_channels=4)


@every_guided
@pytest.mark.parametrize("guide_size", [(9, 13), (10, 14), (12, 15), (9, 15)])
def test_guide_is_cut_or_repeated_at_the_right_and_bottom(name: str, guide_size: tuple[int, int]) -> None:
    module, x_NCHW, guide_NCHW = make(name), torch.randn(2, 3, 5, 7), torch.randn(2, 4, *guide_size)
    rows = torch.arange(10).clamp(max=guide_size[0] - 1)
    columns = torch.arange(14).clamp(max=guide_size[1] - 1)
    expected_NCHW = module(x_NCHW, guide=guide_NCHW[:, :, rows][..., columns])
    assert torch.equal(module(x_NCHW, guide=guide_NCHW), expected_NCHW)


@every_guided
@pytest.mark.parametrize("factor", [2, 8])
def test_gradient_reaches_every_pixel_of_the_guide(name: str, factor: int) -> None:
    guide_NCHW = torch.randn(2, 4, 4 * factor, 5 * factor, requires_grad=True)
    make(name, factor)(torch.randn(2, 3, 4, 5), guide=guide_NCHW).square().sum().backward()
    assert guide_NCHW.grad is not None
    assert (guide_NCHW.grad != 0).all()


@every_guided
def test_seam_without_a_guide_gets_the_names_of_others(name: str) -> None:
    with pytest.raises(ConfigError, match="needs a guide") as caught:
        build_upsampler(name, 2, 2)
    assert "carafe or dysample" in caught.value.advice


@every_guided
def test_call_without_the_guide_is_an_error(name: str) -> None:
    with pytest.raises(ValueError, match="without its guide"):
        make(name)(torch.randn(1, 3, 4, 4))
