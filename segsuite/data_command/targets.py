"""Which dataset is meant: that of an experiment, one by its name, or files in a folder whose layout is known."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from segsuite.composition import Composed
from segsuite.config import validate
from segsuite.datasets import DATASETS
from segsuite.errors import ConfigError, Problems, unknown_name
from segsuite.experiment import Experiment, load
from segsuite.launch.data_used import DataUsed, data_used

COMMAND_LINE = "the command line"
EXAMPLE = "for example `segsuite data stats camvid --root FOLDER`"
# What a network would need besides the data to be a whole trial.
ANY_MODEL = {"name": "unet"}


@dataclass(frozen=True)
class Target:
    """A dataset by its name and settings; `where` says what named it, `experiment` and `used` how it is used if an
    experiment did."""

    name: str
    options: dict[str, Any]
    where: str
    experiment: Experiment | None = None
    used: DataUsed | None = None

    @property
    def title(self) -> str:
        """The dataset and its folder, for people."""
        root = self.options.get("root")
        return self.name if root is None else f"{self.name} in {root}"


def targets(target: str | None, root: str | None, overrides: Sequence[str]) -> list[Target]:
    """The datasets that `target` (a YAML, a name, a folder or None) and `root` mean; an experiment may have several.

    Raises ConfigError for a name, a folder or a setting that is not there.
    """
    given = [*overrides, *([f"data.root={json.dumps(root)}"] if root is not None else [])]
    if target is None and root is None:
        raise ConfigError("no dataset is named", COMMAND_LINE, EXAMPLE)
    if target is None or (target not in DATASETS and Path(target).is_dir()):
        folder = Path(target or str(root))
        return [_of_name(_layout(folder), [*given, f"data.root={json.dumps(str(folder))}"])]
    if target in DATASETS:
        return [_of_name(target, given)]
    if Path(target).suffix in (".yaml", ".yml") or Path(target).is_file():
        return _of_experiment(Path(target), given)
    raise ConfigError(
        unknown_name("dataset", target, DATASETS),
        COMMAND_LINE,
        f"name one, a folder or an experiment's YAML: {EXAMPLE}",
    )


def _of_experiment(path: Path, overrides: Sequence[str]) -> list[Target]:
    experiment = load(path, overrides)
    return [Target(used.name, used.options, str(path), experiment, used) for used in data_used(experiment.trials)]


def _of_name(name: str, overrides: Sequence[str]) -> Target:
    composed = Composed({"data": {"name": name}}, file=COMMAND_LINE)
    problems = Problems()
    for text in overrides:
        problems.attempt(None, composed.override, text)
    problems.raise_all()
    data = validate({"data": composed.values["data"], "model": ANY_MODEL}, composed.where).data
    return Target(data.name, data.model_dump(exclude={"name"}), COMMAND_LINE)


def _layout(folder: Path) -> str:
    """The dataset whose files are laid out like those in `folder`."""
    if not folder.is_dir():
        raise ConfigError(f"there is no folder {folder}", COMMAND_LINE, "correct the path")
    if any((folder / f"{split}annot").is_dir() for split in ("train", "val", "test")):
        return "camvid"
    raise ConfigError(
        f"the files in {folder} are laid out like no dataset that is known by its folders",
        COMMAND_LINE,
        f"describe them: segsuite data stats folder --root {folder} --set 'data.images={{split}}/images/*' "
        "--set 'data.masks={split}/masks/*' --set 'data.classes=[a, b]'",
    )
