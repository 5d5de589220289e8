"""Encoders: pretrained or random backbones behind one interface.

Contract (tests/contracts/test_encoders.py): `build_encoder(name, weights)` gives an Encoder with
  * `channels`, `strides`: of its features, fine to coarse, strides powers of two, the input itself not among
    them;
  * forward(x_NCHW normalised) -> list of those features; (N, channels[i], H / strides[i], W / strides[i])
    when 32 divides H and W;
  * `mean`, `std`: RGB on the 0..1 scale, as the weights expect; `weights_file`: the local file they came
    from, or None.

Names: those of segmentation-models-pytorch, common timm names, and `tu-<name>` for any timm model with
features of strides 2..32 (or 4..32). weights: "none" (random; never downloads), "imagenet" (a local file when
there is one, else a download: see weights.py), or the path of a .safetensors, .pth or .pt file. This module
imports no torch.
"""

from typing import TYPE_CHECKING

from segsuite.encoders.names import SMP_NATIVE, TIMM_COMMON, canonical_name, check_encoder_name

if TYPE_CHECKING:
    from segsuite.encoders.library import Encoder

__all__ = ["ENCODERS", "build_encoder", "canonical_name", "check_encoder_name"]

ENCODERS: dict[str, tuple[str, ...]] = {"smp": SMP_NATIVE, "timm": TIMM_COMMON}


def build_encoder(name: str, weights: str = "none") -> "Encoder":
    """The encoder `name`. Raises ConfigError for an unknown name, or weights that are missing or do not
    fit."""
    check_encoder_name(name)
    from segsuite.encoders.library import build

    return build(name, weights)
