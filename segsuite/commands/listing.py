"""`segsuite plan` and `segsuite status`."""

import argparse
import json
from typing import Any

from segsuite.commands.experiments import on_experiment, tell_changes
from segsuite.commands.printing import print_rows
from segsuite.errors import EXIT_DONE, EXIT_FAILED, EXIT_WRONG_USE, ConfigError


def add(commands: Any) -> None:
    """Adds the commands to the subparsers of the command line."""
    plan = on_experiment(commands, "plan", "list the trials, their differences and states; nothing runs", _plan)
    plan.add_argument("--json", action="store_true", help="print JSON")
    plan.add_argument("--origins", action="store_true", help="print the base settings and the file and line of each")
    status = on_experiment(commands, "status", "counts, progress, scores and failures", _status)
    status.add_argument("--json", action="store_true", help="print JSON")
    status.add_argument("--watch", action="store_true", help="look again every 5 s until all trials have ended")


def _plan(given: argparse.Namespace) -> int:
    from segsuite.errors import plural
    from segsuite.experiment import load
    from segsuite.launch.check_plan import problems
    from segsuite.launch.data_changes import seen_data
    from segsuite.launch.notes import as_json, changes_of_settings, in_lines, notes
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
    unfinished = {trial["id"] for trial in listing["trials"] if trial["state"] != "finished"}
    wrong = problems(experiment, [trial for trial in experiment.trials if trial.id in unfinished])
    noted = notes(
        experiment, seen_data(experiment.trials, {trial["id"]: trial["state"] for trial in listing["trials"]})
    )
    if given.json:
        beside = {
            "set": changes_of_settings(experiment),
            "problems": as_json(wrong),
            "notes": as_json(noted),
        }
        print(json.dumps(listing | beside, indent=1))
        return EXIT_WRONG_USE if wrong else EXIT_DONE
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
    tell_changes(experiment)
    print("".join(f"{line}\n" for line in in_lines(noted)), end="", flush=True)
    if wrong:
        raise ConfigError.of(wrong)
    return EXIT_DONE


def _status(given: argparse.Namespace) -> int:
    from segsuite.commands import status_text
    from segsuite.experiment import load
    from segsuite.launch.status import BAD_STATES, Status

    status = Status(load(given.experiment, given.overrides))
    if given.watch:
        found = status_text.watch(status, given.json)
    else:
        found = status.look()
        print(status_text.as_json(found) if given.json else "\n".join(status_text.lines(found)))
    return EXIT_FAILED if any(found["counts"].get(state) for state in BAD_STATES) else EXIT_DONE
