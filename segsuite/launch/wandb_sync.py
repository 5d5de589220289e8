"""Uploads the W&B logs of an experiment's trials, asks the server what arrived, and logs the rest from the files.

`wandb sync` alone says "finished" also when it left out artifacts whose staged files are gone (wandb issue 3098).
"""

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from segsuite.config.tracking import CLASS_TABLE, PREDICTION_TABLE, PREDICTIONS, is_shown
from segsuite.errors import ConfigError, SegsuiteError
from segsuite.experiment import Experiment, Trial
from segsuite.io import store, trial_warnings, wandb_environment
from segsuite.io.imports import of_a_child

EMPTY_LOG_BYTES = 7  # a header and nothing else: the writer was killed at once
LOGS_AT_A_TIME = 50
UPLOAD_SECONDS = 3600.0
MIRROR_SECONDS = 600.0
LEFT_ALONE = {
    "new": "not started",
    "running": "running: left alone",
    "damaged": "its result.json is damaged: run it again first",
    "unreadable": "cannot be read",
}
"""State -> why nothing is uploaded."""
NOT_IN_FILES = {"pictures"}  # what only wandb's own folder holds


@dataclass
class Synced:
    """What was done for a trial, what the server still lacks (kind -> one sentence), and which of it is lost: in no
    file, so that no further call can bring it."""

    trial: Trial
    state: str
    done: str = ""
    missing: dict[str, str] = field(default_factory=dict)
    lost: str = ""

    @property
    def verdict(self) -> str:
        """In a few words."""
        if self.missing:
            return "INCOMPLETE"
        if self.lost:
            return "complete but for pictures"
        return "complete" if self.state == "finished" else "-" if self.state in LEFT_ALONE else "all so far"


def sync(experiment: Experiment, again: bool = False) -> list[Synced]:
    """Uploads what the server lacks and checks every trial; calling it twice uploads nothing twice.

    `again` also uploads logs that were uploaded before. Raises ConfigError without an API key, SegsuiteError when the
    server does not answer.
    """
    found = [Synced(trial, store.state(trial.folder)) for trial in experiment.trials]
    with wandb_environment.online(experiment.folder):
        server = Server(experiment)
        waiting: list[tuple[Synced, list[Path]]] = []
        for item in found:
            if item.state in LEFT_ALONE:
                item.done = LEFT_ALONE[item.state]
            # Of a trial that has not finished, the server may lack what is only in the logs.
            elif server.lacks(item.trial, item.state) or item.state != "finished":
                waiting.append((item, logs(item.trial, again)))
            else:
                item.done = "was complete"
        failure = upload([log.parent for _, paths in waiting for log in paths])
        for item, paths in waiting:
            item.done = f"uploaded {len(paths)} log{'s' * (len(paths) != 1)}" if paths else "no log to upload"
            item.missing = server.lacks(item.trial, item.state)
            if item.state == "finished" and item.missing.keys() - NOT_IN_FILES:
                failure = mirror(item) or failure
                item.done += ", logged the rest from its files"
                item.missing = server.lacks(item.trial, item.state)
            if "pictures" in item.missing and not server.could_have(item.trial):
                item.lost = item.missing.pop("pictures")
            if item.missing and failure:
                item.missing["sync"] = f"wandb said: {failure}"
        for item in found:
            if item.state == "finished" and not item.missing and not item.lost:
                trial_warnings.settle(item.trial.folder)
    return found


def run_of(trial: Trial) -> str:
    """The id of a trial's run."""
    return wandb_environment.run_id(trial.experiment, trial.id)


def logs(trial: Trial, again: bool) -> list[Path]:
    """The transaction logs of a trial, oldest first, without those that hold nothing or were uploaded before."""
    run = run_of(trial)
    paths = (trial.folder / "wandb").glob(f"*run-*-{run}/run-{run}.wandb")
    return [
        path
        for path in sorted(paths, key=lambda path: path.parent.name.partition("run-")[2])  # by time
        if path.stat().st_size > EMPTY_LOG_BYTES and (again or not path.with_name(f"{path.name}.synced").exists())
    ]


def upload(folders: Sequence[Path]) -> str:
    """Runs `wandb sync` on run folders, which keeps their order within a run; the last line of its error, if any."""
    failure = ""
    for start in range(0, len(folders), LOGS_AT_A_TIME):
        paths = [str(folder) for folder in folders[start : start + LOGS_AT_A_TIME]]
        command = ["wandb", "sync", "--include-online", "--include-synced", *paths]
        failure = _module(command, UPLOAD_SECONDS) or failure
    return failure


def mirror(item: Synced) -> str:
    """Logs a finished trial from its run directory; the last line of an error, if any."""
    epochs = item.missing.get("epochs", "").removeprefix("epochs ").replace(" ", "")
    if "run" in item.missing:
        epochs = ",".join(str(event["epoch"]) for event in store.events(item.trial.folder))
    return _module(["segsuite.trial.mirror", str(item.trial.folder), epochs], MIRROR_SECONDS)


