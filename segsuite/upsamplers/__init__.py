"""Upsamplers: modules that enlarge feature maps by an integer factor.

Contract (tests/contracts/test_upsamplers.py runs it for every name below):
  * `build_upsampler(name, in_channels, out_channels, factor)`; forward(x_NCHW, size=None, guide=None) gives
    (N, out_channels, H * factor, W * factor) for every H, W >= 1, or exactly `size` (H, W): cut at the right
    and bottom when smaller, the last row and column repeated when larger, so that pixel (0, 0) never moves;
  * `guide` is a finer feature map; only upsamplers with `needs_guide` read it;
  * differentiable, the gradient reaches every input pixel; right in float64, fp32, bf16 and channels_last;
  * at init the output of every arm has the same second moment as its input (see base.py), bias zero, so that
    arms of a comparison do not differ by their scale; `initialise(generator)` draws all parameters from the
    generator alone.

Class attributes: `learned` (has parameters of its own), `needs_guide`, `deterministic` (its backward is
bit-repeatable on CUDA). A new upsampler is one file and one line here. This module imports no torch.
"""

from typing import TYPE_CHECKING

from segsuite.families import resolve

if TYPE_CHECKING:
    from segsuite.upsamplers.base import Upsampler

UPSAMPLERS: dict[str, str] = {
    "nearest_conv": "segsuite.upsamplers.interpolate:NearestConv",
    "bilinear_conv": "segsuite.upsamplers.interpolate:BilinearConv",
    "transposed_k2": "segsuite.upsamplers.transposed:TransposedK2",
    "transposed_k3": "segsuite.upsamplers.transposed:TransposedK3",
    "transposed_k4": "segsuite.upsamplers.transposed:TransposedK4",
}


def build_upsampler(name: str, in_channels: int, out_channels: int, factor: int = 2) -> "Upsampler":
    """The upsampler `name`, freshly initialised. Raises ConfigError for an unknown name or a factor it cannot
    do."""
    upsampler: Upsampler = resolve("upsampler", UPSAMPLERS, name)(in_channels, out_channels, factor)
    return upsampler
