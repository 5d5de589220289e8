"""Uploads the W&B logs of an experiment's trials, then asks the server whether everything arrived.

`wandb sync` alone says "finished" also when it left out artifacts whose staged files are gone (wandb issue 3098).
"""

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from segsuite.errors import ConfigError, SegsuiteError
from segsuite.experiment import Experiment, Trial
from segsuite.io import store, wandb_environment

EMPTY_LOG_BYTES = 7  # a header and nothing else: the writer was killed at once
LOGS_AT_A_TIME = 50
UPLOAD_SECONDS = 3600


@dataclass
class Synced:
    """What was done for a trial, and what the server still lacks."""

    trial: Trial
    state: str
    done: str = ""
    missing: list[str] = field(default_factory=list)

    @property
    def verdict(self) -> str:
        """In two words."""
        if self.missing:
            return "INCOMPLETE"
        return "complete" if self.state == "finished" else "-" if self.state in ("new", "running") else "all so far"


def sync(experiment: Experiment, again: bool = False) -> list[Synced]:
    """Uploads what the server lacks and checks every trial; calling it twice uploads nothing twice.

    `again` also uploads logs that were uploaded before. Raises ConfigError without an API key, SegsuiteError when the
    server does not answer.
    """
    with wandb_environment.online(experiment.folder):
        server = Server(experiment)
        found = [Synced(trial, store.state(trial.folder)) for trial in experiment.trials]
        waiting: dict[str, list[Path]] = {}
        for item in found:
            if item.state in ("new", "running"):
                item.done = "not started" if item.state == "new" else "running: left alone"
                continue
            item.missing = server.lacks(item.trial, item.state)
            # Of a trial that has not finished the server may lack epochs that are only in the logs.
            if not item.missing and item.state == "finished":
                item.done = "was complete"
                continue
            waiting[item.trial.id] = logs(item.trial, again)
        failure = upload([log.parent for paths in waiting.values() for log in paths])
        for item in found:
            if item.trial.id in waiting:
                count = len(waiting[item.trial.id])
                item.done = f"uploaded {count} log{'s' * (count != 1)}" if count else "no log to upload"
                item.missing = server.lacks(item.trial, item.state)
                if item.missing and failure:
                    item.missing.append(f"wandb sync said: {failure}")
    return found


def logs(trial: Trial, again: bool) -> list[Path]:
    """The transaction logs of a trial, oldest first, without those that hold nothing or were uploaded before."""
    paths = sorted((trial.folder / "wandb").glob(f"*run-*-{trial.id}/run-{trial.id}.wandb"), key=_started)
    return [
        path
        for path in paths
        if path.stat().st_size > EMPTY_LOG_BYTES and (again or not path.with_name(f"{path.name}.synced").exists())
    ]


def _started(path: Path) -> str:
    return path.parent.name.partition("run-")[2]


def upload(folders: Sequence[Path]) -> str:
    """Runs `wandb sync` on run folders; the last line of its error, or nothing. It keeps the order within a run."""
    failure = ""
    for start in range(0, len(folders), LOGS_AT_A_TIME):
        paths = [str(folder) for folder in folders[start : start + LOGS_AT_A_TIME]]
        command = [sys.executable, "-m", "wandb", "sync", "--include-online", "--include-synced", *paths]
        environment = wandb_environment.without_service(os.environ)
        try:
            done = subprocess.run(
                command, env=environment, capture_output=True, text=True, timeout=UPLOAD_SECONDS, check=False
            )
        except subprocess.TimeoutExpired:
            return f"took longer than {UPLOAD_SECONDS} s"
        if done.returncode:
            failure = ((done.stderr or done.stdout).strip().splitlines() or [f"exit code {done.returncode}"])[-1]
    return failure


class Server:
    """The project on the W&B server, read through wandb's public interface."""

    def __init__(self, experiment: Experiment) -> None:
        import wandb

        settings = experiment.trials[0].settings.wandb
        self.project, entity = wandb_environment.place(settings.project, settings.entity)
        try:
            self._api: Any = wandb.Api(timeout=30)
            self.entity = entity or self._api.default_entity
        except Exception as error:
            if "api_key" in str(error) or "API key" in str(error) or "login" in str(error):
                advice = "run `wandb login`, or set WANDB_API_KEY"
                raise ConfigError("there is no API key for W&B", str(experiment.path), advice) from error
            text = (str(error).splitlines() or [""])[0]
            raise SegsuiteError(f"W&B does not answer: {text}", str(experiment.path), "try again later") from error

    def lacks(self, trial: Trial, state: str) -> list[str]:
        """What is in the run directory and not on the server."""
        try:
            self._api.flush()  # it remembers runs
            run = self._api.run(f"{self.entity}/{self.project}/{trial.id}")
            return list(self._lacks(run, trial, state))
        except Exception as error:
            return [f"the run ({(str(error).splitlines() or [type(error).__name__])[0][:120]})"]

    def _lacks(self, run: Any, trial: Trial, state: str) -> Iterator[str]:
        rows = run.scan_history(keys=["epoch", "train/loss"])
        there = {int(row["epoch"]) for row in rows}
        epochs = {event["epoch"] for event in store.events(trial.folder) if event.get("loss") is not None} - there
        if epochs:
            yield f"epochs {', '.join(map(str, sorted(epochs)[:10]))}{', ...' * (len(epochs) > 10)}"
        names = {file.name for file in run.files(per_page=500)}
        media = [path for path in media_files(trial) if path not in names]
        if media:
            yield f"{len(media)} images or tables, e.g. {media[0]}"
        if state != "finished":
            return
        if run.state != "finished":
            yield f"the end (its state is {run.state})"
        yield from self._lacks_result(run, trial)

    @staticmethod
    def _lacks_result(run: Any, trial: Trial) -> Iterator[str]:
        result = store.read_json(trial.folder / "result.json") or {}
        score, shown = result.get("scores", {}).get("miou"), run.summary.get("final/miou")
        if run.summary.get("complete") != 1:
            yield "the result"
        elif score is not None and (shown is None or abs(shown - score) > 1e-9):
            yield f"the right result (mIoU {shown} there, {score} here)"
        artifacts = [artifact for artifact in run.logged_artifacts() if artifact.state == "COMMITTED"]
        types = {artifact.type for artifact in artifacts}
        if "run_table" not in types:
            yield "the table of classes (its staged file is gone if the run directory was moved)"
        if trial.settings.wandb.checkpoints and "model" not in types:
            yield "the checkpoint"


def media_files(trial: Trial) -> list[str]:
    """Images and tables that wandb keeps in the run directory, by the names they have on the server."""
    found: set[str] = set()
    for files in (trial.folder / "wandb").glob(f"*run-*-{trial.id}/files"):
        found |= {path.relative_to(files).as_posix() for path in files.glob("media/**/*") if path.is_file()}
    return sorted(found)
