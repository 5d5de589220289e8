"""`segsuite doctor`."""

import argparse
import dataclasses
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from segsuite.commands.experiments import add_overrides
from segsuite.errors import EXIT_DONE, EXIT_FAILED, ConfigError

if TYPE_CHECKING:
    from segsuite.experiment import Experiment
    from segsuite.launch.doctor import Check


def add(commands: Any) -> None:
    """Adds the command to the subparsers of the command line."""
    help = "check this machine, the folder of the runs and, where there is SLURM, the site; nothing is left behind"
    doctor = commands.add_parser("doctor", help=help, description=help)
    doctor.add_argument("experiment", nargs="?", type=Path, metavar="E.yaml", help="also check what it needs")
    doctor.add_argument("--profile", metavar="NAME|FILE", help="the site profile, see slurm/README.md")
    doctor.add_argument("--on-node", action="store_true", help="also submit a job of a minute that looks from a node")
    doctor.add_argument("--json", action="store_true", help="print JSON")
    add_overrides(doctor, "runs_root=/scratch/me/runs")
    doctor.set_defaults(command=_doctor)


def _doctor(given: argparse.Namespace) -> int:
    from segsuite.errors import plural
    from segsuite.experiment import load

    if given.experiment is None and given.overrides:
        raise ConfigError("--set is for an experiment", "the command line", "segsuite doctor E.yaml --set KEY=VALUE")
    experiment = load(given.experiment, given.overrides) if given.experiment is not None else None
    found = []
    for check in _checks(given, experiment):
        found.append(check)
        if not given.json:
            _print(check)
    counts = {level: sum(check.level == level for check in found) for level in ("problem", "warning", "ok")}
    if given.json:
        print(json.dumps([dataclasses.asdict(check) for check in found], indent=1))
    else:
        said = {level: f"{count} ok" if level == "ok" else plural(count, level) for level, count in counts.items()}
        print(", ".join(words for level, words in said.items() if counts[level]))
    return EXIT_FAILED if counts["problem"] else EXIT_DONE


def _print(check: "Check") -> None:
    print(f"{check.level:8} {check.name}: {check.found}", flush=True)
    if check.advice:
        print(f"{'':8} to do: {check.advice}", flush=True)


def _checks(given: argparse.Namespace, experiment: "Experiment | None") -> Iterator["Check"]:
    from segsuite.io import store
    from segsuite.launch.doctor import problem
    from segsuite.launch.doctor.folder import check_folder
    from segsuite.launch.doctor.machine import check_machine
    from segsuite.launch.doctor.needs import check_needs
    from segsuite.launch.slurm import doctor as site
    from segsuite.launch.slurm.arrays import Code, Layout, Place, array_command
    from segsuite.launch.slurm.command import CHECKOUT
    from segsuite.launch.slurm.node import check_node
    from segsuite.launch.slurm.profile import read_profile

    asked = bool(given.profile or given.on_node)
    profile = read_profile(given.profile)[1] if asked or site.is_here() else None  # a wrong one is told at once
    trials = experiment.trials if experiment is not None else ()
    folder = experiment.folder if experiment is not None else Path("runs")
    devices = sorted({str(trial.settings.execution.device) for trial in trials}) or ["auto"]
    yield from check_machine(devices)
    yield from check_folder(folder, sum(store.state(trial.folder) != "finished" for trial in trials) or 1)
    if experiment is not None:
        yield from check_needs(experiment)
    if profile is None:
        return
    code = Code(CHECKOUT, profile.python or sys.executable)
    wants_gpu = devices != ["cpu"]
    try:
        own = profile.of(trials[0]) if trials else profile
        layout = Layout.of(trials[0], own) if trials else Layout(pack=profile.pack)
        place = Place(folder.resolve())
        command = array_command(place, f"{place.job_prefix}test", "1", 1, profile, code, layout)
    except ConfigError as error:
        yield problem("profile", error.what, error.advice)
        return
    yield from site.check_site(profile, folder, command, max(1, len(trials)), wants_gpu, asked)
    if given.on_node:
        yield from check_node(profile, folder, code, wants_gpu)
