"""Settings of losses; segsuite/losses says what each computes."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Discriminator, Field, Tag

from segsuite.config.base import Settings
from segsuite.config.class_numbers import checked_clip

NonNegative = Annotated[float, Field(ge=0)]
Fraction = Annotated[float, Field(ge=0, le=1)]
RuleName = Literal["inverse_frequency", "median_frequency", "inverse_sqrt", "log", "effective_number"]


class WeightRule(Settings):
    """Class weights from the pixels of each class in the training split; a class without pixels gets 0."""

    rule: RuleName
    """inverse_frequency: 1/f; median_frequency: median/f over the images that hold the class; inverse_sqrt: 1/sqrt(f);
    log: 1/log(c + f); effective_number: (1 - beta)/(1 - beta^pixels)."""
    beta: float = Field(1 - 1e-7, ge=0, lt=1)
    """Of effective_number, 0 to below 1; the nearer to 1, the more the number of pixels counts."""
    c: float = Field(1.02, gt=1)
    """Of log, above 1."""
    normalise: Literal["none", "mean", "sum"] = "none"
    """mean: the weights' mean becomes 1; sum: their sum. Only scales the loss, and cross entropy not even that."""
    clip: Annotated[tuple[NonNegative, NonNegative], AfterValidator(checked_clip)] | None = None
    """Lowest and highest weight, at least 0 and not both 0; applied last."""


def _kind(value: Any) -> str:
    if isinstance(value, str):
        return "rule"
    return "settings" if isinstance(value, dict | WeightRule) else "list"


def _rule_alone(value: Any) -> Any:
    """The rule's name alone where nothing else is set: the same trial, whichever way it is written."""
    return value.rule if isinstance(value, WeightRule) and value == WeightRule(rule=value.rule) else value


ClassWeights = Annotated[
    Annotated[tuple[NonNegative, ...], Tag("list")]
    | Annotated[RuleName, Tag("rule")]
    | Annotated[WeightRule, Tag("settings")],
    Discriminator(_kind),
    AfterValidator(_rule_alone),
]


class LossSettings(Settings):
    """What all losses have."""

    name: str
    """Which loss."""
    weight: float = Field(1.0, gt=0)
    """Factor of the loss, above 0; for terms of a sum."""


class WeightedLoss(LossSettings):
    """A loss with class weights."""

    class_weights: ClassWeights | None = None
    """One number a class, at least 0, or the name of a rule that makes them from the training split, or a mapping of
    a rule and its settings; None: all 1."""


class RegionLossSettings(WeightedLoss):
    """A loss of overlapping regions, averaged over classes; class_weights weigh that average."""

    per_image: bool = False
    """The mean over images of each image's loss, instead of the loss of the whole batch."""
    average: Literal["present", "all"] = "present"
    """present: over the classes with a pixel in the batch (or image); all: over all classes, which needs smooth."""
    smooth: float = Field(0.0, ge=0)
    """Pixels added to numerator and denominator, at least 0."""


class CrossEntropyLoss(WeightedLoss):
    """Softmax cross entropy: the weighted mean over the pixels that are not void."""

    name: Literal["cross_entropy"] = "cross_entropy"
    """Which loss."""
    label_smoothing: float = Field(0.0, ge=0, lt=1)
    """Share of the target spread evenly over all classes, 0 to below 1."""


class FocalLoss(LossSettings):
    """Focal loss of the softmax (Lin et al. 2017)."""

    name: Literal["focal"]
    """Which loss."""
    gamma: float = Field(2.0, ge=0)
    """Exponent of 1 - p, at least 0; 0 without alpha is cross entropy."""
    alpha: ClassWeights | None = None
    """As class_weights elsewhere; the sum is divided by the number of pixels, so that alpha also scales the loss."""


class PolyLoss(WeightedLoss):
    """Cross entropy + epsilon (1 - p) (Leng et al. 2022)."""

    name: Literal["poly_cross_entropy"]
    """Which loss."""
    epsilon: float = Field(1.0, ge=-1)
    """Weight of 1 - p, at least -1; 0 is cross entropy."""


