"""What a raw value of a mask means: the setting `values`, checked without opening a file. Imports neither numpy nor
torch."""

import itertools
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from segsuite.errors import ConfigError, unknown_name

VOID = 255
"""Label of a pixel without a class; no loss and no score counts it."""

MAX_CLASSES = 255
"""Class ids are 0..254 in uint8, 255 is void."""

_INTEGER = re.compile(r"-?\d{1,10}")
_RANGE = re.compile(r"(-?\d{1,10}) *- *(-?\d{1,10})")
_COLOUR = re.compile(r"#[0-9a-fA-F]{6}")
_LOOKS_LIKE_A_COLOUR = re.compile(r"#|\(|\[|0x|rgb|[0-9a-fA-F]{6}$", re.IGNORECASE)

Range = tuple[int, int, int]
"""First and last raw value, and their class id."""


@dataclass(frozen=True)
class MaskValues:
    """`ids`: raw integer -> class id; `ranges`: the same of whole ranges, in order; `colours`: 0xrrggbb -> class id."""

    ids: Mapping[int, int]
    ranges: tuple[Range, ...]
    colours: Mapping[int, int]

    @property
    def intervals(self) -> list[Range]:
        """Integers and ranges alike, in order."""
        return sorted([*((value, value, class_id) for value, class_id in self.ids.items()), *self.ranges])

    def known(self, colours: bool, most: int = 20) -> str:
        """The raw values that have a meaning, in words."""
        if colours:
            shown = [f"#{value:06x}" for value in sorted(self.colours)]
        else:
            shown = [f"{low}" if low == high else f"{low}-{high}" for low, high, _ in self.intervals]
        return ", ".join(shown[:most]) + (", ..." if len(shown) > most else "")


def check_classes(classes: Sequence[str]) -> None:
    """Raises ConfigError unless they are 1 to 255 different printable names without void."""
    repeated = [name for name, count in Counter(classes).items() if count > 1]
    if repeated:
        raise ConfigError(f"the class '{repeated[0]}' appears twice in classes", advice="name each class once")
    unreadable = [name for name in classes if not name.strip() or not name.isprintable()]
    if unreadable:
        raise ConfigError(
            f"the class name {unreadable[0][:80]!a} is not one printable line", advice="choose a plain name"
        )
    if "void" in classes:
        raise ConfigError(
            "void is no class", advice='leave it out of classes, and map its raw values to "void" in values'
        )
    if not 1 <= len(classes) <= MAX_CLASSES:
        raise ConfigError(f"{len(classes)} classes", advice=f"name 1 to {MAX_CLASSES} of them")


def mask_values(values: Mapping[Any, str] | None, classes: Sequence[str]) -> MaskValues:
    """The meaning of raw values. None: value i is class i, and 255 is void.

    Keys are integers, ranges of them such as "0-127" (both ends belong to it), or colours such as "#ff0000". Raises
    ConfigError for a name that is no class, a key that is none of these, a value with two meanings, or a class without
    a value.
    """
    if values is None:
        return MaskValues({**{i: i for i in range(len(classes))}, VOID: VOID}, (), {})
    ids: dict[int, int] = {}
    ranges: list[Range] = []
    colours: dict[int, int] = {}
    for raw, name in values.items():
        if name != "void" and name not in classes:
            raise ConfigError(f"{raw!r}: {unknown_name('class', str(name), [*classes, 'void'])}", advice="correct it")
        class_id, text = (VOID if name == "void" else classes.index(name)), str(raw).strip()
        if _COLOUR.fullmatch(text):
            _add(colours, int(text[1:], 16), class_id, text)
        elif isinstance(raw, bool):
            raise ConfigError(f"raw value {raw!r} is no integer", advice="write 0 and 1")
        elif _INTEGER.fullmatch(text):
            _add(ids, int(text), class_id, text)
        elif (found := _RANGE.fullmatch(text)) is not None:
            low, high = int(found[1]), int(found[2])
            if low > high:
                raise ConfigError(f'the range "{text}" ends before it begins', advice=f'write "{high}-{low}"')
            ranges.append((low, high, class_id))
        else:
            raise ConfigError(f"raw value {raw!r} is no integer, range or colour", advice=_advice(text))
    found_values = MaskValues(ids, tuple(sorted(ranges)), colours)
    _check_apart(found_values.intervals)
    named = {class_id for _, _, class_id in found_values.intervals} | set(colours.values())
    unreached = [name for k, name in enumerate(classes) if k not in named]
    if unreached:
        raise ConfigError(f"no raw value is given to {', '.join(unreached)}", advice="give each class at least one")
    return found_values


def _add(table: dict[int, int], key: int, class_id: int, text: str) -> None:
    if key in table:
        raise ConfigError(f"the raw value {text} appears twice", advice="remove one")
    table[key] = class_id


def _check_apart(intervals: Sequence[Range]) -> None:
    for (low, high, _), (next_low, next_high, _) in itertools.pairwise(intervals):
        if next_low <= high:
            one, other = (f"{a}" if a == b else f"{a}-{b}" for a, b in ((low, high), (next_low, next_high)))
            raise ConfigError(
                f'the raw value {next_low} is in both "{one}" and "{other}"', advice="make the ranges not overlap"
            )


def _advice(text: str) -> str:
    if _LOOKS_LIKE_A_COLOUR.match(text):
        return 'write a colour as "#rrggbb" in quotes, each pair of digits a band from 00 to ff'
    return 'write 7, "0-127" or "#ff0000"'
