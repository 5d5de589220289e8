"""Receptive fields against the true support of the gradient, on real modules."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

from segsuite.inspect.explain import explain
from segsuite.inspect.outline import Outline
from segsuite.inspect.stack_network import stack_network
from segsuite.inspect.stacks import Stack, StackLayer
from segsuite.inspect.trace import Trace
from tests.inspect.index_propagation import support

SIZE = 40


def support_of_gradient(network: nn.Module, output: tuple[int, int], size: int = SIZE) -> tuple[int, ...]:
    """First and last row and column of the inputs that have any influence, found with weights and inputs of which no
    two cancel."""
    network = network.double().eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.abs_().add_(0.1)
    x_NCHW = torch.rand(1, 1, size, size, dtype=torch.float64, requires_grad=True)
    y_NCHW = network(x_NCHW)
    (gradient_NCHW,) = torch.autograd.grad(y_NCHW[..., output[0], output[1]].sum(), x_NCHW)
    rows, columns = (gradient_NCHW[0, 0] != 0).nonzero(as_tuple=True)
    return int(rows.min()), int(rows.max()), int(columns.min()), int(columns.max())


def spans_of(network: nn.Module, size: int = SIZE) -> Outline:
    with torch.no_grad():
        return Trace(network.eval()).forward((1, 1, size, size), with_spans=True)


def box(made: Outline, output: tuple[int, int]) -> tuple[int, ...]:
    """What the spans say of that output."""
    assert made.spans is not None
    height, width = made.shape[-2:]
    rows = [part.amax(1).expand(1, height, width)[0][output] for part in made.spans.reach[:2]]
    columns = [part.amax(1).expand(1, height, width)[0][output] for part in made.spans.reach[2:]]
    return -int(rows[0]), int(rows[1]), -int(columns[0]), int(columns[1])


@st.composite
def stacks(draw: st.DrawFn) -> Stack:
    """Up to five layers of any kind; what they give of 40 x 40 pixels is between 1 and 120 pixels wide."""
    layers: dict[str, StackLayer] = {}
    size = (SIZE, SIZE)
    for place in range(draw(st.integers(1, 5))):
        kind = draw(st.sampled_from(["conv", "conv", "pool", "average_pool", "transposed", "upsample", "depthwise"]))
        pair = st.tuples(st.integers(1, 3), st.integers(1, 3))
        kernel = draw(st.tuples(st.integers(1, 5), st.integers(1, 5)))
        stride, dilation = draw(pair), (1, 1) if kind == "average_pool" else draw(pair)
        if kind == "upsample":
            layer = StackLayer(kind, draw(pair), mode=draw(st.sampled_from(["nearest", "bilinear"])))
        else:
            pools = kind in ("pool", "average_pool")
            most = [side // 2 if pools else 3 for side in kernel]
            padding = (draw(st.integers(0, most[0])), draw(st.integers(0, most[1])))
            ceil = pools and draw(st.booleans())
            layer = StackLayer(kind, kernel, stride, padding, dilation, channels=None, ceil=ceil)
        size = layer.output_size(size)
        assume(1 <= min(size) <= max(size) <= 120)
        layers[f"layer{place}"] = layer
    return Stack("s", layers, 1, (SIZE, SIZE))


def maxima_as_means(network: nn.Sequential) -> nn.Sequential:
    """With a mean in the place of each maximum, whose gradient reaches one input only."""
    return nn.Sequential(*(MeanPool(one) if isinstance(one, nn.MaxPool2d) else one for one in network))


class MeanPool(nn.Module):
    """Sum over the windows of a max-pooling, by the positions that max-pooling itself reads: each input on its own."""

    def __init__(self, pool: nn.MaxPool2d) -> None:
        super().__init__()
        self.pool = pool

    def forward(self, x_NCHW: Tensor) -> Tensor:
        height, width = x_NCHW.shape[-2:]
        ones = torch.eye(height * width, dtype=x_NCHW.dtype).view(-1, 1, height, width)
        reads = self.pool(ones) > 0
        return torch.einsum("nchw,hwij->ncij", x_NCHW, reads.view(height, width, *reads.shape[-2:]).to(x_NCHW.dtype))


@given(stacks(), st.data())
def test_the_field_of_a_random_stack_is_the_support_of_its_gradient(stack: Stack, data: st.DataObject) -> None:
    network = stack_network(stack)
    made = spans_of(network)
    height, width = made.shape[-2:]
    output = data.draw(st.tuples(st.integers(0, height - 1), st.integers(0, width - 1)))
    assert made.spans is not None
    reached = [part.amax(1).expand(1, height, width)[0][output] for part in made.spans.reach]
    # a transposed convolution may leave outputs that depend on nothing, and windows may see padding alone
    assume(all(torch.isfinite(torch.stack(reached)).tolist()))
    assert box(made, output) == support_of_gradient(maxima_as_means(network), output)


@given(stacks(), st.data())
def test_the_field_of_a_random_stack_is_where_single_indices_lead(stack: Stack, data: st.DataObject) -> None:
    layers = list(stack.layers.values())
    assume(all(layer.mode == "nearest" for layer in layers if layer.kind == "upsample"))
    made = spans_of(stack_network(stack))
    row = data.draw(st.integers(0, made.shape[-2] - 1))
    reached = support(layers, SIZE, row)
    assert made.spans is not None
    # over all columns: those of which a window sees the padding alone depend on nothing
    up, last = (part.amax((1, 3)).expand(1, made.shape[-2])[0, row].item() for part in made.spans.reach[:2])
    assert (-up, last) == ((min(reached), max(reached)) if reached else (float("inf"), -float("inf")))


class Branches(nn.Module):
    """Two branches of different fields, joined, and mixed by a convolution in groups or in one."""

    def __init__(self, groups: int) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 2, 3, 2, 1)
        self.narrow, self.wide = nn.Conv2d(2, 2, 1), nn.Conv2d(2, 2, 3, padding=4, dilation=4)
        self.mix = nn.Conv2d(4, 4, 3, padding=1, groups=groups)

    def forward(self, x_NCHW: Tensor) -> Tensor:
        x_NCHW = self.stem(x_NCHW)
        return self.mix(torch.cat([self.narrow(x_NCHW), self.wide(x_NCHW)], 1))


class Skip(nn.Module):
    """A U of two levels, with a shuffle at its end."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(1, 4, 3, 2, 1), nn.Conv2d(4, 4, 3, 2, 1)
        self.last = nn.Conv2d(8, 4, 3, padding=1)

    def forward(self, x_NCHW: Tensor) -> Tensor:
        fine = self.first(x_NCHW)
        coarse = F.interpolate(self.second(fine), scale_factor=2.0, mode="bilinear", align_corners=False)
        return F.pixel_shuffle(self.last(torch.cat([coarse, fine], 1)), 2)


