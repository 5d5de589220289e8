"""A plain stack of layers written in YAML: its grammar, and the size of what each layer gives. No torch.

    layers:
      - conv 11 s4 p2 64            # kernel, stride, padding, output channels
      - pool1: pool 3 s2            # with a name
      - depthwise 3 p1
      - transposed 4 s2 p1 op0 32
      - upsample 2 nearest

docs/guides/inspect.md has the whole grammar.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from segsuite import yaml_io
from segsuite.errors import ConfigError, Problems, unknown_name

Pair = tuple[int, int]

LETTERS: dict[str, str] = {"s": "stride", "p": "padding", "d": "dilation", "op": "output_padding", "g": "groups"}
WORDS: dict[str, str] = {"ceil": "ceil", "nobias": "bias", "nearest": "mode", "bilinear": "mode"}
TAKES: dict[str, tuple[str, ...]] = {
    "conv": ("stride", "padding", "dilation", "groups", "channels", "bias"),
    "depthwise": ("stride", "padding", "dilation", "channels", "bias"),
    "transposed": ("stride", "padding", "dilation", "output_padding", "groups", "channels", "bias"),
    "pool": ("stride", "padding", "dilation", "ceil"),
    "average_pool": ("stride", "padding", "ceil"),
    "upsample": ("mode",),
}
KEYS = ("layers", "name", "channels", "size")
LARGEST = 100_000
NUMBER = re.compile(r"([a-z]*)(\d{1,6})(?:x(\d{1,6}))?")


@dataclass(frozen=True)
class StackLayer:
    """One layer. Pairs are (vertical, horizontal); `kernel` of upsample is its factor; `channels` of the output, None:
    as many as it gets."""

    kind: str
    kernel: Pair
    stride: Pair = (1, 1)
    padding: Pair = (0, 0)
    dilation: Pair = (1, 1)
    output_padding: Pair = (0, 0)
    groups: int = 1
    channels: int | None = None
    ceil: bool = False
    bias: bool = True
    mode: str = "bilinear"

    def output_size(self, size: Pair) -> Pair:
        """Height and width of what it makes of `size`; not above 0 where the window does not fit.

        >>> parse_layer("transposed 4 s3").output_size((2, 2)), parse_layer("pool 3 s2 ceil").output_size((6, 7))
        ((7, 7), (3, 3))
        """
        height, width = (self._output(axis, size[axis]) for axis in (0, 1))
        return height, width

    def _output(self, axis: int, size: int) -> int:
        kernel, stride, padding = self.kernel[axis], self.stride[axis], self.padding[axis]
        if self.kind == "upsample":
            return size * kernel
        reach = self.dilation[axis] * (kernel - 1) + 1
        if self.kind == "transposed":
            return (size - 1) * stride - 2 * padding + reach + self.output_padding[axis]
        room = size + 2 * padding - reach
        if room < 0:
            return 0
        if not self.ceil:
            return room // stride + 1
        outputs = math.ceil(room / stride) + 1
        # PyTorch drops a last window that would begin beyond the padded input's right side
        return outputs - 1 if (outputs - 1) * stride >= size + padding else outputs

    def output_channels(self, channels: int) -> int:
        """Of its output, for an input of `channels`."""
        return self.channels or channels


@dataclass(frozen=True)
class Stack:
    """Layers by name, first to last, for images of `channels` and `size` (H, W); `where`: name -> its place."""

    name: str
    layers: Mapping[str, StackLayer]
    channels: int = 3
    size: Pair = (224, 224)
    where: Mapping[str, str] = field(default_factory=dict)


def read_stack(source: yaml_io.Source) -> Stack:
    """The stack in a YAML file. Raises one ConfigError with file:line of everything that is wrong."""
    problems = Problems()
    for key in source.value:
        if key not in KEYS:
            error = ConfigError(unknown_name("key of a stack", str(key), KEYS), source.where((key,)), "remove it")
            problems.attempt(None, _refuse, error)
    entries = source.value["layers"]
    if not isinstance(entries, list) or not entries:
        problems.attempt(None, _refuse, ConfigError("layers must be a list", source.where(("layers",)), EXAMPLE))
        entries = []
    name = source.value.get("name", Path(source.name).stem)
    layers: dict[str, StackLayer] = {}
    places: dict[str, str] = {}
    counts: dict[str, int] = {}
    for place, entry in enumerate(entries):
        where = source.where(("layers", place))
        found = problems.attempt(None, _entry, entry, where, counts, places)
        if found is not None:
            layers[found[0]], places[found[0]] = found[1], where
    channels = problems.attempt(3, _channels, source)
    size = problems.attempt((224, 224), _size, source)
    problems.raise_all()
    return Stack(str(name), layers, channels, size, places)


def stack_of(name: str, lines: Sequence[str], size: Pair = (224, 224)) -> Stack:
    """A stack from `name: layer` texts."""
    text = "".join(f"\n  - {line}" for line in lines)
    return read_stack(yaml_io.read_text(f"name: {name}\nsize: [{size[0]}, {size[1]}]\nlayers:{text}\n", name))


def check_sizes(stack: Stack, size: Pair) -> None:
    """Raises ConfigError with the place of the first layer that an image of `size` does not fit, or whose channels do
    not fit its groups."""
    channels = stack.channels
    for name, layer in stack.layers.items():
        where = stack.where.get(name, name)
        out = layer.output_channels(channels)
        groups = channels if layer.kind == "depthwise" else layer.groups
        if channels % groups or out % groups:
            what = f"layer '{name}' has {channels} input and {out} output channels, which {groups} groups do not divide"
            raise ConfigError(what, where, "choose channels that are multiples of the groups")
        before, size, channels = size, layer.output_size(size), out
        if min(size) < 1:
            what = f"nothing is left for layer '{name}': its window does not fit {before[0]}x{before[1]}"
            raise ConfigError(what, where, "give more padding, or a larger image with --size H W")
        if max(size) > LARGEST:
            raise ConfigError(f"layer '{name}' makes {size[0]}x{size[1]}", where, "choose a smaller image or factor")


EXAMPLE = "for example `layers: [conv 11 s4 p2 64, pool 3 s2]`"


def _refuse(error: ConfigError) -> None:
    raise error


def _entry(entry: Any, where: str, counts: dict[str, int], names: Mapping[str, str]) -> tuple[str, StackLayer]:
    if isinstance(entry, dict) and len(entry) == 1:
        name, text = str(next(iter(entry))), next(iter(entry.values()))
    else:
        name, text = "", entry
    if not isinstance(text, str):
        raise ConfigError(f"a layer must be a text or `name: text`, not {entry!r:.80}", where, EXAMPLE)
    layer = parse_layer(text, where)
    if not name:
        counts[layer.kind] = counts.get(layer.kind, 0) + 1
        name = f"{layer.kind}{counts[layer.kind]}"
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,60}", name):
        raise ConfigError(f"the name {name[:80]!a} is not made of letters, digits, _ and -", where, "choose another")
    if name in names:
        raise ConfigError(f"two layers are called '{name}'", where, f"the other one stands at {names[name]}")
    return name, layer


def parse_layer(text: str, where: str = "") -> StackLayer:
    """One layer from its text. Raises ConfigError.

    >>> parse_layer("conv 3 s2 p1 64")
    StackLayer(kind='conv', kernel=(3, 3), stride=(2, 2), padding=(1, 1), dilation=(1, 1), output_padding=(0, 0), \
groups=1, channels=64, ceil=False, bias=True, mode='bilinear')
    """
    kind, *tokens = text.split() or [""]
    if kind not in TAKES:
        raise ConfigError(unknown_name("layer", kind, TAKES), where, EXAMPLE)
    found: dict[str, Any] = {}
    for token in tokens:
        name, value = _token(kind, token, where, "kernel" in found)
        if name in found:
            raise ConfigError(f"'{text[:80]}' gives {name} twice", where, f"remove {token}")
        found[name] = value
    if "kernel" not in found:
        what = "factor" if kind == "upsample" else "kernel"
        raise ConfigError(f"'{text[:80]}' has no {what}", where, f"write it behind the kind, e.g. `{kind} 3`")
    if kind in ("pool", "average_pool"):
        found.setdefault("stride", found["kernel"])
    layer = StackLayer(kind, **found)
    _check(layer, text[:80], where)
    return layer


def _token(kind: str, token: str, where: str, has_kernel: bool) -> tuple[str, Any]:
    """Which field a token sets, and to what."""
    match = NUMBER.fullmatch(token)
    letters = match[1] if match else token
    name = (
        WORDS.get(letters) if not match else LETTERS.get(letters) if letters else "channels" if has_kernel else "kernel"
    )
    takes = ("kernel", *TAKES[kind])
    if name not in takes:
        words = [word for word, of in (LETTERS | WORDS).items() if of in takes]
        known = f"{kind} takes a number" + "".join(f", {word}{'N' if word in LETTERS else ''}" for word in words)
        what = f"'{token[:40]}' is nothing that {kind} takes" if name is None else f"{kind} takes no {name} ('{token}')"
        raise ConfigError(what, where, known)
    if not match:
        return name, token if name == "mode" else name == "ceil"
    pair = int(match[2]), int(match[3] or match[2])
    if name in ("channels", "groups"):
        if match[3]:
            raise ConfigError(f"{name} is one number, not '{token}'", where, EXAMPLE)
        pair = (pair[0], pair[0])
    low = 0 if name in ("padding", "output_padding") else 1
    if not low <= min(pair) <= max(pair) <= LARGEST:
        raise ConfigError(f"{name} of '{token}' is not {low} to {LARGEST}", where, "correct it")
    return name, pair[0] if name in ("channels", "groups") else pair


def _check(layer: StackLayer, text: str, where: str) -> None:
    for axis in (0, 1):
        if layer.kind in ("pool", "average_pool") and 2 * layer.padding[axis] > layer.kernel[axis]:
            what = f"'{text}' pads {layer.padding[axis]}, more than half of its kernel {layer.kernel[axis]}"
            raise ConfigError(what, where, "a window would lie outside of the image: pad less")
        if layer.output_padding[axis] >= max(1, layer.stride[axis], layer.dilation[axis]):
            what = f"'{text}' has output padding {layer.output_padding[axis]}, not below its stride or dilation"
            raise ConfigError(what, where, "make it smaller, or the stride larger")


def _channels(source: yaml_io.Source) -> int:
    value = source.value.get("channels", 3)
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= LARGEST:
        raise ConfigError(f"channels must be a number of at least 1, not {value!r:.80}", source.where(("channels",)))
    return value


def _size(source: yaml_io.Source) -> Pair:
    value = source.value.get("size", [224, 224])
    if not (
        isinstance(value, list) and len(value) == 2 and all(type(one) is int and 1 <= one <= 8192 for one in value)
    ):
        where = source.where(("size",))
        raise ConfigError(f"size must be [height, width] of 1 to 8192 pixels, not {value!r:.80}", where)
    return value[0], value[1]
