"""What `weights` may be, whether its file is there, and its hash; imports no torch."""

import hashlib
import re
from pathlib import Path

from segsuite.errors import ConfigError, nearest
from segsuite.io.paths import RELATIVE, expanded

WORDS = ("none", "imagenet")
PINNED = re.compile(r"(.+)@([0-9a-f]{8,64})")
ENDINGS = (".safetensors", ".pth", ".pt")


def unpinned(weights: str) -> tuple[str, str]:
    """`weights` without its hash, and the first 8 to 64 hex digits of the SHA-256 that its file shall have; none where
    any file will do.

    >>> unpinned("imagenet@0123abcd"), unpinned("imagenet"), unpinned("a@b/w.pth@0123abcd")
    (('imagenet', '0123abcd'), ('imagenet', ''), ('a@b/w.pth', '0123abcd'))
    """
    found = PINNED.fullmatch(weights)
    return (found[1], found[2]) if found and found[1] != "none" else (weights, "")


def file_sha256(file: Path) -> str:
    """64 hex digits of the file's content."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def named_file(weights: str) -> Path | None:
    """The file that `weights` names, with or without its hash; None for `none` and `imagenet`. Raises ConfigError for
    any other word, and for a file that is not there."""
    weights, _ = unpinned(weights)
    if weights in WORDS:
        return None
    if not weights.endswith(ENDINGS):
        near = nearest(weights, WORDS)
        raise ConfigError(
            f"unknown encoder weights '{weights}'" + (f"; did you mean '{near}'?" if near else ""),
            advice="write none, imagenet, or the path of a .safetensors, .pth or .pt file; behind the latter two may "
            "stand @ and 8 to 64 hex digits of the file's SHA-256, in small letters",
        )
    file = expanded(weights)
    if not file.is_file():
        raise ConfigError(
            "the file of encoder weights does not exist", str(file), f"correct the path in model.weights; {RELATIVE}"
        )
    return file
