"""Every architecture of segmentation-models-pytorch with the suite's encoder names, weights and size rule."""

import inspect
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import nn

from segsuite.encoders import canonical_name
from segsuite.encoders.library import check_timm_name
from segsuite.encoders.weights import IMAGENET_MEAN, IMAGENET_STD, RGB, load_pretrained, pretrained
from segsuite.errors import ConfigError, unknown_name
from segsuite.io.imports import without
from segsuite.models.network import SegmentationNetwork

with without("wandb"):  # see encoders/library.py
    import segmentation_models_pytorch as smp

# PAN halves the stride-16 feature three times more
MIN_SIZE = {"smp/PAN": 128}
# a ViT takes one image size only unless timm is told otherwise
PRESETS: dict[str, dict[str, Any]] = {"smp/DPT": {"dynamic_img_size": True}}
OWN_ARGUMENTS = ("encoder_name", "encoder_weights", "in_channels", "classes")


@dataclass(frozen=True)
class _Preprocessing:
    mean: RGB = IMAGENET_MEAN
    std: RGB = IMAGENET_STD


def build_smp(
    name: str,
    num_classes: int,
    encoder: str = "resnet18",
    weights: str = "none",
    options: Mapping[str, Any] | None = None,
) -> SegmentationNetwork:
    """smp's `name` (spelt as in MODELS). options: further arguments of its constructor, such as
    decoder_channels.

    Raises ConfigError when the encoder, its weights or the options do not fit the architecture.
    """
    options = {**(options or {})}
    for option in OWN_ARGUMENTS:
        if option in options:
            raise ConfigError(
                f"options of {name} hold '{option}', which the suite sets", advice="use encoder and weights"
            )
    smp_name = canonical_name(encoder)
    check_timm_name(smp_name)
    source = pretrained(encoder, weights)
    core = _construct(name, num_classes, smp_name, options)
    if source is not None:
        # some architectures use fewer stages than the encoder has
        load_pretrained(core.encoder, source, allow_unused=True)  # type: ignore[arg-type]  # a module in every smp model
    preprocessing = _Preprocessing(source.mean, source.std) if source else _Preprocessing()
    network = SegmentationNetwork(core, num_classes, preprocessing, 32, MIN_SIZE.get(name, 32))
    network.encoder.weights_file = source.file if source else None  # type: ignore[assignment]  # a plain attribute
    loaded = {source.name: source.sha256} if source else {}
    network.encoder.loaded_weights = loaded  # type: ignore[assignment]  # another one
    return network


def _construct(name: str, num_classes: int, smp_name: str, options: Mapping[str, Any]) -> nn.Module:
    architecture = getattr(smp, name.removeprefix("smp/"))
    known = [key for key in inspect.signature(architecture.__init__).parameters if key not in ("self", "kwargs")]
    for option in options:
        # further ones go to timm, which checks them; smp's own encoders would ignore them in silence
        if option not in known and not smp_name.startswith("tu-"):
            raise ConfigError(unknown_name(f"option of {name}", option, known))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # smp's own `timm-` names
        try:
            core: nn.Module = architecture(
                encoder_name=smp_name,
                encoder_weights=None,  # never False: smp 0.6.0 then downloads for `tu-` names
                in_channels=3,
                classes=num_classes,
                **{**PRESETS.get(name, {}), **options},
            )
        except (ValueError, TypeError, KeyError, AttributeError, RuntimeError, AssertionError) as error:
            raise ConfigError(
                f"{name} cannot be built with encoder '{smp_name}' and options {dict(options)}: {error}",
                advice="choose another encoder or the options; DPT needs a ViT: tu-vit_tiny_patch16_224",
            ) from error
    return core
