"""What activates a unit, and what speaks for a class: pictures made of gradients of any network.

A unit is one channel of one layer at one place. Its projection back to the pixels is a backward pass with the rule of
the activations changed: the plain gradient multiplies by their slope; the deconvnet (Zeiler, Fergus 2014, ECCV) lets
positive signals pass whatever the input was; guided gradients (Springenberg et al. 2015, arXiv 1412.6806) need both.
Transposed filters and the switches of max pooling are what the backward pass has anyway.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from segsuite.errors import ConfigError
from segsuite.inspect.effective_field import INPUT, OUTPUT, see

Rule = Literal["gradient", "guided", "deconvnet"]
RULES: tuple[Rule, ...] = ("gradient", "guided", "deconvnet")


@dataclass(frozen=True, eq=False)
class Projection:
    """`pixels_CHW`: what of the image the unit's activation goes back to; `place`: (row, column) of the unit in its
    layer; `activation`: its value."""

    pixels_CHW: Tensor
    place: tuple[int, int]
    activation: float


def project_unit(
    network: nn.Module,
    image_1CHW: Tensor,
    layer: str,
    channel: int,
    rule: Rule = "guided",
    place: tuple[int, int] | None = None,
) -> Projection:
    """A unit of `layer` (named as in `effective_field.see`), back to the pixels; `place`: by default where the channel
    is most active. As in the paper all other units of the layer count as 0.

    For activations other than ReLU (`ACTIVATIONS`) the rules use their own slope and, in the guided one, need a
    positive input. Raises ConfigError for a layer or channel that does not exist.
    """
    with Backward(rule):
        seen = see(network, image_1CHW, (layer,))
        maps_CHW = seen[layer][0]
        if not 0 <= channel < len(maps_CHW):
            raise ConfigError(f"layer '{layer}' has no channel {channel}", advice=f"choose 0 to {len(maps_CHW) - 1}")
        if place is None:
            down, right = divmod(int(maps_CHW[channel].argmax()), maps_CHW.shape[-1])
            place = (down, right)
        unit = maps_CHW[channel, place[0], place[1]]
        # The signal that goes back is the activation itself, as in the deconvnet.
        (pixels_1CHW,) = torch.autograd.grad(unit, seen[INPUT], unit.detach().abs())
    return Projection(pixels_1CHW[0], place, float(unit.detach()))


def class_evidence(
    network: nn.Module, image_1CHW: Tensor, layer: str, class_id: int, pixels_HW: Tensor
) -> tuple[Tensor, Tensor]:
    """Seg-Grad-CAM (Vinogradova, Dibrov, Myers 2020, arXiv 2002.11434, equation 2): evidence (h, w) of `layer` for
    the class at the pixels of a set, and the weight (C,) of each channel.

    With A_k the channels of the layer, y the logits and M the set, a_k = mean over places of d(sum_M y_class)/dA_k,
    and the evidence is max(0, sum_k a_k A_k). `pixels_HW`: bool, not empty; one pixel, an object, or all that are
    predicted so. Raises ConfigError for an empty set, a class or a layer that does not exist.
    """
    seen = see(network, image_1CHW, (layer, OUTPUT))
    logits_CHW = seen[OUTPUT][0]
    if not 0 <= class_id < len(logits_CHW):
        raise ConfigError(f"there is no class {class_id}", advice=f"choose 0 to {len(logits_CHW) - 1}")
    if not bool(pixels_HW.any()):
        raise ConfigError("the set of pixels is empty", advice="choose a class that is there")
    score = logits_CHW[class_id][pixels_HW].sum()
    (gradient,) = torch.autograd.grad(score, seen[layer], allow_unused=True)
    if gradient is None:
        raise ConfigError(f"the logits do not depend on layer '{layer}'", advice="name another layer")
    weights_C = gradient[0].mean(dim=(1, 2))
    evidence_HW = (weights_C[:, None, None] * seen[layer][0]).sum(dim=0).clamp(min=0)
    return evidence_HW.detach(), weights_C


def strongest_channels(network: nn.Module, image_1CHW: Tensor, layer: str, weights_C: Tensor, count: int) -> list[int]:
    """The `count` channels that say most for a class: largest a_k times the mean of A_k, first the largest."""
    maps_CHW = see(network, image_1CHW, (layer,))[layer][0].detach()
    contributions_C = weights_C * maps_CHW.mean(dim=(1, 2))
    return [int(channel) for channel in contributions_C.topk(min(count, len(contributions_C))).indices]


class Backward(TorchFunctionMode):
    """While it is entered, activations go forward as they are and backward by `rule`."""

    def __init__(self, rule: Rule) -> None:
        super().__init__()
        if rule not in RULES:
            raise ConfigError(f"rule '{rule}' is none of {', '.join(RULES)}")
        self.rule = rule

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Called by torch instead of `func`."""
        kwargs = kwargs or {}
        if self.rule == "gradient" or func not in ACTIVATIONS:
            return func(*args, **kwargs)
        # Out of place: the next activation may not overwrite what this one needs for its slope.
        kwargs = {key: value for key, value in kwargs.items() if key != "inplace"}
        given = kwargs.pop("input") if "input" in kwargs else args[0]
        return _Activation.apply(given, lambda x: ACTIVATIONS[func](x, *args[1:], **kwargs), self.rule)


ACTIVATIONS: dict[Callable[..., Any], Callable[..., Tensor]] = {
    **dict.fromkeys((F.relu, torch.relu, torch.relu_, Tensor.relu, Tensor.relu_), F.relu),
    **{func: func for func in (F.relu6, F.hardtanh, F.leaky_relu, F.elu, F.selu, F.silu, F.gelu, F.mish, F.hardswish)},
}


class _Activation(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, x: Tensor, function: Callable[[Tensor], Tensor], rule: Rule) -> Tensor:
        context.save_for_backward(x)
        context.function, context.rule = function, rule
        return function(x)

    @staticmethod
    def backward(context: Any, *signals: Tensor) -> tuple[Tensor, None, None]:
        (x,) = context.saved_tensors
        positive = signals[0].clamp(min=0)
        if context.rule == "deconvnet":
            return positive, None, None
        with torch.enable_grad():
            given = x.detach().requires_grad_()
            (slope,) = torch.autograd.grad(context.function(given), given, positive)
        return slope * (x > 0), None, None


def enlarged(evidence_HW: Tensor, size: Sequence[int]) -> Tensor:
    """The evidence at the size of the image, bilinearly, for looking at."""
    return F.interpolate(evidence_HW[None, None], tuple(size), mode="bilinear", align_corners=False)[0, 0]
