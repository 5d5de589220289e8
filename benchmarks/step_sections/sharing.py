"""Two trainings by two people on one machine, neither knowing of the other: each beside its fair share, which is what
half of the cores give it alone."""

import itertools
import json
import statistics
import time
from pathlib import Path
from typing import TYPE_CHECKING

from gpu_sections.sweep import experiment, started

from segsuite.io.machine import cores
from step_sections.goals import at_most

if TYPE_CHECKING:
    from section_records import Records
    from sectioned import Context

LATER_SECONDS = 4.0
"""How much later the second one begins."""


def training_seconds(folder: Path) -> float:
    """Of the steps of the only trial: what it does beside does not depend on threads."""
    (events,) = folder.glob("*/events.jsonl")
    return sum(float(json.loads(line)["seconds"]) for line in events.read_text().splitlines())


def threads_of(folder: Path) -> int:
    (manifest,) = folder.glob("*/manifest.json")
    return int(json.loads(manifest.read_text())["hardware"]["threads"])


def main(context: "Context", records: "Records") -> None:
    numbers = itertools.count()
    half = str(max(1, cores() // 2))
    pair: dict[str, list[float]] = {"first": [], "second": []}
    alone = []
    rounds = 1 if context.small else 2

    def new() -> Path:
        return experiment(context, f"shared-{next(numbers)}", 1, images=120, epochs=6)

    def runs(path: Path) -> Path:
        return context.folder / "runs" / path.stem

    for _ in range(rounds):
        path = new()
        assert started(path, OMP_NUM_THREADS=half).wait() == 0
        alone.append(training_seconds(runs(path)))
        both = {name: new() for name in pair}
        processes = []
        for at, path in enumerate(both.values()):
            time.sleep(0 if context.small else at * LATER_SECONDS)
            processes.append(started(path))
        assert [process.wait() for process in processes] == [0, 0]
        for name, path in both.items():
            pair[name].append(training_seconds(runs(path)))
            records.add("Two at once", name, seconds=pair[name][-1], threads=threads_of(runs(path)))
        # After each round: the time may not suffice for all.
        middle = statistics.median(alone)
        records.add("Two at once", f"alone with {half} of {cores()} cores", seconds=middle, threads=int(half))
        for name, values in pair.items():
            measured = statistics.median(one / other for one, other in zip(values, alone, strict=True))
            why = "see the threads that each took"
            at_most(records, f"Two at once: the {name} / its fair share", measured, 1.3, why)
