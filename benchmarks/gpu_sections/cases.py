"""The networks that are timed, as settings of a trial."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from segsuite.config import TrialSettings, validate
from segsuite.trial.data import TrialData, build_data


@dataclass(frozen=True)
class Case:
    """A network, how large its crops are and how many a batch holds."""

    name: str
    model: dict[str, Any]
    crop: tuple[int, int]
    batch: int = 8


CASES = (
    Case("U-Net r18, 8 x 384 x 480", {"name": "unet", "encoder": "resnet18"}, (384, 480)),
    Case("U-Net lite0, 8 x 256 x 320", {"name": "unet", "encoder": "tf_efficientnet_lite0"}, (256, 320)),
    Case("FCN r50, 8 x 512 x 512", {"name": "fcn", "encoder": "resnet50"}, (512, 512)),
    Case("DeepLabV3 r50, 8 x 512 x 512", {"name": "deeplabv3", "encoder": "resnet50"}, (512, 512)),
)
SMALL = (Case("U-Net r18, 2 x 32 x 64", {"name": "unet", "encoder": "resnet18"}, (32, 64), 2),)


def data_of(root: Path | None, images: int) -> dict[str, Any]:
    """CamVid where it is, else as many images of `shapes` of the same size."""
    if root is not None:
        return {"name": "camvid", "root": str(root)}
    return {"name": "shapes", "size": [360, 480], "train_images": images, "val_images": max(2, images // 4)}


def settings_of(case: Case, data: dict[str, Any], **sections: dict[str, Any]) -> TrialSettings:
    """A trial's settings: random crops at a random scale, flips and colours, as experiments/base/camvid.yaml has them,
    and what `sections` change."""
    largest = max(case.crop[0] / 360, case.crop[1] / 480)
    augment = {"crop": list(case.crop), "scale": [max(0.6, largest), 1.3 * max(1.0, largest)]}
    augment |= {"brightness": 0.2, "contrast": 0.2, "saturation": 0.2}
    values: dict[str, Any] = {"data": data, "model": case.model, "augment": augment}
    values["train"] = {"batch_size": case.batch, **sections.pop("train", {})}
    return validate({**values, **sections}, str)


def training_data(settings: TrialSettings) -> TrialData:
    """Datasets and loaders as a trial has them."""
    return build_data(settings)
