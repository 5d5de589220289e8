"""The same DeepLab weights at another output stride: trained at 16, evaluated at 8 (Chen et al. 2017, section 4.1).

Rates count pixels of the features, so they change with the stride: then every convolution sees the same places of the
image, on a denser grid. This module imports no torch.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from segsuite.errors import ConfigError

NETWORKS = ("deeplabv3", "deeplabv3plus")
UPSAMPLERS = ("bilinear", "joint_bilateral", "transposed_bilinear")
"""Those without weights, which would hold for one factor: the factor changes with the stride."""


def at_output_stride(model: Mapping[str, Any], output_stride: int) -> dict[str, Any]:
    """The settings of the network that takes the weights of the network with settings `model` and has
    `output_stride`.

    Raises ConfigError for other networks, other upsamplers, and rates that would not be whole.
    """
    name, trained = model["name"], model.get("output_stride")
    if name not in NETWORKS or trained is None:
        raise ConfigError(
            f"the output stride of network '{name}' cannot be changed with the same weights",
            advice=f"leave evaluation.output_stride out, or choose {' or '.join(NETWORKS)}",
        )
    if trained == output_stride:
        return dict(model)
    if model["upsampler"] not in UPSAMPLERS:
        raise ConfigError(
            f"the weights of upsampler {model['upsampler']!r} hold for one factor, which another output stride changes",
            advice=f"choose upsampler {' or '.join(UPSAMPLERS)}",
        )
    rates, hybrid_rates = model.get("rates"), model.get("hybrid_rates")
    return {
        **model,
        "output_stride": output_stride,
        "rates": None if rates is None else _scaled(rates, trained, output_stride),
        "hybrid_rates": hybrid_rates and tuple(_scaled(stage, trained, output_stride) for stage in hybrid_rates),
    }


def _scaled(rates: Sequence[int], trained: int, output_stride: int) -> tuple[int, ...]:
    if any(rate * trained % output_stride for rate in rates):
        raise ConfigError(
            f"rates {list(rates)} at output stride {trained} are no whole numbers at {output_stride}",
            advice=f"choose rates divisible by {output_stride // trained}",
        )
    return tuple(rate * trained // output_stride for rate in rates)
