"""Typed settings of a trial, one file a subject; imports no torch. `trial.validate` makes them from plain values."""

from segsuite.config.checkerboard import Checkerboard
from segsuite.config.data import Augment, CamvidData, Data, FolderData, ShapesData
from segsuite.config.deeplabv3 import DeepLabV3Model, DeepLabV3PlusModel
from segsuite.config.fcn import FcnModel
from segsuite.config.loss import CrossEntropyLoss, Loss
from segsuite.config.model import Model, SmpModel, UNetModel
from segsuite.config.tracking import Wandb
from segsuite.config.training import Evaluation, Execution, Optimizer, Schedule, Train
from segsuite.config.trial import TrialSettings, arm_id, trial_id, validate

__all__ = [
    "Augment",
    "CamvidData",
    "Checkerboard",
    "CrossEntropyLoss",
    "Data",
    "DeepLabV3Model",
    "DeepLabV3PlusModel",
    "Evaluation",
    "Execution",
    "FcnModel",
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
