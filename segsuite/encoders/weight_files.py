"""What `weights` may be, and whether its file is there; imports no torch."""

from pathlib import Path

from segsuite.errors import ConfigError, nearest
from segsuite.io.paths import RELATIVE, expanded

WORDS = ("none", "imagenet")
ENDINGS = (".safetensors", ".pth", ".pt")


def named_file(weights: str) -> Path | None:
    """The file that `weights` names; None for `none` and `imagenet`. Raises ConfigError for any other word, and for a
    file that is not there."""
    if weights in WORDS:
        return None
    if not weights.endswith(ENDINGS):
        near = nearest(weights, WORDS)
        raise ConfigError(
            f"unknown encoder weights '{weights}'" + (f"; did you mean '{near}'?" if near else ""),
            advice="write none, imagenet, or the path of a .safetensors, .pth or .pt file",
        )
    file = expanded(weights)
    if not file.is_file():
        raise ConfigError(
            "the file of encoder weights does not exist", str(file), f"correct the path in model.weights; {RELATIVE}"
        )
    return file
