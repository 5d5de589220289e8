"""Small experiments for tests: written into the working directory and loaded, or refused."""

from pathlib import Path

import pytest

from segsuite.errors import ConfigError
from segsuite.experiment import Experiment, load

BASE = """\
name: e
data: {name: shapes}
model: {name: unet}
"""


def loaded(text: str = "", *overrides: str, base: str = BASE, file: str = "e.yaml") -> Experiment:
    """The experiment of `base` and `text`, which begins on line 4."""
    Path(file).write_text(base + text, encoding="utf-8")
    return load(Path(file), overrides)


def refused(text: str = "", *overrides: str, base: str = BASE, file: str = "e.yaml") -> ConfigError:
    """The error of an experiment that is wrong; each of its parts says what, where and what to do."""
    with pytest.raises(ConfigError) as caught:
        loaded(text, *overrides, base=base, file=file)
    for part in caught.value.parts or (caught.value,):
        assert part.what
        assert part.where
        assert part.advice
        assert "\n" not in part.what
    return caught.value
