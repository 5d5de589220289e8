"""`segsuite predict`."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from segsuite.commands.experiments import add_overrides
from segsuite.errors import EXIT_DONE, EXIT_FAILED, ConfigError, plural
from segsuite.prediction import DEVICES

if TYPE_CHECKING:
    from segsuite.prediction.predictor import View

EPILOG = """examples:
  segsuite predict runs/quickstart/9f2f95f56574 photo.jpg --out predictions
  segsuite predict experiments/quickstart.yaml --arm upsampler=nearest_conv photos/
  segsuite predict 9f2f 'photos/**/*.png' --window 1024 --tta flip,0.75,1,1.25
several seeds of one arm are an ensemble: the mean of their probabilities"""
PROBABILITIES = ("float16", "uint8")


def add(commands: Any) -> None:
    """Adds the command to the subparsers of the command line."""
    help = "label images with a network that has finished training"
    predict = commands.add_parser(
        "predict", help=help, description=help, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    predict.add_argument(
        "target", metavar="TRIAL", help="a run directory, the beginning of an id below runs/, or an experiment's YAML"
    )
    predict.add_argument(
        "images", nargs="+", metavar="IMAGE", help="an image, folder, pattern, video, .txt list, or - (list on stdin)"
    )
    predict.add_argument(
        "--out", type=Path, default=Path("predictions"), metavar="DIR", help="where to write; default: predictions"
    )
    predict.add_argument("--arm", metavar="ARM", help="of the experiment")
    predict.add_argument("--seed", type=int, metavar="N", help="of the experiment; default: all, as an ensemble")
    add_overrides(predict, "data.root=/data/camvid, as the experiment was run")
    predict.add_argument(
        "--window", type=int, metavar="N", help="side of windows in pixels; default: the whole image, if memory allows"
    )
    predict.add_argument(
        "--overlap", type=float, default=0.5, metavar="SHARE", help="of a window with the next; default: 0.5"
    )
    predict.add_argument(
        "--tta",
        default="",
        metavar="VIEWS",
        help="test-time augmentation: flip, scales, or both, e.g. flip,0.75,1,1.25",
    )
    predict.add_argument(
        "--probabilities", choices=PROBABILITIES, metavar="KIND", help="also write them, as float16 or uint8 (255 is 1)"
    )
    predict.add_argument("--no-overlays", action="store_true", help="leave out the pictures for looking at")
    predict.add_argument("--device", choices=DEVICES, default="auto", help="default: auto, the fastest")
    predict.add_argument("--force", action="store_true", help="overwrite what is there")
    predict.set_defaults(command=_predict)


def _predict(given: argparse.Namespace) -> int:
    from segsuite.prediction.inputs import inputs
    from segsuite.prediction.outputs import Outputs
    from segsuite.prediction.trials import find
    from segsuite.prediction.windows import Windows

    seen = views(given.tta)
    Windows(64 if given.window is None else given.window, given.overlap)  # refuses what cannot be
    trials = find(given.target, given.overrides, given.arm, given.seed)
    images = inputs(given.images)
    first = trials[0]
    outputs = Outputs(
        given.out,
        first.classes,
        first.palette,
        overlays=not given.no_overlays,
        probabilities=given.probabilities or "none",
        force=given.force,
        settings={
            "trials": [{"id": one.id, "arm": one.arm, "seed": one.seed, "folder": str(one.folder)} for one in trials],
            "window": given.window,
            "overlap": given.overlap,
            "tta": given.tta,
        },
    )
    outputs.begin([f"{one.name}/000001" if one.is_video else one.name for one in images])

    from segsuite.prediction.command import predict_files
    from segsuite.prediction.loading import load_predictor
    from segsuite.prediction.memory import WindowChoice

    predictor = load_predictor(trials, given.device, seen)
    if first.left_out:
        print(f"{plural(first.left_out, 'seed')} left out: not finished")
    many = f"the mean of {len(trials)} trials, " if len(trials) > 1 else ""
    print(
        f"{many}{'; '.join(trial.name for trial in trials)}, on {predictor.device}, {predictor.precision}", flush=True
    )
    choice = WindowChoice(predictor, given.window, given.overlap)
    try:
        done = predict_files(predictor, images, outputs, choice, first.value_range, _say)
    except KeyboardInterrupt:
        print(f"stopped: {given.out} holds what was predicted so far; --force begins again", file=sys.stderr)
        raise
    finally:
        table = outputs.end()
    speed = done.predicted / done.seconds if done.seconds > 0 else 0.0
    print(f"{plural(done.predicted, 'image')} predicted, {speed:.1f} a second")
    print(f"written to {given.out}: {', '.join(_kinds(outputs))}, {table.name}")
    if done.failed:
        print(f"{plural(len(done.failed), 'file')} could not be predicted")
        return EXIT_FAILED
    return EXIT_DONE


def _say(text: str) -> None:
    print(text, flush=True)


def _kinds(outputs: Any) -> list[str]:
    return [path.parent.name for path in outputs.files("image").values()]


def views(text: str) -> "tuple[View, ...]":
    """What `--tta` says. Raises ConfigError."""
    words = [word.strip() for word in text.split(",") if word.strip()]
    scales = []
    for word in words:
        if word == "flip":
            continue
        try:
            scale = float(word)
        except ValueError:
            scale = 0.0
        if not 0.1 <= scale <= 10:
            raise ConfigError(
                f"--tta knows no view '{word}'", "the command line", "give flip, scales from 0.1 to 10, or both"
            )
        scales.append(scale)

    from segsuite.prediction.predictor import views_of

    return views_of("flip" in words, list(dict.fromkeys(scales)) or [1.0])
