"""Which split an image belongs to when the splits are given as fractions of all images."""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence

from segsuite.errors import ConfigError, DataError, plural


def parts(keys: Sequence[str], fractions: Mapping[str, float], split_seed: int) -> list[str | None]:
    """The split of each image, by its relative path; None in the rest that fractions below 1 in all leave.

    Each image's own path decides (`split_of`), so that added images move no other one. No split is left empty: where
    that would happen, as it can with few images, the image whose place is nearest moves there from a split that keeps
    another. Raises DataError when there are fewer images than splits.
    """
    found = [split_of(key, fractions, split_seed) for key in keys]
    if len(keys) < len(fractions):
        raise DataError(
            f"{plural(len(keys), 'image')} cannot fill the {plural(len(fractions), 'split')} of fractions",
            advice="Add images, or name fewer splits in data.fractions.",
        )
    begin = 0.0
    for name, share in fractions.items():
        end = begin + share
        counts = Counter(found)
        if counts[name] == 0:
            can_move = [i for i, split in enumerate(found) if split is None or counts[split] > 1]
            places = {i: place_of(keys[i], split_seed) for i in can_move}
            chosen = min(can_move, key=lambda i: (max(begin - places[i], places[i] - end), keys[i]))
            found[chosen] = name
        begin = end
    return found


def split_of(key: str, fractions: Mapping[str, float], split_seed: int) -> str | None:
    """The split of the image with this relative path, whatever other images there are.

    SHA-256 of seed and path gives a number in 0..1 that no other image and no machine changes; so the shares
    of few images differ from the fractions by chance.
    """
    if min(fractions.values(), default=0) <= 0 or sum(fractions.values()) > 1 + 1e-9:
        raise ConfigError(f"fractions {dict(fractions)} are not positive shares of 1", advice="Let them add up to 1.")
    place, end = place_of(key, split_seed), 0.0
    for name, share in fractions.items():
        end += share
        if place < end or end > 1 - 1e-9:
            return name
    return None


def place_of(key: str, split_seed: int) -> float:
    """A number in 0..1 for the image with this relative path."""
    digest = hashlib.sha256(f"{split_seed}:{key}".encode()).digest()
    return int.from_bytes(digest[:6], "big") / 2**48
