"""Every setting that training depends on, at its default and at one other value at least: factors of a covering array.
What is not here is in LEFT_OUT, with the reason; test_setting_pairs.py knows the settings from their classes."""

from collections.abc import Hashable, Mapping
from typing import Any

from pydantic import BaseModel

from segsuite.config import Execution, SmpModel, Train, TrialSettings, UNetModel, validate
from segsuite.config.decoder import OwnNetwork
from segsuite.config.deeplabv3 import DeepLabModel
from segsuite.errors import ConfigError

SMALL = "mobilenetv3_small_100"
CROP = {"augment.crop": [32, 32]}
BASE: dict[str, Any] = {
    "data": {"name": "shapes", "size": [32, 32], "scene_seed": 3, "train_images": 4, "val_images": 2, "test_images": 2},
    "train": {"epochs": 2, "batch_size": 2},
    "execution": {"device": "cpu"},
    "tracker": "none",
}
"""Two steps an epoch; one with accumulate: 2."""

ENCODERS = {
    "encoder": "a small one; tests/contracts/test_encoders.py tries them",
    "weights": "tests/encoders/test_weights.py tries them",
}
LEFT_OUT: dict[type[BaseModel], Mapping[str, str]] = {
    TrialSettings: {
        "checkerboard": "only looks, and takes seconds; tests/train/test_checkerboard.py",
        "data": "tests/datasets tries them; here it is shapes",
        "tracker": "tests/wandb and tests/train try them",
        "wandb": "tests/wandb tries them",
        "seed": "changes no code that runs",
    },
    OwnNetwork: ENCODERS,
    SmpModel: ENCODERS | {"options": "few channels, for a quick test"},
    UNetModel: {"decoder_channels": "few, for a quick test"},
    DeepLabModel: {"aspp_channels": "few, for a quick test"},
    Train: {"epochs": "few, for a quick test", "batch_size": "small, for a quick test"},
    Execution: {
        "device": "the CPU, which every machine has; tests/cuda tries another",
        "nodes": "needs a cluster; tests/slurm",
        "devices": "needs several processes; tests/reliability/test_distributed.py",
        "strategy": "fsdp needs GPUs",
    },
}


def is_left_out(group: type[BaseModel], field: str) -> bool:
    """Whether a field of a group of settings is not varied, by what is said of it or of what it inherits from."""
    return any(field in fields and issubclass(group, of) for of, fields in LEFT_OUT.items())


Patch = Mapping[str, Any]
PATCHES: dict[str, tuple[Patch, ...]] = {
    "optimizer": ({}, {"train.optimizer.name": "sgd"}),
    "encoder_learning_rate": ({}, {"train.optimizer.encoder_learning_rate": 1e-4}),
    "rates": (
        {},
        {
            "train.optimizer.learning_rate": 1e-2,
            "train.optimizer.weight_decay": 0.0,
            "train.optimizer.momentum": 0.5,
            "train.optimizer.reference_batch_size": 4,
        },
    ),
    "schedule": (
        {},
        {"train.schedule.name": "cosine"},
        {"train.schedule.name": "step", "train.schedule.milestones": [0.5], "train.schedule.gamma": 0.5},
        {"train.schedule.name": "constant", "train.schedule.warmup_fraction": 0.5},
        {"train.schedule.power": 2.0, "train.schedule.warmup_fraction": 0.5},
    ),
    "precision": ({}, {"train.precision": "bf16-mixed"}, {"train.precision": "fp32"}),
    "accumulate": ({}, {"train.accumulate": 2}),
    "gradient_clip": ({}, {"train.gradient_clip": 1.0}),
    "ema_decay": ({}, {"train.ema_decay": 0.9}),
    "freeze_encoder_epochs": ({}, {"train.freeze_encoder_epochs": 1}),
    "early_stopping_patience": ({}, {"train.early_stopping_patience": 1}),
    "validate_every": ({}, {"train.validate_every": 2}),
    "max_steps": ({}, {"train.max_steps": 2}),
    "repeat_threshold": ({}, {"train.repeat_threshold": 1.0}),
    "overfit_batches": ({}, {"train.overfit_batches": 1}),
    "match_gradient_norm": ({}, {"train.match_gradient_norm": True}),
    "full_resolution": ({}, {"train.full_resolution": "fused"}),
    "deterministic": ({}, {"train.deterministic": "strict"}, {"train.deterministic": "warn"}),
    "crop": ({}, CROP),
    "crop_classes": (
        {},
        CROP
        | {
            "augment.crop_classes.probability": 0.5,
            "augment.crop_classes.temperature": None,
            "augment.crop_classes.max_share": 0.75,
            "augment.crop_classes.tries": 3,
        },
    ),
    "scale": ({}, CROP | {"augment.scale": [0.8, 1.2]}),
    "horizontal_flip": ({}, {"augment.horizontal_flip": 0.0}),
    "colours": ({}, {"augment.brightness": 0.2, "augment.contrast": 0.2, "augment.saturation": 0.2}),
    "hue": ({}, {"augment.hue": 0.1}),
    "split": ({}, {"evaluation.split": "test"}),
    "checkpoint": ({}, {"evaluation.checkpoint": "best"}),
    "evaluation_stride": ({}, {"evaluation.output_stride": 8}),
    "workers": ({}, {"execution.workers": 1}),
    "data_on_device": ({}, {"execution.data_on_device": True}),
    "threads": ({}, {"execution.threads": 1}),
    "cuda_graphs": ({}, {"execution.cuda_graphs": True}),
    "cache_images": ({}, {"execution.cache_images": False}),
    "evaluation_batch_size": ({}, {"execution.evaluation_batch_size": 1}),
    "keep": ({}, {"execution.keep": "all"}),
    "checkpoint_minutes": ({}, {"execution.checkpoint_minutes": 1e-6}),
}
"""Settings that every network and loss has; the first value of each is the default."""

