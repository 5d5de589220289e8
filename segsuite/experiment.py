"""An experiment: one YAML -> composed settings -> axes -> arms -> trials with stable ids and order. Imports no
torch."""

import copy
import errno
import itertools
import os
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from segsuite.arms import Point, changes_of, expand, find_baseline
from segsuite.composition import EXPERIMENT_KEYS, Composed, compose
from segsuite.config import TrialSettings, trial_id, validate
from segsuite.config.sentences import shown
from segsuite.errors import ConfigError, Problems, plural, unknown_name
from segsuite.io.names import check_slug
from segsuite.io.paths import expanded
from segsuite.io.reading import patiently

MOST_TRIALS = 100_000
"""Of an experiment: to load so many takes 15 s and 180 MB, see docs/scale.md."""


@dataclass(frozen=True)
class Trial:
    """One arm x one seed, fully resolved."""

    id: str
    experiment: str
    arm: str
    seed: int
    differences: dict[str, Any]
    settings: TrialSettings
    folder: Path
    is_baseline: bool = False


@dataclass(frozen=True)
class Experiment:
    """A question, its arms and its trials, in the order of the YAML: arm by arm within each seed."""

    name: str
    question: str
    path: Path
    seeds: tuple[int, ...]
    arms: tuple[str, ...]
    baseline: str | None
    trials: tuple[Trial, ...]
    folder: Path
    composed: Composed

    @property
    def size(self) -> str:
        """Arms and seeds as one says them: `1 arm x 3 seeds`."""
        return f"{plural(len(self.arms), 'arm')} x {plural(len(self.seeds), 'seed')}"


def load(path: Path, overrides: Sequence[str] = ()) -> Experiment:
    """Reads an experiment and resolves every trial. `overrides` are `key=value` texts that win over the file.

    Raises ConfigError, with file:line, for a misspelt key, an unknown value, or an axis that changes nothing.
    """
    composed = compose(path, overrides)
    base = {key: value for key, value in composed.values.items() if key in TrialSettings.model_fields}
    problems = Problems()
    problems.attempt(None, _check_keys, composed)
    name = problems.attempt(path.stem, _name, composed, path)
    question = problems.attempt("", _text, composed, "question", "")
    root = problems.attempt(Path("runs"), _runs_root, composed)
    seeds = problems.attempt((0,), _seeds, composed)
    arms = problems.attempt({}, expand, composed, name)
    baseline = problems.attempt(None, find_baseline, composed, arms) if arms else None
    if len(arms) * len(seeds) > MOST_TRIALS:  # told before thousands of arms are settled
        problems.attempt(None, _refuse_number, composed, arms, seeds)
        problems.raise_all()
    settled = {arm: problems.attempt(None, _settled, base, point, composed) for arm, point in arms.items()}
    if not arms and all(isinstance(base.get(key), dict) and "name" in base[key] for key in ("data", "model")):
        problems.attempt(None, _settled, base, {}, composed)
    problems.raise_all()

    trials, folder = [], root / name
    seen: dict[str, str] = {}
    for seed, (arm, point) in itertools.product(seeds, arms.items()):
        settings = settled[arm]
        assert settings is not None  # or raise_all had raised
        settings = settings.model_copy(update={"seed": seed})
        identifier = trial_id(settings)
        if identifier in seen:
            raise _same_trial(composed, seen[identifier], arm, arms)
        seen[identifier] = arm
        trial = Trial(identifier, name, arm, seed, changes_of(point), settings, folder / identifier, arm == baseline)
        trials.append(trial)
    return Experiment(name, question, path, seeds, tuple(arms), baseline, tuple(trials), folder, composed)


def _refuse_number(composed: Composed, arms: Mapping[str, Any], seeds: Sequence[int]) -> None:
    crossed = f"{len(arms):,} arms x {len(seeds):,} seeds"
    what = f"{crossed} are {len(arms) * len(seeds):,} trials, and at most {MOST_TRIALS:,} are possible"
    advice = "give fewer seeds, or divide the arms among several experiments"
    raise ConfigError(what, composed.where(("seeds",)), advice)


