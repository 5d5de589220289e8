"""What a person should know of an experiment beside its trials' states: results elsewhere, data that changed."""

from pathlib import Path
from typing import Any

from segsuite.errors import ConfigError, SegsuiteError
from segsuite.experiment import Experiment
from segsuite.launch.data_changes import Fingerprints, changes


def notes(experiment: Experiment, seen: Fingerprints) -> list[SegsuiteError]:
    """All notes, each with what, where and what to do; `seen`: the data that its trials saw."""
    there = elsewhere(experiment)
    return [*([there] if there is not None else []), *changes(experiment, seen)]


def elsewhere(experiment: Experiment) -> ConfigError | None:
    """A note when no trial has a folder here, but a relative runs_root holds this experiment beside or above its YAML:
    the command was called in another folder then."""
    root = Path(str(experiment.composed.values.get("runs_root", "runs")))
    if root.is_absolute() or experiment.folder.exists():
        return None
    yaml = experiment.path.resolve()
    for above in yaml.parents:
        other = above / root / experiment.name
        if other.is_dir():
            return ConfigError(
                f"no trial of this experiment is in {experiment.folder}, but there are some in {other}",
                f"runs_root: {root}, which begins at the folder where the command is called",
                f"call it in {above}, or set runs_root to an absolute path",
            )
    return None


def as_json(found: list[SegsuiteError]) -> list[dict[str, str]]:
    """Notes or errors as JSON shows them."""
    return [{"what": error.what, "where": error.where, "to_do": error.advice} for error in found]


def in_lines(found: list[SegsuiteError]) -> list[str]:
    """Notes as text: what, where and what to do."""
    return [f"note: {error}" for error in found]


def changes_of_settings(experiment: Experiment) -> list[dict[str, Any]]:
    """What each `--set` changed, as JSON shows it; `was` is null where the files say nothing."""
    return [{"key": one.key, "was": one.was, "now": one.now} for one in experiment.composed.changes]
