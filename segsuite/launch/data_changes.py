"""Which trials saw other data than there are now: their scores are those of another question."""

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from segsuite.errors import DataError, SegsuiteError, plural
from segsuite.experiment import Experiment, Trial
from segsuite.io import store
from segsuite.io.paths import expanded
from segsuite.launch.data_used import DataUsed, data_used, splits_of

MOST_READ = 4000
"""Changed files that are read for a comparison, at most; `segsuite run` compares however many there are."""
MOST_TRIALS = 1000
SHOWN = 3
Fingerprints = Mapping[str, str]
"""Id of a trial -> fingerprint of the data that it saw."""


@dataclass(frozen=True)
class Comparison:
    """The trials that saw other data than `place` holds now; `unknown`: why that is not known."""

    place: str
    changed: tuple[Trial, ...]
    looked_at: int
    unknown: str = ""

    def error(self, experiment: Experiment) -> DataError:
        """What has happened, and what can be done."""
        shown = "; ".join(f"{trial.arm}, seed {trial.seed}" for trial in self.changed[:SHOWN])
        more = f"; and {len(self.changed) - SHOWN} more" if len(self.changed) > SHOWN else ""
        verb = "has" if len(self.changed) == 1 else "have"
        folders = " ".join(str(trial.folder) for trial in self.changed[:SHOWN]) + (" ..." if more else "")
        return DataError(
            f"the images or masks have changed: {len(self.changed)} of {plural(self.looked_at, 'trial')} that {verb} "
            f"begun or finished saw other data than there are now ({shown}{more}); no mean is taken over both",
            self.place,
            f"restore the data; or remove what saw others, to train it anew (rm -r {folders}); or give the experiment "
            f"another name for the data as they are now (--set name={experiment.name[:60]}-2)",
        )


def compare_data(experiment: Experiment, seen: Fingerprints, most_read: int = MOST_READ) -> list[Comparison]:
    """Of each dataset whose files trials have `seen`: which of them saw other data. Reads little of the data: see
    `datasets.fingerprints`."""
    of_all = [trial for trial in experiment.trials if trial.id in seen]
    found = []
    for used in data_used(of_all):
        mine = [trial for trial in of_all if trial.settings.data == used.trials[0].settings.data]
        found.append(_compare(used, mine, seen, most_read))
    return found


def changes(experiment: Experiment, seen: Fingerprints, most_read: int = MOST_READ) -> list[DataError]:
    """An error for each dataset that has changed since trials saw it."""
    return [one.error(experiment) for one in compare_data(experiment, seen, most_read) if one.changed]


def seen_data(trials: Sequence[Trial], states: Mapping[str, str], most: int = MOST_TRIALS) -> Fingerprints:
    """The data that finished trials saw, and those that have begun and would go on: of at most `most` of them, evenly
    spread. `states`: id -> state."""
    begun = [trial for trial in trials if states[trial.id] != "new"]
    found = {}
    for trial in begun[:: max(1, -(-len(begun) // most))]:
        if states[trial.id] == "finished":
            fingerprint = seen_by(store.look(trial.folder).result or {})
        elif states[trial.id] != "unreadable" and _has_checkpoint(trial):
            fingerprint = (store.read_json(trial.folder / "manifest.json") or {}).get("dataset_fingerprint")
        else:
            fingerprint = None
        if fingerprint:
            found[trial.id] = str(fingerprint)
    return found


def _has_checkpoint(trial: Trial) -> bool:
    with contextlib.suppress(OSError):
        return store.RunDirectory(trial.folder).last_checkpoint.exists()
    return False


def seen_by(result: Mapping[str, Any]) -> str | None:
    """The fingerprint of the data that a finished trial saw, from its result.json."""
    found = (result.get("scored") or {}).get("dataset_fingerprint")
    return str(found) if found else None


def _compare(used: DataUsed, trials: Sequence[Trial], seen: Fingerprints, most_read: int) -> Comparison:
    from segsuite.datasets import build_dataset
    from segsuite.datasets.fingerprints import quick_fingerprint, same_data, trial_fingerprint

    now: dict[str, str] = {}
    place = used.name
    try:
        place = str(expanded(used.options["root"])) if "root" in used.options else used.name
        for split in used.splits:
            fingerprint = quick_fingerprint(build_dataset(used.name, split, **used.options), most_read)
            if fingerprint is None:
                return Comparison(place, (), 0, f"more than {most_read} files would have to be read")
            now[split] = fingerprint
    except SegsuiteError as error:
        return Comparison(place, (), 0, error.what)
    changed = []
    for trial in trials:
        splits = splits_of(trial.settings)
        scored = splits[0] if len(splits) == 1 else trial.settings.evaluation.split
        watched = next((now[split] for split in splits if split not in ("train", scored)), None)
        if not same_data(seen[trial.id], trial_fingerprint(now["train"], watched, now[scored])):
            changed.append(trial)
    return Comparison(place, tuple(changed), len(trials))