def _module(command: Sequence[str], seconds: float) -> str:
    environment = of_a_child(wandb_environment.without_service(os.environ)) | {"WANDB_MODE": "online"}
    try:
        done = subprocess.run(
            [sys.executable, "-m", *command],
            env=environment,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"{' '.join(command[:2])} took longer than {seconds:.0f} s"
    said = (done.stderr or done.stdout).strip().splitlines() or [f"exit code {done.returncode}"]
    return said[-1] if done.returncode else ""


class Server:
    """The project on the W&B server, read through wandb's public interface."""

    def __init__(self, experiment: Experiment) -> None:
        settings = experiment.trials[0].settings.wandb
        self.project, entity = wandb_environment.place(settings.project, settings.entity)
        if not wandb_environment.has_key():
            advice = "run `wandb login`, or set WANDB_API_KEY"
            raise ConfigError("there is no API key for W&B", str(experiment.path), advice)
        url = wandb_environment.base_url()
        if not wandb_environment.reachable(url):
            raise SegsuiteError("W&B does not answer", url, "check the network, then call it again")
        import wandb

        try:
            self._api: Any = wandb.Api(timeout=30)
            self.entity = entity or self._api.default_entity
        except Exception as error:
            text = wandb_environment.first_line(error)
            raise SegsuiteError(f"W&B refused: {text}", url, "check the API key with `wandb login --verify`") from error

    def lacks(self, trial: Trial, state: str) -> dict[str, str]:
        """What a trial with these files must have on the server and has not: kind -> one sentence."""
        try:
            run = self._run(trial)
            return dict(_lacks(run, _names(run), trial, state))
        except Exception as error:
            return {"run": f"the run ({wandb_environment.first_line(error)})"}

    def could_have(self, trial: Trial) -> bool:
        """Whether a log of this machine holds images that the server has not."""
        try:
            names = _names(self._run(trial))
        except Exception:
            return True
        return any(path not in names for path in media_files(trial))

    def _run(self, trial: Trial) -> Any:
        self._api.flush()  # it remembers runs
        return self._api.run(f"{self.entity}/{self.project}/{run_of(trial)}")


def _names(run: Any) -> set[str]:
    return {file.name for file in run.files(per_page=500)}


def _lacks(run: Any, names: set[str], trial: Trial, state: str) -> Iterator[tuple[str, str]]:
    # Rows of epochs have a loss; the rest is what older rows of images hold.
    there = {int(row["epoch"]) for row in run.scan_history(keys=["epoch", "train/loss"])}
    here = {event["epoch"] for event in store.events(trial.folder) if event.get("loss") is not None}
    if here - there:
        yield "epochs", f"epochs {_listed(here - there)}"
    rows = run.scan_history(keys=["epoch", PREDICTIONS])
    with_pictures = {int(row["epoch"]) for row in rows if names.issuperset(files_of(row[PREDICTIONS]))}
    if without := shown_epochs(trial) - with_pictures:
        yield "pictures", f"the predictions shown at epochs {_listed(without)}"
    if state == "finished":
        yield from _lacks_result(run, names, trial)


def _lacks_result(run: Any, names: set[str], trial: Trial) -> Iterator[tuple[str, str]]:
    result = store.look(trial.folder).result or {}
    score, shown = result.get("scores", {}).get("miou"), run.summary.get("final/miou")
    if run.state != "finished":
        yield "end", f"the end (its state is {run.state})"
    if run.summary.get("complete") != 1:
        yield "result", "the result"
    elif score is not None and (shown is None or abs(shown - score) > 1e-9):
        yield "result", f"the right result (mIoU {shown} there, {score} here)"
    committed = [artifact for artifact in run.logged_artifacts() if artifact.state == "COMMITTED"]
    tables = {CLASS_TABLE: "the table of classes"}
    if trial.settings.wandb.images:
        tables[PREDICTION_TABLE] = "the table of predictions"
    for key, name in tables.items():
        as_artifact = any(f"-{key.replace('/', '')}" in artifact.name for artifact in committed)
        table = run.summary.get(key)
        if not as_artifact or table is None or not names.issuperset(files_of(table)):
            yield key, name
    noted = (store.read_json(trial.folder / "manifest.json") or {}).get("dataset")
    if noted and not any(artifact.type == "dataset" for artifact in run.used_artifacts()):
        yield "dataset", "the dataset that it used"
    if trial.settings.wandb.checkpoints and not any(artifact.type == "model" for artifact in committed):
        yield "checkpoint", "the checkpoint"


def files_of(value: Any) -> list[str]:
    """The files of a table, or of images and their masks, as a row of a run's history names them."""
    masks = [mask for masks in value.get("all_masks") or [] for mask in masks.values()]
    single = [value["path"]] if "path" in value else []
    return [*single, *(value.get("filenames") or []), *(mask["path"] for mask in masks)]


def shown_epochs(trial: Trial) -> set[int]:
    """The epochs so far, from 0, after which predictions were to be shown."""
    settings, train = trial.settings.wandb, trial.settings.train
    if not settings.images or trial.settings.execution.strategy != "ddp":
        return set()
    return {
        event["epoch"]
        for event in store.events(trial.folder)
        if event.get("miou") is not None
        and is_shown(event["epoch"] + 1, train.epochs, train.validate_every, settings.image_times)
    }


def _listed(epochs: set[int]) -> str:
    return ", ".join(map(str, sorted(epochs)))


def media_files(trial: Trial) -> list[str]:
    """Images and tables that wandb keeps in the run directory, by the names they have on the server."""
    found: set[str] = set()
    for files in (trial.folder / "wandb").glob(f"*run-*-{run_of(trial)}/files"):
        found |= {path.relative_to(files).as_posix() for path in files.glob("media/**/*") if path.is_file()}
    return sorted(found)
