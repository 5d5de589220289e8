"""Loss and gradient norm of the steps of an epoch, and the first step that was not finite, kept on the device.

Reading a number of a GPU makes the host wait until the GPU has done all it was given, and the GPU then waits for the
host. So nothing is read in a step: an optimizer that takes `found_inf` skips its update on the device when loss or
gradient are not finite, also in all later steps, and the host learns of it from a copy that arrives while it goes on.
On a CPU, where reading costs nothing, the host looks at once.
"""

import math

import torch
from torch import Tensor

from segsuite.errors import NonFiniteError

READ_EVERY = 20
"""Optimizer steps between two copies to the host on a GPU."""
ADVICE = "lower train.optimizer.learning_rate, set train.gradient_clip: 1, or use train.precision: fp32"
# What is kept: sums over the epoch; and the number, loss and gradient norm of the first step that was not finite.
LOSS_SUM, NORM_SUM, BAD_STEP, BAD_LOSS, BAD_NORM = range(5)


class StepState:
    """The state of one training; its sums are those of the optimizer steps of the current epoch.

    loss_scale: a gradient that is not finite is for the loss scale to deal with (fp16), and no error. read_every:
    optimizer steps between two looks of the host; by default 1, and READ_EVERY on a GPU.
    """

    def __init__(self, device: torch.device, loss_scale: bool = False, read_every: int | None = None) -> None:
        on_gpu = device.type == "cuda"
        dtype = torch.float32 if device.type == "mps" else torch.float64  # MPS has no float64
        self.loss_scale, self.read_every = loss_scale, read_every or (READ_EVERY if on_gpu else 1)
        self.bad = torch.zeros((), device=device)
        """0, and 1 from the first step on that was not finite: what fused optimizers take as `found_inf`."""
        self._numbers = torch.zeros(5, dtype=dtype, device=device)
        self._loss = torch.zeros((), dtype=dtype, device=device)  # of the batches since the last optimizer step
        self._host = torch.zeros(5, dtype=dtype, pin_memory=on_gpu)
        self._arrival = torch.cuda.Event() if on_gpu else None  # type: ignore[no-untyped-call]  # torch leaves it untyped
        self._steps, self._steps_since_copy, self._steps_copied = 0, 0, 0
        self._known = (0.0, 0.0, 0)  # sums of losses and norms, and steps

    def add_loss(self, loss: Tensor) -> None:
        """The loss of a batch, a scalar; the losses of the batches of an optimizer step add up to that of the step."""
        self._loss += loss.detach()

    def add_step(self, norm: Tensor, step: int) -> None:
        """The gradient norm of optimizer step number `step`, a scalar, before the optimizer uses the gradient."""
        is_bad = ~torch.isfinite(self._loss if self.loss_scale else self._loss + norm)
        found = torch.stack([torch.full_like(self._loss, step), self._loss, norm.to(self._loss.dtype)])
        is_first = is_bad & (self.bad == 0)
        self._numbers[BAD_STEP:] = torch.where(is_first, found, self._numbers[BAD_STEP:])
        self._numbers[LOSS_SUM] += self._loss
        self._numbers[NORM_SUM] += torch.where(torch.isfinite(norm), norm, 0.0)
        self.bad.copy_(torch.maximum(self.bad, is_bad.to(self.bad.dtype)))
        self._loss.zero_()
        self._steps += 1
        self._steps_since_copy += 1

    def look(self, epoch: int, wait: bool = False) -> None:
        """Raises NonFiniteError when a step was not finite, as far as the host knows by now; with `wait` it waits for
        the device and knows all."""
        if wait or self.read_every == 1:
            self._copy()
            self._receive(epoch)
        elif self._steps_since_copy >= self.read_every:
            self._receive(epoch)  # of the copy before, which arrived long ago
            self._copy()

    def _copy(self) -> None:
        self._host.copy_(self._numbers, non_blocking=True)
        if self._arrival is not None:
            self._arrival.record()
        self._steps_since_copy, self._steps_copied = 0, self._steps

    def _receive(self, epoch: int) -> None:
        if self._arrival is not None:
            self._arrival.synchronize()
        loss_sum, norm_sum, step, loss, norm = self._host.tolist()
        self._known = (loss_sum, norm_sum, self._steps_copied)
        if not math.isfinite(loss) or not (math.isfinite(norm) or self.loss_scale):
            what = "a gradient is not finite" if math.isfinite(loss) else f"the loss became {loss}"
            raise NonFiniteError(f"{what} in epoch {epoch}, step {step:.0f}", advice=ADVICE)

    @property
    def mean_loss(self) -> float:
        """Of the optimizer steps of this epoch that the host knows of."""
        return self._known[0] / max(1, self._known[2])

    @property
    def mean_norm(self) -> float:
        """Of their gradients; those that are not finite count as 0."""
        return self._known[1] / max(1, self._known[2])

    def sums(self) -> dict[str, float]:
        """What `start_epoch` continues from, as far as the host knows."""
        return dict(zip(("loss_sum", "norm_sum", "steps"), self._known, strict=True))

    def start_epoch(self, loss_sum: float = 0.0, norm_sum: float = 0.0, steps: float = 0) -> None:
        """The sums start anew, or from those of a checkpoint."""
        self._numbers[LOSS_SUM], self._numbers[NORM_SUM], self._steps = loss_sum, norm_sum, int(steps)
        self._known = (loss_sum, norm_sum, self._steps)
        self._copy()
