"""What a submission will cost and when it may start, before it is made: from finished neighbours, and from sbatch."""

import re
import statistics
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from segsuite.errors import plural
from segsuite.experiment import Experiment, Trial
from segsuite.io import store
from segsuite.io.numbers import significant
from segsuite.launch.display import duration
from segsuite.launch.slurm.command import call
from segsuite.launch.slurm.profile import Profile


@dataclass(frozen=True)
class Cost:
    """Seconds that trials will take one after the other, the GPU-hours of their jobs, and from how many finished ones
    that is known (0: it is not)."""

    trials: int
    seconds: float = 0.0
    gpu_hours: float = 0.0
    finished: int = 0

    def words(self) -> str:
        """One line for people."""
        if not self.finished:
            return f"cost of {plural(self.trials, 'trial')}: unknown: no trial has finished yet"
        hours = f"{significant(self.seconds / 3600)} h" if self.seconds < 36_000 else f"{self.seconds / 3600:.0f} h"
        gpus = f", {significant(self.gpu_hours, 3)} GPU-hours" if self.gpu_hours else ""
        each = duration(self.seconds / max(1, self.trials))
        return (
            f"cost of {plural(self.trials, 'trial')}: {hours} in all{gpus}, {each} each "
            f"(median of {plural(self.finished, 'finished trial')})"
        )


def cost(experiment: Experiment, trials: Sequence[Trial], profile: Profile) -> Cost:
    """What `trials` will cost: each the median of its arm's finished trials, else that of all."""
    seconds: dict[str, list[float]] = defaultdict(list)
    for trial in experiment.trials:
        spent = (store.look(trial.folder).result or {}).get("cost", {})
        # Of the last attempt, or of all epochs of all attempts: the larger is nearer to the whole.
        took = max(float(spent.get(name) or 0) for name in ("attempt_seconds", "train_seconds"))
        if took > 0:
            seconds[trial.arm].append(took)
    known = [value for values in seconds.values() for value in values]
    if not known:
        return Cost(len(trials))
    expected = [statistics.median(seconds.get(trial.arm) or known) for trial in trials]
    gpu_seconds = sum(
        took * own.gpus * trial.settings.execution.nodes / own.pack
        for took, trial, own in zip(expected, trials, map(profile.of, trials), strict=True)
    )
    return Cost(len(trials), sum(expected), gpu_seconds / 3600, len(known))


def start(command: Sequence[str]) -> str:
    """When SLURM thinks the array of an sbatch command would start, in its own words. Nothing is submitted. Raises
    SegsuiteError with its words when it would refuse the array."""
    said = " ".join(call([command[0], "--test-only", *command[1:]], errors=True).split())
    found = re.search(r"Job \d+ to start at (\S+) (using .*)", said)
    return f"expected at {found[1]}, {found[2]}" if found else (said or "sbatch says nothing of it")