class OhemLoss(WeightedLoss):
    """Cross entropy of hard pixels: those below a probability, and a minimum."""

    name: Literal["ohem_cross_entropy"]
    """Which loss."""
    threshold: Fraction = 0.7
    """Pixels whose class is given a smaller probability are kept, 0 to 1."""
    min_kept_fraction: Fraction = 0.0625
    """Share of the batch's pixels that are kept at least, 0 to 1."""


class TopkLoss(WeightedLoss):
    """Cross entropy of the hardest share of the batch's pixels."""

    name: Literal["topk_cross_entropy"]
    """Which loss."""
    fraction: float = Field(0.1, gt=0, le=1)
    """Share of the pixels, above 0 to 1."""


class LogitAdjustedLoss(LossSettings):
    """Cross entropy of logits + tau log(share of the class) (Menon et al. 2021)."""

    name: Literal["logit_adjusted_cross_entropy"]
    """Which loss."""
    tau: float = Field(1.0, ge=0)
    """Strength, at least 0; 0 is cross entropy."""
    pixel_counts: tuple[NonNegative, ...] | None = None
    """Pixels of each class, at least 0; None: counted in the training split."""


class ClassBalancedLoss(LossSettings):
    """Cross entropy weighted by effective numbers of pixels and divided by the number of pixels (Cui et al. 2019)."""

    name: Literal["class_balanced_cross_entropy"]
    """Which loss."""
    beta: float = Field(1 - 1e-7, ge=0, lt=1)
    """0 to below 1; the nearer to 1, the more the number of pixels counts; 0 is cross entropy."""
    pixel_counts: tuple[NonNegative, ...] | None = None
    """Pixels of each class, at least 0; None: counted in the training split."""


class RecallWeightedLoss(LossSettings):
    """Cross entropy weighted by each class's share of missed pixels in the batch (Tian et al. 2022)."""

    name: Literal["recall_weighted_cross_entropy"]
    """Which loss."""


class BoundaryWeightedLoss(WeightedLoss):
    """Cross entropy with U-Net's weights near borders between classes (Ronneberger et al. 2015)."""

    name: Literal["boundary_weighted_cross_entropy"]
    """Which loss."""
    w0: float = Field(10.0, ge=0)
    """Weight added at a border, at least 0; 0 without class_weights is cross entropy."""
    sigma: float = Field(5.0, gt=0, le=100)
    """How fast it falls with the distance, in pixels, above 0 to 100."""


class BoundaryLoss(LossSettings):
    """Signed distances to the classes' regions times their probabilities; for sums (Kervadec et al. 2019)."""

    name: Literal["boundary"]
    """Which loss."""


class DiceLoss(RegionLossSettings):
    """Soft dice, 1 - 2 sum(p t) / (sum p + sum t) (Milletari et al. 2016)."""

    name: Literal["dice"]
    """Which loss."""
    squared: bool = False
    """Sum the squares of p below the line, as in V-Net."""


class JaccardLoss(RegionLossSettings):
    """Soft intersection over union (Rahman and Wang 2016)."""

    name: Literal["jaccard"]
    """Which loss."""
    squared: bool = False
    """Sum the squares of p below the line."""


class TverskyLoss(RegionLossSettings):
    """Soft overlap in which false positives and negatives weigh differently (Salehi et al. 2017)."""

    name: Literal["tversky"]
    """Which loss."""
    alpha: float = Field(0.3, gt=0)
    """Weight of false positives, above 0."""
    beta: float = Field(0.7, gt=0)
    """Weight of false negatives, above 0."""


class FocalTverskyLoss(RegionLossSettings):
    """The Tversky loss of each class to the power 1 / gamma (Abraham and Khan 2019)."""

    name: Literal["focal_tversky"]
    """Which loss."""
    alpha: float = Field(0.3, gt=0)
    """Weight of false positives, above 0."""
    beta: float = Field(0.7, gt=0)
    """Weight of false negatives, above 0."""
    gamma: float = Field(4 / 3, gt=0)
    """Above 0; 1 is the Tversky loss."""


