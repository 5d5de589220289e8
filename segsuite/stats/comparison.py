"""Arms against the one baseline, class by class, and the best arm against all others."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from segsuite.stats.contrast import Arms, holm_family, influences, known_arm, same_labels
from segsuite.stats.effects import ClassComparison, Comparison
from segsuite.stats.multiplicity import benjamini_hochberg


def compare(
    arms: Arms,
    baseline: str,
    score: str = "miou",
    sequences: Sequence[str] | None = None,
    level: float = 0.95,
    classes: Sequence[str] | None = None,
) -> list[Comparison]:
    """Paired differences of `score` between every other arm and `baseline`, in the order of `arms`.

    Only the seeds that both arms have count: the same seed means the same order of data and, where shapes agree, the
    same initial weights. D[s, g] = influence of the arm minus that of the baseline; both seeds and units are random
    (`random_effects.two_way`). `sequences`: each image's sequence (see `units` for what is resampled); `classes`:
    names of the C classes, for reasons. Holm goes over all arms but the baseline. Raises ConfigError for an unknown arm
    or score, DataError when the trials were not scored on the same labels.
    """
    known_arm(baseline, arms)
    same_labels(arms)
    linear = influences(arms, score, sequences, classes=classes)
    names = [arm for arm in arms if arm != baseline]
    effects = [linear.contrast({arm: 1.0, baseline: -1.0}, level) for arm in names]
    return [
        Comparison(**vars(effect), arm=arm, baseline=baseline, **adjusted)
        for arm, effect, adjusted in zip(names, effects, holm_family(effects), strict=True)
    ]


def compare_classes(
    arms: Arms,
    baseline: str,
    classes: Sequence[str],
    score: str = "iou",
    sequences: Sequence[str] | None = None,
    level: float = 0.95,
) -> list[ClassComparison]:
    """Exploratory: paired differences of one class score between every other arm and `baseline`, by arm, then class.

    Classes without a label pixel are left out, in all arms alike. `classes`: the names of the C classes. Adjusted by
    Benjamini-Hochberg over all arms and classes that have a p.
    """
    known_arm(baseline, arms)
    same_labels(arms)
    counts = next(counts for seeds in arms.values() for counts in seeds.values())
    if counts.shape[1] != len(classes):
        raise ValueError(f"{len(classes)} names for {counts.shape[1]} classes")
    present = [int(c) for c in np.flatnonzero(counts[..., [0, 2]].sum(axis=(0, 2)))]
    of_class = {label: influences(arms, score, sequences, label, classes) for label in present}
    cells = [(arm, label) for arm in arms if arm != baseline for label in present]
    effects = [of_class[label].contrast({arm: 1.0, baseline: -1.0}, level) for arm, label in cells]
    tested = [index for index, effect in enumerate(effects) if effect.p is not None]
    adjusted = benjamini_hochberg([p for effect in effects if (p := effect.p) is not None])
    p_bh = dict(zip(tested, adjusted, strict=True))
    return [
        ClassComparison(
            **vars(effect),
            arm=arm,
            baseline=baseline,
            label=label,
            class_name=str(classes[label]),
            p_bh=p_bh.get(index),
        )
        for index, ((arm, label), effect) in enumerate(zip(cells, effects, strict=True))
    ]


@dataclass(frozen=True)
class Best:
    """`arm`: the one with the highest mean score; `inseparable`: it and all that cannot be told apart from it, in the
    order of the arms; `comparisons`: the tests behind it, with the best as baseline. `tested`: whether there was any
    test over seeds; without one all arms are inseparable, and a table had better print none in bold."""

    arm: str
    inseparable: tuple[str, ...]
    comparisons: tuple[Comparison, ...]

    @property
    def tested(self) -> bool:
        return any(comparison.seeds > 1 and comparison.p is not None for comparison in self.comparisons)


def inseparable_from_best(
    arms: Arms,
    score: str = "miou",
    sequences: Sequence[str] | None = None,
    level: float = 0.95,
    classes: Sequence[str] | None = None,
) -> Best | None:
    """The arm with the highest mean over its own seeds, and the arms without evidence of a difference from it, by
    `compare` with it as the baseline.

    Arms without a test over seeds (fewer than 3 in common) cannot be told apart either; arms without a defined score
    are neither best nor in the list. None when no arm has one. The best is chosen by the same data, so that its score
    is on average too high: comparisons with the baseline named beforehand are the ones to quote.
    """
    same_labels(arms)
    values = influences(arms, score, sequences).values
    means = {
        arm: float(np.mean([influence.mean() for influence in seeds.values()]))
        for arm, seeds in values.items()
        if seeds
    }
    means = {arm: mean for arm, mean in means.items() if np.isfinite(mean)}
    if not means:
        return None
    best = max(means, key=means.__getitem__)
    comparisons = compare({arm: arms[arm] for arm in means}, best, score, sequences, level, classes)
    separable = {comparison.arm for comparison in comparisons if comparison.evidence}
    return Best(best, tuple(arm for arm in means if arm not in separable), tuple(comparisons))
