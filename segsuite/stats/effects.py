"""Results of comparisons: plain frozen records that can say themselves in a careful sentence."""

from dataclasses import dataclass

TWO_WAY = "t interval over seeds and units, both random"
CHECKPOINT_ONLY = "this checkpoint only"
DOTS_ONLY = "dots only"
NO_COMMON_SEED = "no common seed"
UNDEFINED = "score undefined"
WITHHELD = "withheld"
FEW_CARRIERS = 8
"""Fewer units than that carrying the variance are said in words: the interval is wide because of it."""

SCORE_TITLES = {
    "miou": "mIoU",
    "pixel_accuracy": "pixel accuracy",
    "mean_accuracy": "mean accuracy",
    "frequency_weighted_iou": "frequency-weighted IoU",
    "mean_dice": "mean Dice",
    "iou": "IoU",
    "dice": "Dice",
}


@dataclass(frozen=True, kw_only=True)
class Effect:
    """A difference of scores, in fractions of 1, and how sure it is.

    `difference` is None when the arms share no seed or the score is undefined (class absent, never predicted).
    `low`, `high`: the unadjusted interval at `level`; `p`: two-sided, unadjusted; these, `degrees_of_freedom`,
    `standard_error` and `detectable` are None where `kind` allows no interval. `kind`: TWO_WAY (3 or more seeds),
    CHECKPOINT_ONLY (one seed: only images are random), DOTS_ONLY, NO_COMMON_SEED, UNDEFINED, and WITHHELD where no
    interval would hold its level, for the `reason` given (empty for other kinds).
    `seeds`: number of common seeds; `dropped_seeds`: those that not every arm of the comparison has. `units` of `unit`
    ("image", "sequence", "block of 12-13 frames"): what was resampled. `detectable`: the true difference that such a
    test finds with 80 % power at alpha = 1 - level without adjustment. `carriers`: how many of the units the variance
    over units is carried by (`random_effects.carriers`); few make the interval wide.
    """

    score: str
    difference: float | None
    low: float | None
    high: float | None
    level: float
    p: float | None
    degrees_of_freedom: float | None
    standard_error: float | None
    kind: str
    seeds: int
    units: int
    unit: str
    detectable: float | None
    dropped_seeds: tuple[int, ...]
    carriers: float | None
    reason: str

    @property
    def title(self) -> str:
        """What is compared with what."""
        return "difference"

    @property
    def adjusted(self) -> tuple[str, float | None]:
        """Name and value of the p that decides."""
        return "p", self.p

    @property
    def found_from(self) -> tuple[str, float | None]:
        """At which alpha, and the difference that is then found with 80 % power."""
        return "unadjusted", self.detectable

    @property
    def evidence(self) -> bool:
        """Whether the adjusted p is below 1 - level and seeds are random in it: a statement about the methods."""
        return self.kind == TWO_WAY and self._significant()

    def sentence(self) -> str:
        """The result in words, with kind, n and unit; never "equal"."""
        words = f"{self.title}: {self._finding()}"
        if self.dropped_seeds:
            dropped = ", ".join(str(seed) for seed in self.dropped_seeds)
            words += f" {counted(len(self.dropped_seeds), 'seed')} dropped, not in every arm compared: {dropped}."
        return words

    def _significant(self) -> bool:
        p = self.adjusted[1]
        return p is not None and p < 1 - self.level

    def _finding(self) -> str:
        seeds = counted(self.seeds, "seed")
        if self.difference is None:
            reason = "the score is undefined" if self.kind == UNDEFINED else "no seed is in every arm compared"
            return f"no statement, {reason} ({self.kind}; {seeds}, {counted(self.units, self.unit)})."
        value = f"{SCORE_TITLES.get(self.score, self.score)} {self.difference:+.4f}"
        units = counted(self.units, self.unit)
        if self.kind == WITHHELD:
            return f"{value}, mean of {seeds} on {units}; no interval and no verdict, withheld: {self.reason}."
        if self.carriers is not None and self.carriers < min(FEW_CARRIERS, self.units / 4):
            units += f" whose spread lies in about {self.carriers:.0f}"
        if self.low is None or self.high is None or self.detectable is None:
            return f"{value}, mean of {seeds} on {units} ({self.kind}: too few for an interval); no statement."
        name, p = self.adjusted
        value += f", {100 * self.level:g} % interval [{self.low:+.4f}, {self.high:+.4f}]"
        shown = f"{name} {_p_text(p)}"
        if self.kind == CHECKPOINT_ONLY:
            verdict = "evidence" if self._significant() else "no evidence"
            return (
                f"{value} ({self.kind}: t interval over {units}, {seeds}), {shown}: {verdict} of a difference between "
                "these checkpoints, no statement about the methods."
            )
        value += f" ({self.kind}: {seeds}, {units}), {shown}: "
        if self.evidence:
            return value + "evidence of a difference."
        alpha, least = self.found_from
        power = "" if least is None else f"; detectable with 80 % power: {least:.4f} ({alpha})"
        return f"{value}no evidence of a difference{power}."


