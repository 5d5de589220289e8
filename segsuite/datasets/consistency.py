"""What is wrong with the images of a dataset together, though each can be read: found in what its audits count."""

from collections.abc import Iterator, Sequence

from segsuite.datasets.audit import Audit, Found
from segsuite.datasets.image_header import Depth
from segsuite.errors import DataError, plural


def inconsistencies(audits: Sequence[Audit]) -> list[DataError]:
    """All that is wrong with the splits of one dataset: unlike scales, an unused half of the scale, only void."""
    return [*_unlike_depths(audits), *_dark(audits), *_outside_range(audits), *_void(audits)]


def depths_of(audits: Sequence[Audit]) -> dict[Depth, Found]:
    """The depths of the image files of all splits, how many have each, and where the first one is."""
    found: dict[Depth, Found] = {}
    for audit in audits:
        for depth, of_split in audit.depths.items():
            before = found.get(depth)
            found[depth] = before._replace(images=before.images + of_split.images) if before else of_split
    return found


def unlike_depths(depths: dict[Depth, Found]) -> DataError:
    """The error for images that would be scaled differently."""
    advice = "Save all of them with the same number of bits"
    advice += "." if min(depths).bits == 8 else ", or set data.value_range, which gives all of them one scale."
    shown = "; ".join(f"{found.images} of {depth}, such as {found.place}" for depth, found in depths.items())
    return DataError(
        f"the images have different depths and would be scaled differently: {shown}",
        min(depths.values()).place,
        advice,
    )


def _unlike_depths(audits: Sequence[Audit]) -> Iterator[DataError]:
    depths = depths_of(audits)
    # With a value_range, read_image refuses what it does not apply to, and scales all others alike.
    if len(depths) > 1 and any(audit.limits is not None for audit in audits):
        yield unlike_depths(depths)


def _dark(audits: Sequence[Audit]) -> Iterator[DataError]:
    limits = [audit.limits for audit in audits if audit.limits is not None]
    depths = depths_of(audits)
    if len(depths) != 1 or not limits:
        return
    depth, found = next(iter(depths.items()))
    low, high = (round(depth.full * value) for value in (min(one[0] for one in limits), max(one[1] for one in limits)))
    if high > depth.full // 2:
        return
    upper = 2 ** max(1, high.bit_length()) - 1
    yield DataError(
        f"the images have {depth}, but their values are {low} to {high}: they would be nearly black, as 0 to "
        f"{depth.full:.0f} is black to white",
        found.place,
        f"Set data.value_range: [0, {upper}], or [0, {depth.full:.0f}] if they are to stay so dark.",
    )


def _outside_range(audits: Sequence[Audit]) -> Iterator[DataError]:
    for audit in audits:
        if audit.outside_range is not None:
            low, high = audit.outside_range
            yield DataError(
                f"no value of the images of split {audit.split} lies within data.value_range [{low:g}, {high:g}]: they "
                "would be nothing but black and white",
                next(iter(audit.depths.values())).place,
                "Set data.value_range to the raw values that are to become black and white.",
            )


def _void(audits: Sequence[Audit]) -> Iterator[DataError]:
    for audit in audits:
        if audit.names and not audit.problems and not audit.pixels.any():
            yield DataError(
                f"all masks of split {audit.split} hold nothing but void: there is nothing to learn or to score",
                f"{plural(len(audit.names), 'mask')}, such as {audit.names[0]}",
                "Correct the masks, or what data.values says of their raw values.",
            )
