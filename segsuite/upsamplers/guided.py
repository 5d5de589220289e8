"""The base of upsamplers that read a finer feature map (the skip of the target stride, or the image)."""

from abc import abstractmethod
from typing import ClassVar

from torch import Tensor

from segsuite.errors import ConfigError
from segsuite.upsamplers.base import Upsampler, fit


class GuidedUpsampler(Upsampler):
    """Enlarges by any factor of 2 or more in one step: a chain would need a guide at each size between.

    Raises ConfigError for a factor below 2 and for guide_channels below 1.
    """

    needs_guide: ClassVar[bool] = True

    def __init__(
        self, in_channels: int, out_channels: int, factor: int = 2, init: str = "random", *, guide_channels: int
    ) -> None:
        super().__init__(in_channels, out_channels, factor, init)
        self.guide_channels = guide_channels
        name = type(self).__name__
        if factor < 2:
            raise ConfigError(
                f"{name} enlarges by 2, 3, 4, ..., not by {factor}", advice="choose a factor of at least 2"
            )
        if guide_channels < 1:
            raise ConfigError(
                f"{name} needs a guide, and this seam has none (guide_channels is {guide_channels})",
                advice="choose an upsampler without guide here, e.g. carafe or dysample",
            )

    @abstractmethod
    def enlarge_guided(self, x_NCHW: Tensor, guide_NCHW: Tensor) -> Tensor:
        """(N, in_channels, H, W) and (N, guide_channels, H * factor, W * factor) to (N, out_channels, H * factor,
        W * factor)."""

    def enlarge(self, x_NCHW: Tensor, guide_NCHW: Tensor | None) -> Tensor:
        """A guide that is larger or smaller than H * factor, W * factor is cut or repeated at the right and
        bottom. Raises ValueError without a guide."""
        if guide_NCHW is None:
            raise ValueError(f"{type(self).__name__} was called without its guide")
        size = (x_NCHW.shape[-2] * self.factor, x_NCHW.shape[-1] * self.factor)
        return self.enlarge_guided(x_NCHW, fit(guide_NCHW, size))
