"""What the trials measured of checkerboards, from artefacts.json and artefacts.npz of their run directories; no torch.

What is missing, damaged or not what it should be is left out; nothing in these files is an error here, and no text of
theirs gets further than the names of places, which hold letters, digits and dots only.
"""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from segsuite.checkerboard import MEASURES, RENEWED_CONTROLS, VERSION
from segsuite.io import store
from segsuite.metrics import array_files
from segsuite.report.gather import Gathered

MOMENTS = ("start", "final")
PLACE = re.compile(r"logits|probabilities|gradient|prediction|decoder|seam:[A-Za-z0-9_.]{1,80}")
LARGEST_STRIDE = 1024
LARGEST_SIDE = 512
MOST_BYTES = 4_000_000
"""Of one array, unpacked."""
COLOURED = "margin_image"
"""The only array with a third axis, of colours."""

Picture = NDArray[Any]


class Row(NamedTuple):
    """One figure: a measure of MEASURES at a place, for a stride in pixels if it has one. `control`: what the value
    would be without an artefact. `epoch`: number of epochs done, None for the weights that were scored."""

    place: str
    stride: int | None
    measure: str
    value: float
    control: float | None
    epoch: int | None

    @property
    def key(self) -> str:
        """`checkerboard/logits/harmonic_share/s8`."""
        return f"checkerboard/{self.place}/{self.measure}{f'/s{self.stride}' if self.stride is not None else ''}"

    @property
    def excess(self) -> float:
        """Value minus control, where less is better; a value with an ideal of its own, such as a ratio, is itself."""
        if self.control is None or MEASURES[self.measure].better != "lower":
            return self.value
        return self.value - self.control


@dataclass(frozen=True, eq=False)
class Artefacts:
    """artefacts.json of one trial: `rows` while it trained, `final` of the scored weights; on how many images each.
    `is_older`: it is of version 1, and rows whose control was another one then are left out."""

    rows: tuple[Row, ...]
    final: tuple[Row, ...]
    images: int
    final_images: int
    is_older: bool = False

    def find(self, place: str, measure: str, stride: int | None = None, epoch: int | None = None) -> Row | None:
        """The row, at the end unless `epoch` is given; without `stride` that of the largest."""
        rows = [
            row
            for row in (self.final if epoch is None else self.rows)
            if (row.place, row.measure, row.epoch) == (place, measure, epoch) and stride in (None, row.stride)
        ]
        return max(rows, key=lambda row: row.stride or 0, default=None)

    def strides(self, place: str, measure: str) -> set[int]:
        """The strides at which it was measured at the end."""
        return {
            row.stride for row in self.final if (row.place, row.measure) == (place, measure) and row.stride is not None
        }

    @property
    def epochs(self) -> list[int]:
        """Numbers of epochs done at which something was measured, in order."""
        return sorted({row.epoch for row in self.rows if row.epoch is not None})


@dataclass(frozen=True, eq=False)
class Measured:
    """The artefacts of all finished trials of an experiment that have any."""

    gathered: Gathered
    by_trial: Mapping[str, Artefacts] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.by_trial)

    def of(self, arm: str) -> dict[int, Artefacts]:
        """seed -> artefacts."""
        return {trial.seed: self.by_trial[trial.id] for trial in self.gathered.done(arm) if trial.id in self.by_trial}

    @property
    def arms(self) -> list[str]:
        """Arms with any, in the experiment's order."""
        return [arm for arm in self.gathered.arms if self.of(arm)]

    def rows(
        self, place: str, measure: str, stride: int | None = None, epoch: int | None = None
    ) -> dict[str, dict[int, Row]]:
        """arm -> seed -> row, of arms that have one; arguments as in `Artefacts.find`."""
        found = {
            arm: {
                seed: row
                for seed, one in self.of(arm).items()
                if (row := one.find(place, measure, stride, epoch)) is not None
            }
            for arm in self.arms
        }
        return {arm: rows for arm, rows in found.items() if rows}

    def stride(self, place: str, measure: str) -> int | None:
        """The largest stride at which all trials were measured that were measured at any."""
        strides = [found for one in self.by_trial.values() if (found := one.strides(place, measure))]
        return max(set.intersection(*strides), default=None) if strides else None

    @property
    def older(self) -> int:
        """Trials whose artefacts are of version 1."""
        return sum(one.is_older for one in self.by_trial.values())

    @property
    def epochs(self) -> list[int]:
        """Numbers of epochs done at which any trial was measured."""
        return sorted({epoch for one in self.by_trial.values() for epoch in one.epochs})


