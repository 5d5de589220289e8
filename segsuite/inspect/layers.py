"""A network explained: its layers, what they cost, its memory; plain values. Imports no torch."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from segsuite.inspect.field import Field

NUMBERS = frozenset("0123456789")


@dataclass(frozen=True)
class Layer:
    """One operation of a network that is more than element by element; norms and activations count to the layer
    before them.

    path: of the module that calls it; what: kind and geometry; shape: of its output (N, C, H, W), () where it has none;
    field: None where it was not asked for; parameters: those that are used first here, norms after it included;
    multiply_adds: of one forward pass.
    """

    path: str
    block: str
    what: str
    shape: tuple[int, ...]
    field: "Field | None"
    parameters: int
    multiply_adds: int

    @property
    def channels(self) -> str:
        """
        >>> Layer("", "", "conv", (1, 64, 3, 4), None, 0, 0).channels
        '64'
        """
        if not self.shape:
            return "-"
        return str(self.shape[1] if len(self.shape) == 4 else self.shape[-1])

    @property
    def size(self) -> str:
        """Height and width, or the number of tokens.

        >>> Layer("", "", "conv", (1, 64, 3, 4), None, 0, 0).size
        '3x4'
        """
        if len(self.shape) == 4:
            return f"{self.shape[2]}x{self.shape[3]}"
        return "x".join(map(str, self.shape[:-1])) or "-"

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "layer": self.path,
            "block": self.block,
            "what": self.what,
            "shape": list(self.shape),
            "field": self.field.to_json() if self.field else None,
            "parameters": self.parameters,
            "multiply_adds": self.multiply_adds,
        }


@dataclass(frozen=True)
class Memory:
    """Peak of the bytes of all activations alive at once, in 32 bits, input included.

    inference: of a forward pass of `inference_shape` that keeps nothing; training: of a forward and a backward pass of
    `training_shape` (None: not asked for), from the gradient of the logits on; kept: of it, what the forward pass
    leaves for the backward pass. Not counted: parameters and buffers, gradients of parameters, the optimizer, the loss,
    and what a kernel takes while it runs.
    """

    inference: int
    inference_shape: tuple[int, ...]
    training: int | None = None
    kept: int | None = None
    training_shape: tuple[int, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Plain values, in bytes."""
        return {
            "inference_bytes": self.inference,
            "inference_shape": list(self.inference_shape),
            "training_bytes": self.training,
            "kept_for_backward_bytes": self.kept,
            "training_shape": list(self.training_shape),
        }


@dataclass(frozen=True)
class Block:
    """Consecutive layers of one part of the network, summed."""

    name: str
    layers: int
    parameters: int
    multiply_adds: int


@dataclass(frozen=True)
class Explained:
    """A network on images of `size` (H, W); `field` is that of its output, `encoder_field` of what its encoder gives
    last, if it has one."""

    name: str
    size: tuple[int, int]
    layers: tuple[Layer, ...]
    memory: Memory
    field: "Field | None"
    encoder_field: "Field | None" = None

    @property
    def parameters(self) -> int:
        """All parameters, each once."""
        return sum(layer.parameters for layer in self.layers)

    @property
    def multiply_adds(self) -> int:
        """Of convolutions and matrix products in one forward pass of one image."""
        return sum(layer.multiply_adds for layer in self.layers)

    @property
    def blocks(self) -> list[Block]:
        """The parts of the network in the order in which they first run."""
        members: dict[str, list[Layer]] = {}
        for layer in self.layers:
            members.setdefault(layer.block, []).append(layer)
        return [
            Block(name, len(of), sum(one.parameters for one in of), sum(one.multiply_adds for one in of))
            for name, of in members.items()
        ]

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "name": self.name,
            "size": list(self.size),
            "parameters": self.parameters,
            "multiply_adds": self.multiply_adds,
            "memory": self.memory.to_json(),
            "field": self.field.to_json() if self.field else None,
            "encoder_field": self.encoder_field.to_json() if self.encoder_field else None,
            "blocks": [vars(block) for block in self.blocks],
            "layers": [layer.to_json() for layer in self.layers],
        }


def block_of(path: str, has_children: Callable[[str], bool]) -> str:
    """The part of a network that the module at `path` belongs to: the first word that says something, the next one too
    within the encoder, and a number behind it if that is a block and not a single layer.

    >>> block_of("core.encoder.body.layer1.0.conv2", lambda path: True)
    'encoder.layer1'
    >>> block_of("core.blocks.3.convs.0.0", lambda path: True)
    'blocks.3'
    """
    words = path.split(".")
    kept: list[str] = []
    for place, word in enumerate(words):
        if word in ("core", "body", "model") and len(kept) < 2 and (not kept or kept == ["encoder"]):
            continue
        if set(word) <= NUMBERS and kept:
            numbered = len(kept) < 2 or kept[0] == "encoder"
            if numbered and kept[-1] in CONTAINERS and has_children(".".join(words[: place + 1])):
                kept.append(word)
            break
        if len(kept) == (2 if kept[:1] == ["encoder"] else 1):
            break
        kept.append(word)
    return ".".join(kept) or "input"


CONTAINERS = ("blocks", "stages", "layers", "steps", "upsamplers", "scores", "features", "block", "convs", "levels")


def share(part: int, total: int) -> str:
    """
    >>> share(1, 3), share(0, 0), share(1, 3000)
    ('33 %', '-', '<1 %')
    """
    if not total:
        return "-"
    percent = 100 * part / total
    return "<1 %" if 0 < percent < 0.5 else f"{percent:.0f} %"


def first_of(values: Sequence[str], most: int = 3) -> str:
    """The first few of a long list, in words."""
    shown = ", ".join(values[:most])
    return shown if len(values) <= most else f"{shown} and {len(values) - most} more"
