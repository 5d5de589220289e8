"""The sections of benchmarks/gpu.py, in order of worth."""

import importlib
from dataclasses import dataclass
from pathlib import Path

from gpu_sections.records import Records


@dataclass(frozen=True)
class Context:
    """What every section knows: the device (cuda or cpu), whether sizes are tiny, CamVid's folder or None, a folder for
    what it writes, and after how many seconds it is ended."""

    device: str
    small: bool
    data: Path | None
    folder: Path
    seconds: float = 600.0


@dataclass(frozen=True)
class Section:
    """`main(context, records)` of the module gpu_sections.`name`; it is not begun with less than `least_seconds` left
    and ended after `most_seconds`."""

    name: str
    what: str
    least_seconds: float
    most_seconds: float

    def run(self, context: Context, records: Path) -> None:
        with Records(records) as found:
            importlib.import_module(f"gpu_sections.{self.name}").main(context, found)


SECTIONS = (
    Section("peaks", "what the device can do at most", 5, 30),
    Section("cuda_tests", "the tests marked cuda", 20, 150),
    Section("training", "a training step beside other loops", 30, 150),
    Section("losses", "each loss, forward and backward", 10, 45),
    Section("sweep", "trials an hour, several on the device", 40, 120),
    Section("scoring", "a finished network on a split", 15, 60),
    Section("upsamplers", "each upsampler, forward and backward", 10, 45),
    Section("profile", "where a training step goes", 15, 45),
    Section("compiled", "other loops under torch.compile", 60, 200),
)
