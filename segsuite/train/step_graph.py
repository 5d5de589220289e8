"""Forward, loss and backward of a training step as one CUDA graph: the host launches one thing instead of hundreds.

A small network on small images takes a GPU less time than the host needs to launch its kernels one by one. A graph
replays the same kernels on the same memory, so the results are those of the eager step. Shapes must not change, and
what the graph does must not depend on the host: the optimizer, the check for finite numbers and the data stay outside.
"""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

EAGER_STEPS = 10
"""Steps before a graph is made: norms and tables are made in the first, cuDNN chooses its algorithms."""


class StepGraph:
    """`loss_of(images, labels)` and its gradients to the parameters of `module`, made at the first call."""

    def __init__(self, module: nn.Module, loss_of: Callable[[Tensor, Tensor], Tensor]) -> None:
        self._module, self._loss_of = module, loss_of
        self._graph = torch.cuda.CUDAGraph()
        self._given: tuple[Tensor, Tensor] | None = None
        self._gradients: list[tuple[nn.Parameter, Tensor]] = []

    def fits(self, images: Tensor, labels: Tensor) -> bool:
        """Whether the batch has the shapes that the graph was made for."""
        return self._given is None or (images.shape, labels.shape) == tuple(one.shape for one in self._given)

    def run(self, images: Tensor, labels: Tensor) -> Tensor:
        """The loss of a batch, with nothing to be propagated: `give_gradients` has its gradients."""
        if self._given is None:
            self._capture(images, labels)
        assert self._given is not None
        for static, given in zip(self._given, (images, labels), strict=True):
            static.copy_(given)
        self._graph.replay()
        return self._loss.detach().clone()

    def give_gradients(self) -> None:
        """The parameters get the gradients of the last batch."""
        for parameter, gradient in self._gradients:
            parameter.grad = gradient

    def _capture(self, images: Tensor, labels: Tensor) -> None:
        given = images.clone(), labels.clone()
        parameters = [parameter for parameter in self._module.parameters() if parameter.requires_grad]
        buffers = [(buffer, buffer.clone()) for buffer in self._module.buffers()]
        state = torch.cuda.get_rng_state()
        stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):  # what is made lazily must not be made within the graph
            self._loss_of(*given).backward()  # type: ignore[no-untyped-call]
        torch.cuda.current_stream().wait_stream(stream)
        _forget(parameters)
        for buffer, before in buffers:  # the statistics of that step do not count
            buffer.copy_(before)
        torch.cuda.set_rng_state(state)
        with torch.cuda.graph(self._graph):
            self._loss = self._loss_of(*given)
            self._loss.backward()  # type: ignore[no-untyped-call]
        self._given = given
        self._gradients = [(parameter, parameter.grad) for parameter in parameters if parameter.grad is not None]


def _forget(parameters: Iterable[nn.Parameter]) -> None:
    for parameter in parameters:
        parameter.grad = None
