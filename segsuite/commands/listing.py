"""`segsuite plan` and `segsuite status`."""

import argparse
import json
import time
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
    status.add_argument("--watch", action="store_true", help="print again every 5 s until all trials have ended")


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
    from segsuite.experiment import load
    from segsuite.launch.display import duration
    from segsuite.launch.status import status

    while True:
        experiment = load(given.experiment, given.overrides)
        found = status(experiment)
        if given.json:
            print(json.dumps(found, indent=1))
        else:
            rows = []
            for trial in found["trials"]:
                score = "-" if trial["miou"] is None else f"{trial['miou']:.3f}"
                left = "" if trial["seconds_left"] is None else duration(trial["seconds_left"])
                epochs = f"{trial['epochs_done']} of {trial['epochs']}"
                rows.append((trial["id"], trial["arm"], str(trial["seed"]), trial["state"], epochs, score, left))
            print_rows(("id", "arm", "seed", "state", "epochs", "mIoU", "left"), rows)
            for trial in found["trials"]:
                if trial["state"] == "failed":
                    print(f"failed: {trial['arm']}, seed {trial['seed']}: {trial['reason']}\n  log: {trial['log']}")
            print(
                ", ".join(f"{count} {state}" for state, count in found["counts"].items() if count)
                + f", in {found['folder']}"
            )
        if not given.watch or not any(found["counts"][state] for state in ("new", "running", "unfinished")):
            return EXIT_FAILED if found["counts"]["failed"] else EXIT_DONE
        time.sleep(5)
