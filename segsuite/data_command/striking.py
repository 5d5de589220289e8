"""What a person should notice in a dataset before training on it, in sentences; the weightiest first."""

from collections.abc import Iterator

import numpy as np

from segsuite.datasets.overview import SMALL_AREA, DatasetOverview
from segsuite.metrics.groups import frequency_groups

MISMATCH = 3.0
"""Shares that differ by this factor between two splits are striking."""
SEEN = 0.0005
"""Shares below this in both splits are too small to compare."""
RARELY_PRESENT = 0.1
MUCH_VOID = 0.1
SPECK, MANY_SPECKS = 4, 0.25


def mismatch(found: DatasetOverview) -> dict[str, float]:
    """Class -> how many times its largest share is its smallest, over the splits; infinite where one has none of it.

    Classes that are rare in all splits are left out; in the order of falling mismatch.
    """
    factors = {}
    for place, name in enumerate(found.classes):
        shares = [float(split.shares[place]) for split in found.splits.values()]
        if len(shares) > 1 and max(shares) >= SEEN:
            factors[name] = max(shares) / min(shares) if min(shares) else float("inf")
    return dict(sorted(factors.items(), key=lambda item: -item[1]))


def striking(found: DatasetOverview) -> list[str]:
    """Sentences about what is unusual; a dataset without any gets one that says so."""
    sentences = [
        *_absent(found),
        *_mismatched(found),
        *_imbalance(found),
        *_rarely_present(found),
        *_small(found),
        *_specks(found),
        *_void(found),
    ]
    return sentences or ["Nothing is striking: classes are about as frequent in each split, and none is rare."]


def percent(share: float) -> str:
    """A share with two digits, in per cent.

    >>> percent(0.00292), percent(0.317), percent(0.0)
    ('0.29 %', '32 %', '0 %')
    """
    if share == 0:
        return "0 %"
    digits = max(0, 1 - int(np.floor(np.log10(100 * share))))
    return f"{100 * share:.{digits}f} %"


def _absent(found: DatasetOverview) -> Iterator[str]:
    for split, one in found.splits.items():
        absent = [name for name, share in zip(found.classes, one.shares, strict=True) if share == 0]
        if absent:
            effect = "cannot be learnt" if split == "train" else "is in no score there"
            yield f"{_listed(absent)} {'is' if len(absent) == 1 else 'are'} not in {split}: what is absent {effect}."


def _mismatched(found: DatasetOverview) -> Iterator[str]:
    names = [name for name, factor in mismatch(found).items() if MISMATCH <= factor < float("inf")]
    if not names:
        return
    place = found.classes.index(names[0])
    shares = _listed([f"{percent(float(one.shares[place]))} of {split}" for split, one in found.splits.items()])
    others = f", and the shares of {_listed(names[1:])} differ {MISMATCH:g} times or more" if len(names) > 1 else ""
    yield f"{names[0]} is {shares}{others}: a score on one split says little about another."


def _imbalance(found: DatasetOverview) -> Iterator[str]:
    pixels = found.first.counts.pixels_C
    tail = [name for name in frequency_groups(pixels, found.classes)["tail"] if pixels[found.classes.index(name)]]
    if not tail:
        return
    share = sum(pixels[found.classes.index(name)] for name in tail) / sum(pixels)
    most, least = found.order[0], next(place for place in reversed(found.order) if pixels[place])
    split = next(iter(found.splits))
    verb = "has" if len(tail) == 1 else "together have"
    yield (
        f"{found.classes[most]} has {pixels[most] / pixels[least]:.0f} times the pixels of {found.classes[least]}; "
        f"{_listed(tail)} {verb} {percent(share)} of the labelled pixels of {split}: a model that never predicts "
        f"{'it' if len(tail) == 1 else 'them'} can still reach a pixel accuracy of {1 - share:.3f}."
    )


def _rarely_present(found: DatasetOverview) -> Iterator[str]:
    shares = dict(zip(found.classes, found.first.image_shares.tolist(), strict=True))
    rare = sorted((name for name in shares if 0 < shares[name] < RARELY_PRESENT), key=lambda name: shares[name])
    if rare:
        split = next(iter(found.splits))
        shown = _listed([f"{name} ({percent(shares[name])})" for name in rare])
        yield f"Few images of {split} have {shown}: most batches have none."


def _small(found: DatasetOverview) -> Iterator[str]:
    shares = {name: found.first.small_share(place) for place, name in enumerate(found.classes)}
    small = sorted((name for name in shares if shares[name] > 0.5), key=lambda name: -shares[name])
    if small and len(small) < len(shares):
        side = round(SMALL_AREA**0.5)
        shown = _listed([f"{name} ({percent(shares[name])})" for name in small])
        yield f"Most pixels of {shown} are in objects smaller than {side} x {side} pixels."


def _specks(found: DatasetOverview) -> Iterator[str]:
    areas = found.first.objects.area_M
    share = float((areas <= SPECK).mean()) if len(areas) else 0.0
    if share > MANY_SPECKS:
        yield f"{percent(share)} of all objects are specks of at most {SPECK} pixels: count objects with care."


def _void(found: DatasetOverview) -> Iterator[str]:
    much = {split: one.void_share for split, one in found.splits.items() if one.void_share > MUCH_VOID}
    if much:
        yield f"{_listed([f'{percent(share)} of {split}' for split, share in much.items()])} has no class (void)."


def _listed(names: list[str]) -> str:
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))
