"""`segsuite evaluate`."""

import argparse
import json
import sys
from typing import Any

from segsuite.commands.experiments import TRIALS_HELP, on_experiment, tell_elsewhere, trials_called
from segsuite.commands.predicting import views
from segsuite.commands.printing import print_rows
from segsuite.errors import EXIT_DONE, EXIT_FAILED, ConfigError, SegsuiteError, plural
from segsuite.prediction import DEVICES

COLUMNS = ("id", "arm", "seed", "mIoU", "own score", "images", "scored")
LEAVE = ("images", "own score")


def add(commands: Any) -> None:
    """Adds the command to the subparsers of the command line."""
    help = "score finished trials on another split; trains nothing, and leaves their own results"
    evaluate = on_experiment(commands, "evaluate", help, _evaluate)
    evaluate.add_argument("trial", nargs="*", metavar="TRIAL", help=f"only these: {TRIALS_HELP}")
    evaluate.add_argument(
        "--split", choices=("train", "val", "test"), default="test", help="which split is scored; default: test"
    )
    evaluate.add_argument("--output-stride", type=int, choices=(8, 16, 32), help="of a DeepLab network")
    evaluate.add_argument(
        "--tta", default="", metavar="VIEWS", help="the mean over views: flip, scales, or both, e.g. flip,0.75,1,1.25"
    )
    evaluate.add_argument("--name", default="", metavar="NAME", help="of the evaluation; default: from the options")
    evaluate.add_argument("--again", action="store_true", help="score also what was scored before")
    evaluate.add_argument("--device", choices=DEVICES, default="auto", help="default: auto, the fastest")
    evaluate.add_argument("--json", action="store_true", help="print JSON")


def _evaluate(given: argparse.Namespace) -> int:
    from segsuite.experiment import load
    from segsuite.inspect.progress import followed
    from segsuite.io import store

    experiment = load(given.experiment, given.overrides)
    tell_elsewhere(experiment)
    chosen = [trial for wish in given.trial for trial in trials_called(experiment, wish)]
    named = list({trial.id: trial for trial in chosen}.values())
    finished = [trial for trial in named or experiment.trials if store.state(trial.folder) == "finished"]
    if not finished:
        raise ConfigError(
            "no trial has finished", str(experiment.path), f"run it first: segsuite run {experiment.path}"
        )

    from segsuite.prediction.evaluating import Wanted, evaluate_trial, made, times_scored

    wanted = Wanted(given.split, given.output_stride, views(given.tta), given.name)
    rows, found, failed = [], [], list[tuple[str, SegsuiteError]]()
    for trial in followed(finished, lambda one: f"{one.arm}, seed {one.seed}"):
        own = store.look(trial.folder).result or {}
        try:
            before = made(trial.folder, wanted)
            result = None if given.again else before
            is_new = result is None
            result = result or evaluate_trial(trial.folder, wanted, given.device, moved=trial.settings.data)
        except SegsuiteError as error:
            failed.append((f"{trial.id} {trial.arm}, seed {trial.seed}", error))
            continue
        times = times_scored(trial.folder, wanted.name)
        found.append({**result, "times_scored": times, "scored_now": is_new})
        scores = ["-" if (miou := one["scores"]["miou"]) is None else f"{miou:.4f}" for one in (result, own)]
        images = str(result["scored"]["images"])
        rows.append(
            (trial.id, trial.arm, str(trial.seed), *scores, images, f"{times} x" + ("" if is_new else ", not again"))
        )
    if not rows:
        raise failed[0][1]
    if given.json:
        print(json.dumps(found, indent=1))
    else:
        print_rows(COLUMNS, rows, LEAVE)
        print(f"written to evaluations/{wanted.name} of each run directory; `own score` is of the trial's own split")
    waiting = len(named or experiment.trials) - len(finished)
    if waiting:
        print(f"{plural(waiting, 'trial')} left out: not finished", file=sys.stderr)
    for name, reason in failed:
        print(f"error: {name}: {reason}", file=sys.stderr)
    return EXIT_FAILED if failed else EXIT_DONE
