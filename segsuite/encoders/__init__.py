"""Encoders: pretrained or random backbones behind one interface.

Contract (tests/contracts/test_encoders.py): `build_encoder(name, weights, output_stride)` gives an Encoder with
  * `channels`, `strides`: of its features, fine to coarse, strides powers of two, the input itself not among
    them; output_stride 8 or 16 replaces later strides by dilation, and those features repeat that stride:
    (2, 4, 8, 8, 8);
  * forward(x_NCHW normalised) -> list of those features; (N, channels[i], H / strides[i], W / strides[i])
    when 32 divides H and W;
  * `mean`, `std`: RGB on the 0..1 scale, as the weights expect; `weights_file`: the file they came
    from, or None; `loaded_weights`: name -> SHA-256 of what was loaded, empty for none.

Names: those of segmentation-models-pytorch, common timm names, `tu-<name>` for any timm model with features of
strides 2..32 (or 4..32), and `tv-<name>` for backbones that only torchvision has. TABLE says what is proved of which;
row_of(name) is None for names that are not in it. weights: "none" (random; never downloads), "imagenet" (a local file
when there is one, else a download: see weights.py), or the path of a .safetensors, .pth or .pt file. This module
imports no torch.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from segsuite.encoders.names import (
    SMP_NATIVE,
    TIMM_COMMON,
    TORCHVISION,
    canonical_name,
    check_dilatable,
    check_encoder_name,
    check_features,
    check_multi_grid,
    check_output_stride,
    dilatable,
    pools_stages,
)
from segsuite.encoders.table import TABLE, Row, row_of

if TYPE_CHECKING:
    from segsuite.encoders.library import Encoder

__all__ = [
    "ENCODERS",
    "TABLE",
    "Row",
    "build_encoder",
    "canonical_name",
    "check_dilatable",
    "check_encoder_name",
    "check_features",
    "check_multi_grid",
    "check_output_stride",
    "dilatable",
    "pools_stages",
    "row_of",
]

ENCODERS: dict[str, tuple[str, ...]] = {"smp": SMP_NATIVE, "timm": TIMM_COMMON, "torchvision": TORCHVISION}


def build_encoder(
    name: str, weights: str = "none", output_stride: int | None = None, multi_grid: Sequence[int] | None = None
) -> "Encoder":
    """The encoder `name`. output_stride: 8, 16 or 32, None: its own; multi_grid: unit rates of a ResNet's last blocks
    (see dilation.py).

    Raises ConfigError for an unknown name, weights that are missing or do not fit, or a dilation that it cannot
    have.
    """
    check_encoder_name(name)
    from segsuite.encoders.library import build

    return build(name, weights, output_stride, multi_grid)
