"""Mirrors a trial to TensorBoard; needs the package `tensorboard`."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segsuite.io.wandb_environment import first_line
from segsuite.train.tracking import Palette, Shown, Tracker, axes, epoch_values, result_values


class TensorBoardTracker(Tracker):
    """Event files in the run directory's folder `tensorboard`: `tensorboard --logdir runs/EXPERIMENT` shows them."""

    _writer: Any = None
    _step = 0

    def start(self) -> None:
        """Opens a new event file; a continued trial has one an attempt."""
        try:
            from torch.utils.tensorboard import SummaryWriter

            self._writer = SummaryWriter(str(self.subject.folder / "tensorboard"), flush_secs=2)
        except Exception as error:
            self.warn(
                f"TensorBoard: {first_line(error)} (pip install 'segsuite[tensorboard]'); nothing is logged there"
            )
            return
        self.images, self.image_times = 4, 5

    def epoch(self, event: Mapping[str, Any]) -> None:
        """Scalars at the optimizer's step."""
        self._step = int(event["step"])
        self._scalars(epoch_values(event))

    def truth(self, shown: Sequence[Shown], classes: Sequence[str]) -> None:
        """Photos."""
        for sample in shown:
            self._image(f"samples/{sample.name}/photo", sample.image)

    def predictions(self, names: Sequence[str], labels: Sequence[NDArray[np.uint8]], palette: Palette) -> None:
        """Predictions in the dataset's colours."""
        colours = np.zeros((256, 3), dtype=np.uint8)
        colours[: len(palette)] = palette
        for name, label in zip(names, labels, strict=True):
            self._image(f"samples/{name}/prediction", colours[label])

    def finish(self, result: Mapping[str, Any]) -> None:
        """The final scores, and the axes as hyperparameters beside the mIoU."""
        values = result_values(result)
        self._scalars(values)
        if self._writer is not None:
            score = {"hparam/miou": values.get("final/miou", 0.0)}
            self.safely(
                "TensorBoard: logging the result",
                lambda: self._writer.add_hparams(axes(self.subject), score, run_name="."),
            )

    def end(self, exit_code: int) -> None:
        """Closes the event file."""
        if self._writer is not None:
            self.safely("TensorBoard: closing", self._writer.close)

    def _scalars(self, values: Mapping[str, float]) -> None:
        def write() -> None:
            for name, value in values.items():
                self._writer.add_scalar(name, value, self._step)

        if self._writer is not None:
            self.safely("TensorBoard: logging", write)

    def _image(self, name: str, image: NDArray[Any]) -> None:
        if self._writer is not None:
            self.safely(
                "TensorBoard: logging an image",
                lambda: self._writer.add_image(name, image, self._step, dataformats="HWC"),
            )
