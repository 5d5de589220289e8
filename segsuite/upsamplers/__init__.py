"""Upsamplers: modules that enlarge feature maps by an integer factor.

Contract (tests/contracts/test_upsamplers.py runs it for every name below and every initialisation of it):
  * `build_upsampler(name, in_channels, out_channels, factor)`; forward(x_NCHW, size=None, guide=None) gives
    (N, out_channels, H * factor, W * factor) for every H, W >= 1, or exactly `size` (H, W): cut at the right
    and bottom when smaller, the last row and column repeated when larger, so that pixel (0, 0) never moves;
  * `guide` is a finer feature map (N, guide_channels, H * factor, W * factor), cut or repeated likewise; only
    upsamplers with `needs_guide` read it, and they refuse guide_channels 0;
  * differentiable, the gradient reaches every input pixel; right in float64, fp32, bf16 and channels_last;
    torch.export with dynamic height and width;
  * at init "random" the output of every arm for an input constant in space has the same second moment as the
    input (see base.py), bias zero, so that arms of a comparison do not differ by their scale;
    `initialise(generator)` draws all parameters from the generator alone.

Class attributes: `learned` (has parameters even between equal channels; a 1x1 convolution that only fits the
channels does not count), `needs_guide`, `deterministic` (its backward is bit-repeatable on CUDA with
deterministic cuDNN), `keeps_constants` (whatever its parameters, an input that is constant in space gives an
output that is constant in the interior). A new upsampler is one file and one line here;
docs/guides/upsamplers.md shows one. This module imports no torch.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from segsuite.errors import ConfigError, unknown_name
from segsuite.families import resolve

if TYPE_CHECKING:
    from segsuite.upsamplers.base import Upsampler

# A name, or a mapping {name, init, implementation}.
UpsamplerSetting = str | Mapping[str, Any]

UPSAMPLERS: dict[str, str] = {
    "bicubic_conv": "segsuite.upsamplers.resize_conv:BicubicConv",
    "bilinear": "segsuite.upsamplers.interpolate:Bilinear",
    "bilinear_additive": "segsuite.upsamplers.additive:BilinearAdditive",
    "bilinear_conv": "segsuite.upsamplers.resize_conv:BilinearConv",
    "bilinear_conv1": "segsuite.upsamplers.resize_conv:BilinearConv1",
    "carafe": "segsuite.upsamplers.carafe:Carafe",
    "dupsampling": "segsuite.upsamplers.dupsampling:DUpsampling",
    "dysample": "segsuite.upsamplers.dysample:DySample",
    "fade": "segsuite.upsamplers.fade:Fade",
    "joint_bilateral": "segsuite.upsamplers.joint_bilateral:JointBilateral",
    "max_unpool": "segsuite.upsamplers.max_unpool:MaxUnpool",
    "nearest_conv": "segsuite.upsamplers.resize_conv:NearestConv",
    "pixel_shuffle": "segsuite.upsamplers.pixel_shuffle:PixelShuffle",
    "pixel_shuffle_blur": "segsuite.upsamplers.pixel_shuffle:PixelShuffleBlur",
    "sapa": "segsuite.upsamplers.sapa:Sapa",
    "transposed_balanced": "segsuite.upsamplers.balanced:TransposedBalanced",
    "transposed_bilinear": "segsuite.upsamplers.transposed:TransposedBilinear",
    "transposed_hold": "segsuite.upsamplers.balanced:TransposedHold",
    "transposed_k2": "segsuite.upsamplers.transposed:TransposedK2",
    "transposed_k2s": "segsuite.upsamplers.transposed:TransposedK2S",
    "transposed_k3": "segsuite.upsamplers.transposed:TransposedK3",
    "transposed_k4": "segsuite.upsamplers.transposed:TransposedK4",
    "transposed_separable": "segsuite.upsamplers.separable:TransposedSeparable",
}

# How parameters are drawn, beside "random", which every upsampler has (base.py; the others: initialisations.py).
INITIALISATIONS: dict[str, tuple[str, ...]] = {
    "pixel_shuffle": ("equal_phases", "torch"),
    "pixel_shuffle_blur": ("equal_phases", "torch"),
    "transposed_k2": ("equal_phases", "bilinear", "torch"),
    "transposed_k2s": ("equal_phases", "bilinear", "torch"),
    "transposed_k3": ("equal_phases", "bilinear", "torch"),
    "transposed_k4": ("equal_phases", "bilinear", "torch"),
}

# Upsamplers that are computed in a faster way with the same result up to rounding; `direct` is the definition.
IMPLEMENTATIONS: dict[str, tuple[str, ...]] = {
    "bilinear_conv1": ("auto", "direct", "polyphase"),
    "nearest_conv": ("auto", "direct", "polyphase"),
}


def check_settings(name: str, init: str = "random", implementation: str = "auto") -> None:
    """Raises ConfigError with the nearest valid value unless upsampler `name` has this initialisation and this
    implementation."""
    if name not in UPSAMPLERS:
        raise ConfigError(unknown_name("upsampler", name, UPSAMPLERS))
    inits = ("random", *INITIALISATIONS.get(name, ()))
    if init not in inits:
        raise ConfigError(unknown_name(f"init of upsampler '{name}'", init, inits))
    implementations = IMPLEMENTATIONS.get(name, ("auto",))
    if implementation not in implementations:
        raise ConfigError(unknown_name(f"implementation of upsampler '{name}'", implementation, implementations))


def build_upsampler(
    upsampler: UpsamplerSetting, in_channels: int, out_channels: int, factor: int = 2, guide_channels: int = 0
) -> "Upsampler":
    """The upsampler, freshly initialised: a name, or a mapping {name, init, implementation}.

    Raises ConfigError for an unknown name or setting, a factor it cannot do, or a guide that it needs and does
    not get.
    """
    settings: dict[str, Any] = {"name": upsampler} if isinstance(upsampler, str) else dict(upsampler)
    check_settings(**settings)
    name = settings.pop("name")
    if name not in IMPLEMENTATIONS:
        settings.pop("implementation", None)
    upsampler_class = resolve("upsampler", UPSAMPLERS, name)
    if upsampler_class.needs_guide:
        settings["guide_channels"] = guide_channels
    built: Upsampler = upsampler_class(in_channels, out_channels, factor, **settings)
    return built
