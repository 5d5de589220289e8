"""The smallest result.json that counts as whole."""

import copy
from typing import Any

WHOLE: dict[str, Any] = {
    "scores": {"miou": 0.5, "pixel_accuracy": 0.75},
    "class_scores": {"iou": {"a": 0.25, "b": 0.75}},
    "scored": {"split": "val", "images": 2, "checkpoint": "last"},
    "cost": {"parameters": 1000, "train_seconds": 60.0},
    "epochs": 3,
}


def whole_result(**changes: Any) -> dict[str, Any]:
    """A whole result with other entries; a mapping is merged into the one that is there."""
    result = copy.deepcopy(WHOLE)
    for name, value in changes.items():
        known = result.get(name)
        result[name] = {**known, **value} if isinstance(known, dict) and isinstance(value, dict) else value
    return result
