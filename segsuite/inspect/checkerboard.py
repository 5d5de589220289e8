"""`segsuite inspect --checkerboard`: what the command does, and its table. Imports torch only to compute."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from segsuite.checkerboard.theory.profile import FRACTIONS, MAX_ORDER, NOTHING, Profile
from segsuite.checkerboard.theory.targets import Target, parse_targets
from segsuite.errors import ConfigError, Problems
from segsuite.inspect.progress import followed
from segsuite.report.gallery import check_out, write_gallery

RANGES = {"channels": (1, 256), "factor": (2, 16), "draws": (1, 1000), "seed": (0, 2**31)}
LEAVE = ("draws", "MACs/px", "parameters", "condition", "order", "shift px", "factor")
COLUMNS = (
    *("target", "factor", "overlap CV", "DCI", *(f"IRR {at:g}" for at in FRACTIONS), "order", "condition"),
    *("shift px", "parameters", "MACs/px", "draws"),
)


@dataclass(frozen=True)
class Wishes:
    """The options of the command."""

    channels: int = 16
    factor: int = 2
    draws: int = 20
    seed: int = 0
    out: Path | None = None


def inspect(texts: Sequence[str], wishes: Wishes) -> list[Profile]:
    """The profile of each target, and the gallery page if one is wished for; a bar on standard error while that is a
    terminal.

    Raises one ConfigError, before anything is computed, with everything that is wrong: an option out of range, a
    target that does not exist, an upsampler that cannot do the factor, a module that cannot be made, a place that
    cannot be written to; and one for a target that the theory does not hold for.
    """
    targets = check(texts, wishes)
    found = [profile_of(target, wishes) for target in followed(targets, lambda one: one.text)]
    if wishes.out is not None:
        write_gallery(found, wishes.out)
    return found


def check(texts: Sequence[str], wishes: Wishes) -> list[Target]:
    """The targets; raises what `inspect` raises before anything is computed."""
    for name, (low, high) in RANGES.items():
        value = getattr(wishes, name)
        if not low <= value <= high:
            raise ConfigError(f"--{name} {value} is not in {low} to {high}", "the command line", "choose one that is")
    if wishes.out is not None:
        check_out(wishes.out)
    targets = parse_targets(texts)

    from segsuite.checkerboard.theory.build import build_operator

    problems = Problems()
    for target in targets:
        problems.attempt(None, build_operator, target, wishes.channels, wishes.factor, wishes.seed)
    problems.raise_all()
    return targets


def profile_of(target: Target, wishes: Wishes) -> Profile:
    """Raises ConfigError, with the target, when the theory does not hold for it."""
    from segsuite.checkerboard.theory.build import build_operator
    from segsuite.checkerboard.theory.draws import profile

    build = partial(build_operator, target, wishes.channels, wishes.factor)
    try:
        return profile(target.text, build, wishes.draws, wishes.seed)
    except ConfigError as error:
        raise ConfigError(error.what, f"--checkerboard {target.text[:80]}", error.advice) from error


def rows(found: Sequence[Profile]) -> list[tuple[str, ...]]:
    """COLUMNS and a row for each profile; numbers, and their titles, end below each other."""
    lines = [COLUMNS, *map(_row, found)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return [(line[0], *(cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True))) for line in lines]


def footnote(found: Sequence[Profile]) -> list[str]:
    """What the columns are, and how sure their numbers are."""
    errors = {
        "DCI": [one.imbalance for one in found],
        "IRR": [value for one in found for value in one.rejection.values()],
        "shift": [value for one in found for value in (one.shift_down, one.shift_right)],
    }
    units = {"IRR": " dB", "shift": " px"}
    worst = {name: max((one.standard_error or 0.0 for one in values), default=0.0) for name, values in errors.items()}
    told = ", ".join(f"{name} {error:.2g}{units.get(name, '')}" for name, error in worst.items() if error > NOTHING)
    lines = [
        "DCI: share of a constant's response that is checkerboard; IRR: images by base band, dB; order: Strang-Fix;",
        "condition: inf where some input gives nothing; shift: of the content, down and right; MACs: multiply-adds",
        "each column is explained in docs/guides/checkerboard.md",
    ]
    return [*lines, f"means over the draws of the weights; largest standard errors: {told}"] if told else lines


def _row(one: Profile) -> tuple[str, ...]:
    condition = one.condition.mean
    shifts = [f"{value.mean:+.2f}".replace("-0.00", "+0.00") for value in (one.shift_down, one.shift_right)]
    return (
        one.target,
        str(one.factor),
        f"{one.overlap_cv:.4f}",
        share(one.imbalance.mean),
        *(f"{value.mean:+.1f}" for value in one.rejection.values()),
        f"{one.order}+" if one.order == MAX_ORDER else str(one.order),
        "inf" if math.isinf(condition) else f"{condition:.3g}",
        shifts[0] if shifts[0] == shifts[1] else " ".join(shifts),
        str(one.parameters),
        f"{one.multiply_adds:.0f}",
        str(one.draws),
    )


def share(value: float) -> str:
    """A share of energy; what is rounding is 0.

    >>> share(3e-33), share(0.7494), share(2e-5)
    ('0', '0.749', '2.0e-05')
    """
    if value < NOTHING:
        return "0"
    return f"{value:.3f}" if value >= 0.001 else f"{value:.1e}"
