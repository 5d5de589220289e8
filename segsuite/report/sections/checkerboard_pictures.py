"""Pictures of the pattern: the response to a constant, the spectrum of the logits, phases, zoomed crops."""

import base64
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from segsuite.checkerboard import MEASURES
from segsuite.report.checkerboards import Picture, measured, read_pictures
from segsuite.report.sections.base import PAGE_WIDTH, Figure, Material, Section
from segsuite.report.sections.multiples import Bar, Tile, at, frame, multiples

COLUMNS = 5
PAIR, BESIDE = 2.08, 1.08
"""Width of two pictures beside each other, and where the second begins."""
SPECTRUM_FLOOR = -80
RINGED_STRIDE = 8
"""The largest stride whose harmonics can be told apart by eye."""
RING = "#E8590C"
LEAST_RESPONSE = 0.05


class Shown(NamedTuple):
    """The pictures of one seed by arm, and what to call it."""

    pictures: Mapping[str, Mapping[str, Picture]]
    of: str


def build(material: Material) -> Section | None:
    """Spectrum and phases of the logits; None unless a finished trial left them."""
    found = measured(material.gathered)
    shown = pictures_of(material, found.arms)
    stride = found.stride("logits", "harmonic_share")
    figures = [figure for figure in (_spectra(material, shown, stride), _phases(material, shown)) if figure is not None]
    if not figures:
        return None
    measure = MEASURES["harmonic_share"]
    note = (
        "A pattern that repeats every s pixels has its power at the harmonics of 1/s: in the rings, and not beside "
        "them. Edges give the cross through the middle, whatever the upsampler."
    )
    return Section(
        "checkerboard-spectrum",
        "Spectrum of the logits",
        notes=(note,),
        figures=figures,
        details=[f"{measure.title}: {measure.definition}"],
        summary="How the numbers are measured",
    )


def response_figure(material: Material, arms: Sequence[str]) -> Figure | None:
    """What the decoders make of a constant scene, at the start and at the end; None unless a trial left it."""
    name = "constant_response"
    shown = pictures_of(material, arms)
    having = {arm: found for arm, found in shown.pictures.items() if any(f"{m}_{name}" in found for m in MOMENTS)}
    if not having:
        return None
    values = [found[f"{m}_{name}"] for found in having.values() for m in MOMENTS if f"{m}_{name}" in found]
    largest = ceiling(max(LEAST_RESPONSE, *(float(np.nanmax(np.abs(one), initial=0.0)) for one in values)))
    bar = Bar("signed", -largest, largest, "standard deviations of the logits on real images")
    tiles = []
    for arm, found in having.items():
        traces: list[dict[str, Any]] = []
        for moment, left in zip(MOMENTS, (0.0, BESIDE), strict=True):
            picture = found.get(f"{moment}_{name}")
            if picture is not None:
                heat = bar.heat() | {"z": _rounded(picture, 3)} | at(picture.shape[0], picture.shape[1], left)
                heat["hovertemplate"] = f"{WORDS[moment]}: %{{z:.3f}}<extra></extra>"
                traces += [heat, frame(left, left + 1)]
                classes = found.get(f"{moment}_{name}_classes")
                if classes is not None and classes.shape == picture.shape:
                    traces += _flips(classes, left)
        tiles.append(Tile(material.styles[arm].name, traces, material.styles[arm].colour))
    data, layout, narrow = multiples(tiles, bar, 4, PAIR)
    caption = (
        f"One cell of the response to features that are the same in all places, {shown.of}: left at initialisation, "
        "right trained. The class and the place with the strongest pattern, without its mean; flat is a constant that "
        "stays one. Dots: pixels whose class is not the most frequent one of the cell. One colour scale."
    )
    return Figure("constant-response-pictures", caption, data, layout, narrow, paper_width=PAGE_WIDTH)


MOMENTS = ("start", "final")
WORDS = {"start": "at initialisation", "final": "trained"}


def pictures_of(material: Material, arms: Sequence[str]) -> Shown:
    """The arrays of one trial an arm: of the first seed that all arms have finished, or else of each arm's first."""
    gathered = material.gathered
    done = {arm: gathered.done(arm) for arm in arms}
    common = set.intersection(*({trial.seed for trial in trials} for trials in done.values())) if done else set()
    chosen = {arm: next((trial for trial in trials if trial.seed in common), trials[0]) for arm, trials in done.items()}
    seeds = sorted({trial.seed for trial in chosen.values()})
    of = f"of seed {seeds[0]}" if len(seeds) == 1 else "of each arm's first finished seed"
    found = {arm: read_pictures(trial.folder) for arm, trial in chosen.items()}
    return Shown({arm: pictures for arm, pictures in found.items() if pictures}, of)


