"""trial.yaml: the trial as it was when it was launched."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from segsuite import yaml_io
from segsuite.config import TrialSettings, validate
from segsuite.errors import ConfigError


@dataclass(frozen=True)
class Frozen:
    """What trial.yaml holds."""

    id: str
    experiment: str
    arm: str
    seed: int
    settings: TrialSettings
    differences: dict[str, Any]


def read(folder: Path) -> Frozen:
    """The frozen trial of a run directory. Raises ConfigError when it is not one."""
    source = yaml_io.read_file(folder / "trial.yaml")
    value = source.value
    missing = [key for key in ("id", "experiment", "arm", "seed", "settings") if key not in value]
    if missing:
        raise ConfigError(f"this is not a frozen trial: {', '.join(missing)} missing", str(folder / "trial.yaml"))
    settings = validate(value["settings"], lambda path: source.where(("settings", *path)))
    differences = dict(value.get("differences") or {})
    return Frozen(
        str(value["id"]), str(value["experiment"]), str(value["arm"]), int(value["seed"]), settings, differences
    )
