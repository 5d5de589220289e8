"""`python -m segsuite.trial.mirror RUN_DIRECTORY [EPOCHS]`: tells the tracker of a finished trial what its files say.

For what a log of W&B has lost, or never held: EPOCHS such as `3,4` are logged, then the table of classes, the
checkpoint if it is asked for, and the result. Exit code 1 when something could not be logged.
"""

import sys
from collections.abc import Collection
from pathlib import Path
from typing import Any

from segsuite.errors import ConfigError
from segsuite.io import store
from segsuite.trial import subject
from segsuite.trial.frozen import read


def mirror(folder: Path, epochs: Collection[int]) -> list[str]:
    """Logs `epochs` and the result of the trial in `folder`; the warnings. Raises ConfigError without a result."""
    from segsuite.train.tracking import tracked

    result = store.read_json(folder / "result.json")
    if result is None:
        raise ConfigError("the trial has no result", str(folder), "finish it first")
    warnings: list[str] = []

    def report(told: dict[str, Any]) -> None:
        warnings.append(str(told.get("warning")))

    with tracked(subject(read(folder), folder), report) as tracker:
        for event in store.events(folder):
            if event["epoch"] in epochs:
                tracker.epoch(event)
        tracker.finish(result)
    return warnings


if __name__ == "__main__":
    numbers = {int(number) for number in "".join(sys.argv[2:]).split(",") if number}
    found = mirror(Path(sys.argv[1]), numbers)
    print("\n".join(found), file=sys.stderr)
    sys.exit(bool(found))
