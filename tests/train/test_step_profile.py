"""segsuite.train.step_profile: the parts of a step add up to the step, and a slow part is found."""

import time
from pathlib import Path

import pytest
from pytorch_lightning.callbacks import Callback
from torch import Tensor, nn

from segsuite.datasets.loader import Samples, evaluation_loader, training_loader
from segsuite.io.store import RunDirectory
from segsuite.losses import build_loss
from segsuite.train.callbacks import StopRequest
from segsuite.train.fit import fit_or_resume
from segsuite.train.step_profile import PARTS, StepProfile
from tests.train.tiny import Noise, module, train_settings

SLOW = 0.1  # s; what else a step does takes a tenth of it on an idle machine


class Slow(nn.Module):
    """Cross entropy that takes a while in training, forward or backward."""

    def __init__(self, forward: bool) -> None:
        super().__init__()
        self.loss, self.slow_forward = build_loss("cross_entropy"), forward

    def forward(self, logits_NCHW: Tensor, labels_NHW: Tensor) -> Tensor:
        value: Tensor = self.loss(logits_NCHW, labels_NHW)
        if self.training and self.slow_forward:
            time.sleep(SLOW)
        elif self.training:
            value.register_hook(lambda gradient: time.sleep(SLOW))
        return value


class SlowImages(Noise):
    """Images that take a while to read."""

    def read(self, index: int) -> tuple[object, object]:  # type: ignore[override]
        time.sleep(SLOW / 2)
        return super().read(index)


class SlowLogging(Callback):
    """Someone who watches, and takes a while."""

    def on_train_batch_end(self, *_: object) -> None:
        time.sleep(SLOW)


@pytest.mark.parametrize("slow", ["loss", "backward", "data", "logging"])
def test_a_slow_part_is_found_and_the_parts_are_the_step(slow: str, tmp_path: Path) -> None:
    data = SlowImages(16) if slow == "data" else Noise(16)
    loss = Slow(slow == "loss") if slow in ("loss", "backward") else build_loss("cross_entropy")
    watching = [SlowLogging()] if slow == "logging" else []
    trained = module(train_settings(epochs=1), loss=loss, images=16)
    profile = StepProfile(2)
    fit_or_resume(
        *(trained, training_loader(Samples(data), range(16), 2, 0), evaluation_loader(Samples(data), range(2), 2, 0)),
        *(RunDirectory(tmp_path), "cpu", "fp32", 100.0, StopRequest(), lambda event: None, [*watching, profile]),
    )
    assert profile.steps == 6
    assert set(profile.seconds) == set(PARTS)
    steps = {part: seconds / profile.steps for part, seconds in profile.seconds.items()}
    assert SLOW <= steps[slow] <= sum(steps.values())
    assert max(steps, key=lambda part: steps[part]) == slow
    assert all(seconds > 0 for seconds in steps.values())
