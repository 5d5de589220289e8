"""One operation of PyTorch as the rules of spread.py see it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from segsuite.inspect.spans import Shape, Spans


@dataclass(frozen=True, eq=False)
class Call:
    """One operation: its name, its arguments with an Argument in the place of each traced tensor, what it gives."""

    name: str
    args: Sequence[Any]
    kwargs: dict[str, Any]
    shape: Shape
    """Of the first output."""
    path: str
    """Of the module it is called in."""
    run: Callable[[Tensor], Any]
    """The operation with its first argument replaced."""

    @property
    def x(self) -> "Argument":
        first: Argument = self.args[0]
        return first

    def get(self, place: int, name: str, default: Any = None) -> Any:
        """An argument by place or name."""
        return self.args[place] if len(self.args) > place else self.kwargs.get(name, default)

    def tracked(self) -> list["Argument"]:
        """All traced tensors among the arguments that depend on the image."""
        flat = [item for arg in self.args for item in (arg if isinstance(arg, list | tuple) else [arg])]
        found = [item for item in (*flat, *self.kwargs.values()) if isinstance(item, Argument)]
        return [item for item in found if item.spans is not None]


@dataclass(frozen=True, eq=False)
class Argument:
    """A traced tensor: shape, and spans unless it does not depend on the image; grid: see Outline."""

    shape: Shape
    spans: Spans | None
    grid: tuple[int, int] | None = None

    @property
    def known(self) -> Spans:
        """Its spans; those of nothing when it does not depend on the image."""
        return self.spans or Spans.of_image(1, 1).nothing(len(self.shape))
