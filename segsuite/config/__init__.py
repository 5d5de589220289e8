"""Typed settings of a trial, one file a subject; imports no torch. `trial.validate` makes them from plain values."""

from segsuite.config.data import Augment, CamvidData, Data, FolderData, ShapesData
from segsuite.config.model import CrossEntropyLoss, Loss, Model, SmpModel, UNetModel
from segsuite.config.tracking import Wandb
from segsuite.config.training import Evaluation, Execution, Optimizer, Schedule, Train
from segsuite.config.trial import TrialSettings, arm_id, trial_id, validate

__all__ = [
    "Augment",
    "CamvidData",
    "CrossEntropyLoss",
    "Data",
    "Evaluation",
    "Execution",
    "FolderData",
    "Loss",
    "Model",
    "Optimizer",
    "Schedule",
    "ShapesData",
    "SmpModel",
    "Train",
    "TrialSettings",
    "UNetModel",
    "Wandb",
    "arm_id",
    "trial_id",
    "validate",
]
