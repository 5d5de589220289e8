"""Everything that is computed from the gathered trials, by `segsuite.stats`, and the answer in one sentence."""

import statistics
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from segsuite.errors import plural
from segsuite.metrics import SCALAR_SCORES
from segsuite.report.gather import Gathered
from segsuite.report.style import short_names
from segsuite.stats import (
    CHECKPOINT_ONLY,
    TWO_WAY,
    WITHHELD,
    Arms,
    Best,
    ClassComparison,
    Comparison,
    FactorEffect,
    MeanInterval,
    compare,
    compare_classes,
    inseparable_from_best,
    interaction,
    main_effects,
    mean_interval,
)


@dataclass(frozen=True, eq=False)
class Answers:
    """Comparisons with the baseline, means with their intervals, and what all that says.

    `comparisons`: score -> one comparison an arm, in the order of the arms; empty without a baseline or a result.
    `means`, `intervals`: arm -> of its mIoU over finished seeds; an interval needs three. `best` is chosen by the data.
    `effects`: main effects, then interactions, of experiments with several axes.
    """

    sentence: str
    means: Mapping[str, float]
    intervals: Mapping[str, MeanInterval]
    comparisons: Mapping[str, tuple[Comparison, ...]]
    classes: tuple[ClassComparison, ...]
    best: Best | None
    effects: tuple[FactorEffect, ...]

    def against_baseline(self, arm: str, score: str = "miou") -> Comparison | None:
        """The comparison of one arm; None for the baseline itself."""
        return next((found for found in self.comparisons.get(score, ()) if found.arm == arm), None)


def find_answers(gathered: Gathered) -> Answers:
    """Compares what is there; nothing in it fails because trials are missing."""
    arms, baseline = gathered.counts(), gathered.baseline
    scores = {arm: gathered.scores(arm, "miou") for arm in gathered.shown}
    means = {arm: statistics.mean(found.values()) for arm, found in scores.items() if found}
    intervals = {arm: found for arm in means if (found := mean_interval(list(scores[arm].values()))) is not None}
    comparisons: dict[str, tuple[Comparison, ...]] = {}
    classes: tuple[ClassComparison, ...] = ()
    effects: tuple[FactorEffect, ...] = ()
    best = None
    reference = gathered.reference
    if reference is not None:
        sequences, names = reference.sequences, reference.classes
        best = inseparable_from_best({arm: of for arm, of in arms.items() if of}, "miou", sequences, classes=names)
        if baseline is not None and len(arms) > 1:
            comparisons = {
                score: tuple(compare(arms, baseline, score, sequences, classes=names)) for score in SCALAR_SCORES
            }
            classes = tuple(compare_classes(arms, baseline, names, "iou", sequences))
            effects = _factorial(gathered, arms, baseline, sequences, names)
    sentence = _sentence(gathered, means, comparisons.get("miou", ()), best)
    return Answers(sentence, means, intervals, comparisons, classes, best, effects)


def _factorial(
    gathered: Gathered, arms: Arms, baseline: str, sequences: Sequence[str], classes: Sequence[str]
) -> tuple[FactorEffect, ...]:
    """Main effects of every axis, and the interaction of two, where each value was planned with each baseline value."""
    axes = gathered.axes
    if len(axes) < 2:
        return ()
    levels = {arm: {axis: axes[axis][arm] for axis in axes} for arm in gathered.arms}
    if len({tuple(of_axis.values()) for of_axis in levels.values()}) < len(levels):
        return ()
    # An effect needs every cell that it is averaged over: without a finished trial in each there is none to state.
    if not all(arms[arm] for arm in arms):
        return ()
    of_baseline = levels[baseline]
    found: list[FactorEffect] = []
    for axis in axes:
        found += main_effects(arms, levels, axis, of_baseline[axis], sequences=sequences, classes=classes)
    if len(axes) == 2:
        first, second = axes
        bases = (of_baseline[first], of_baseline[second])
        found += interaction(arms, levels, (first, second), bases, sequences=sequences, classes=classes)
    return tuple(found)


