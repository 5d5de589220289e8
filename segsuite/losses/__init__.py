"""Losses: how far logits are from labels.

Contract (tests/contracts/test_losses.py runs it for every name below):
  * forward(logits_NCHW, labels_NHW) gives a scalar fp32, also from bf16 logits or under autocast (fp64 from fp64);
  * adding a number to all logits of a pixel changes nothing;
  * labels are uint8, int32 or int64 class ids, 255 (`ignore_index`) = void;
  * void pixels have no weight: their logits may be anything, NaN too, and their gradient is exactly 0;
  * a batch of void pixels only gives exactly 0 with a gradient of exactly 0;
  * a label that is neither a class nor void raises DataError naming it (on a CPU; on CUDA the kernel's own
    assertion stops the process, because a check there would make every step wait for the device);
  * nothing in it makes the host wait for a device, and no operation is refused by torch's deterministic mode;
  * the order of the images does not matter; `additive` says whether gradients may be accumulated over parts of a batch.

A new loss is one file (a function of `Pixels`, as `focal(Pixels(logits, labels))`, and a `Loss` that calls it), one
line here, its settings in config/loss.py and its definition in tests/losses/references.py. This module imports no
torch.
"""

import inspect
from typing import TYPE_CHECKING, Any

from segsuite.errors import ConfigError, unknown_name
from segsuite.families import resolve

if TYPE_CHECKING:
    from segsuite.losses.base import Loss

LOSSES: dict[str, str] = {
    "boundary": "segsuite.losses.boundary:Boundary",
    "boundary_weighted_cross_entropy": "segsuite.losses.boundary_weighted:BoundaryWeightedCrossEntropy",
    "class_balanced_cross_entropy": "segsuite.losses.class_balanced:ClassBalancedCrossEntropy",
    "cross_entropy": "segsuite.losses.cross_entropy:CrossEntropy",
    "dice": "segsuite.losses.dice:Dice",
    "focal": "segsuite.losses.focal:Focal",
    "focal_tversky": "segsuite.losses.focal_tversky:FocalTversky",
    "generalised_dice": "segsuite.losses.generalised_dice:GeneralisedDice",
    "jaccard": "segsuite.losses.jaccard:Jaccard",
    "logit_adjusted_cross_entropy": "segsuite.losses.logit_adjusted:LogitAdjustedCrossEntropy",
    "lovasz_softmax": "segsuite.losses.lovasz_softmax:LovaszSoftmax",
    "ohem_cross_entropy": "segsuite.losses.ohem:OhemCrossEntropy",
    "poly_cross_entropy": "segsuite.losses.poly:PolyCrossEntropy",
    "recall_weighted_cross_entropy": "segsuite.losses.recall_weighted:RecallWeightedCrossEntropy",
    "sum": "segsuite.losses.weighted_sum:WeightedSum",
    "topk_cross_entropy": "segsuite.losses.topk:TopkCrossEntropy",
    "tversky": "segsuite.losses.tversky:Tversky",
    "unified_focal": "segsuite.losses.unified_focal:UnifiedFocal",
}

# Losses that read all probabilities, which `full_resolution: fused` does not make, and losses with a softmax of their
# own, which it computes alone but not in a sum.
NOT_FUSED = ("boundary", "lovasz_softmax")
FUSED_ALONE = ("logit_adjusted_cross_entropy",)


def __getattr__(name: str) -> Any:
    """`upsample_cross_entropy`, for use without the rest; only asking for it imports torch."""
    if name == "upsample_cross_entropy":
        from segsuite.losses.fused_cross_entropy import upsample_cross_entropy

        return upsample_cross_entropy
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def check_fused(name: str, **settings: Any) -> None:
    """Raises ConfigError when the loss `name` with these settings cannot be computed with `full_resolution: fused`."""
    terms = settings.get("terms", [{"name": name}])
    for term in terms:
        found = term["name"]
        own_softmax = found in FUSED_ALONE or term.get("label_smoothing", 0.0) > 0
        found = f"label_smoothing of {found}" if term.get("label_smoothing") else found
        if term["name"] in NOT_FUSED or (own_softmax and len(terms) > 1):
            raise ConfigError(
                f"full_resolution is fused, which {found} does not have{'' if found in NOT_FUSED else ' in a sum'}",
                advice="set full_resolution to direct",
            )


def build_loss(name: str, weight: float = 1.0, **settings: Any) -> "Loss":
    """The loss `name` with its settings, times `weight`. Raises ConfigError for an unknown or missing setting, or a
    value out of range."""
    if weight != 1.0 and name != "sum":
        return build_loss("sum", terms=[{"name": name, "weight": weight, **settings}])
    loss_class = resolve("loss", LOSSES, name)
    known = inspect.signature(loss_class).parameters
    for setting in settings:
        if setting not in known:
            raise ConfigError(unknown_name(f"setting of loss '{name}'", setting, known))
    missing = [key for key, parameter in known.items() if parameter.default is parameter.empty and key not in settings]
    if missing:
        raise ConfigError(f"loss '{name}' needs {' and '.join(missing)}", advice="it has no default: give it")
    loss: Loss = loss_class(**settings)
    return loss
