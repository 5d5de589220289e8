"""Where the features of an encoder look: the true support of the gradient of one value with respect to the image."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from segsuite.encoders.library import Encoder

SHORT = 32
POOLING = ("kernel_size", "stride", "padding", "dilation", "ceil_mode")


class LocalPaths(TorchFunctionMode):
    """Maximum poolings pass the gradient of all that they look at; averages over the whole image, and attention, pass
    none: what they see is everything, and says nothing about where a feature stands."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = dict(kwargs or {})
        name = getattr(func, "__name__", "")
        if name == "max_pool2d" or func is F.max_pool2d:
            given = {**dict(zip(POOLING, args[1:], strict=False)), **kwargs}
            assert given.get("dilation", 1) in (1, (1, 1))
            window, stride, padding = (given.get(key) for key in POOLING[:3])
            return F.avg_pool2d(args[0], window, stride, padding or 0, given.get("ceil_mode", False), False)
        result = func(*args, **kwargs)
        axes = kwargs.get("dim", args[1] if len(args) > 1 else ())
        over_image = name == "mean" and isinstance(axes, (tuple, list)) and len(axes) == 2
        if (
            over_image
            or func is F.adaptive_avg_pool2d
            or name in ("matmul", "__matmul__", "scaled_dot_product_attention")
        ):
            return result.detach()
        return result


def measured_offsets(encoder: Encoder, size: int, axis: int) -> list[tuple[float, bool]]:
    """Of each feature of `encoder`, which is changed: pixels from the centre of a cell to the centre of what its
    value sees along `axis` (0 vertically, 1 horizontally), and whether the image of `size` pixels was long enough.

    All weights are positive and the image is faint, so that no rectifier or clipped activation is shut.
    """
    encoder.double().eval().requires_grad_(False)
    generator = torch.Generator().manual_seed(0)
    for path, parameter in encoder.named_parameters():
        if parameter.ndim < 2:
            nn.init.constant_(parameter, 0.0 if path.endswith("bias") else 1.0)
        else:
            nn.init.uniform_(parameter, 0.5, 1.5, generator)
            parameter /= parameter.flatten(1).sum(1).view(-1, *[1] * (parameter.ndim - 1))
    shape = (size, SHORT) if axis == 0 else (SHORT, size)
    image_NCHW = 0.01 * torch.rand(1, 3, *shape, dtype=torch.float64, generator=generator)
    image_NCHW.requires_grad_()
    with LocalPaths():
        features = encoder(image_NCHW)
    return [_offset(f, stride, image_NCHW, axis) for f, stride in zip(features, encoder.strides, strict=True)]


def _offset(feature_NCHW: Tensor, stride: int, image_NCHW: Tensor, axis: int) -> tuple[float, bool]:
    place = [length // 2 for length in feature_NCHW.shape[-2:]]
    # not the plain sum: that of what a layer norm gives is always the same
    value = feature_NCHW[0, :, place[0], place[1]] @ torch.linspace(1, 2, feature_NCHW.shape[1], dtype=torch.float64)
    (gradient,) = torch.autograd.grad(value, image_NCHW, retain_graph=True)
    seen = gradient.abs().sum((0, 1, 3 if axis == 0 else 2)).nonzero()[:, 0]
    first, last = int(seen.min()), int(seen.max())
    inside = first > 0 and last < image_NCHW.shape[2 + axis] - 1
    return (first + last + 1) / 2 - stride * (place[axis] + 0.5), inside
