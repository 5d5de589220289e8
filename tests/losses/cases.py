"""The settings with which every loss is tested, and a batch to test it on."""

from typing import Any

import torch
from torch import Tensor, nn

from segsuite.losses import LOSSES

WEIGHTS = [1.0, 0.0, 2.5, 0.25, 1.5]
COUNTS = [900.0, 60.0, 20.0, 5.0, 300.0]
REGION: list[dict[str, Any]] = [
    {},
    {"per_image": True, "average": "all", "smooth": 1.0},
    {"smooth": 0.5, "class_weights": WEIGHTS},
]
SETTINGS: dict[str, list[dict[str, Any]]] = {
    "boundary_weighted_cross_entropy": [{}, {"w0": 3.0, "sigma": 1.5, "class_weights": WEIGHTS}],
    "class_balanced_cross_entropy": [{"pixel_counts": COUNTS, "beta": 0.99}],
    "cross_entropy": [{}, {"label_smoothing": 0.1, "class_weights": WEIGHTS}],
    "dice": [*REGION, {"squared": True}],
    "focal": [{}, {"gamma": 0.5, "alpha": WEIGHTS}, {"gamma": 5.0}],
    "focal_tversky": [*REGION, {"gamma": 0.75}],
    "generalised_dice": [{}, {"weights": "simple", "per_image": True}, {"weights": "uniform"}],
    "jaccard": [*REGION, {"squared": True, "per_image": True}],
    "logit_adjusted_cross_entropy": [{"pixel_counts": COUNTS, "tau": 0.5}],
    "lovasz_softmax": [{}, {"per_image": True}, {"average": "all"}],
    "ohem_cross_entropy": [{}, {"threshold": 0.01, "min_kept_fraction": 0.5, "class_weights": WEIGHTS}],
    "poly_cross_entropy": [{}, {"epsilon": -0.5, "class_weights": WEIGHTS}],
    "sum": [
        {"terms": [{"name": "cross_entropy"}, {"name": "focal", "weight": 0.5}, {"name": "dice", "weight": 2.0}]},
        {
            "terms": [
                {"name": "cross_entropy", "class_weights": WEIGHTS},
                {"name": "dice", "squared": True, "smooth": 1.0},
                {"name": "lovasz_softmax", "weight": 0.25},
            ]
        },
        {"terms": [{"name": "cross_entropy", "label_smoothing": 0.1}, {"name": "boundary", "weight": 0.125}]},
    ],
    "topk_cross_entropy": [{}, {"fraction": 0.5, "class_weights": WEIGHTS}],
    "tversky": [*REGION, {"alpha": 0.75, "beta": 0.25}],
    "unified_focal": [{"rare_classes": [1, 3]}, {"rare_classes": [4], "tversky_share": 0.25, "per_image": True}],
}
"""Settings of each loss; a loss that is not here is tested with its defaults."""

CASES = [(name, settings) for name in LOSSES for settings in SETTINGS.get(name, [{}])]


def case_id(value: object) -> str:
    """The name of a parameter in a test's id."""
    if not isinstance(value, dict):
        return str(value)
    return ",".join(f"{key}={item}" for key, item in value.items()).replace(" ", "")[:60] or "default"


def batch(num_classes: int = 5, seed: int = 0, images: int = 2) -> tuple[Tensor, Tensor]:
    """Logits (N, C, 6, 7) and uint8 labels with about a fifth void."""
    generator = torch.Generator().manual_seed(seed)
    logits_NCHW = torch.randn(images, num_classes, 6, 7, generator=generator) * 3
    labels_NHW = torch.randint(0, num_classes, (images, 6, 7), generator=generator).to(torch.uint8)
    labels_NHW[torch.rand(images, 6, 7, generator=generator) < 0.2] = 255
    return logits_NCHW, labels_NHW


def value_and_gradient(loss: nn.Module, logits_NCHW: Tensor, labels_NHW: Tensor) -> tuple[Tensor, Tensor]:
    logits_NCHW = logits_NCHW.clone().requires_grad_()
    value: Tensor = loss(logits_NCHW, labels_NHW)
    value.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
    assert logits_NCHW.grad is not None
    return value.detach(), logits_NCHW.grad
