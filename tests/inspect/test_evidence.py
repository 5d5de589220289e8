"""Projections of units and evidence for classes, against the papers' descriptions written out."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from segsuite.errors import ConfigError
from segsuite.inspect.evidence import RULES, class_evidence, enlarged, project_unit, strongest_channels


def network(activation: type[nn.Module] = nn.ReLU) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 6, 3, padding=1),
        activation(),
        nn.MaxPool2d(2),
        nn.Conv2d(6, 5, 3, padding=1),
        activation(),
        nn.Conv2d(5, 4, 1),
    ).eval()


def image(side: int = 8) -> Tensor:
    return torch.randn(1, 3, side, side, generator=torch.Generator().manual_seed(1))


def by_hand(one: nn.Sequential, given: Tensor, channel: int, rule: str) -> tuple[Tensor, tuple[int, int]]:
    """Layer 4's unit: switches and rectified maps forward, unpooling and transposed filters backward."""
    with torch.no_grad():
        first = F.conv2d(given, one[0].weight, one[0].bias, padding=1)
        pooled, switches = F.max_pool2d(first.clamp(min=0), 2, return_indices=True)
        second = F.conv2d(pooled, one[3].weight, one[3].bias, padding=1)
        maps = second.clamp(min=0)
        place = divmod(int(maps[0, channel].argmax()), maps.shape[-1])
        signal = torch.zeros_like(maps)
        signal[0, channel, place[0], place[1]] = maps[0, channel, place[0], place[1]]
        for before, convolution in ((second, one[3]), (first, one[0])):
            if rule in ("guided", "deconvnet"):
                signal = signal.clamp(min=0)
            if rule in ("guided", "gradient"):
                signal = signal * (before > 0)
            signal = F.conv_transpose2d(signal, convolution.weight, padding=1)
            if convolution is one[3]:
                signal = F.max_unpool2d(signal, switches, 2)
    return signal[0], place


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("channel", [0, 2])
def test_projections_are_those_of_the_papers(rule: str, channel: int) -> None:
    one, given = network(), image()
    expected, place = by_hand(one, given, channel, rule)
    found = project_unit(one, given, "4", channel, rule)  # type: ignore[arg-type]
    assert found.place == place
    assert expected.abs().max() > 0
    torch.testing.assert_close(found.pixels_CHW, expected)


def test_the_rules_differ() -> None:
    found = [project_unit(network(), image(), "4", 0, rule).pixels_CHW for rule in RULES]
    assert not any(torch.allclose(found[a], found[b]) for a, b in ((0, 1), (0, 2), (1, 2)))


class Functional(nn.Module):
    """The same network with functions instead of modules, in place."""

    def __init__(self, one: nn.Sequential) -> None:
        super().__init__()
        self.first, self.second = one[0], one[3]
        self.last = nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.first(x), inplace=True)
        x = torch.relu_(self.second(F.max_pool2d(x, 2)))
        return self.last(x)


@pytest.mark.parametrize("rule", RULES)
def test_functions_are_rectified_like_modules(rule: str) -> None:
    one = network()
    expected = project_unit(one, image(), "4", 1, rule).pixels_CHW  # type: ignore[arg-type]
    found = project_unit(Functional(one), image(), "last", 1, rule).pixels_CHW  # type: ignore[arg-type]
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("activation", [nn.ReLU6, nn.SiLU, nn.Hardswish, nn.GELU, nn.LeakyReLU])
def test_the_plain_gradient_is_that_of_autograd_for_every_activation(activation: type[nn.Module]) -> None:
    one, given = network(activation), image().requires_grad_()
    unit = one[:5](given)[0, 1]
    place = divmod(int(unit.argmax()), 4)
    value = unit[place]
    (expected,) = torch.autograd.grad(value, given)
    found = project_unit(one, given.detach(), "4", 1, "gradient")
    torch.testing.assert_close(found.pixels_CHW, expected[0] * value.detach().abs())
    assert found.activation == pytest.approx(float(value.detach()))


def test_guided_gradients_of_a_smooth_activation_use_its_slope() -> None:
    one = nn.Sequential(nn.Conv2d(1, 1, 1, bias=False), nn.SiLU(), nn.Conv2d(1, 1, 1, bias=False))
    for place in (0, 2):
        nn.init.ones_(one[place].weight)
    given = torch.tensor([[[[2.0, 3.0], [-1.0, 0.5]]]])
    found = project_unit(one, given, "2", 0, "guided", place=(0, 0)).pixels_CHW
    sigmoid = 1 / (1 + np.exp(-2.0))
    slope = sigmoid * (1 + 2 * (1 - sigmoid))
    assert float(found[0, 0, 0]) == pytest.approx(slope * 2 * sigmoid)
    assert torch.count_nonzero(project_unit(one, given, "2", 0, "guided", place=(1, 0)).pixels_CHW) == 0


def test_evidence_is_that_of_a_loop_over_pixels_and_channels() -> None:
    one, given = network(), image()
    pixels = torch.zeros(4, 4, dtype=torch.bool)
    pixels[1:3, 2:] = True
    found, weights = class_evidence(one, given, "4", 2, pixels)
    maps = one[:5](given).detach().requires_grad_()
    logits = one[5](maps)
    expected = torch.zeros(5)
    for row, column in pixels.nonzero().tolist():
        (gradient,) = torch.autograd.grad(logits[0, 2, row, column], maps, retain_graph=True)
        for channel in range(5):
            expected[channel] += gradient[0, channel].sum() / 16
    torch.testing.assert_close(weights, expected)
    total = torch.zeros(4, 4)
    for channel in range(5):
        total += expected[channel] * maps.detach()[0, channel]
    torch.testing.assert_close(found, total.clamp(min=0))


def test_evidence_of_a_planted_class_lies_where_its_channel_is() -> None:
    one = nn.Sequential(nn.Identity(), nn.Conv2d(3, 2, 1, bias=False))
    with torch.no_grad():
        one[1].weight.copy_(torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]).view(2, 3, 1, 1))
    given = torch.zeros(1, 3, 6, 6)
    given[0, 0, :3], given[0, 1, 3:] = 1.0, 1.0
    found, weights = class_evidence(one, given, "0", 1, one(given)[0].argmax(dim=0) == 1)
    assert found[:3].sum() == 0
    assert (found[3:] > 0).all()
    assert strongest_channels(one, given, "0", weights, 2)[0] == 1


def test_enlarged_evidence_keeps_a_constant() -> None:
    assert torch.equal(enlarged(torch.ones(2, 3), (8, 9)), torch.ones(8, 9))


EMPTY = torch.zeros(4, 4, dtype=torch.bool)


@pytest.mark.parametrize(
    ("layer", "class_id", "pixels", "hint"),
    [("4", 2, EMPTY, "empty"), ("4", 9, ~EMPTY, "no class 9"), ("9", 2, ~EMPTY, "unknown layer")],
)
def test_evidence_that_cannot_be_is_refused(layer: str, class_id: int, pixels: Tensor, hint: str) -> None:
    with pytest.raises(ConfigError, match=hint):
        class_evidence(network(), image(), layer, class_id, pixels)


def test_a_channel_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ConfigError, match="no channel 5"):
        project_unit(network(), image(), "4", 5)


def test_the_parameters_get_no_gradient() -> None:
    one = network()
    project_unit(one, image(), "4", 0)
    class_evidence(one, image(), "4", 0, ~EMPTY)
    assert all(parameter.grad is None for parameter in one.parameters())
