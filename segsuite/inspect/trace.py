"""Runs a network on outlines and writes down its layers: size, field, parameters, multiply-adds, memory.

Works on every network, whatever its branches: nothing is asked of its code but that it runs. Operations of PyTorch
are what is seen, the module that calls them gives the layer its name.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from segsuite.inspect.calls import Argument, Call
from segsuite.inspect.kinds import kind_of
from segsuite.inspect.outline import Ledger, Memory, Outline, meta, outlines, replaced, shapes_of
from segsuite.inspect.spans import Spans
from segsuite.inspect.spread import spread
from segsuite.models.cost import multiply_adds_of

PRODUCT = "product"
"""What a layer is called that multiplies matrices."""
VIEWS = frozenset(
    (
        *(
            "view",
            "_unsafe_view",
            "reshape",
            "_reshape_alias",
            "permute",
            "transpose",
            "t",
            "slice",
            "select",
            "expand",
        ),
        *("unsqueeze", "squeeze", "split", "split_with_sizes", "unbind", "narrow", "alias", "detach", "diagonal"),
        *("as_strided", "unfold", "lift_fresh"),
    )
)


@dataclass
class Step:
    """A layer as it was run."""

    path: str
    what: str
    shape: tuple[int, ...]
    spans: Spans | None
    multiply_adds: int = 0
    parameters: int = 0


class Trace:
    """The steps of one run of `network`, and the memory it takes."""

    def __init__(self, network: nn.Module) -> None:
        self.network, self.steps, self.ledger = network, list[Step](), Ledger()
        self._paths: list[str] = [""]
        self._sizes = {name: parameter.numel() for name, parameter in network.named_parameters()}
        self._unseen = dict(self._sizes)
        self._of_weights = Memory(0, of_weights=True)

    def forward(self, shape: Sequence[int], with_spans: bool = False) -> Outline:
        """Runs the network on images of `shape` (N, 3, H, W); `steps` are its layers after that."""
        height, width = shape[-2:]
        spans = Spans.of_image(height, width) if with_spans else None
        hollow = torch.empty(shape, device="meta")
        image_NCHW = Outline.of(hollow, self, self._memory(hollow), spans)
        image_NCHW.tracked = True
        self._image = image_NCHW  # whoever calls a network holds its images
        with self._named():
            made = functional_call(self.network, self._weights(), (image_NCHW,))
        self._give_away_unseen()
        assert isinstance(made, Outline)
        return made

    def backward(self, logits: Sequence[Outline]) -> None:
        """The gradients of all parameters, each given up as soon as it is there."""
        gradients = []
        for one in logits:
            hollow = torch.empty_like(one.hollow)
            gradients.append(Outline.of(hollow, self, self._memory(hollow)))
        torch.autograd.backward(list(logits), gradients)

    def _weights(self) -> dict[str, Tensor]:
        wanted = torch.is_grad_enabled()
        weights: dict[str, Tensor] = {
            name: Outline.of(meta(one), self, self._of_weights, None, frozenset([name]), wanted and one.requires_grad)
            for name, one in self.network.named_parameters()
        }
        for name, buffer in self.network.named_buffers():
            weights[name] = Outline.of(meta(buffer).to("meta"), self, self._of_weights)
        for one in weights.values():
            if one.requires_grad:
                one.register_post_accumulate_grad_hook(_forget)  # type: ignore[no-untyped-call]  # torch leaves it untyped
        return weights

    @contextmanager
    def _named(self) -> Iterator[None]:
        """Within, the innermost module that runs is known."""
        handles = []
        for path, module in self.network.named_modules():
            handles.append(module.register_forward_pre_hook(self._entering(path)))
            handles.append(module.register_forward_hook(self._leaving, always_call=True))
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def _entering(self, path: str) -> Callable[..., None]:
        return lambda module, inputs: self._paths.append(path)

    def _leaving(self, module: nn.Module, inputs: Any, output: Any) -> None:
        self._paths.pop()

    def _memory(self, hollow: Tensor) -> Memory:
        memory = Memory(hollow.numel() * hollow.element_size())
        self.ledger.enter(memory)
        return memory

    def run(self, operation: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """What Outline asks for: the shapes, and everything that is to be known of this operation."""
        name = str(operation).split(".")[1]
        in_place = name.endswith("_") and not name.endswith("__")
        name = name.removesuffix("_") if in_place else name
        given = list(outlines((*args, *kwargs.values())))
        hollow = shapes_of(operation, name, args, kwargs)
        made = self._wrap(name, hollow, given)
        if isinstance(first := (made[0] if isinstance(made, list | tuple) else made), Outline):
            self._follow(operation, name, args, kwargs, given, made, first)
        if in_place:
            if isinstance(made, Outline):
                args[0].tracked, args[0].spans, args[0].owners = made.tracked, made.spans, made.owners
            return args[0]
        for one in outlines([made]):
            self.ledger.enter(one.memory)
        return made

    def _wrap(self, name: str, hollow: Any, given: Sequence[Outline]) -> Any:
        """`hollow` as outlines. The further outputs of a backward operation are gradients of parameters."""
        of_weights = all(one.memory.of_weights for one in given)
        backward = name.endswith("_backward") and isinstance(hollow, tuple)

        def wrap(one: Tensor) -> Outline:
            if name in VIEWS:
                return Outline.of(one, self, given[0].memory)
            further = backward and one is not hollow[0]
            return Outline.of(one, self, Memory(one.numel() * one.element_size(), of_weights or further))

        return replaced(hollow, wrap)

    def _follow(
        self,
        operation: Any,
        name: str,
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        given: Sequence[Outline],
        made: Any,
        first: Outline,
    ) -> None:
        owners = frozenset[str]().union(*(one.owners for one in given))
        outputs = list(outlines([made]))
        if not any(one.tracked for one in given):
            for one in outputs:
                one.owners = owners
            return
        call = Call(
            name,
            replaced(args, _argument),
            {key: replaced(value, _argument) for key, value in kwargs.items()},
            tuple(first.shape),
            self._paths[-1],
            lambda x: operation(x, *args[1:], **kwargs),
        )
        spans = spread(call) if any(one.spans is not None for one in given) else None
        for place, one in enumerate(outputs):
            one.tracked, one.spans = True, spans[place] if isinstance(spans, list) else spans
            if one.dtype == torch.int64:
                found = name == "max_pool2d_with_indices"
                one.grid = (one.shape[-2], one.shape[-1]) if found else given[0].grid
        self._write(operation, call, args, kwargs, made, first, owners)

    def _write(
        self,
        operation: Any,
        call: Call,
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        made: Any,
        first: Outline,
        owners: frozenset[str],
    ) -> None:
        products = multiply_adds_of(operation, args, kwargs, made)
        what = kind_of(call) or (PRODUCT if products else "")
        if what:
            self.steps.append(Step(call.path, what, tuple(first.shape), first.spans, products))
        for name in sorted(owners):
            size = self._unseen.pop(name, 0)
            if size and not self.steps:
                self.steps.append(Step(call.path, "values", tuple(first.shape), first.spans))
            if size:
                self.steps[-1].parameters += size

    def _give_away_unseen(self) -> None:
        """Parameters that entered no operation belong to no layer: they stand at the end."""
        left = sum(self._unseen.values())
        if left:
            self.steps.append(Step("", "unused", (), None, 0, left))
        self._unseen.clear()


def _argument(x: Tensor) -> Any:
    if isinstance(x, Outline):
        return Argument(tuple(x.shape), x.spans, x.grid)
    return Argument(tuple(x.shape), None)


def _forget(parameter: Tensor) -> None:
    parameter.grad = None