def measured(gathered: Gathered) -> Measured:
    """Reads artefacts.json of every finished trial."""
    found = {trial.id: read_artefacts(trial.folder) for trial in gathered.finished}
    return Measured(gathered, {name: one for name, one in found.items() if one is not None})


def read_artefacts(folder: Path) -> Artefacts | None:
    """artefacts.json of a run directory; None when it is absent, not whole or of an unknown version."""
    content = store.read_json(folder / "artefacts.json")
    if content is None or content.get("version") not in (1, VERSION):
        return None
    is_older = content["version"] != VERSION
    rows, final = (
        tuple(
            row for row in _rows(content.get(key), key == "rows") if not (is_older and row.measure in RENEWED_CONTROLS)
        )
        for key in ("rows", "final")
    )
    if not rows and not final:
        return None
    return Artefacts(rows, final, _length(content.get("images")), _length(content.get("final_images")), is_older)


def read_pictures(folder: Path) -> dict[str, Picture]:
    """The arrays of artefacts.npz that a figure can be made of, by name (`final_spectrum`): 2-D, or (H, W, 3) colours.

    Floats come as float64, with what is not finite as NaN; integers as uint8.
    """
    found: dict[str, Picture] = {}
    try:
        for name, array in array_files.read(folder / "artefacts.npz", most_bytes=MOST_BYTES).items():
            picture = _picture(name, array)
            found |= {} if picture is None else {name: picture}
    except array_files.Damaged:
        return {}
    return found


def at_the_same_place(pictures: Mapping[str, Mapping[str, Picture]], name: str) -> dict[str, Mapping[str, Picture]]:
    """The arms whose picture `name` is the one that most arms have: what was cut out of the same image at the same
    place."""
    having = {arm: of_arm for arm, of_arm in pictures.items() if name in of_arm}
    groups: list[list[str]] = []
    for arm, of_arm in having.items():
        same = (group for group in groups if np.array_equal(having[group[0]][name], of_arm[name]))
        if (group := next(same, None)) is None:
            groups.append([arm])
        else:
            group.append(arm)
    chosen = max(groups, key=len, default=[])
    return {arm: having[arm] for arm in chosen}


def _rows(given: Any, in_training: bool) -> Iterable[Row]:
    rows = [_row(one, in_training) for one in given] if isinstance(given, Sequence) else []
    # A stopped and continued trial may have measured an epoch twice: the later one counts.
    found = {(row.place, row.stride, row.measure, row.epoch): row for row in rows if row is not None}
    return found.values()


def _row(given: Any, in_training: bool) -> Row | None:
    if not isinstance(given, Mapping):
        return None
    place, measure, value = given.get("place"), given.get("measure"), _finite(given.get("value"))
    stride, epoch = given.get("stride"), given.get("epoch") if in_training else None
    if not isinstance(place, str) or not PLACE.fullmatch(place):
        return None
    if not isinstance(measure, str) or measure not in MEASURES or value is None:
        return None
    if not (stride is None or _is_count(stride, LARGEST_STRIDE)) or (in_training and not _is_count(epoch, 10**6)):
        return None
    return Row(place, stride, measure, value, _finite(given.get("control")), epoch)


def _finite(value: Any) -> float | None:
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    try:
        return float(value) if math.isfinite(value) else None
    except OverflowError:
        return None


def _is_count(value: Any, most: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= most


def _length(given: Any) -> int:
    return len(given) if isinstance(given, list) else 0


def _picture(name: str, array: NDArray[Any]) -> Picture | None:
    colours = name.endswith(COLOURED)
    if array.ndim != 2 + colours or not 1 <= min(array.shape[:2]) <= max(array.shape[:2]) <= LARGEST_SIDE:
        return None
    if array.dtype.kind == "f" and not colours:
        values = array.astype(np.float64)
        return np.where(np.isfinite(values), values, np.nan)
    return array if array.dtype == np.uint8 and (not colours or array.shape[2] == 3) else None