class Moves(nn.Module):
    """Permutations, views, slices and borders between two convolutions."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(1, 4, 5), nn.Conv2d(4, 1, 3)

    def forward(self, x_NCHW: Tensor) -> Tensor:
        y_NHWC = self.first(x_NCHW).permute(0, 2, 3, 1)
        n, height, width, channels = y_NHWC.shape
        y_NPC = y_NHWC.reshape(n, height * width, channels)
        y_NCHW = y_NPC.transpose(1, 2).unflatten(2, (height, width))[..., 1:, ::2].flip(-1)
        return self.second(F.pad(F.pad(y_NCHW, (2, 1, 0, 3), mode="replicate"), (0, 1, 2, 0)))


class Patches(nn.Module):
    """Unfolded windows, a product of matrices over their taps."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.rand(3, 9))

    def forward(self, x_NCHW: Tensor) -> Tensor:
        n, _, height, width = x_NCHW.shape
        taps_NTL = F.unfold(x_NCHW, 3, dilation=2, padding=2)
        return (self.weight @ taps_NTL).view(n, 3, height, width)


GRAPHS: Mapping[str, Callable[[], nn.Module]] = {
    "branches": lambda: Branches(1),
    "branches in groups": lambda: Branches(2),
    "skip": Skip,
    "moves": Moves,
    "patches": Patches,
    "bicubic": lambda: nn.Sequential(nn.Conv2d(1, 1, 3, 2), nn.Upsample(scale_factor=2.0, mode="bicubic")),
    "corners": lambda: nn.Upsample(size=(55, 70), mode="bilinear", align_corners=True),
}


@pytest.mark.parametrize("graph", GRAPHS)
@pytest.mark.parametrize("place", [0.0, 0.4, 0.55, 1.0])
def test_the_field_of_a_graph_is_the_support_of_its_gradient(graph: str, place: float) -> None:
    network = GRAPHS[graph]()
    made = spans_of(network)
    output = round(place * (made.shape[-2] - 1)), round(place * (made.shape[-1] - 1))
    assert box(made, output) == support_of_gradient(network, output)


@pytest.mark.parametrize(
    ("through", "whole"),
    [
        (lambda x: x + x.mean((2, 3), keepdim=True), True),
        (lambda x: x * F.adaptive_avg_pool2d(x, 1).sigmoid(), True),
        (lambda x: F.group_norm(x, 1), True),
        (lambda x: (x.flatten(2).transpose(1, 2) @ x.flatten(2)).softmax(-1) @ x.flatten(2).transpose(1, 2), True),
        (lambda x: x.softmax(1), False),
        (lambda x: F.layer_norm(x.permute(0, 2, 3, 1), (2,)).permute(0, 3, 1, 2), False),
        (lambda x: F.adaptive_avg_pool2d(x, (38, 38)), False),
    ],
)
def test_what_looks_at_the_whole_image_is_told_apart(through: Callable[[Tensor], Tensor], whole: bool) -> None:
    class Network(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(1, 2, 3)

        def forward(self, x_NCHW: Tensor) -> Tensor:
            return through(self.conv(x_NCHW))

    made = spans_of(Network())
    assert made.spans is not None
    assert bool(made.spans.whole) is whole


def test_the_window_of_a_network_with_pooling_is_told_without_it() -> None:
    class Gated(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(1, 2, 5, padding=2)

        def forward(self, x_NCHW: Tensor) -> Any:
            y_NCHW = self.conv(x_NCHW)
            return y_NCHW * y_NCHW.mean((2, 3), keepdim=True)

    found = explain("gated", Gated(), (32, 32), 1)
    assert found.field is not None
    assert found.field.text == "5 + image"
