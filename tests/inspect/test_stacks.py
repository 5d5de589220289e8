"""Stacks of layers in YAML: their grammar, their sizes, and errors with file:line."""

from pathlib import Path

import pytest
import torch
from hypothesis import assume, example, given
from hypothesis import strategies as st

from segsuite import yaml_io
from segsuite.errors import ConfigError
from segsuite.inspect.stack_network import stack_network
from segsuite.inspect.stacks import Stack, StackLayer, check_sizes, parse_layer, read_stack, stack_of
from tests.inspect.index_propagation import windows


@st.composite
def layers(draw: st.DrawFn) -> StackLayer:
    kind = draw(st.sampled_from(["conv", "pool", "average_pool", "transposed"]))
    kernel, stride = draw(st.integers(1, 5)), draw(st.integers(1, 4))
    pools = kind in ("pool", "average_pool")
    padding = draw(st.integers(0, kernel // 2 if pools else 3))
    dilation = 1 if kind == "average_pool" else draw(st.integers(1, 3))
    extra = draw(st.integers(0, max(stride, dilation) - 1)) if kind == "transposed" else 0
    ceil = pools and draw(st.booleans())
    return StackLayer(kind, (kernel,) * 2, (stride,) * 2, (padding,) * 2, (dilation,) * 2, (extra,) * 2, ceil=ceil)


@given(layers(), st.integers(1, 30))
@example(StackLayer("transposed", (4, 4), (3, 3)), 2)
def test_the_size_of_a_layer_is_that_of_the_real_module(layer: StackLayer, size: int) -> None:
    height, width = layer.output_size((size, size))
    assume(height > 0)
    module = stack_network(Stack("s", {"one": layer}, channels=1, size=(size, size)))
    assert module(torch.zeros(1, 1, size, size)).shape[-2:] == (height, width)


@given(layers(), st.integers(1, 30))
def test_the_size_of_a_layer_is_the_number_of_windows_that_fit(layer: StackLayer, size: int) -> None:
    expected = layer.output_size((size, size))[0]
    assume(expected > 0)
    assert len(windows(layer, size)) == expected


@pytest.mark.parametrize(
    ("text", "size", "expected"),
    [
        ("transposed 4 s3", 2, 7),
        ("transposed 3 s2 p1 op1", 5, 10),
        ("transposed 3 s2 p1 d2", 5, 11),
        ("pool 3 s2", 6, 2),
        ("pool 3 s2 ceil", 6, 3),
        ("pool 2 s2 p1 ceil", 4, 3),
        ("conv 3 d2", 7, 3),
        ("conv 3 s2 p2 d2", 7, 4),
        ("upsample 3", 4, 12),
    ],
)
def test_sizes_by_hand(text: str, size: int, expected: int) -> None:
    assert parse_layer(text).output_size((size, size)) == (expected, expected)


def test_sizes_need_not_be_square() -> None:
    assert parse_layer("conv 1x7 s1x2 p0x3 8").output_size((5, 9)) == (5, 5)


def test_a_pooling_steps_by_its_kernel_unless_told_otherwise() -> None:
    assert parse_layer("pool 2").stride == (2, 2)


def read(text: str) -> Stack:
    return read_stack(yaml_io.read_text(text, "stack.yaml"))


def test_layers_are_named_by_kind_and_number_or_by_their_key() -> None:
    stack = read("layers:\n  - conv 3 8\n  - stem: conv 3 8\n  - pool 2\n  - conv 1\n")
    assert list(stack.layers) == ["conv1", "stem", "pool1", "conv2"]


@pytest.mark.parametrize(
    ("layer", "what", "advice"),
    [
        ("cnov 3 s2", "unknown layer 'cnov'; did you mean 'conv'?", "for example"),
        ("conv s2", "'conv s2' has no kernel", "write it behind the kind"),
        ("upsample nearest", "has no factor", "write it behind the kind"),
        ("conv 3 q2", "'q2' is nothing that conv takes", "conv takes a number, sN, pN, dN, gN, nobias"),
        ("conv 3 op1", "conv takes no output_padding ('op1')", "conv takes"),
        ("pool 3 64", "pool takes no channels ('64')", "pool takes a number, sN, pN, dN, ceil"),
        ("conv 3 s2 s3", "gives stride twice", "remove s3"),
        ("conv 0", "kernel of '0' is not 1 to", "correct it"),
        ("conv 3 8x8", "channels is one number, not '8x8'", "for example"),
        ("pool 3 p2", "pads 2, more than half of its kernel 3", "pad less"),
        ("transposed 3 s2 op2", "output padding 2, not below its stride", "smaller"),
        ("conv -3", "'-3' is nothing that conv takes", "conv takes"),
    ],
)
def test_a_wrong_layer_is_told_with_its_line(layer: str, what: str, advice: str) -> None:
    with pytest.raises(ConfigError) as error:
        read(f"layers:\n  - conv 3 8\n  - {layer}\n")
    assert what in error.value.what
    assert error.value.where == "stack.yaml:3"
    assert advice in error.value.advice


@pytest.mark.parametrize(
    ("text", "what", "where"),
    [
        ("layers: 3\n", "layers must be a list", "stack.yaml:1"),
        ("layers: [conv 3]\nsizes: [1, 2]\n", "unknown key of a stack 'sizes'; did you mean 'size'?", "stack.yaml:2"),
        ("layers: [conv 3]\nsize: [1, 0]\n", "size must be", "stack.yaml:2"),
        ("layers: [conv 3]\nchannels: true\n", "channels must be a number", "stack.yaml:2"),
        ("layers:\n- a: conv 3\n- a: conv 3\n", "two layers are called 'a'", "stack.yaml:3"),
        ("layers:\n- a.b: conv 3\n", "is not made of letters", "stack.yaml:2"),
        ("layers:\n- 3\n", "a layer must be a text", "stack.yaml:2"),
    ],
)
def test_a_wrong_file_is_told_with_its_line(text: str, what: str, where: str) -> None:
    with pytest.raises(ConfigError) as error:
        read(text)
    assert what in error.value.what
    assert error.value.where == where


def test_all_that_is_wrong_is_told_at_once() -> None:
    with pytest.raises(ConfigError) as error:
        read("layers:\n- cnov 3\n- pol 2\n")
    assert len(error.value.parts) == 2


def test_a_window_that_does_not_fit_is_told_with_its_layer_and_line() -> None:
    stack = read("layers:\n- conv 3 8\n- conv 9 8\nsize: [6, 6]\n")
    with pytest.raises(ConfigError, match="nothing is left for layer 'conv2': its window does not fit 4x4") as error:
        check_sizes(stack, stack.size)
    assert error.value.where == "stack.yaml:3"


def test_groups_that_do_not_divide_the_channels_are_told() -> None:
    with pytest.raises(ConfigError, match="3 input and 8 output channels, which 2 groups do not divide"):
        check_sizes(stack_of("s", ["conv 3 g2 8"]), (9, 9))


def test_a_missing_file_names_the_nearest(tmp_path: Path) -> None:
    (tmp_path / "stack.yaml").write_text("layers: [conv 3]\n")
    with pytest.raises(ConfigError, match="there is no file") as error:
        yaml_io.read_file(tmp_path / "stak.yaml")
    assert "stack.yaml" in error.value.advice
