"""Finished trials as one finds and loads them: by run directory, by the beginning of an id, or of an experiment."""

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from segsuite.errors import ConfigError, SegsuiteError, plural
from segsuite.io import store
from segsuite.metrics import array_files

if TYPE_CHECKING:
    from segsuite.experiment import Experiment, Trial

RUNS = Path("runs")
"""Where ids are looked for that come without an experiment."""

Palette = tuple[tuple[int, int, int], ...]


@dataclass(frozen=True)
class Trained:
    """A finished trial. `palette`: one RGB a class; `value_range`: raw values that become 0 and 1 in images of more
    than 8 bits, None: the limits of their bits; `precision`: of the scoring, whose numbers predictions repeat."""

    folder: Path
    id: str
    arm: str
    seed: int
    classes: tuple[str, ...]
    palette: Palette
    value_range: tuple[float, float] | None
    precision: str
    miou: float | None
    left_out: int = 0
    """Seeds of its arm that were asked for, too, and have not finished."""

    @property
    def name(self) -> str:
        """As messages call it."""
        return f"{self.id} ({self.arm}, seed {self.seed})"


def read_trained(folder: Path) -> Trained:
    """The finished trial of a run directory. Raises ConfigError when it is none or has not finished."""
    from segsuite.trial import frozen

    if not (folder / "trial.yaml").exists():
        inside = ", ".join(sorted(path.parent.name for path in folder.glob("*/trial.yaml"))[:6])
        advice = f"name one in it: {inside}" if inside else "name that of a trial; images come after it"
        raise ConfigError("this is no run directory: it holds no trial.yaml", str(folder), advice)
    look = store.look(folder)
    result = look.result
    if result is None:
        why = f": {look.why}" if look.why else ""
        advice = "run its experiment again: it goes on where it was"
        raise ConfigError(f"the trial has not finished: it is {look.state}{why}", str(folder), look.to_do or advice)
    trial = frozen.read(folder)
    try:
        classes = tuple(map(str, array_files.read(folder / "counts.npz", ("classes",))["classes"].ravel()))
    except array_files.Damaged as error:
        raise SegsuiteError(str(error), str(folder / "counts.npz"), "run it again") from None
    data: Any = trial.settings.data
    value_range = getattr(data, "value_range", None)
    scores = result.get("scores") or {}
    return Trained(
        folder,
        trial.id,
        trial.arm,
        trial.seed,
        classes,
        _palette(folder, trial.settings, len(classes)),
        None if value_range is None else (float(value_range[0]), float(value_range[1])),
        str(result.get("precision") or "fp32"),
        scores.get("miou"),
    )


def _palette(folder: Path, settings: Any, count: int) -> Palette:
    """As the trial noted it; of one from before that, the dataset's, if it is there, or the suite's colours."""
    from segsuite.datasets.base import default_palette
    from segsuite.trial.networks import scored_dataset

    noted = ((store.read_json(folder / "manifest.json") or {}).get("dataset") or {}).get("palette")
    if isinstance(noted, list) and len(noted) == count:
        return tuple((int(red), int(green), int(blue)) for red, green, blue in noted)
    try:
        return scored_dataset(settings).palette
    except SegsuiteError:
        return default_palette(count)


def find(target: str, overrides: Sequence[str] = (), arm: str | None = None, seed: int | None = None) -> list[Trained]:
    """The trials that `target` names: a run directory, the beginning of an id below runs/, or an experiment's YAML, of
    which `arm` and `seed` choose; several seeds of one arm are an ensemble. Raises ConfigError."""
    path = Path(target)
    if path.suffix in (".yaml", ".yml"):
        return _of_experiment(path, overrides, arm, seed)
    if path.is_file():
        raise ConfigError(
            "the first word is the trial, and this is a file", target, "name a run directory, an id or a YAML first"
        )
    if arm is not None or seed is not None or overrides:
        raise ConfigError(
            "--arm, --seed and --set choose among an experiment's trials",
            f"the target {target}",
            "leave them out, or name the experiment's YAML",
        )
    if path.is_dir():
        return [read_trained(path)]
    found = sorted(RUNS.glob(f"*/{target}*/trial.yaml")) if target.isalnum() else []
    if not found:
        raise ConfigError(
            f"there is no trial {target!r}",
            f"runs in {RUNS.absolute()}",
            "name a run directory, the beginning of an id below runs/, or an experiment's YAML",
        )
    if len(found) > 1:
        names = ", ".join(str(one.parent) for one in found[:9])
        raise ConfigError(f"{len(found)} trials begin with {target!r}", names, "give more of the id")
    return [read_trained(found[0].parent)]


def _of_experiment(path: Path, overrides: Sequence[str], arm: str | None, seed: int | None) -> list[Trained]:
    from segsuite.experiment import load

    experiment = load(path, overrides)
    if arm is not None and arm not in experiment.arms:  # `nearest_conv` for `upsampler=nearest_conv`
        same = [one for one in experiment.arms if one.partition("=")[2] == arm]
        arm = same[0] if len(same) == 1 else arm
    fit = [
        trial
        for trial in experiment.trials
        if (arm is None or trial.arm == arm) and (seed is None or trial.seed == seed)
    ]
    if not fit:
        raise _none_fits(experiment, arm, seed)
    if len({trial.arm for trial in fit}) > 1:
        raise ConfigError(
            f"the experiment has {len(experiment.arms)} arms",
            str(path),
            f"choose one with --arm: {'; '.join(_with_scores(fit))}",
        )
    finished = [trial for trial in fit if store.state(trial.folder) == "finished"]
    if not finished:
        raise ConfigError(
            f"of its {plural(len(fit), 'trial')} none has finished", str(path), f"run it first: segsuite run {path}"
        )
    found = [read_trained(trial.folder) for trial in finished]
    return [dataclasses.replace(one, left_out=len(fit) - len(finished)) for one in found]


def _none_fits(experiment: "Experiment", arm: str | None, seed: int | None) -> ConfigError:
    from segsuite.errors import unknown_name

    if arm is not None and arm not in experiment.arms:
        return ConfigError(unknown_name("arm", arm, experiment.arms), str(experiment.path), "name one of its arms")
    seeds = ", ".join(map(str, experiment.seeds))
    return ConfigError(f"there is no seed {seed}", str(experiment.path), f"its seeds are {seeds}")


def _with_scores(trials: Sequence["Trial"]) -> list[str]:
    """Each arm with its mean score, best first, those without a result last."""
    scores: dict[str, list[float]] = {}
    for trial in trials:
        found = scores.setdefault(trial.arm, [])
        miou = ((store.look(trial.folder).result or {}).get("scores") or {}).get("miou")
        if isinstance(miou, float | int):
            found.append(float(miou))
    ordered = sorted(scores, key=lambda name: -(sum(scores[name]) / len(scores[name])) if scores[name] else 1)
    return [
        f"{json.dumps(name)} (mIoU {sum(scores[name]) / len(scores[name]):.3f})"
        if scores[name]
        else f"{json.dumps(name)} (no result)"
        for name in ordered
    ]