FEW = [8, 8, 8, 8, 8]
LAYERS = {"normalisation": "group", "normalisation_groups": 4, "activation": "silu", "attention": "scse"}
DIRECT = {"name": "nearest_conv", "implementation": "direct"}
TRANSPOSED = {"name": "transposed_k4", "init": "bilinear"}
MODELS: dict[str, tuple[Patch, ...]] = {
    "unet": (
        {"encoder": SMALL, "decoder_channels": FEW},
        {
            "encoder": SMALL,
            "encoder_normalisation": "frozen_batch",
            **LAYERS,
            "upsampler": DIRECT,
            "decoder_channels": FEW,
            "dropout": 0.1,
            "match": "parameters",
            "match_to": "nearest_conv",
        },
    ),
    "fcn": (
        {"encoder": SMALL},
        {
            "encoder": SMALL,
            "encoder_normalisation": "frozen_batch",
            **LAYERS,
            "variant": "plain",
            "stride": 16,
            "decoder_channels": [8, 8, 8, 8],
            "dropout": 0.1,
            "match": "parameters",
            "match_to": "nearest_conv",
        },
        {
            "encoder": SMALL,
            "variant": "16s",
            "upsampler": TRANSPOSED,
            "last_upsampler": "bilinear",
            "head_channels": 8,
        },
    ),
    "deeplabv3": (
        {"encoder": SMALL, "aspp_channels": 8},
        {
            "encoder_normalisation": "frozen_batch",
            **LAYERS,
            "output_stride": 8,
            "rates": [1, 2],
            "multi_grid": [1, 2],
            "upsampler": TRANSPOSED,
            "aspp_channels": 8,
            "image_pooling": False,
            "auxiliary_weight": 0.5,
            "separable": True,
            "dropout": 0.1,
        },
        {"encoder": "resnet18", "aspp_channels": 8, "hybrid_rates": [[1, 2]]},
    ),
    "deeplabv3plus": (
        {"encoder": SMALL, "aspp_channels": 8},
        {
            "encoder_normalisation": "frozen_batch",
            **LAYERS,
            "output_stride": 8,
            "rates": [1, 2],
            "hybrid_rates": [[1, 2]],
            "aspp_channels": 8,
            "image_pooling": False,
            "auxiliary_weight": 0.5,
            "upsampler": "bilinear_conv",
            "separable": False,
            "low_level_channels": 8,
            "dropout": 0.2,
        },
        {"encoder": "resnet18", "aspp_channels": 8, "multi_grid": [1, 2]},
    ),
    "smp/Unet": (
        {"encoder": SMALL, "options": {"decoder_channels": FEW}},
        {"encoder": SMALL, "options": {"decoder_channels": [32, 16, 16, 16, 16], "decoder_attention_type": "scse"}},
    ),
}
"""Settings of each network, the plainest first."""