def _spectra(material: Material, shown: Shown, stride: int | None) -> Figure | None:
    having = {arm: found["final_spectrum"] for arm, found in shown.pictures.items() if "final_spectrum" in found}
    if not having:
        return None
    ringed = min(stride or 1, RINGED_STRIDE)
    bar = Bar("power", SPECTRUM_FLOOR, 0, "dB of the largest bin")
    tiles = []
    for arm, spectrum in having.items():
        rows, columns = spectrum.shape
        decibels = np.nan_to_num(spectrum, nan=SPECTRUM_FLOOR).clip(SPECTRUM_FLOOR, 0).round()
        heat = bar.heat() | compact(decibels, "i1") | at(rows, columns)
        heat["hovertemplate"] = "%{z} dB<extra></extra>"
        tiles.append(
            Tile(material.styles[arm].name, [heat, _rings(rows, columns, ringed)], material.styles[arm].colour)
        )
    data, layout, narrow = multiples(tiles, bar, COLUMNS)
    caption = (
        f"Power of the class-centred logits, trained, {shown.of}, mean over images and classes: frequency 0 in the "
        "middle, half a cycle per pixel at the sides. One colour scale."
    )
    if ringed > 1:
        caption += f" Rings: the harmonics of stride {ringed}"
        caption += f"; those of {stride} lie {stride // ringed} times as dense." if stride and stride > ringed else "."
    return Figure("checkerboard-spectrum", caption, data, layout, narrow, paper_width=PAGE_WIDTH)


def _rings(rows: int, columns: int, stride: int) -> dict[str, Any]:
    """Rings at (a/s, b/s) cycles per pixel but (0, 0), where `at` puts these bins."""
    cycles = [place / stride - (1 if 2 * place >= stride else 0) for place in range(stride)]
    places = [(down, right) for down in cycles for right in cycles if down or right]
    return {
        "type": "scatter",
        "mode": "markers",
        "x": [round((columns // 2 + right * columns + 0.5) / columns, 4) for _, right in places],
        "y": [round((rows // 2 + down * rows + 0.5) / rows, 4) for down, _ in places],
        "marker": {"symbol": "circle-open", "size": 7, "color": RING, "line": {"width": 1}},
        "cliponaxis": False,
        "hoverinfo": "skip",
        "showlegend": False,
    }


def _phases(material: Material, shown: Shown) -> Figure | None:
    having = {arm: found["final_phase_map"] for arm, found in shown.pictures.items() if "final_phase_map" in found}
    if not having:
        return None
    # Half as much and twice as much are equally far from 1.
    logs = {arm: np.log2(np.maximum(phases, 1e-3)) for arm, phases in having.items()}
    largest = min(2.0, max(1.0, *(float(np.nanmax(np.abs(one), initial=0.0)) for one in logs.values())))
    ticks = [(-2.0, "a quarter"), (-1.0, "half"), (0.0, "the mean"), (1.0, "twice"), (2.0, "4 times")]
    ticks = [tick for tick in ticks if abs(tick[0]) <= largest]
    bar = Bar("signed", -largest, largest, "mean square deviation, by its mean over phases", ticks)
    tiles = []
    for arm, phases in logs.items():
        heat = bar.heat() | {"z": _rounded(phases, 2)} | at(*phases.shape)
        heat |= {"text": _rounded(having[arm], 2), "hovertemplate": "%{text} of the mean<extra></extra>"}
        tiles.append(Tile(material.styles[arm].name, [heat, frame(0, 1)], material.styles[arm].colour))
    data, layout, narrow = multiples(tiles, bar, COLUMNS)
    sides = sorted({phases.shape[0] for phases in logs.values()})
    caption = (
        f"How far the logits deviate from their surroundings in each of the s x s phases of the lattice "
        f"(s = {' or '.join(map(str, sides))}), mean square by its mean over phases; trained, {shown.of}, of one "
        "image. Even is no pattern; some unevenness is the content of a single image. One colour scale."
    )
    return Figure("checkerboard-phases", caption, data, layout, narrow, paper_width=PAGE_WIDTH)


def _flips(classes: NDArray[np.uint8], left: float) -> list[dict[str, Any]]:
    down, right = np.nonzero(classes != np.bincount(classes.ravel()).argmax())
    if not len(down):
        return []
    rows, columns = classes.shape
    dot = {
        "type": "scatter",
        "mode": "markers",
        "x": [round(left + (place + 0.5) / columns, 4) for place in right.tolist()],
        "y": [round((place + 0.5) / rows, 4) for place in down.tolist()],
        "marker": {"symbol": "circle", "size": 4, "color": "#000000", "line": {"width": 1, "color": "#FFFFFF"}},
        "hoverinfo": "skip",
        "showlegend": False,
    }
    return [dot]


def compact(values: NDArray[Any], dtype: str) -> dict[str, Any]:
    """`z` as plotly's typed array, a quarter of the same in digits."""
    packed = np.ascontiguousarray(values.astype(f"<{dtype}"))
    shape = ", ".join(map(str, values.shape))
    return {"z": {"bdata": base64.b64encode(packed.tobytes()).decode(), "dtype": dtype, "shape": shape}}


def _rounded(values: NDArray[Any], digits: int) -> list[list[float | None]]:
    return [[None if np.isnan(value) else round(float(value), digits) for value in row] for row in values]


def ceiling(value: float) -> float:
    """The next number of one or two digits.

    >>> ceiling(1.234), ceiling(0.0)
    (1.3, 1.0)
    """
    if not value > 0:
        return 1.0
    unit = 10.0 ** (np.floor(np.log10(value)) - 1)
    return float(f"{np.ceil(value / unit) * unit:.3g}")
