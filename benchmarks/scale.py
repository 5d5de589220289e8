"""What listing and reconciling experiments of thousands of trials costs. Goal: each under 3 s and 300 MB at 10,000.

Seconds are those of the processor (user and system), which other work on the machine hardly touches; memory is the
largest resident set of the process, its start included. The run directories are made up: 60 % finished, 10 % each
running, failed and queued, 10 % not begun.
"""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import timing

from segsuite import yaml_io
from segsuite.experiment import Experiment, Trial, load
from segsuite.io import store
from segsuite.io.numbers import finite
from segsuite.launch.freeze import freeze_all
from segsuite.launch.slurm.arrays import Place

SIZES = ((1_000, 10), (10_000, 100))  # trials, seeds
SMALL = ((20, 2), (40, 4))
SCORED, COST = {"split": "val", "images": 100, "checkpoint": "last"}, {"parameters": 1_000_000, "train_seconds": 600.0}
CLASSES, SCORES = 11, 20  # a result.json of 8 kB
OBSERVER = (
    "import json, resource, subprocess, sys; "
    "code = subprocess.run([sys.executable, *sys.argv[1:]], stdout=-3, stderr=-3).returncode; "
    "used = resource.getrusage(resource.RUSAGE_CHILDREN); "
    "print(json.dumps([code, used.ru_utime + used.ru_stime, used.ru_maxrss]))"
)
STEPS = "import sys; from pathlib import Path; from segsuite.experiment import load; "
RECONCILE = (
    "from segsuite.launch.slurm.reconcile import difference; "
    "from segsuite.launch.slurm.queue import tasks_in; "
    "found = difference(load(Path(sys.argv[1])), tasks_in(Path(sys.argv[2]).read_text())); "
    "print(found.words(), file=sys.stderr)"
)


