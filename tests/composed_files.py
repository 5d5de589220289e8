"""YAML files to compose, for tests."""

from collections.abc import Callable
from pathlib import Path

import pytest

from segsuite.composition import compose
from segsuite.errors import ConfigError

Write = Callable[..., Path]

BASE = """\
data: {name: shapes, size: [32, 48], val_images: 5}
model: {name: unet, encoder: resnet18, decoder_channels: [8, 8, 8]}
train:
  epochs: 5
  optimizer:
    name: sgd
    learning_rate: 1e-1
    momentum: 0.5
"""


def writing(name: str, text: str) -> Path:
    """Writes a YAML into the working directory; its relative path."""
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def refused(path: Path, *overrides: str) -> ConfigError:
    """The error of what cannot be composed, which says what, where and what to do."""
    with pytest.raises(ConfigError) as caught:
        compose(path, overrides)
    error = caught.value
    assert error.what
    assert error.where
    assert error.advice
    return error
