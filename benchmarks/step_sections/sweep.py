"""Short trials of one experiment by `segsuite run`: as it comes, one after the other, and a cold process a trial."""

import itertools
import json
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import timing
from gpu_sections.sweep import experiment, started

from step_sections.goals import at_least, ratio

if TYPE_CHECKING:
    from section_records import Records
    from sectioned import Context

FORMS = {
    "segsuite run": (),
    "one after the other": ("--workers", "1"),
    "a cold process a trial": ("--workers", "1", "--fresh"),
}


def main(context: "Context", records: "Records") -> None:
    trials, rounds = (2, 1) if context.small else (4, 2)
    numbers = itertools.count()
    paths: list[Path] = []

    def run_of(*options: str) -> Callable[[], object]:
        def run() -> None:
            paths.append(experiment(context, f"sweep-{next(numbers)}", trials, images=96, epochs=2))
            code = started(paths[-1], *options).wait()
            assert code == 0, code

        return run

    forms = {name: run_of(*options) for name, options in FORMS.items()}
    if context.small:  # each takes some seconds to start
        forms.pop("one after the other")
    seconds = timing.side_by_side(forms, rounds, warmup=0)
    for form, values in seconds.items():
        middle = statistics.median(values)
        records.add("Sweep", form, seconds=middle, rounds=rounds, **{"trials/h": 3600 * trials / middle})
    results = [one for path in paths for one in (context.folder / "runs" / path.stem).glob("*/result.json")]
    longest = max(json.loads(one.read_text())["cost"]["attempt_seconds"] for one in results)
    records.add("Sweep", "longest trial", seconds=longest)
    why = f"trials of up to {longest:.0f} s; what is saved is the start of each, and what a core waits for"
    cold = ratio(seconds["a cold process a trial"], seconds["segsuite run"])
    at_least(records, "Sweep: a cold process a trial / segsuite run", cold, 1.8 if longest < 30 else 1.0, why)
    if "one after the other" in seconds:
        after = ratio(seconds["one after the other"], seconds["segsuite run"])
        at_least(records, "Sweep: one after the other / segsuite run", after, 1.25, why)