class GeneralisedDiceLoss(LossSettings):
    """Dice of all classes in one ratio, each weighted by its size (Sudre et al. 2017)."""

    name: Literal["generalised_dice"]
    """Which loss."""
    weights: Literal["square", "simple", "uniform"] = "square"
    """1 / pixels^2, 1 / pixels, or 1."""
    per_image: bool = False
    """The mean over images of each image's loss, instead of the loss of the whole batch."""


class LovaszSoftmaxLoss(LossSettings):
    """A convex surrogate of the Jaccard loss (Berman et al. 2018)."""

    name: Literal["lovasz_softmax"]
    """Which loss."""
    per_image: bool = False
    """The mean over images of each image's loss, instead of the loss of the whole batch."""
    average: Literal["present", "all"] = "present"
    """Over the classes with a pixel in the batch (or image), or over all."""


class UnifiedFocalLoss(LossSettings):
    """Asymmetric focal and focal Tversky loss, which treat rare classes differently (Yeung et al. 2022)."""

    name: Literal["unified_focal"]
    """Which loss."""
    rare_classes: tuple[str, ...] = Field(min_length=1)
    """Names of the rare classes."""
    tversky_share: Fraction = 0.5
    """Share of the Tversky part, 0 to 1; 0 is the asymmetric focal loss alone."""
    delta: Fraction = 0.6
    """Weight of rare classes, and of false negatives, 0 to 1."""
    gamma: Fraction = 0.5
    """How far easy pixels of frequent classes are played down, 0 to 1."""
    per_image: bool = False
    """The Tversky part of each image, instead of the whole batch."""


def _name(value: Any) -> Any:
    """The tag of a loss; cross entropy's for what is no mapping, whose error then says so."""
    name = value.get("name", "cross_entropy") if isinstance(value, dict) else getattr(value, "name", "cross_entropy")
    return name if isinstance(name, str) else None


def _not_empty(values: tuple[Any, ...]) -> tuple[Any, ...]:
    # An after-validator, because min_length also complains when an item is wrong.
    if not values:
        raise ValueError("at least one is needed")
    return values


Single = (
    Annotated[CrossEntropyLoss, Tag("cross_entropy")]
    | Annotated[FocalLoss, Tag("focal")]
    | Annotated[PolyLoss, Tag("poly_cross_entropy")]
    | Annotated[OhemLoss, Tag("ohem_cross_entropy")]
    | Annotated[TopkLoss, Tag("topk_cross_entropy")]
    | Annotated[LogitAdjustedLoss, Tag("logit_adjusted_cross_entropy")]
    | Annotated[ClassBalancedLoss, Tag("class_balanced_cross_entropy")]
    | Annotated[RecallWeightedLoss, Tag("recall_weighted_cross_entropy")]
    | Annotated[BoundaryWeightedLoss, Tag("boundary_weighted_cross_entropy")]
    | Annotated[BoundaryLoss, Tag("boundary")]
    | Annotated[DiceLoss, Tag("dice")]
    | Annotated[JaccardLoss, Tag("jaccard")]
    | Annotated[TverskyLoss, Tag("tversky")]
    | Annotated[FocalTverskyLoss, Tag("focal_tversky")]
    | Annotated[GeneralisedDiceLoss, Tag("generalised_dice")]
    | Annotated[LovaszSoftmaxLoss, Tag("lovasz_softmax")]
    | Annotated[UnifiedFocalLoss, Tag("unified_focal")]
)


class SumLoss(Settings):
    """The sum of several losses, each times its weight."""

    name: Literal["sum"]
    """Which loss."""
    terms: Annotated[tuple[Annotated[Single, Discriminator(_name)], ...], AfterValidator(_not_empty)]
    """The losses, each with its name, settings and weight: [{name: cross_entropy}, {name: dice, weight: 0.5}]."""


Loss = Annotated[Single | Annotated[SumLoss, Tag("sum")], Discriminator(_name)]