RULE = {"rule": "effective_number", "beta": 0.99, "normalise": "mean", "clip": [0.1, 10.0]}
REGION = {"weight": 2.0, "class_weights": RULE, "per_image": True, "average": "all", "smooth": 1.0}
COUNTS = [900, 800, 700, 600, 500, 400, 300, 200]
LOSSES: dict[str, tuple[Patch, ...]] = {
    "cross_entropy": (
        {},
        {"weight": 2.0, "class_weights": {"rule": "log", "c": 1.1}, "label_smoothing": 0.1},
    ),
    "focal": ({}, {"weight": 2.0, "gamma": 1.0, "alpha": "inverse_sqrt"}),
    "poly_cross_entropy": ({}, {"weight": 2.0, "class_weights": [1.0] * 8, "epsilon": 2.0}),
    "ohem_cross_entropy": (
        {},
        {"weight": 2.0, "class_weights": RULE, "threshold": 0.5, "min_kept_fraction": 0.2},
    ),
    "topk_cross_entropy": ({}, {"weight": 2.0, "class_weights": RULE, "fraction": 0.5}),
    "logit_adjusted_cross_entropy": ({}, {"weight": 2.0, "tau": 0.5, "pixel_counts": COUNTS}),
    "class_balanced_cross_entropy": ({}, {"weight": 2.0, "beta": 0.9, "pixel_counts": COUNTS}),
    "recall_weighted_cross_entropy": ({}, {"weight": 2.0}),
    "boundary_weighted_cross_entropy": (
        {},
        {"weight": 2.0, "class_weights": RULE, "w0": 5.0, "sigma": 2.0},
    ),
    "boundary": ({}, {"weight": 2.0}),
    "dice": ({}, REGION | {"squared": True}),
    "jaccard": ({}, REGION | {"squared": True}),
    "tversky": ({}, REGION | {"alpha": 0.5, "beta": 0.5}),
    "focal_tversky": ({}, REGION | {"alpha": 0.5, "beta": 0.5, "gamma": 1.0}),
    "generalised_dice": ({}, {"weight": 2.0, "weights": "simple", "per_image": True}),
    "lovasz_softmax": ({}, {"weight": 2.0, "per_image": True, "average": "all"}),
    "unified_focal": (
        {"rare_classes": ["marker", "spot"]},
        {
            "rare_classes": ["spot"],
            "weight": 2.0,
            "tversky_share": 0.3,
            "delta": 0.7,
            "gamma": 0.3,
            "per_image": True,
        },
    ),
    "sum": (
        {"terms": [{"name": "cross_entropy"}, {"name": "dice"}]},
        {"terms": [{"name": "boundary", "weight": 0.1}, {"name": "lovasz_softmax"}, {"name": "focal"}]},
    ),
}
"""Settings of each loss, the defaults first."""

FACTORS: dict[str, tuple[Hashable, ...]] = {
    "model": tuple(MODELS),
    "model settings": tuple(range(max(map(len, MODELS.values())))),
    "loss": tuple(LOSSES),
    "loss settings": tuple(range(max(map(len, LOSSES.values())))),
    **{name: tuple(range(len(patches))) for name, patches in PATCHES.items()},
}


def values_of(row: Mapping[str, Any]) -> dict[str, Any] | None:
    """The plain settings of a row, or None where its network or loss has no such alternative."""
    model, loss = MODELS[row["model"]], LOSSES[row["loss"]]
    if row["model settings"] >= len(model) or row["loss settings"] >= len(loss):
        return None
    values: dict[str, Any] = {
        section: dict(given) if isinstance(given, dict) else given for section, given in BASE.items()
    }
    values["model"] = {"name": row["model"], **model[row["model settings"]]}
    values["loss"] = {"name": row["loss"], **loss[row["loss settings"]]}
    for name, patches in PATCHES.items():
        for path, value in patches[row[name]].items():
            at = values
            *parents, last = path.split(".")
            for parent in parents:
                at = at.setdefault(parent, {})
            at[last] = value
    return values


def settings_of(row: Mapping[str, Any]) -> TrialSettings | None:
    """The settings of a row, or None where they exclude each other."""
    values = values_of(row)
    if values is None:
        return None
    try:
        return validate(values, lambda path: "this row")
    except ConfigError:
        return None
