"""A month of a cluster, simulated: what 100,000 trials leave behind and what breaks first. No figure of it is measured.

Discrete events with a seed. Nodes die at random and come back after some hours; their trials are found dead, queued
again and go on from the last checkpoint. Trials that outlast the time limit save and are queued again. Files and bytes
a trial are those of a real run directory, given by --like or as they were in `losses_camvid`.
"""

import argparse
import heapq
import itertools
import json
import math
import random
from collections import deque
from dataclasses import asdict, dataclass, field
from pathlib import Path

import timing

HOUR, DAY = 3600.0, 86_400.0


@dataclass(frozen=True)
class Assumptions:
    """What the month is like."""

    trials: int = 100_000
    experiments: int = 10  # begun one after the other over two thirds of the month
    days: int = 30
    nodes: int = 64
    slots: int = 4  # trials at a time on a node
    median_hours: float = 1.5  # of a trial; its length is log-normal
    spread: float = 0.6  # standard deviation of the logarithm
    limit_hours: float = 4.0  # time of the profile
    deaths: float = 0.01  # of a node, a day
    repair_hours: float = 6.0
    notice_seconds: float = 300.0  # SlurmdTimeout, SLURM's default
    requeue_seconds: float = 120.0  # SLURM lets nothing start earlier after a requeue
    start_seconds: float = 30.0  # imports and reading of the checkpoint
    checkpoint_seconds: float = 300.0  # at most between two saves
    failing: float = 0.01  # share of trials with an error of their own, which nobody repeats
    attempts: int = 10  # of the profile
    array: int = 1001  # MaxArraySize, SLURM's default
    watched_hours: float = 8.0  # a day, in which at least one terminal shows `status --watch`


@dataclass(frozen=True)
class RunDirectory:
    """What a finished trial leaves."""

    files: int = 18  # losses_camvid: 16 small ones and two checkpoints
    folders: int = 3
    small_bytes: int = 150_000
    checkpoint_bytes: int = 83_458_710  # U-Net on tf_efficientnet_lite0: last and best, where they are two

    @classmethod
    def like(cls, folder: Path) -> "RunDirectory":
        """That of a real one."""
        # By inode: a best checkpoint that is the last one is a second name of it.
        files = list({path.stat().st_ino: path for path in folder.rglob("*") if path.is_file()}.values())
        checkpoints = sum(path.stat().st_size for path in files if path.suffix == ".ckpt")
        total = sum(path.stat().st_size for path in files)
        folders = 1 + sum(path.is_dir() for path in folder.rglob("*"))
        return cls(len(files), folders, total - checkpoints, checkpoints)


@dataclass
class Trial:
    """A trial that waits or runs."""

    left: float  # seconds of work
    fails_after: float  # seconds of work; infinity: it does not
    starts: int = 0


@dataclass
class Sums:
    """What has happened so far."""

    begun: int = 0
    finished: int = 0
    failed: int = 0
    given_up: int = 0
    attempts: int = 0
    deaths: int = 0
    time_limits: int = 0
    hours: float = 0.0
    lost_to_errors: float = 0.0  # hours
    lost_to_restarts: float = 0.0  # hours
    most_starts: int = 0
    most_queued: int = 0
    history: list[dict[str, float]] = field(default_factory=list)


