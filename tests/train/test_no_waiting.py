"""A training step reads no value of a tensor: on a GPU each would make the host wait for all that the device was given.

On a CPU the losses look at values, which costs nothing there; here they take the way that they take on a GPU.
"""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
from pytorch_lightning.callbacks import Callback
from torch.profiler import ProfilerActivity, profile

from segsuite.config import Train
from segsuite.datasets.loader import Samples, evaluation_loader, training_loader
from segsuite.io.store import RunDirectory
from segsuite.losses import build_loss
from segsuite.losses.full_resolution import build_fused_loss
from segsuite.losses.gradient_norm import MeasuredLoss
from segsuite.models import build_model
from segsuite.models.network import SegmentationNetwork
from segsuite.train import step_state
from segsuite.train.callbacks import StopRequest
from segsuite.train.fit import fit_or_resume, total_steps
from segsuite.train.module import SegmentationModule
from tests.losses.cases import CASES, case_id
from tests.train.tiny import CLASSES, Noise, network

WAITING = ("_local_scalar_dense", "nonzero", "masked_select", "is_nonzero", "equal", "bincount", "_unique2")
BY_VALUE = ("pixels", "cross_entropy", "strips", "enlargement", "fused_cross_entropy", "labels")


def callers(event: Any) -> list[str]:
    """Names of the operations that an event of a profile is within."""
    found = []
    while event.cpu_parent is not None:
        event = event.cpu_parent
        found.append(event.name)
    return found


class Watching(Callback):
    """Counts the operations that need a value on the host, in all steps but the first two, in which norms and tables
    are made."""

    def __init__(self) -> None:
        self.found: Counter[str] = Counter()

    def on_train_batch_start(self, trainer: Any, module: Any, batch: Any, batch_idx: int) -> None:
        if batch_idx > 1:
            self.profile = profile(activities=[ProfilerActivity.CPU])
            self.profile.__enter__()

    def on_train_batch_end(self, trainer: Any, module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        if batch_idx > 1:
            self.profile.__exit__(None, None, None)
            for event in self.profile.events() or []:
                name = event.name.removeprefix("aten::")
                # The fused optimizers of CPUs read the number of the step, those of GPUs do not.
                if name in WAITING and not any(caller.startswith("aten::_fused_") for caller in callers(event)):
                    self.found[name] += 1


@pytest.fixture(autouse=True)
def as_on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Losses look at no value, the host at no step."""
    for name in BY_VALUE:
        monkeypatch.setattr(f"segsuite.losses.{name}.on_cpu", lambda tensor: False)
    plain = step_state.StepState.__init__

    def seldom(self: step_state.StepState, device: torch.device, *rest: Any, **more: Any) -> None:
        plain(self, device, *rest, **{**more, "read_every": 1000})

    monkeypatch.setattr(step_state.StepState, "__init__", seldom)


def waits(net: SegmentationNetwork, loss: torch.nn.Module, folder: Path, **changes: Any) -> Counter[str]:
    """What the steps 3 and on of an epoch of eight read."""
    settings = Train.model_validate({"epochs": 1, "batch_size": 2, "precision": "fp32", **changes})
    data, watching = Noise(16), Watching()
    samples, steps = Samples(data), total_steps(settings, 8)
    training = training_loader(samples, range(16), 2, 0, accumulate=settings.accumulate)
    validation = evaluation_loader(samples, range(2), 2, 0)
    module = SegmentationModule(net, MeasuredLoss(loss), [str(i) for i in range(net.num_classes)], settings, steps)
    fit_or_resume(
        *(module, training, validation, RunDirectory(folder), "cpu", settings.precision, 100.0, StopRequest()),
        *(lambda event: None, [watching]),
    )
    return watching.found


@pytest.mark.parametrize(("name", "settings"), CASES, ids=case_id)
def test_no_loss_does(name: str, settings: dict[str, Any], tmp_path: Path) -> None:
    assert waits(network(num_classes=5), build_loss(name, **settings), tmp_path) == {}


@pytest.mark.parametrize("name", ["cross_entropy", "dice", "ohem_cross_entropy"])
def test_no_loss_of_enlarged_logits_does(name: str, tmp_path: Path) -> None:
    net = build_model("deeplabv3", len(CLASSES), encoder="mobilenetv3_small_100")
    assert waits(net, build_fused_loss(name), tmp_path, full_resolution="fused") == {}


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"gradient_clip": 1.0},
        {"ema_decay": 0.9},
        {"accumulate": 2},
        {"optimizer": {"name": "sgd"}},
        {"match_gradient_norm": True},
    ],
    ids=str,
)
def test_no_setting_of_training_does(changes: dict[str, Any], tmp_path: Path) -> None:
    terms = [{"name": "cross_entropy", "class_weights": [1.0, 2.0]}, {"name": "dice"}, {"name": "focal"}]
    assert waits(network(), build_loss("sum", terms=terms), tmp_path, **changes) == {}


@pytest.mark.parametrize("name", ["unet", "fcn", "deeplabv3", "deeplabv3plus"])
def test_no_network_does(name: str, tmp_path: Path) -> None:
    net = build_model(name, len(CLASSES), encoder="mobilenetv3_small_100")
    assert waits(net, build_loss("cross_entropy"), tmp_path) == {}
