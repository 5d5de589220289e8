"""Statistics of an experiment from the per-image counts of its trials; numpy and scipy, no torch.

Input everywhere: `arms`, a mapping arm -> seed -> counts, int64 (N, C, 3) with TP, FP, FN of each image and class, as
counts.npz holds them: the same images in the same order in every trial. Scores are fractions in 0..1, and so are their
differences. The scores are those of `segsuite.metrics.scores`: ratios of sums over the whole split, never means of
per-image scores.

How a difference is judged (`compare`):
1. correlated images are joined to units: images, sequences, or blocks of frames (`units`);
2. every score is linearised: one influence value per unit, whose mean is the score (`influence`);
3. the paired differences D[seed, unit] go through a two-way random-effects model, seeds and units both random, with a
   Satterthwaite t interval that counts the units by which the variance is carried (`random_effects`);
4. p values are adjusted over the family: Holm for arms, Benjamini-Hochberg for classes (`multiplicity`).
Fewer than three common seeds give no interval, one seed an interval that is about its checkpoint only. A score with a
class that fewer than four units hold is withheld, with the reason (`contrast.too_few_units`). Every result knows its
kind, n and unit, and says it in `sentence()`.

The false-positive rates of all this are found by simulation: `segsuite bench false_positives`, and for fewer settings
tests/stats/test_false_positives.py.
"""

from segsuite.stats.comparison import Best, compare, compare_classes, inseparable_from_best
from segsuite.stats.contrast import Arms
from segsuite.stats.effects import (
    CHECKPOINT_ONLY,
    DOTS_ONLY,
    NO_COMMON_SEED,
    TWO_WAY,
    UNDEFINED,
    WITHHELD,
    ClassComparison,
    Comparison,
    Effect,
    FactorEffect,
)
from segsuite.stats.factorial import interaction, main_effects
from segsuite.stats.influence import linearise
from segsuite.stats.means import MeanInterval, mean_interval
from segsuite.stats.multiplicity import benjamini_hochberg, holm
from segsuite.stats.units import Units, resampling_units

__all__ = [
    "CHECKPOINT_ONLY",
    "DOTS_ONLY",
    "NO_COMMON_SEED",
    "TWO_WAY",
    "UNDEFINED",
    "WITHHELD",
    "Arms",
    "Best",
    "ClassComparison",
    "Comparison",
    "Effect",
    "FactorEffect",
    "MeanInterval",
    "Units",
    "benjamini_hochberg",
    "compare",
    "compare_classes",
    "holm",
    "inseparable_from_best",
    "interaction",
    "linearise",
    "main_effects",
    "mean_interval",
    "resampling_units",
]
