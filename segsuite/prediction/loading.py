"""Networks of finished trials, ready to predict."""

from collections.abc import Sequence

import torch

from segsuite.errors import ConfigError
from segsuite.prediction.predictor import PLAIN, Predictor, View
from segsuite.prediction.trials import Trained
from segsuite.train.precision import resolve_device, resolve_precision
from segsuite.trial import frozen
from segsuite.trial.networks import trained_network


def load_predictor(trials: Sequence[Trained], device: str = "auto", views: tuple[View, ...] = PLAIN) -> Predictor:
    """The networks of `trials`, whose probabilities are averaged, with the weights and the arithmetic that they were
    scored with. Raises ConfigError when their classes differ, or weights are not there."""
    first = trials[0]
    for other in trials:
        if other.classes != first.classes:
            raise ConfigError(
                f"the trials have other classes: {', '.join(first.classes)}; {', '.join(other.classes)}",
                f"{first.folder}, {other.folder}",
                "an ensemble needs trials of the same classes",
            )
    device = resolve_device(device)
    refuse_missing(device)
    networks = []
    for trial in trials:
        settings = frozen.read(trial.folder).settings
        network = trained_network(trial.folder, settings, len(trial.classes))
        networks.append(network.to(device))
    return Predictor(tuple(networks), len(first.classes), device, precision_of(first.precision, device), views)


def precision_of(scored: str, device: str) -> str:
    """fp32 where the trial was scored in it; else the fast one of `device`, which may be another machine: bf16 is
    slower than fp32 on a CPU without instructions for it, and fp16 is a GPU's."""
    return "fp32" if scored == "fp32" else resolve_precision("auto", device)


def refuse_missing(device: str) -> None:
    """Raises ConfigError for a device that torch does not find here."""
    there = device == "cpu" or (torch.cuda.is_available() if device == "cuda" else torch.backends.mps.is_available())
    if not there:
        raise ConfigError(f"this machine has no device '{device}' that torch can use", "--device", "choose cpu or auto")
