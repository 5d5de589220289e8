"""A queue of SLURM that says what a test wants."""

import pytest

from segsuite.experiment import Experiment
from segsuite.launch.slurm import accounting, queue
from segsuite.launch.slurm.arrays import Place

WAITS, RUNS, HELD = "|PENDING||0:00|Priority", "|RUNNING|n3|1:05|None", "|PENDING||0:00|JobHeldUser"


class Cluster:
    """Says what squeue is to print of the trials of an experiment; counts how often it was called."""

    def __init__(self, experiment: Experiment, monkeypatch: pytest.MonkeyPatch) -> None:
        self.experiment, self.place, self.calls = experiment, Place.of(experiment), 0
        self.number = self.place.new_table([[trial.id] for trial in experiment.trials])
        self.lines = ""
        monkeypatch.setattr("shutil.which", lambda name: None if name == "sacct" else f"/bin/{name}")
        monkeypatch.setattr(queue, "call", self.squeue)
        monkeypatch.setattr(accounting, "call", lambda words, patience: pytest.fail("there is no sacct"))

    def squeue(self, words: list[str], patience: float) -> str:
        self.calls += 1
        return self.lines

    def has(self, *tasks: str) -> None:
        """The rest of the line of each trial's task in the queue."""
        name = self.place.job_name(self.number, self.experiment.name)
        self.lines = "".join(f"7_{at}|{name}{task}\n" for at, task in enumerate(tasks) if task)
