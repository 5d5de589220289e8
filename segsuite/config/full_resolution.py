"""Which networks and losses `train.full_resolution: fused` is for, checked without torch."""

from segsuite.config.deeplabv3 import DeepLabModel
from segsuite.config.fcn import FcnModel
from segsuite.config.loss import Loss
from segsuite.config.model import Model
from segsuite.errors import ConfigError
from segsuite.losses import check_fused


def check_full_resolution(model: Model, loss: Loss) -> None:
    """Raises ConfigError unless the network ends in bilinear interpolation of its logits and the loss can be computed
    together with it."""
    check_fused(**loss.model_dump())
    if isinstance(model, DeepLabModel):
        setting, last = "upsampler", model.upsampler
    elif isinstance(model, FcnModel) and model.variant != "plain":
        setting = "upsampler" if model.variant == "32s" else "last_upsampler"
        last = model.last_upsampler or model.upsampler or "transposed_bilinear"
    else:
        raise ConfigError(
            f"full_resolution is fused, which needs a network that ends in bilinear interpolation of its logits, and "
            f"model '{model.name}' does not",
            advice="set train.full_resolution to direct, or take a DeepLabV3 or an FCN of variant 32s, 16s or 8s",
        )
    if last != "bilinear":
        name = last if isinstance(last, str) else last.name
        raise ConfigError(
            f"full_resolution is fused, which needs bilinear interpolation as the network's last step, but that is "
            f"'{name}'",
            advice=f"set model.{setting} to bilinear, or train.full_resolution to direct",
        )