def _check_keys(composed: Composed) -> None:
    problems = Problems()
    for key in composed.values:
        if key == "seed" or key not in (*EXPERIMENT_KEYS, *TrialSettings.model_fields):
            problems.attempt(None, _refuse_key, key, composed.where((key,)))
    problems.raise_all()


def _refuse_key(key: Any, where: str) -> None:
    if key == "seed":
        raise ConfigError("'seed' is no key of an experiment", where, "write `seeds: [0, 1, 2]`")
    valid = [*EXPERIMENT_KEYS, *(field for field in TrialSettings.model_fields if field != "seed")]
    raise ConfigError(unknown_name("key", str(key), valid), where, "remove it or correct it")


def _name(composed: Composed, path: Path) -> str:
    name = composed.values.get("name")
    where = composed.where(("name",))
    if isinstance(name, bool | list | dict):
        what = f"the experiment's name, {shown(name)}, is not a plain name"
        raise ConfigError(what, where, "for example `name: my-question`")
    given = path.stem.replace("_", "-") if name is None else str(name)
    return check_slug(given, "the experiment's name", where)


def _settled(base: dict[str, Any], point: Mapping[str, Point], composed: Composed) -> TrialSettings:
    """The settings of an arm, with seed 0."""
    values = copy.deepcopy(base)
    origin: dict[tuple[str | int, ...], str] = {}
    for choice in point.values():
        for key, value in choice.changes.items():
            composed.assign(values, key, value, choice.where)
            origin[tuple(key.split("."))] = choice.where
    values.pop("seed", None)

    def where(path: tuple[str | int, ...]) -> str:
        for length in range(len(path), 0, -1):
            if path[:length] in origin:
                return origin[path[:length]]
        below = [place for known, place in origin.items() if known[: len(path)] == path]
        return below[0] if below and path not in composed.origins else composed.where(path)

    return validate(values, where)


def _same_trial(composed: Composed, one: str, other: str, arms: Mapping[str, dict[str, Point]]) -> ConfigError:
    different = [axis for axis, choice in arms[one].items() if arms[other][axis].label != choice.label]
    return ConfigError(
        f"the arms '{one}' and '{other}' are the same trial: this axis changes nothing",
        composed.where(("compare", *different[:1])),
        "remove one of the two values, or compare a setting that matters",
    )


def _seeds(composed: Composed) -> tuple[int, ...]:
    seeds = composed.values.get("seeds", [0])
    where = composed.where(("seeds",))
    if (
        not isinstance(seeds, list)
        or not seeds
        or not all(isinstance(seed, int) and not isinstance(seed, bool) and 0 <= seed < 2**32 for seed in seeds)
    ):
        what = f"seeds must be a list of whole numbers from 0 to {2**32 - 1}, not {shown(seeds)}"
        raise ConfigError(what, where, "for example `seeds: [0, 1, 2]`")
    if len(set(seeds)) < len(seeds):
        raise ConfigError(f"a seed appears twice in {seeds}", where, "the same seed gives the same result: remove one")
    return tuple(seeds)


def _runs_root(composed: Composed) -> Path:
    """The absolute folder, so that every message and every process means the same one."""
    root, where = _text(composed, "runs_root", "runs"), composed.where(("runs_root",))
    if not root.isprintable() or not root:
        raise ConfigError(f"runs_root {root[:80]!a} is not a folder's name", where, "for example `runs`")
    try:
        path = expanded(root)
        if not stat.S_ISDIR(patiently(lambda: os.stat(path)).st_mode):
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
    except ConfigError as error:
        raise ConfigError(f"runs_root: {error.what}", where, error.advice) from None
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENAMETOOLONG, errno.ENOTDIR):
            what = f"runs_root {str(path)[:200]} is no folder: {error.strerror}"
            raise ConfigError(what, where, "choose another with --set runs_root=FOLDER") from None
    return path


def _text(composed: Composed, key: str, default: str) -> str:
    value = composed.values.get(key, default)
    if not isinstance(value, str):
        raise ConfigError(f"{key} must be a text, not {shown(value)}", composed.where((key,)), "put it in quotes")
    return value
