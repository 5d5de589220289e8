"""The gallery: all upsamplers that were inspected on one page, which asks nothing of any network. No torch."""

import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from segsuite.checkerboard.theory.profile import FRACTIONS, MAX_ORDER, NOTHING, Estimate, Profile
from segsuite.errors import ConfigError, SegsuiteError
from segsuite.io import atomic
from segsuite.report.gallery_figure import colour_axes, profile_figure
from segsuite.report.page import is_page, rendered
from segsuite.report.sections.base import Cell, Table
from segsuite.report.style import template

PLUS_MINUS = "\N{PLUS-MINUS SIGN}"
INFINITE = 1e30
"""What an infinite condition number is sorted by."""
COLUMNS = (
    ("upsampler", False),
    ("overlap CV", True),
    ("DCI", True),
    *((f"IRR {at:g}, dB", True) for at in FRACTIONS),
    ("order", True),
    ("ramp pattern", True),
    ("condition", True),
    ("shift down, px", True),
    ("shift right, px", True),
    ("noise gain", True),
    ("constant gain", True),
    ("parameters", True),
    ("MACs per px", True),
)
CAPTION = (
    f"Means over draws of the weights {PLUS_MINUS} standard error, where there is anything to draw. DCI: share of the "
    "response to a constant that is checkerboard. IRR: power of the images by that of the base band, for noise up to "
    "this fraction of the low-resolution Nyquist frequency. Order: Strang-Fix. Ramp pattern: by the ramp's rise over "
    "one low-resolution pixel. Condition: square root of the ratio of the frame bounds, geometric mean. Gains: mean "
    "square of the output for white noise, and for a constant, of unit variance. MACs: multiply-adds of convolutions "
    "and matrix products per low-resolution pixel."
)


def check_out(path: Path) -> None:
    """Makes the folder of the page. Raises before anything is computed when the page cannot be put there, or would
    replace a file that is no page of ours."""
    if path.is_dir():
        raise ConfigError(f"{path} is a folder", "--out", f"name a file, e.g. {path / 'page.html'}")
    if os.path.lexists(path) and not is_page(path):
        raise ConfigError(f"{path} is there and is not a page of segsuite", "--out", "name another file, or move it")
    try:
        atomic.make_folder(path.parent)
    except SegsuiteError as error:
        raise ConfigError(error.what, f"--out {path}", "name a file in a folder that you may write to") from error


def write_gallery(profiles: Sequence[Profile], path: Path) -> None:
    """Writes the page."""
    atomic.write_text(path, gallery(profiles))


def gallery(profiles: Sequence[Profile]) -> str:
    """The whole page."""
    figures = {one.target: profile_figure(one, f"checkerboard-{number}") for number, one in enumerate(profiles)}
    return rendered(
        "gallery.html",
        figures.values(),
        themes={theme: _template(theme) for theme in ("light", "dark")},
        command="segsuite inspect --checkerboard",
        title=f"Checkerboards of {len(profiles)} upsamplers" if len(profiles) > 1 else profiles[0].target,
        sentences=[answer(profiles)],
        facts=_facts(profiles),
        table=Table(COLUMNS, [_row(one) for one in profiles], CAPTION),
        pictures=figures,
    )


def answer(profiles: Sequence[Profile]) -> str:
    """Which make a checkerboard of a constant, in a sentence or two."""
    with_pattern = [one for one in profiles if one.imbalance.mean > NOTHING]
    if not with_pattern:
        return "It leaves constants as they are." if len(profiles) == 1 else "All leave constants as they are."
    worst = max(with_pattern, key=lambda one: one.imbalance.mean)
    share = f"{100 * worst.imbalance.mean:.0f} % of the energy of its response is pattern"
    if len(profiles) == 1:
        return f"It makes a checkerboard of a constant: {share}."
    left = len(profiles) - len(with_pattern)
    return (
        f"{len(with_pattern)} of {len(profiles)} make a checkerboard of a constant, most of all {worst.target}: "
        f"{share}. {left} leave{'s' if left == 1 else ''} constants as they are."
    )


def _template(theme: str) -> dict[str, Any]:
    made = template(dark=theme == "dark")
    made["layout"] |= colour_axes(theme)
    return made


def _facts(profiles: Sequence[Profile]) -> list[str]:
    def told(values: set[int], one: str, many: str) -> str:
        low, high = min(values), max(values)
        return f"{low} {one if low == 1 else many}" if low == high else f"{low} to {high} {many}"

    return [
        told({profile.channels for profile in profiles}, "channel", "channels"),
        f"factor {told({profile.factor for profile in profiles}, '', '').strip()}",
        told({profile.draws for profile in profiles}, "draw of the weights", "draws of the weights"),
        "float64, away from the border, nothing trained",
    ]


def _row(one: Profile) -> list[Cell]:
    condition = one.condition.mean
    return [
        Cell(one.target, one.target),
        Cell(f"{one.overlap_cv:.4f}".rstrip("0").rstrip("."), one.overlap_cv),
        _estimate(one.imbalance, 3, strong=one.imbalance.mean > NOTHING),
        *(_estimate(value, 1, signed=True) for value in one.rejection.values()),
        Cell(f"{one.order} or more" if one.order == MAX_ORDER else str(one.order), one.order),
        _estimate(one.ramp_residual, 3),
        Cell("infinite", INFINITE) if math.isinf(condition) else _estimate(one.condition, 1 if condition < 100 else 0),
        _estimate(one.shift_down, 2, signed=True),
        _estimate(one.shift_right, 2, signed=True),
        _estimate(one.noise_gain, 3),
        _estimate(one.constant_gain, 3),
        Cell(f"{one.parameters:,}", one.parameters),
        Cell(f"{one.multiply_adds:,.0f}", one.multiply_adds),
    ]


def _estimate(value: Estimate, digits: int, signed: bool = False, strong: bool = False) -> Cell:
    """The mean, and its standard error unless all draws agree; what is rounding is 0."""
    unit = 10.0**-digits
    mean = 0.0 if abs(value.mean) < unit / 1e6 else value.mean
    text = f"{mean:.{digits}f}" if abs(mean) < unit / 2 or not signed else f"{mean:+.{digits}f}"
    text = "0" if mean == 0 else text.removeprefix("-") if float(text) == 0 else text
    error = value.standard_error or 0.0
    return Cell(f"{text} {PLUS_MINUS} {error:.{digits}f}" if error > unit / 2 else text, value.mean, strong)