def _sentence(
    gathered: Gathered, means: Mapping[str, float], comparisons: Sequence[Comparison], best: Best | None
) -> str:
    done, total = len(gathered.finished), len(gathered.trials)
    if not means:
        who = "the trial has no score" if total == 1 else f"none of the {total} trials has a score"
        return f"No answer yet: {who}.{_diverged(gathered, short_names(gathered))}"
    start = "" if done == total else f"Preliminary, {done} of {plural(total, 'trial')} finished. "
    names = short_names(gathered)
    ended = {arm for arm in gathered.arms if all(trial.diverged for trial in gathered.of(arm))}
    text = _against_baseline(comparisons, names, ended) if comparisons else _ranking(gathered, means, names, best)
    return start + text + _diverged(gathered, names)


def _diverged(gathered: Gathered, names: Mapping[str, str]) -> str:
    """Sentences on arms of which trainings diverged, also where others of them did not: those alone would flatter."""
    found: dict[tuple[int, int], list[str]] = {}
    for arm in gathered.arms:
        trials = gathered.of(arm)
        if count := sum(trial.diverged for trial in trials):
            found.setdefault((count, len(trials)), []).append(names[arm])
    return "".join(
        f" {listed(arms)} diverged in {count} of {plural(total, 'seed')}{' each' * (len(arms) > 1)}."
        for (count, total), arms in found.items()
    )


def _against_baseline(comparisons: Sequence[Comparison], names: Mapping[str, str], ended: Collection[str]) -> str:
    """`ended`: arms of which nothing is to come."""
    baseline = f"the baseline {names[comparisons[0].baseline]}"
    tested = [one for one in comparisons if one.kind == TWO_WAY]
    if not tested:
        return _untested(comparisons, names)
    better = sorted((one for one in tested if one.evidence and _size(one) > 0), key=_size, reverse=True)
    worse = sorted((one for one in tested if one.evidence and _size(one) <= 0), key=_size)
    unclear = [one for one in tested if not one.evidence]
    parts = [_verdict(better, "better", baseline, names), _verdict(worse, "worse", baseline, names)]
    if unclear:
        whom = listed([names[one.arm] for one in unclear])
        if len(unclear) == len(comparisons) > 3:
            whom = f"any of the {len(unclear)} other arms"
        parts.append(f"No evidence of a difference between {baseline} and {whom}{_detectable(unclear)}.")
    waiting = [one for one in comparisons if one.kind not in (TWO_WAY, WITHHELD) and one.arm not in ended]
    if waiting:
        parts.append(f"Nothing can be said yet about {listed([names[one.arm] for one in waiting])}.")
    parts.append(withheld_text(comparisons, names))
    return " ".join(filter(None, parts))


def _verdict(found: Sequence[Comparison], word: str, baseline: str, names: Mapping[str, str]) -> str:
    if not found:
        return ""
    first, *others = found
    text = f"{names[first.arm]} is {word} than {baseline}: mIoU {interval_text(first)}."
    if others:
        text += f" So {'is' if len(others) == 1 else 'are'} {listed([names[one.arm] for one in others])}."
    return text


def _size(one: Comparison) -> float:
    return one.difference or 0.0


def _untested(comparisons: Sequence[Comparison], names: Mapping[str, str]) -> str:
    base = names[comparisons[0].baseline]
    seeds = max(one.seeds for one in comparisons)
    if seeds == 0:
        return f"No arm can be compared with the baseline {base} yet: they share no finished seed."
    top = max((one for one in comparisons if one.difference is not None), key=lambda one: abs(_size(one)), default=None)
    if top is None:
        return f"No arm can be compared with the baseline {base}: the score is undefined."
    if top.kind == WITHHELD:
        lead = f"{names[top.arm]} has the largest difference to the baseline {base}, mIoU {top.difference:+.3f}, but "
        return f"{lead}no verdict can be given: {top.reason}."
    lead = f"{names[top.arm]} has the largest difference to the baseline {base}, mIoU {top.difference:+.3f}"
    if top.kind == CHECKPOINT_ONLY:
        return f"{lead}, but of one seed, which says nothing about the methods: run at least three seeds."
    return f"{lead}, but of {seeds} seeds, too few for an interval: run at least three."


