"""`segsuite inspect E.yaml --field` and `--evidence`."""

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from segsuite.commands.experiments import trials_called
from segsuite.commands.printing import print_rows
from segsuite.errors import EXIT_DONE, ConfigError, plural

if TYPE_CHECKING:
    from segsuite.experiment import Experiment, Trial

COMMAND_LINE = "the command line"


def add_pictures(inspect: Any) -> None:
    """Adds the options to the parser of `inspect`."""
    inspect.add_argument(
        "--field", action="store_true", help="measure effective receptive fields and gridding: at the start and trained"
    )
    inspect.add_argument(
        "--evidence", action="store_true", help="what speaks for each class in a trained trial; pictures with --out"
    )
    inspect.add_argument(
        "--trial", metavar="ID|ARM|FOLDER", help="of --field and --evidence: only this trial, or those of this arm"
    )
    inspect.add_argument(
        "--images", type=int, default=8, metavar="N", help="of the scored split, evenly spaced; default: 8"
    )
    inspect.add_argument("--noise", action="store_true", help="measure fields on noise instead of the split's images")
    inspect.add_argument("--layer", metavar="PATH", help="another layer, e.g. core.encoder[-1]; default: the logits")
    inspect.add_argument(
        "--class", action="append", default=[], dest="classes", metavar="NAME", help="of --evidence; default: all"
    )


def look(given: argparse.Namespace) -> int:
    """Does what `--field` or `--evidence` asks for."""
    from segsuite.experiment import load
    from segsuite.report.gallery import check_out

    if given.target is None or Path(given.target).suffix not in (".yaml", ".yml"):
        raise ConfigError("no experiment is named", COMMAND_LINE, "segsuite inspect E.yaml --field")
    if not 1 <= given.images <= 1000:
        raise ConfigError(f"--images {given.images} is not in 1 to 1000", COMMAND_LINE, "choose one that is")
    if given.out is not None:
        check_out(given.out)
    experiment = load(Path(given.target), given.overrides)
    return _field(given, experiment) if given.field else _evidence(given, experiment)


def _chosen(experiment: "Experiment", wish: str | None) -> list["Trial"]:
    return list(experiment.trials) if wish is None else trials_called(experiment, wish)


def _finished(trials: Sequence["Trial"]) -> Iterator["Trial"]:
    """The first finished trial of each arm."""
    from segsuite.io.store import state

    seen: set[str] = set()
    for trial in trials:
        if trial.arm not in seen and state(trial.folder) == "finished":
            seen.add(trial.arm)
            yield trial


def _field(given: argparse.Namespace, experiment: "Experiment") -> int:
    from segsuite.inspect import effective_field_networks as fields
    from segsuite.inspect.effective_field import OUTPUT
    from segsuite.trial.networks import build_network, scored_dataset, shown_indices, trained_network

    trials = _chosen(experiment, given.trial)
    trained = {trial.arm: trial for trial in _finished(trials)}
    dataset = scored_dataset(trials[0].settings)
    indices = shown_indices(dataset, given.images)
    facts, images, found = [], None, []
    for arm in dict.fromkeys(trial.arm for trial in trials):
        trial = trained.get(arm) or next(one for one in trials if one.arm == arm)
        network = build_network(trial.settings, dataset.num_classes).eval()
        if images is None:
            images = fields.noise(network, given.images, given.seed) if given.noise else None
            images = images or fields.real_images(dataset, indices)
            what = "normal noise" if given.noise else f"images of {trial.settings.data.name}/{dataset.split}"
            facts = [f"{len(images)} {what}", f"{images[0].shape[-2]} x {images[0].shape[-1]} px"]
        _tell(f"{arm}, at the start")
        of = given.layer or OUTPUT
        start = fields.network_field(arm, "at the start", network, images, of, given.seed)
        found.append(start)
        if arm in trained:
            _tell(f"{arm}, trained")
            network = trained_network(trial.folder, trial.settings, dataset.num_classes)
            name, known = f"trained, seed {trial.seed}", start.measures.theoretical
            found.append(fields.network_field(arm, name, network, images, of, given.seed, known))
    facts.append(f"layer {given.layer}" if given.layer else "the logits in the middle, all phases of the stride")
    if given.out is not None:
        from segsuite.inspect.effective_field_page import write_field_page

        write_field_page(found, f"Effective receptive fields: {experiment.name}", facts, given.out)
    if given.json:
        print(json.dumps([one.to_json() for one in found], indent=1, allow_nan=False))
        return EXIT_DONE
    print_rows(fields.FIELD_COLUMNS, fields.field_rows(found))
    if any(one.gridding for one in found):
        print()
        print_rows(fields.GRIDDING_COLUMNS, fields.gridding_rows(found))
    print(f"on {', '.join(facts)}; docs/guides/inspect-pictures.md explains each column")
    return _written(given)


def _evidence(given: argparse.Namespace, experiment: "Experiment") -> int:
    from segsuite.inspect import evidence_classes as evidence
    from segsuite.trial.networks import scored_dataset, shown_indices, trained_network

    trials = sorted(_chosen(experiment, given.trial), key=lambda trial: not trial.is_baseline)
    trial = next(_finished(trials), None)
    if trial is None:
        raise ConfigError("no trial has finished", str(experiment.folder), f"segsuite run {experiment.path}")
    dataset = scored_dataset(trial.settings)
    network = trained_network(trial.folder, trial.settings, dataset.num_classes)
    layers = [given.layer] if given.layer else evidence.default_layers(network)
    indices = shown_indices(dataset, given.images)
    found = evidence.find_evidence(network, dataset, indices, layers, given.classes)
    facts = [
        f"{trial.arm}, seed {trial.seed}",
        f"{plural(len(indices), 'image')} of {trial.settings.data.name}/{dataset.split}",
    ]
    if given.out is not None:
        from segsuite.inspect.evidence_class_page import write_evidence_page

        title = f"Evidence for each class: {trial.arm}"
        write_evidence_page(found, network, dataset, title, facts, given.out)
    if given.json:
        print(json.dumps([one.to_json() for one in found], indent=1, allow_nan=False))
        return EXIT_DONE
    print_rows(evidence.COLUMNS, evidence.evidence_rows(found))
    print(f"{', '.join(facts)}; docs/guides/inspect-pictures.md explains each column")
    return _written(given)


def _tell(what: str) -> None:
    if sys.stderr.isatty():
        print(what, file=sys.stderr)


def _written(given: argparse.Namespace) -> int:
    if given.out is not None:
        print(f"written to {given.out}")
    return EXIT_DONE
