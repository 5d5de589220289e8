"""The exponential moving average of the weights, which is what is validated, scored and saved as the network."""

import itertools
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import WeightAveraging
from torch import Tensor


class MovingAverage(WeightAveraging):
    """average = decay * average + (1 - decay) * weights after every optimizer step, begun as the weights after the
    first; running statistics of normalisation likewise, other buffers as they are.

    Lightning's own EMAWeightAveraging takes the device that the module is on when it is set up, which is the CPU, asks
    the device in each step how many steps there were, and goes through the parameters one by one.
    """

    def __init__(self, decay: float, device: torch.device) -> None:
        super().__init__(device=device)
        self.decay = decay

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Adds the weights after an optimizer step."""
        if trainer.global_step > self._latest_update_step:
            self._add(pl_module, is_first=self._latest_update_step == 0)
            self._latest_update_step = trainer.global_step

    @torch.no_grad()
    def _add(self, module: pl.LightningModule, is_first: bool) -> None:
        average = self._average_model
        assert average is not None
        averages, values = _tensors(average.module), _tensors(module)
        kept = [at for at, value in enumerate(values) if is_first or not value.is_floating_point()]
        moved = [at for at, value in enumerate(values) if not is_first and value.is_floating_point()]
        if moved:
            torch._foreach_lerp_([averages[at] for at in moved], [values[at] for at in moved], 1 - self.decay)
        for at in kept:
            averages[at].copy_(values[at])
        average.n_averaged += 1


def _tensors(module: torch.nn.Module) -> list[Tensor]:
    return [tensor.detach() for tensor in itertools.chain(module.parameters(), module.buffers())]
