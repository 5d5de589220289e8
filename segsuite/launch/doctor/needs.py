"""Whether what an experiment needs is on this machine: datasets, pretrained weights, W&B."""

import contextlib
import os
import sys
from collections.abc import Iterator

from segsuite.encoders.weight_files import named_file, unpinned
from segsuite.errors import ConfigError, DataError, plural
from segsuite.experiment import Experiment
from segsuite.io import wandb_environment
from segsuite.launch.doctor import Check, ok, problem, warning
from segsuite.launch.doctor.machine import answer_of


def check_needs(experiment: Experiment) -> Iterator[Check]:
    yield from _datasets(experiment)
    yield from _weights(experiment)
    yield _wandb(experiment)


def _datasets(experiment: Experiment) -> Iterator[Check]:
    """The splits that are there, and all that `segsuite plan` finds wrong."""
    from segsuite.launch.check_plan import data_of, problems

    for name, images in data_of(experiment):
        yield ok(name, plural(images, "image"))
    for error in problems(experiment):
        name = "data" if isinstance(error, DataError) else "settings"
        yield problem(name, f"{error.what} ({error.where})", error.advice or "see data/README.md")


def _weights(experiment: Experiment) -> Iterator[Check]:
    models = [trial.settings.model for trial in experiment.trials]
    wanted = {(getattr(model, "encoder", None), getattr(model, "weights", "none")) for model in models}
    for weights in sorted({str(weights) for encoder, weights in wanted if encoder}):
        with contextlib.suppress(ConfigError):  # reported above
            file = named_file(weights)
            if file is not None:
                yield ok("weights", str(file))
    encoders = sorted(str(encoder) for encoder, weights in wanted if encoder and unpinned(weights)[0] == "imagenet")
    if not encoders:
        return
    found, said = answer_of([sys.executable, "-m", "segsuite.encoders.present", *encoders])
    if found is None:
        yield warning("weights", f"could not be looked for: {said}", "see data/README.md")
        return
    for encoder in encoders:
        if found.get(encoder):
            yield ok("weights", f"{encoder}: {found[encoder]}")
        else:
            advice = f"fetch them where there is a network, see data/README.md and `segsuite encoders {encoder}`"
            yield warning("weights", f"{encoder}: not here, the first trial downloads them", advice)


def _wandb(experiment: Experiment) -> Check:
    """Never shows or sends the API key: the server is only asked whether it answers."""
    settings = experiment.trials[0].settings
    mode = wandb_environment.requested_mode(settings.wandb.mode)
    if settings.tracker != "wandb" or mode == "disabled":
        return ok("W&B", "off")
    if mode == "offline":
        return ok("W&B", "offline: `segsuite wandb-sync` uploads later")
    before = dict(os.environ)
    try:
        key = wandb_environment.has_key()
        url = wandb_environment.base_url()
    except Exception as error:  # of wandb's own kinds
        return warning("W&B", f"does not start: {wandb_environment.first_line(error)}", "install wandb again")
    finally:
        os.environ.clear()
        os.environ.update(before)
    if not key:
        found, advice = "there is no API key", "run `wandb login`, or set WANDB_API_KEY"
        return problem("W&B", found, advice) if mode == "online" else ok("W&B", f"offline: {found} (`wandb login`)")
    if not wandb_environment.reachable(url):
        found = f"{url} does not answer"
        if mode == "online":
            return problem("W&B", found, "check the network, or set wandb.mode: auto")
        return ok("W&B", f"offline: {found}; `segsuite wandb-sync` uploads later")
    return ok("W&B", f"online: there is an API key, and {url} answers")
