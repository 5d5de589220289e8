"""Main effects and interactions of arms that differ in several axes.

A main effect of level a against a0 is the paired difference averaged over the combinations c ("cells") of the levels of
all other axes: D[s, g] = mean over c of (psi_{a,c} - psi_{a0,c})[s, g]. An interaction of (a, b) is the difference of
differences, D = mean over c of (psi_{a,b,c} - psi_{a0,b,c}) - (psi_{a,b0,c} - psi_{a0,b0,c}). Both are weighted sums of
arms with one value per seed and unit, and go through the same two-way model as a comparison of two arms.
"""

from collections.abc import Mapping, Sequence
from itertools import product

from segsuite.errors import ConfigError, unknown_name
from segsuite.stats.contrast import Arms, Influences, holm_family, influences, same_labels
from segsuite.stats.effects import Effect, FactorEffect

# arm -> axis -> level, the same axes for every arm.
Levels = Mapping[str, Mapping[str, object]]
# Levels of all axes -> arm.
Design = dict[frozenset[tuple[str, str]], str]


def main_effects(
    arms: Arms,
    levels: Levels,
    axis: str,
    baseline_level: object,
    score: str = "miou",
    sequences: Sequence[str] | None = None,
    level: float = 0.95,
    classes: Sequence[str] | None = None,
) -> list[FactorEffect]:
    """Every other level of `axis` against `baseline_level`, averaged over the cells of the other axes in which both
    have a trial; over the seeds that all arms in it have. Holm over the levels. Levels are compared as text. Raises
    ConfigError for an unknown axis or level, or two arms with the same levels."""
    base = _known_level(levels, axis, baseline_level)
    wanted = [{axis: (text, base)} for text in _texts(levels, axis) if text != base]
    return _effects(arms, levels, wanted, score, sequences, level, classes)


def interaction(
    arms: Arms,
    levels: Levels,
    axes: tuple[str, str],
    baseline_levels: tuple[object, object],
    score: str = "miou",
    sequences: Sequence[str] | None = None,
    level: float = 0.95,
    classes: Sequence[str] | None = None,
) -> list[FactorEffect]:
    """The difference of differences for every pair of other levels of the two `axes`: by how much the effect of the
    first axis's level changes between the second axis's level and its baseline level. Holm over the pairs; cells, seeds
    and errors as in `main_effects`."""
    if axes[0] == axes[1]:
        raise ConfigError(f"an interaction is between two axes, got {axes[0]} twice")
    bases = [_known_level(levels, axis, base) for axis, base in zip(axes, baseline_levels, strict=True)]
    others = [[text for text in _texts(levels, axis) if text != base] for axis, base in zip(axes, bases, strict=True)]
    wanted = [{axes[0]: (first, bases[0]), axes[1]: (second, bases[1])} for first, second in product(*others)]
    return _effects(arms, levels, wanted, score, sequences, level, classes)


def _effects(
    arms: Arms,
    levels: Levels,
    wanted: Sequence[Mapping[str, tuple[str, str]]],
    score: str,
    sequences: Sequence[str] | None,
    level: float,
    classes: Sequence[str] | None,
) -> list[FactorEffect]:
    """`wanted`: per effect, axis -> (level, baseline level)."""
    design = _design(levels)
    described = {arm: arms.get(arm, {}) for arm in levels}
    same_labels(described)
    linear = influences(described, score, sequences, classes=classes)
    averages = [(pairs, *_average(linear, design, pairs, level)) for pairs in wanted]
    # Where points of the grid are left out, some effects were never planned: no cell has all their levels.
    found = [average for average in averages if average[2] or average[3]]
    return [
        FactorEffect(
            **vars(effect),
            axes=tuple(pairs),
            levels=tuple(text for text, _ in pairs.values()),
            baseline_levels=tuple(base for _, base in pairs.values()),
            cells=cells,
            missing_cells=missing,
            **adjusted,
        )
        for (pairs, effect, cells, missing), adjusted in zip(
            found, holm_family([effect for _, effect, _, _ in found]), strict=True
        )
    ]


def _average(
    linear: Influences, design: Design, pairs: Mapping[str, tuple[str, str]], level: float
) -> tuple[Effect, int, int]:
    """The effect, the cells that it is averaged over, and the cells that lack a trial."""
    complete: list[dict[str, int]] = []
    planned = 0
    for cell in {frozenset(item for item in point if item[0] not in pairs): None for point in design}:
        signs: dict[str, int] = {}
        # The baseline level of an axis (position 1 of its pair) turns the sign once.
        for positions in product((0, 1), repeat=len(pairs)):
            chosen = {(axis, pair[at]) for (axis, pair), at in zip(pairs.items(), positions, strict=True)}
            arm = design.get(cell | chosen)
            if arm is not None:
                signs[arm] = (-1) ** sum(positions)
        if len(signs) == 2 ** len(pairs):
            planned += 1
            if all(linear.values[arm] for arm in signs):
                complete.append(signs)
    weights = {arm: sign / len(complete) for signs in complete for arm, sign in signs.items()}
    return linear.contrast(weights, level), len(complete), planned - len(complete)


def _design(levels: Levels) -> Design:
    design: Design = {}
    for arm, of_axis in levels.items():
        point = frozenset((axis, str(value)) for axis, value in of_axis.items())
        if point in design:
            raise ConfigError(f"arms {design[point]} and {arm} have the same levels of all axes")
        design[point] = arm
    return design


def _texts(levels: Levels, axis: str) -> list[str]:
    """The levels of an axis as text, in the order of the arms."""
    axes = dict.fromkeys(name for of_axis in levels.values() for name in of_axis)
    if axis not in axes or any(axis not in of_axis for of_axis in levels.values()):
        raise ConfigError(unknown_name("axis", axis, axes), "", "Name an axis that every arm has.")
    return list(dict.fromkeys(str(of_axis[axis]) for of_axis in levels.values()))


def _known_level(levels: Levels, axis: str, value: object) -> str:
    texts = _texts(levels, axis)
    if str(value) not in texts:
        raise ConfigError(unknown_name(f"level of {axis}", str(value), texts))
    return str(value)
