"""Models: networks from images of any size to logits of the same size.

Contract (tests/contracts/test_models.py): `build_model(name, num_classes, **settings)` gives a
SegmentationNetwork with
  * forward(images_NCHW uint8 0..255 or float 0..1, RGB) -> logits_NCHW (N, num_classes, H, W) for every H, W
    >= 1: it normalises as the encoder's weights expect, pads right and bottom to a multiple of the stride,
    and crops back;
  * `encoder_parameters()` and `decoder_parameters()`: disjoint, together all;
  * `seams()`: the places where an upsampler is plugged in (none in smp models, whose decoders fix theirs);
  * `matched`: what matching.py made of the decoder's widths, a plain dict, or None.

The suite's own cores also have decode(features fine to coarse, image_NCHW) -> logits_NCHW, with forward(x) =
decode(encoder(x), x).

Settings are the arguments of the builder below, beside its name and num_classes. smp/<Architecture> settings: encoder,
weights, options (passed to smp's constructor); names compare without regard to case. A new model is one file and one
line here. This module imports no torch.
"""

import inspect
from typing import TYPE_CHECKING, Any

from segsuite.errors import ConfigError, unknown_name
from segsuite.families import resolve

if TYPE_CHECKING:
    from segsuite.models.network import SegmentationNetwork

MODELS: dict[str, str] = {
    "deeplabv3": "segsuite.models.deeplabv3:build_deeplabv3",
    "deeplabv3plus": "segsuite.models.deeplabv3:build_deeplabv3plus",
    "fcn": "segsuite.models.fcn:build_fcn",
    "unet": "segsuite.models.unet:build_unet",
    "smp/DPT": "segsuite.models.smp:build_smp",
    "smp/DeepLabV3": "segsuite.models.smp:build_smp",
    "smp/DeepLabV3Plus": "segsuite.models.smp:build_smp",
    "smp/FPN": "segsuite.models.smp:build_smp",
    "smp/Linknet": "segsuite.models.smp:build_smp",
    "smp/MAnet": "segsuite.models.smp:build_smp",
    "smp/PAN": "segsuite.models.smp:build_smp",
    "smp/PSPNet": "segsuite.models.smp:build_smp",
    "smp/Segformer": "segsuite.models.smp:build_smp",
    "smp/UPerNet": "segsuite.models.smp:build_smp",
    "smp/Unet": "segsuite.models.smp:build_smp",
    "smp/UnetPlusPlus": "segsuite.models.smp:build_smp",
}


def model_name(name: str) -> str:
    """The spelling in MODELS of a name that may differ in case. Raises ConfigError with the nearest valid
    name.

    >>> model_name("smp/unet")
    'smp/Unet'
    """
    spelling = {valid.lower(): valid for valid in MODELS}
    if name.lower() not in spelling:
        raise ConfigError(unknown_name("model", name, MODELS))
    return spelling[name.lower()]


def build_model(name: str, num_classes: int, **settings: Any) -> "SegmentationNetwork":
    """The model `name` for `num_classes` classes. Raises ConfigError for an unknown name, setting or
    value."""
    name = model_name(name)
    build = resolve("model", MODELS, name)
    known = [parameter for parameter in inspect.signature(build).parameters if parameter not in ("name", "num_classes")]
    for setting in settings:
        if setting not in known:
            raise ConfigError(unknown_name(f"setting of model '{name}'", setting, known))
    network: SegmentationNetwork = build(name, num_classes, **settings)
    return network
