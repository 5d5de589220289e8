"""The textbook networks: every row of their tables, against an independent derivation and against what books print."""

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torchvision import models

from segsuite.inspect.explain import build_outline, explain
from segsuite.inspect.layers import Explained, Layer
from segsuite.inspect.stack_network import stack_network
from segsuite.inspect.stacks import Stack, stack_of
from segsuite.inspect.textbook import TEXTBOOK, textbook
from tests.inspect.index_propagation import derive

GOLDEN = Path(__file__).parents[1] / "golden" / "layer_tables.json"
ROWS = [(name, place) for name in TEXTBOOK for place in range(len(TEXTBOOK[name]))]


def explained(stack: Stack) -> Explained:
    return explain(stack.name, build_outline(lambda: stack_network(stack)), stack.size, stack.channels)


@cache
def of_book(name: str) -> Explained:
    return explained(textbook(name))


def named(name: str, layer: str) -> Layer:
    return next(one for one in of_book(name).layers if one.path == layer)


def row(layer: Layer) -> dict[str, Any]:
    assert layer.field is not None
    assert layer.field.rows is not None
    axis = layer.field.rows
    return {
        "channels": layer.shape[1],
        "size": layer.shape[2],
        "field": axis.size,
        "stride": float(axis.stride),
        "start": axis.start,
        "parameters": layer.parameters,
        "multiply_adds": layer.multiply_adds,
    }


@pytest.mark.parametrize(("name", "place"), ROWS)
def test_every_row_is_what_following_single_indices_gives(name: str, place: int) -> None:
    stack = textbook(name)
    expected = derive(list(stack.layers.values())[: place + 1], stack.size[0])
    found = row(of_book(name).layers[place])
    assert (found["size"], found["field"], found["stride"], found["start"]) == (
        expected.size,
        expected.field,
        expected.stride,
        float(expected.start),
    )


@pytest.mark.parametrize(("name", "place"), ROWS)
def test_every_row_has_the_parameters_and_products_of_its_definition(name: str, place: int) -> None:
    stack = textbook(name)
    layers, channels = list(stack.layers.values()), stack.channels
    for layer in layers[:place]:
        channels = layer.channels or channels
    layer, found = layers[place], row(of_book(name).layers[place])
    if layer.kind == "pool":
        assert (found["parameters"], found["multiply_adds"]) == (0, 0)
        return
    assert layer.channels is not None
    taps = layer.kernel[0] ** 2 * channels // layer.groups
    assert found["parameters"] == layer.channels * (taps + 1)
    assert found["multiply_adds"] == layer.channels * taps * found["size"] ** 2


@pytest.mark.parametrize(
    ("name", "layer", "size", "field", "stride"),
    [
        ("vgg16", "conv5_3", 14, 196, 16),
        ("vgg16", "pool5", 7, 212, 32),
        ("alexnet", "pool5", 6, 195, 32),
        ("zf5", "conv5", 14, 139, 16),
    ],
)
def test_fields_are_those_that_books_print(name: str, layer: str, size: int, field: int, stride: int) -> None:
    found = row(named(name, layer))
    assert (found["size"], found["field"], found["stride"]) == (size, field, stride)


def test_vgg16_has_the_parameters_of_torchvision() -> None:
    with torch.device("meta"):
        theirs = models.vgg16()
    assert of_book("vgg16").parameters == sum(one.numel() for one in theirs.parameters()) == 138_357_544


def test_alexnet_has_the_60_965_224_parameters_of_its_two_groups() -> None:
    assert of_book("alexnet").parameters == 60_965_224


@pytest.mark.parametrize("name", TEXTBOOK)
def test_no_table_has_moved(name: str) -> None:
    golden = json.loads(GOLDEN.read_text("utf-8"))[name]
    assert {layer.path: row(layer) for layer in of_book(name).layers} == golden


def test_the_first_convolution_of_a_resnet_costs_118_013_952_multiply_adds() -> None:
    (layer,) = explained(stack_of("stem", ["conv 7 s2 p3 64"])).layers
    assert (layer.multiply_adds, layer.parameters) == (118_013_952, 9_472)


@pytest.mark.parametrize(("kernel", "out"), [(3, 64), (5, 32), (7, 128)])
def test_depthwise_separable_costs_its_known_share_of_a_full_convolution(kernel: int, out: int) -> None:
    padding = kernel // 2
    start = "conv 1 16 nobias"
    separable = [start, f"depthwise {kernel} p{padding} nobias", f"conv 1 {out} nobias"]
    full = [start, f"conv {kernel} p{padding} {out} nobias"]
    costs = [
        sum(layer.multiply_adds for layer in explained(stack_of("s", lines, (32, 32))).layers[1:])
        for lines in (separable, full)
    ]
    assert costs[0] / costs[1] == pytest.approx(1 / out + 1 / kernel**2, rel=1e-12)


def test_a_layer_costs_what_its_own_module_costs() -> None:
    module = nn.Conv2d(3, 64, 7, 2, 3)
    assert sum(one.numel() for one in module.parameters()) == 9_472
