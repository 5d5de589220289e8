"""Weighted sums of arms, and what can be said about them: the machinery under every comparison."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from segsuite.errors import ConfigError, DataError, unknown_name
from segsuite.stats.effects import (
    CHECKPOINT_ONLY,
    DOTS_ONLY,
    NO_COMMON_SEED,
    TWO_WAY,
    UNDEFINED,
    WITHHELD,
    Effect,
    counted,
)
from segsuite.stats.influence import MEANS, Counts, Floats, labelled_units, linearise
from segsuite.stats.multiplicity import holm
from segsuite.stats.random_effects import Estimates, detectable, over_units, two_way
from segsuite.stats.units import Units, resampling_units

# arm -> seed -> counts, int64 (N, C, 3).
Arms = Mapping[str, Mapping[int, Counts]]

MIN_SEEDS = 3
MIN_LABELLED_UNITS = 4
"""Units that have to hold a class before anything is said about a score with it. From one unit nothing can be known
about how the class varies, and with three a family of arms at 5 % rejects in up to 8 % (decision 0016)."""


@dataclass(frozen=True, eq=False)
class Influences:
    """One score of every trial, linearised: `values[arm][seed]` is float64 (G,), whose mean is the score. `withheld`:
    why there can be no verdict on this score, whatever its values; empty: nothing speaks against one."""

    values: Mapping[str, Mapping[int, Floats]]
    units: Units
    score: str
    withheld: str = ""

    def contrast(self, weights: Mapping[str, float], level: float) -> Effect:
        """The weighted sum of the arms in `weights`, paired by seed and unit, over the seeds that all of them have."""
        of_arm = [set(self.values[arm]) for arm in weights]
        seeds = sorted(set.intersection(*of_arm)) if of_arm else []
        dropped = tuple(sorted(set().union(*of_arm) - set(seeds)))
        if not seeds:
            return self._effect(None, None, NO_COMMON_SEED, 0, dropped, level)
        D_SG = np.stack([sum(weight * self.values[arm][seed] for arm, weight in weights.items()) for seed in seeds])
        if not np.isfinite(D_SG).all():
            return self._effect(None, None, UNDEFINED, len(seeds), dropped, level)
        difference = float(D_SG.mean())
        if self.units.count < 2 or 1 < len(seeds) < MIN_SEEDS:
            return self._effect(difference, None, DOTS_ONLY, len(seeds), dropped, level)
        if self.withheld:
            return self._effect(difference, None, WITHHELD, len(seeds), dropped, level)
        if len(seeds) == 1:
            return self._effect(difference, over_units(D_SG[0], level), CHECKPOINT_ONLY, 1, dropped, level)
        return self._effect(difference, two_way(D_SG, level), TWO_WAY, len(seeds), dropped, level)

    def _effect(
        self,
        difference: float | None,
        estimates: Estimates | None,
        kind: str,
        seeds: int,
        dropped: tuple[int, ...],
        level: float,
    ) -> Effect:
        found: dict[str, float | None] = dict.fromkeys((*Estimates._fields, "detectable"))
        if estimates is not None:
            found = {name: float(value) for name, value in estimates._asdict().items()}
            se, df = float(estimates.standard_error), float(estimates.degrees_of_freedom)
            found["detectable"] = detectable(se, df, 1 - level)
        del found["mean"]
        fields: dict[str, Any] = {**found, "level": level, "kind": kind, "seeds": seeds, "dropped_seeds": dropped}
        fields["reason"] = self.withheld if kind == WITHHELD else ""
        return Effect(score=self.score, difference=difference, units=self.units.count, unit=self.units.unit, **fields)


def same_labels(arms: Arms) -> None:
    """Raises DataError when trials were not scored on the same images and labels, because then nothing is paired."""
    trials = [(arm, seed, counts) for arm, seeds in arms.items() for seed, counts in seeds.items()]
    if not trials:
        raise DataError("no trial has counts", "the experiment", "Run at least one trial first.")
    first_arm, first_seed, first = trials[0]
    for arm, seed, counts in trials[1:]:
        if counts.shape != first.shape or not np.array_equal(_labels(counts), _labels(first)):
            raise DataError(
                "two trials were not scored on the same images and labels",
                f"arm {arm} seed {seed} and arm {first_arm} seed {first_seed}",
                "Compare arms with the same split, classes, label size and void rule.",
            )


def influences(
    arms: Arms,
    score: str,
    sequences: Sequence[str] | None = None,
    label: int | None = None,
    classes: Sequence[str] | None = None,
) -> Influences:
    """Joins images to units and linearises `score` (of class `label`) in every trial, after `same_labels`. `classes`:
    names of the C classes, for messages."""
    counts = next(counts for seeds in arms.values() for counts in seeds.values())
    units = resampling_units(len(counts), sequences)
    values = {
        arm: {seed: linearise(units.sums(counts), score, label)[1] for seed, counts in seeds.items()}
        for arm, seeds in arms.items()
    }
    return Influences(values, units, score, _withheld(units.sums(counts), units, score, label, classes))


def too_few_units(units_C: Counts, units: Units, classes: Sequence[str] | None = None) -> str:
    """Why a score of these classes has no verdict, empty if it may have one. `units_C`: in how many of `units` each
    class has label pixels; a class in none is in no score."""
    few = [int(c) for c in np.flatnonzero((units_C > 0) & (units_C < MIN_LABELLED_UNITS))]
    if not few:
        return ""
    named = [
        f"class {c if classes is None else classes[c]} is labelled in only {counted(int(units_C[c]), units.unit)}"
        for c in few
    ]
    shown = [*named[:3], *([f"{len(named) - 3} more classes in as few"] if len(named) > 3 else [])]
    least = counted(MIN_LABELLED_UNITS, units.unit)
    return f"{', '.join(shown)}; how scores vary is not known from fewer than {least}"


def _withheld(counts_GC3: Counts, units: Units, score: str, label: int | None, classes: Sequence[str] | None) -> str:
    if label is not None:
        of_class = np.zeros(counts_GC3.shape[1], dtype=np.int64)
        of_class[label] = labelled_units(counts_GC3)[label]
        return too_few_units(of_class, units, classes)
    if score in MEANS:
        return too_few_units(labelled_units(counts_GC3), units, classes)
    # Sums over all classes need units with any label.
    labelled = int(labelled_units(counts_GC3.sum(axis=1, keepdims=True))[0])
    if not 0 < labelled < MIN_LABELLED_UNITS:
        return ""
    least = counted(MIN_LABELLED_UNITS, units.unit)
    return f"only {counted(labelled, units.unit)} labelled; how scores vary is not known from fewer than {least}"


def known_arm(arm: str, arms: Arms) -> None:
    """Raises ConfigError when `arm` is none of `arms`."""
    if arm not in arms:
        raise ConfigError(unknown_name("arm", arm, arms), "", "Name one of the experiment's arms.")


def holm_family(effects: Sequence[Effect]) -> list[dict[str, Any]]:
    """`p_holm` and `detectable_first_step` of every effect. Those without a p are members of the family too (p = 1): it
    has its full size while trials are still missing."""
    adjusted = holm([1.0 if effect.p is None else effect.p for effect in effects])
    family: list[dict[str, Any]] = []
    for effect, p in zip(effects, adjusted, strict=True):
        se, df = effect.standard_error, effect.degrees_of_freedom
        least = None if se is None or df is None else detectable(se, df, (1 - effect.level) / len(effects))
        family.append({"p_holm": None if effect.p is None else p, "detectable_first_step": least})
    return family


def _labels(counts_NC3: Counts) -> Counts:
    """(N, C): label pixels, TP + FN."""
    labels: Counts = counts_NC3[..., 0] + counts_NC3[..., 2]
    return labels