def _ranking(gathered: Gathered, means: Mapping[str, float], names: Mapping[str, str], best: Best | None) -> str:
    arm = max(means, key=means.__getitem__)
    seeds = list(gathered.scores(arm, "miou").values())
    spread = f" ({len(seeds)} seeds, {min(seeds):.3f} to {max(seeds):.3f})" if len(seeds) > 1 else " (one seed)"
    if len(gathered.arms) == 1:
        return f"{names[arm]} reaches mIoU {means[arm]:.3f}{spread}."
    text = f"{names[arm]} has the highest mean mIoU, {means[arm]:.3f}{spread}"
    reasons = [one.reason for one in best.comparisons if one.reason] if best is not None else []
    if best is not None and not best.tested and reasons:
        return f"{text}; no verdict on differences can be given: {reasons[0]}."
    if best is None or not best.tested:
        return f"{text}; there are too few seeds to tell arms apart."
    others = [names[other] for other in best.inseparable if other != arm]
    apart = f"; it cannot be told apart from {listed(others)}" if others else "; every other arm is lower"
    return f"{text}{apart}. No baseline was named beforehand, so that this is exploratory."


def interval_text(found: Comparison) -> str:
    """`+0.021 (95 % interval +0.009 to +0.033, Holm p = 0.004)`; without what is not there."""
    if found.difference is None:
        return "-"
    if found.low is None or found.high is None:
        return f"{found.difference:+.3f}"
    p = f", Holm {p_text(found.p_holm)}" if found.kind == TWO_WAY else ""
    return f"{found.difference:+.3f} ({100 * found.level:g} % interval {found.low:+.3f} to {found.high:+.3f}{p})"


def withheld_text(found: Sequence[Comparison], names: Mapping[str, str]) -> str:
    """Which comparisons have no verdict although trials are there, and why, as sentences; empty without such."""
    arms: dict[str, list[str]] = {}
    for one in found:
        if one.kind == WITHHELD:
            arms.setdefault(one.reason, []).append(names[one.arm])
    return " ".join(f"No verdict on {listed(of)}: {reason}." for reason, of in arms.items())


def p_text(p: float | None) -> str:
    """`p = 0.004`, or `p < 0.001`."""
    return "p unknown" if p is None else "p < 0.001" if p < 0.001 else f"p = {p:.3f}"


def listed(names: Sequence[str], most: int = 4) -> str:
    """`a, b and c`; the rest is counted.

    >>> listed(["a", "b", "c"])
    'a, b and c'
    """
    if len(names) > most:
        return f"{', '.join(names[: most - 1])} and {len(names) - most + 1} more"
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def counted(counts: Iterable[int], noun: str = "seed") -> str:
    """How many of something arms have, from the number of each.

    >>> counted([1, 1]), counted([3, 2], "trial")
    ('1 seed', '2 to 3 trials')
    """
    found = sorted(counts) or [0]
    low, high = found[0], found[-1]
    return plural(low, noun) if low == high else f"{low} to {plural(high, noun)}"


def _detectable(unclear: Sequence[Comparison]) -> str:
    sizes = [one.detectable_first_step or one.detectable for one in unclear]
    known = [size for size in sizes if size is not None]
    if not known:
        return ""
    low, high = f"{min(known):.3f}", f"{max(known):.3f}"
    shown = low if low == high else f"{low} to {high}, depending on the arm,"
    return f"; a true difference of {shown} would have been found with 80 % power"