@dataclass(frozen=True, kw_only=True)
class Comparison(Effect):
    """`arm` minus `baseline`. `p_holm`: p after Holm over all arms of the comparison. `detectable_first_step`:
    `detectable` at Holm's first step, alpha / m for m arms, which is what a single different arm has to pass."""

    arm: str
    baseline: str
    p_holm: float | None
    detectable_first_step: float | None

    @property
    def title(self) -> str:
        return f"{self.arm} against {self.baseline}"

    @property
    def adjusted(self) -> tuple[str, float | None]:
        return "Holm p", self.p_holm

    @property
    def found_from(self) -> tuple[str, float | None]:
        return "at Holm's first step", self.detectable_first_step


@dataclass(frozen=True, kw_only=True)
class ClassComparison(Effect):
    """`arm` minus `baseline` in one class: exploratory. `label`: class id; `p_bh`: p after Benjamini-Hochberg over all
    arms and classes of the comparison."""

    arm: str
    baseline: str
    label: int
    class_name: str
    p_bh: float | None

    @property
    def title(self) -> str:
        return f"exploratory: {self.arm} against {self.baseline}, class {self.class_name}"

    @property
    def adjusted(self) -> tuple[str, float | None]:
        return "Benjamini-Hochberg p", self.p_bh


@dataclass(frozen=True, kw_only=True)
class FactorEffect(Effect):
    """A main effect (one of `axes`) or an interaction (two): `levels` against `baseline_levels`, averaged over `cells`
    combinations of the other axes' levels; `missing_cells` more were planned but lack a trial. `p_holm`: after Holm
    over the effects returned together; `detectable_first_step` as in Comparison."""

    axes: tuple[str, ...]
    levels: tuple[str, ...]
    baseline_levels: tuple[str, ...]
    cells: int
    missing_cells: int
    p_holm: float | None
    detectable_first_step: float | None

    @property
    def title(self) -> str:
        parts = [
            f"{axis}: {level} against {baseline}"
            for axis, level, baseline in zip(self.axes, self.levels, self.baseline_levels, strict=True)
        ]
        what = "main effect of " if len(parts) == 1 else "interaction of "
        missing = f", {self.missing_cells} more missing" if self.missing_cells else ""
        return f"{what}{' and '.join(parts)} (averaged over {counted(self.cells, 'cell')}{missing})"

    @property
    def adjusted(self) -> tuple[str, float | None]:
        return "Holm p", self.p_holm

    @property
    def found_from(self) -> tuple[str, float | None]:
        return "at Holm's first step", self.detectable_first_step


def counted(number: int, noun: str) -> str:
    """A number with its noun, whose first word takes the plural.

    >>> counted(8, "block of 12-13 frames")
    '8 blocks of 12-13 frames'
    """
    first, _, rest = noun.partition(" ")
    return " ".join(part for part in (str(number), first if number == 1 else f"{first}s", rest) if part)


def _p_text(p: float | None) -> str:
    if p is None:
        return "unknown"
    return "< 0.001" if p < 0.001 else f"= {p:.3f}"
