"""`--per-device auto` in a run of real trials: the device is one that a machine without a GPU pretends to have."""

import io
import time
from pathlib import Path

import pytest
from rich.console import Console

from segsuite.experiment import Trial, load
from segsuite.io import store
from segsuite.launch import local, slots
from segsuite.launch.device_room import Memory
from segsuite.launch.display import Display
from tests.reliability.trials import write_experiment

GIB = 2**30


class Watched(Display):
    """Knows how many trials ran at a time, and when the first one had told of its memory."""

    def __init__(self) -> None:
        super().__init__(Console(file=io.StringIO()))
        self.running, self.most, self.told = set[str](), 0, False
        self.too_early = 0

    def starts(self, trial: Trial) -> None:
        super().starts(trial)
        self.too_early += bool(self.running) and not self.told
        self.running.add(trial.id)
        self.most = max(self.most, len(self.running))

    def progress(self, trial: Trial, event: dict[str, object]) -> None:
        super().progress(trial, event)
        self.told |= event.get("phase") == "epoch" and isinstance(event.get("memory_bytes"), int)

    def ends(self, trial: Trial) -> None:
        super().ends(trial)
        self.running.discard(trial.id)


@pytest.mark.slow
@pytest.mark.parametrize(("gibibytes", "at_a_time"), [(1, 1), (100, 2)])
def test_trials_share_a_device_when_they_are_known_to_fit(
    gibibytes: int, at_a_time: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slots, "visible_gpus", lambda environment: ["pretended"])
    monkeypatch.setattr(slots, "cores", lambda: 2)
    monkeypatch.setattr(slots, "MOST_ON_A_GPU", 2)
    monkeypatch.setattr(local, "MOST_ON_A_GPU", 2)
    monkeypatch.setattr(local, "gpu_memory", lambda: {"pretended": Memory(gibibytes * GIB, 0)})
    path = write_experiment(tmp_path, seeds=[0, 1, 2], execution__device="auto", train__epochs=4)
    experiment, watched = load(path), Watched()
    begin = time.monotonic()
    outcome = local.run(experiment, watched, per_device="auto")
    assert outcome.finished == 3, f"after {time.monotonic() - begin:.0f} s"
    assert [store.state(trial.folder) for trial in experiment.trials] == ["finished"] * 3
    assert watched.most == at_a_time
    assert watched.too_early == 0
