"""segsuite.models.hybrid_dilation: rates of single blocks, and that they leave no holes where multi_grid does."""

from typing import Any

import pytest
import torch
from torch import nn

from segsuite.config import validate
from segsuite.encoders import build_encoder
from segsuite.errors import ConfigError
from segsuite.models import build_model
from segsuite.models.hybrid_dilation import dilate_stages


def rates(body: nn.Module, stage: str) -> list[list[int]]:
    """Rates of the 3x3 convolutions of each block."""
    return [
        [m.dilation[0] for m in block.modules() if isinstance(m, nn.Conv2d) and m.kernel_size == (3, 3)]
        for block in body.get_submodule(stage).children()
    ]


def test_blocks_have_the_rates_themselves_and_a_short_list_begins_anew() -> None:
    encoder = build_encoder("resnet50", output_stride=8)
    dilate_stages(encoder.body, [(1, 2, 3), (3, 4, 5)])
    assert rates(encoder.body, "layer2") == [[1]] * 4
    assert rates(encoder.body, "layer3") == [[1], [2], [3], [1], [2], [3]]
    assert rates(encoder.body, "layer4") == [[3], [4], [5]]


def test_weights_and_sizes_stay() -> None:
    torch.manual_seed(0)
    plain = build_encoder("resnet18", output_stride=8)
    torch.manual_seed(0)
    hybrid = build_encoder("resnet18", output_stride=8)
    dilate_stages(hybrid.body, [(1, 2), (5, 3)])
    expected = plain.state_dict()
    assert all(torch.equal(value, expected[key]) for key, value in hybrid.state_dict().items())
    x_NCHW = torch.rand(1, 3, 64, 96)
    with torch.no_grad():
        assert [y.shape for y in hybrid(x_NCHW)] == [y.shape for y in plain(x_NCHW)]


def test_the_rates_of_the_encoder_s_own_rule_change_nothing() -> None:
    torch.manual_seed(0)
    encoder = build_encoder("resnet18", output_stride=16, multi_grid=[1, 2]).eval()
    x_NCHW = torch.rand(1, 3, 64, 96)
    with torch.no_grad():
        expected = encoder(x_NCHW)
        dilate_stages(encoder.body, [(2, 4)])
        assert all(torch.equal(a, b) for a, b in zip(encoder(x_NCHW), expected, strict=True))


def seen(multi_grid: tuple[int, ...] | None, hybrid_rates: list[tuple[int, ...]]) -> torch.Tensor:
    """Which pixels of the last stage's input, on the central line, its central output depends on."""
    encoder = build_encoder("resnet18", output_stride=16, multi_grid=multi_grid)
    dilate_stages(encoder.body, hybrid_rates)
    stage = encoder.get_submodule("body.layer4").eval()
    for parameter in stage.parameters():
        nn.init.constant_(parameter, 1e-2)  # positive: nothing cancels, every ReLU is open
    x_NCHW = torch.rand(1, 256, 31, 31, requires_grad=True)
    (gradient,) = torch.autograd.grad(stage(x_NCHW)[0, :, 15, 15].sum(), x_NCHW)
    return gradient[0].abs().sum(0)[15] > 0


def test_hybrid_rates_cover_the_field_of_view_and_multi_grid_leaves_holes() -> None:
    away = (torch.arange(31) - 15).abs()
    # two convolutions a block, at rates 1 and 2; multi_grid doubles them at output stride 16
    assert torch.equal(seen(None, [(1, 2)]), away <= 2 * 1 + 2 * 2)
    # its first convolution is the one that had the stride, which multi_grid gives the full rate, too
    assert torch.equal(seen((1, 2), []), (away <= 2 * 2 + 2 * 4) & (away % 2 == 0))


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"encoder": "mobilenetv3_small_100", "hybrid_rates": [[1, 2, 3]]}, "hybrid_rates is defined for ResNets"),
    ({"encoder": "resnet50", "hybrid_rates": [[1, 2]]}, r"hybrid_rates ends in \[1, 2\], the last stage .* 3 blocks"),
    ({"encoder": "resnet50", "hybrid_rates": [[1, 2, 3]], "multi_grid": [1, 2, 4]}, "both set the rates"),
]


@pytest.mark.parametrize(("settings", "message"), WRONG)
def test_rates_that_do_not_fit_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build_model("deeplabv3", 5, **settings)
    with pytest.raises(ConfigError, match=message):
        validate({"data": {"name": "shapes"}, "model": {"name": "deeplabv3", **settings}}, str)


@pytest.mark.parametrize("hybrid_rates", [[], [[]], [[1, 0]], [[1], [1], [1], [1, 2]]])
def test_rates_that_are_none_are_refused(hybrid_rates: list[list[int]]) -> None:
    with pytest.raises(ConfigError, match=r"is not one to 3 lists of numbers of at least 1"):
        build_model("deeplabv3", 5, encoder="resnet18", hybrid_rates=hybrid_rates)