class Month:
    """The simulation: events in the order of their time."""

    def __init__(self, given: Assumptions, seed: int) -> None:
        self.given, self.random, self.sums = given, random.Random(seed), Sums()
        self.events: list[tuple[float, int, str, object]] = []
        self.order = itertools.count()
        self.waiting: deque[Trial] = deque()
        self.free = [node for node in range(given.nodes) for _ in range(given.slots)]
        self.running: list[dict[int, tuple[Trial, float]]] = [{} for _ in range(given.nodes)]
        self.up = [True] * given.nodes
        self.at = 0.0

    def after(self, seconds: float, what: str, about: object) -> None:
        heapq.heappush(self.events, (self.at + seconds, next(self.order), what, about))

    def run(self) -> Sums:
        given = self.given
        for index in range(given.experiments):
            self.after(
                index * given.days * DAY * 2 / 3 / given.experiments, "submit", given.trials // given.experiments
            )
        for node in range(given.nodes):
            self.after(self.random.expovariate(given.deaths / DAY), "die", node)
        for day in range(1, given.days + 1):
            self.after(day * DAY, "note", day)
        while self.events and self.at < given.days * DAY:
            self.at, _, what, about = heapq.heappop(self.events)
            getattr(self, what)(about)
            self.fill()
        return self.sums

    def submit(self, count: int) -> None:
        for _ in range(count):
            work = self.random.lognormvariate(math.log(self.given.median_hours * HOUR), self.given.spread)
            fails = self.random.random() < self.given.failing
            self.waiting.append(Trial(work, work * self.random.random() if fails else math.inf))
        self.sums.most_queued = max(self.sums.most_queued, len(self.waiting))

    def again(self, trial: Trial) -> None:
        self.waiting.append(trial)

    def fill(self) -> None:
        given = self.given
        while self.waiting and self.free:
            node, trial, number = self.free.pop(), self.waiting.popleft(), next(self.order)
            trial.starts += 1
            self.sums.attempts += 1
            self.sums.begun += trial.starts == 1
            self.sums.most_starts = max(self.sums.most_starts, trial.starts)
            self.running[node][number] = (trial, self.at)
            length = min(given.start_seconds + min(trial.left, trial.fails_after), given.limit_hours * HOUR)
            self.after(length, "leave", (node, number))

    def leave(self, about: tuple[int, int]) -> None:
        """An attempt comes to its end, if its node has not died before."""
        node, number = about
        if number not in self.running[node]:
            return
        trial, began = self.running[node].pop(number)
        self.free.append(node)
        self.sums.hours += (self.at - began) / HOUR
        worked = self.at - began - self.given.start_seconds
        if worked >= trial.fails_after - 1e-6:
            self.sums.failed += 1
            self.sums.lost_to_errors += (self.at - began) / HOUR
        elif worked >= trial.left - 1e-6:
            self.sums.finished += 1
        else:
            self.sums.time_limits += 1
            self.sums.lost_to_restarts += self.given.start_seconds / HOUR
            self._once_more(trial, worked, self.given.requeue_seconds)

    def die(self, node: int) -> None:
        self.sums.deaths += 1
        self.up[node] = False
        self.free = [other for other in self.free if other != node]
        for trial, began in self.running[node].values():
            ran = self.at - began
            unsaved = min(ran, self.random.uniform(0, self.given.checkpoint_seconds) + self.given.start_seconds)
            self.sums.hours += ran / HOUR
            self.sums.lost_to_restarts += unsaved / HOUR
            wait = self.given.notice_seconds + self.given.requeue_seconds
            self._once_more(trial, max(0.0, ran - unsaved), wait)
        self.running[node].clear()
        self.after(self.given.repair_hours * HOUR, "mend", node)

    def mend(self, node: int) -> None:
        self.up[node] = True
        self.free += [node] * self.given.slots
        self.after(self.random.expovariate(self.given.deaths / DAY), "die", node)

    def _once_more(self, trial: Trial, worked: float, wait: float) -> None:
        trial.left -= worked
        trial.fails_after -= worked
        if trial.starts >= self.given.attempts:
            self.sums.given_up += 1
        else:
            self.after(wait, "again", trial)

    def note(self, day: int) -> None:
        sums = {key: value for key, value in asdict(self.sums).items() if key != "history"}
        self.sums.history.append({"day": day, **sums, "queued": len(self.waiting)})


def grown(noted: dict[str, float], given: Assumptions, like: RunDirectory) -> dict[str, float]:
    """What there is on the evening of a day."""
    submitted = min(given.experiments, math.ceil(noted["day"] / (given.days * 2 / 3) * given.experiments))
    size = given.trials // given.experiments
    arrays = math.ceil(size / given.array)
    begun, waiting = noted["begun"], submitted * size - noted["begun"]
    # On a cluster a trial also has attempts.jsonl, its log and a link to it; one that waits only its trial.yaml.
    files = begun * (like.files + 3) + waiting
    return {
        "trials finished": noted["finished"],
        "trials failed": noted["failed"],
        "trials out of attempts": noted["given_up"],
        "attempts": noted["attempts"],
        "dead nodes": noted["deaths"],
        "hours of trials": noted["hours"],
        "of them lost to errors of trials": noted["lost_to_errors"],
        "of them lost to dead nodes and restarts": noted["lost_to_restarts"],
        "files": files,
        "inodes (files and folders)": files + begun * like.folders + waiting,
        "GB of checkpoints": begun * like.checkpoint_bytes / 1e9,
        "GB of everything else": (begun * like.small_bytes + noted["attempts"] * 200) / 1e9,
        "entries in a folder, at most": size + 1,
        "tables": submitted * arrays,
        "sbatch calls": submitted * (arrays + 1),
        "squeue calls of status": noted["day"] * given.watched_hours * 120,
        "tasks in the queue, at most": noted["most_queued"],
        "attempts of one trial, at most": noted["most_starts"],
    }


def main() -> None:
    parser = timing.options_of(__doc__, 1)
    parser.formatter_class = argparse.ArgumentDefaultsHelpFormatter
    parser.add_argument("--like", type=Path, metavar="RUN", help="a run directory whose files and bytes are counted")
    parser.add_argument("--deaths", type=float, default=Assumptions.deaths, help="of a node, a day")
    options = parser.parse_args()
    given = Assumptions(deaths=options.deaths)
    if options.small:
        given = Assumptions(trials=1000, nodes=2, days=6, deaths=options.deaths)
    like = RunDirectory.like(options.like) if options.like else RunDirectory()
    days = [round(given.days * part) for part in (1 / 3, 2 / 3, 1)]
    rows: dict[str, dict[str, list[float]]] = {}
    for seed in range(options.rounds):
        history = {noted["day"]: noted for noted in Month(given, seed).run().history}
        for day in days:
            for name, value in grown(history[day], given, like).items():
                rows.setdefault(name, {}).setdefault(f"day {day}", []).append(value)
    table = timing.Table("What there is in the evening (simulated)", "counts", f"day {days[0]}", rows)
    notes = [f"assumptions: {json.dumps(asdict(given))}", f"a run directory: {json.dumps(asdict(like))}"]
    timing.show("month", options, [table], notes)


if __name__ == "__main__":
    main()
