"""Which settings each variant of the FCN takes, checked without torch."""

from collections.abc import Mapping, Sequence
from typing import Any

from segsuite.errors import ConfigError, unknown_name

SKIP_VARIANTS: dict[str, int] = {"32s": 32, "16s": 16, "8s": 8}
"""The paper's variants: the stride of the finest scores."""
VARIANTS = (*SKIP_VARIANTS, "plain")
TAKEN_BY: dict[str, tuple[str, ...]] = {
    "last_upsampler": ("16s", "8s"),  # the only upsampler of 32s is its last one
    "head_channels": ("32s", "16s", "8s"),
    "stride": ("plain",),
    "decoder_channels": ("plain",),
    "match": ("plain",),
    "normalisation": ("plain",),  # the paper's have neither normalisation nor features to put anything on
    "activation": ("plain",),
    "attention": ("plain",),
    "dropout": ("plain",),
}
LAYERS: dict[str, object] = {"normalisation": "batch", "activation": "relu", "attention": "none", "dropout": 0.0}
"""Settings of the plain variant's layers that the paper's variants leave at their defaults."""
DECODER_CHANNELS = (256, 128, 64, 32, 16)
"""Widths of the plain variant at strides 16, 8, 4, 2, 1: those of the U-Net."""


def check_variant(
    variant: str,
    last_upsampler: str | Mapping[str, Any] | None,
    head_channels: int | None,
    stride: int,
    decoder_channels: Sequence[int] | None,
    match: str,
    layers: Mapping[str, object] = LAYERS,
) -> None:
    """Raises ConfigError, quoting both values, when something is set that `variant` has no use for, or the widths do
    not fit the stride."""
    if variant not in VARIANTS:
        raise ConfigError(unknown_name("variant", variant, VARIANTS))
    given: dict[str, object] = {
        "last_upsampler": last_upsampler,
        "head_channels": head_channels,
        "stride": None if stride == 8 else stride,
        "decoder_channels": None if decoder_channels is None else list(decoder_channels),
        "match": None if match == "none" else match,
        **{name: None if layers[name] == default else layers[name] for name, default in LAYERS.items()},
    }
    for setting, value in given.items():
        if value is not None and variant not in TAKEN_BY[setting]:
            raise ConfigError(
                f"variant is '{variant}', which has no {setting}, but {setting} is {value!r}",
                advice=f"leave {setting} out, or choose variant {' or '.join(TAKEN_BY[setting])}",
            )
    halvings = stride.bit_length() - 1
    if decoder_channels is not None and len(decoder_channels) != halvings:
        raise ConfigError(
            f"decoder_channels {list(decoder_channels)} has {len(decoder_channels)} widths, but stride {stride} needs "
            f"{halvings}",
            advice="give one width a doubling of the resolution, coarse to fine",
        )


def default_decoder_channels(stride: int) -> tuple[int, ...]:
    """Widths of the plain variant on features of `stride`, coarse to fine.

    >>> default_decoder_channels(8)
    (64, 32, 16)
    """
    return DECODER_CHANNELS[-(stride.bit_length() - 1) :]
