"""What it saves that `segsuite run` forks its trials from a process that has imported everything.

A tiny trial on a CPU, until its first training step, and whole runs of six of them."""

import itertools
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import timing

from segsuite.experiment import load
from segsuite.launch.attempt import Attempt, environment
from segsuite.launch.freeze import freeze
from segsuite.launch.slots import Slot
from segsuite.launch.warm import Pool

ROOT = Path(__file__).resolve().parents[1]
TRIALS = 6
EXPERIMENT = """\
name: tiny
runs_root: {runs}
seeds: [{seeds}]
data: {{name: shapes, size: [32, 48], train_images: 24, val_images: 6}}
model: {{name: unet, encoder: mobilenetv3_small_100, decoder_channels: [8, 8, 8, 8, 8]}}
augment: {{crop: [32, 32]}}
train: {{epochs: 1, batch_size: 2, precision: fp32}}
execution: {{device: cpu, threads: {threads}}}
wandb: {{mode: disabled}}
"""


class Experiments:
    """A new experiment of some tiny trials each time, in a folder of its own."""

    def __init__(self, folder: Path, threads: int) -> None:
        self.folder, self.threads, self.numbers = folder, threads, itertools.count()

    def __call__(self, trials: int) -> Path:
        folder = self.folder / str(next(self.numbers))
        folder.mkdir()
        seeds = ", ".join(map(str, range(trials)))
        path = folder / "tiny.yaml"
        path.write_text(EXPERIMENT.format(runs=folder / "runs", seeds=seeds, threads=self.threads), encoding="utf-8")
        return path


def first_step(path: Path, pool: Pool) -> float:
    """Seconds from the start of an attempt until it tells of a training step."""
    (trial,) = load(path).trials
    freeze(trial)
    stepped = threading.Event()

    def hear(event: dict[str, Any]) -> None:
        if event.get("phase") == "train":
            stepped.set()

    start = time.perf_counter()
    attempt = Attempt(trial, Slot(threads=1), hear, pool)
    while not stepped.wait(0.01):
        assert not attempt.ended(), (trial.folder / "log.txt").read_text(encoding="utf-8")
    seconds = time.perf_counter() - start
    attempt.ask_to_leave(at_once=False)
    while not attempt.ended():
        attempt.ask_to_leave(at_once=True)
        time.sleep(0.01)
    return seconds


def runs_of(new: Experiments, trials: int, workers: str, *options: str) -> Callable[[], object]:
    """A whole `segsuite run` of a new experiment."""
    command = [sys.executable, "-m", "segsuite", "run", "--workers", workers, *options]
    return lambda: subprocess.run([*command, str(new(trials))], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)


def main() -> None:
    options = timing.options_of(__doc__, 5).parse_args()
    trials = 2 if options.small else TRIALS
    cold, warm = Pool(timing.told), Pool(timing.told)
    warm.open(environment(Slot(threads=1)))
    while warm.warming():
        time.sleep(0.01)
    with tempfile.TemporaryDirectory() as folder:
        new = Experiments(Path(folder), options.threads)
        starts: dict[str, Callable[[], object]] = {
            "fresh": lambda: first_step(new(1), cold),
            "warm": lambda: first_step(new(1), warm),
        }
        rows = {"first training step of an attempt": timing.side_by_side(starts, options.rounds)}
        warm.close()
        for workers in ("1", "2"):
            timing.told(f"{trials} trials, {workers} at a time")
            runs = {"fresh": runs_of(new, trials, workers, "--fresh"), "warm": runs_of(new, trials, workers)}
            rows[f"segsuite run, {trials} trials, --workers {workers}"] = timing.side_by_side(runs, options.rounds, 0)
    timing.show("warm_start", options, [timing.Table("Start of trials", "s", "warm", rows)])


if __name__ == "__main__":
    main()
