"""trial.yaml: the trial as it was when it was launched; with smaller batches, if the memory was too small."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from segsuite import yaml_io
from segsuite.config import TrialSettings, validate
from segsuite.errors import ConfigError
from segsuite.io import store


@dataclass(frozen=True)
class Frozen:
    """What trial.yaml holds."""

    id: str
    experiment: str
    arm: str
    seed: int
    settings: TrialSettings
    differences: dict[str, Any]
    smaller_batch: dict[str, Any] | None = None
    """What smaller_batch.json holds, which `settings` follow; None: the batches are those of the experiment."""


def read(folder: Path) -> Frozen:
    """The frozen trial of a run directory. Raises ConfigError when it is not one."""
    source = yaml_io.read_file(folder / "trial.yaml")
    value = source.value
    missing = [key for key in ("id", "experiment", "arm", "seed", "settings") if key not in value]
    if missing:
        raise ConfigError(f"this is not a frozen trial: {', '.join(missing)} missing", str(folder / "trial.yaml"))
    seed, differences = value["seed"], value.get("differences") or {}
    if not isinstance(seed, int) or not isinstance(value["settings"], dict) or not isinstance(differences, dict):
        what = "this is not a frozen trial: seed, settings or differences are not what they should be"
        raise ConfigError(what, str(folder / "trial.yaml"), "`segsuite run` writes it again")
    settings = validate(value["settings"], lambda path: source.where(("settings", *path)))
    smaller = store.smaller_batch(folder)
    if smaller is not None:
        train = settings.train.model_copy(update={name: int(smaller[name]) for name in smaller["was"]})
        settings = settings.model_copy(update={"train": train})
    return Frozen(
        str(value["id"]),
        str(value["experiment"]),
        str(value["arm"]),
        seed,
        settings,
        dict(differences),
        smaller and {key: value for key, value in smaller.items() if key != "begun"},
    )
