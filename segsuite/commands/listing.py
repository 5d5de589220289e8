"""`segsuite plan` and `segsuite status`."""

import argparse
import json
from typing import Any

from segsuite.commands.experiments import on_experiment
from segsuite.commands.printing import print_rows
from segsuite.errors import EXIT_DONE, EXIT_FAILED


def add(commands: Any) -> None:
    """Adds the commands to the subparsers of the command line."""
    plan = on_experiment(commands, "plan", "list the trials, their differences and states; nothing runs", _plan)
    plan.add_argument("--json", action="store_true", help="print JSON")
    plan.add_argument("--origins", action="store_true", help="print the base settings and the file and line of each")
    status = on_experiment(commands, "status", "counts, progress, scores and failures", _status)
    status.add_argument("--json", action="store_true", help="print JSON")
    status.add_argument("--watch", action="store_true", help="look again every 5 s until all trials have ended")


def _plan(given: argparse.Namespace) -> int:
    from segsuite.experiment import load, plural
    from segsuite.launch.status import plan

    experiment = load(given.experiment, given.overrides)
    if given.origins:
        origins = experiment.composed.leaves()
        if given.json:
            found = [(".".join(map(str, path)), experiment.composed.value(path), where) for path, where in origins]
            print(json.dumps([{"key": key, "value": value, "origin": where} for key, value, where in found], indent=1))
            return EXIT_DONE
        for path, where in origins:
            print(f"{'.'.join(map(str, path))}: {json.dumps(experiment.composed.value(path))}  # {where}")
        return EXIT_DONE
    listing = plan(experiment)
    if given.json:
        print(json.dumps(listing, indent=1))
        return EXIT_DONE
    rows = [
        (
            trial["id"],
            trial["arm"] + (" (baseline)" if trial["arm"] == experiment.baseline else ""),
            str(trial["seed"]),
            trial["state"],
        )
        for trial in listing["trials"]
    ]
    print_rows(("id", "arm", "seed", "state"), rows)
    print(f"{plural(len(rows), 'trial')}: {experiment.size}, in {experiment.folder}")
    return EXIT_DONE


def _status(given: argparse.Namespace) -> int:
    from segsuite.commands import status_text
    from segsuite.experiment import load
    from segsuite.launch.status import Status

    status = Status(load(given.experiment, given.overrides))
    if given.watch:
        found = status_text.watch(status, given.json)
    else:
        found = status.look()
        print(status_text.as_json(found) if given.json else "\n".join(status_text.lines(found)))
    return EXIT_FAILED if found["counts"]["failed"] else EXIT_DONE