def write_experiment(folder: Path, trials: int, seeds: int) -> Path:
    """folder/large.yaml: arms on two axes, and seeds."""
    arms = trials // seeds
    values = {
        "name": "large",
        "runs_root": str(folder / "runs"),
        "data": {"name": "shapes", "size": [32, 48], "train_images": 24, "val_images": 6},
        "model": {"name": "unet", "encoder": "mobilenetv3_small_100", "decoder_channels": [8, 8, 8, 8, 8]},
        "augment": {"crop": [32, 32]},
        "compare": {
            "train.optimizer.learning_rate": [float(f"{1e-4 * (at + 1):.6g}") for at in range(arms // 2)],
            "train.optimizer.weight_decay": [0.0, 1e-3],
        },
        "baseline": {"train.optimizer.learning_rate": 1e-4, "train.optimizer.weight_decay": 0.0},
        "seeds": list(range(seeds)),
    }
    path = folder / "large.yaml"
    path.write_text(yaml_io.to_text(values))
    return path


def fill(experiment: Experiment) -> Path:
    """Run directories in all states, with files of the sizes of real ones; a listing of squeue for those queued."""
    begun = [trial for at, trial in enumerate(experiment.trials) if at % 10]
    freeze_all(begun)
    queued = []
    for at, trial in enumerate(begun):
        kind = at % 9
        if kind == 8:
            queued.append(trial.id)
            continue
        _train(trial, 20 if kind < 6 else 7)
        if kind < 6:
            scores = {"miou": 0.5 + at / 1e6, "pixel_accuracy": 0.9}
            of_class = {
                "iou" if score == 0 else f"score {score}": {f"class {c}": 0.123456789 for c in range(CLASSES)}
                for score in range(SCORES)
            }
            _write(
                trial.folder / "result.json",
                {"epochs": 20, "scores": scores, "class_scores": of_class, "scored": SCORED, "cost": COST},
            )
        elif kind == 6:
            owner = {"host": "another", "pid": 1, "boot": "", "time": time.time()}
            _write(trial.folder / "claim.json", owner)
        else:
            record = {"kind": "ValueError", "reason": "ValueError: x", "traceback": "x\n" * 1000, "time": time.time()}
            _write(trial.folder / "failure.json", record)
    place = Place.of(experiment)
    table = place.new_table([(trial,) for trial in queued])
    name = place.job_name(table, experiment.name)
    listing = experiment.path.with_suffix(".squeue")
    listing.write_text("".join(f"7_{at}|{name}|PENDING||0:00|Priority\n" for at in range(len(queued))))
    return listing


def _train(trial: Trial, epochs: int) -> None:
    classes = {f"class {c}": 0.123456789 for c in range(CLASSES)}
    event = {"loss": 0.5, "learning_rate": 1e-3, "seconds": 3.0, "images_per_second": 8.0, "miou": 0.4, "iou": classes}
    lines = [json.dumps({"epoch": epoch, "step": epoch, **event}) for epoch in range(epochs)]
    (trial.folder / "events.jsonl").write_text("\n".join(lines) + "\n")
    (trial.folder / "metrics.csv").write_text("x" * 60 * epochs)
    (trial.folder / "manifest.json").write_text("x" * 1000)
    begin = {"job": "7_1", "restart": 0, "node": "n1", "begin": 1_000}
    end = {"job": "7_1", "restart": 0, "node": "n1", "end": 1_100, "code": 0}
    (trial.folder / "attempts.jsonl").write_text(f"{json.dumps(begin)}\n{json.dumps(end)}\n")


def _write(path: Path, value: object) -> None:
    path.write_text(json.dumps(finite(value), indent=1))


def measured(words: Sequence[str]) -> tuple[float, float]:
    """Seconds of the processor and MiB of the largest resident set of `python WORDS`."""
    # Through a small process: to Linux, a new program has at least the memory of the one that started it.
    ran = subprocess.run([sys.executable, "-c", OBSERVER, *words], stdout=subprocess.PIPE, text=True, check=True)
    code, seconds, peak = json.loads(ran.stdout)
    if code not in (0, 1):  # 1: `status` says that trials have failed
        raise RuntimeError(f"{words} ended with exit code {code}")
    return float(seconds), float(peak) / (2**20 if sys.platform == "darwin" else 2**10)


def commands(path: Path, listing: Path) -> dict[str, list[str]]:
    """What is measured, as words for python."""
    segsuite = ["-m", "segsuite"]
    return {
        "plan": [*segsuite, "plan", str(path)],
        "plan --json": [*segsuite, "plan", str(path), "--json"],
        "status": [*segsuite, "status", str(path)],
        "status --json": [*segsuite, "status", str(path), "--json"],
        "reconcile": ["-c", STEPS + RECONCILE, str(path), str(listing)],
    }


def main() -> None:
    options = timing.options_of(__doc__, 3).parse_args()
    seconds: dict[str, dict[str, list[float]]] = {}
    memory: dict[str, dict[str, list[float]]] = {}
    notes = []
    with tempfile.TemporaryDirectory() as folder:
        for trials, seeds in SMALL if options.small else SIZES:
            size = f"{trials} trials"
            there = Path(folder) / str(trials)
            there.mkdir()
            experiment = load(write_experiment(there, trials, seeds))
            timing.told(f"making {size}")
            start, start_cpu = time.perf_counter(), time.process_time()
            listing = fill(experiment)
            took, cpu = time.perf_counter() - start, time.process_time() - start_cpu
            states = [store.state(trial.folder) for trial in experiment.trials]
            counts = ", ".join(f"{states.count(state)} {state}" for state in store.STATES)
            notes.append(f"{size}: {counts}; made in {took:.1f} s ({cpu:.1f} s of the processor)")
            for name, words in commands(experiment.path, listing).items():
                timing.told(f"{name}, {size}")
                found = [measured(words) for _ in range(options.rounds)]
                seconds.setdefault(name, {})[size] = [1e3 * cpu for cpu, _ in found]
                memory.setdefault(name, {})[size] = [peak for _, peak in found]
    base = next(iter(next(iter(seconds.values()))))
    tables = [
        timing.Table("Processor time of a command", timing.MILLISECONDS, base, seconds),
        timing.Table("Largest memory of a command", timing.MEBIBYTES, base, memory),
    ]
    timing.show("scale", options, tables, notes)


if __name__ == "__main__":
    main()
