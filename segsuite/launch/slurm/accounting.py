"""What an experiment has cost: attempts, hours, GPU-hours, and what of them was lost. From sacct where the site has a
database of jobs, else from the attempts.jsonl of the trials."""

import contextlib
import json
import re
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from segsuite.launch.slurm.arrays import Place
from segsuite.launch.slurm.asking import Answer, ask
from segsuite.launch.slurm.command import call

FIELDS = "JobID,State,ExitCode,ElapsedRaw,AllocTRES,NodeList,MaxRSS"
EVERY_SECONDS, LONGEST_SECONDS, PATIENCE_SECONDS = 300.0, 86_400.0, 30.0
MOST_NAMES = 200  # of jobs in one question: a command line has an end
UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}

# Attempts that ended so gave nothing but the checkpoint of before. One that was requeued, preempted or cancelled has
# saved first, and the next goes on where it stopped.
LOST_STATES = {
    "FAILED": "failure",
    "NODE_FAIL": "dead node",
    "BOOT_FAIL": "dead node",
    "TIMEOUT": "time limit",
    "DEADLINE": "time limit",
    "OUT_OF_MEMORY": "memory",
}
KEPT_CODES = (0, 75, 143)  # of a trial: a result; saved; saved when told to leave
LOST_CODES = {77: "memory", 138: "told to stop before it had begun"}


@dataclass
class Cost:
    """Sums over the attempts that have begun. A lost one counts whole, although it may have left a checkpoint: what
    was lost is at most this."""

    source: str
    attempts: int = 0
    lost_attempts: int = 0
    seconds: float = 0.0
    lost_seconds: float = 0.0
    gpu_hours: float | None = None  # None: nothing says how many GPUs an attempt had
    lost_gpu_hours: float | None = None
    without_end: int = 0  # attempts whose seconds are not known, and not in the sums
    largest_memory_bytes: int | None = None
    lost_by: dict[str, int] = field(default_factory=dict)  # cause -> attempts

    def add(self, seconds: float, gpus: float | None, lost: str | None) -> None:
        """An attempt; `lost` is why it gave nothing, None if it did not."""
        self.attempts += 1
        self.seconds += seconds
        if gpus is not None:
            self.gpu_hours = (self.gpu_hours or 0.0) + gpus * seconds / 3600
            self.lost_gpu_hours = (self.lost_gpu_hours or 0.0) + (gpus * seconds / 3600 if lost else 0.0)
        if lost:
            self.lost_attempts += 1
            self.lost_seconds += seconds
            self.lost_by[lost] = self.lost_by.get(lost, 0) + 1

    def to_json(self) -> dict[str, Any]:
        """Everything, with the shares that were lost, 0 to 1, null of nothing."""
        shares = {
            "lost_attempts_fraction": _share(self.lost_attempts, self.attempts),
            "lost_seconds_fraction": _share(self.lost_seconds, self.seconds),
            "lost_gpu_hours_fraction": _share(self.lost_gpu_hours, self.gpu_hours),
        }
        return asdict(self) | shares


def _share(part: float | None, whole: float | None) -> float | None:
    return part / whole if part is not None and whole else None


def from_sacct(place: Place, experiment: str) -> tuple[Cost | None, Answer]:
    """What sacct said at most five minutes ago, and when. None where it does not answer: it is asked again after
    twice as long each time, up to a day."""

    def question() -> str:
        return json.dumps(asdict(cost_in(_listing(place, experiment))))

    answer = ask(place.folder / "slurm" / "sacct.json", "sacct", question, EVERY_SECONDS, LONGEST_SECONDS)
    with contextlib.suppress(ValueError, TypeError):  # nothing yet, or of another version
        return Cost(**json.loads(answer.text)), answer
    return None, answer


def _listing(place: Place, experiment: str) -> str:
    """What sacct says of all arrays of the experiment: requeued attempts (-D) and steps, which have MaxRSS, too."""
    tables = [path for path in place.tables.glob("*.txt") if path.stem.isdecimal()]
    names = sorted(place.job_name(int(path.stem), experiment) for path in tables)
    since = min((path.stat().st_mtime for path in tables), default=time.time()) - 60
    # Without a time it knows of no job from before midnight.
    begin = time.strftime("--starttime=%Y-%m-%dT%H:%M:%S", time.localtime(since))
    words = ["sacct", "--duplicates", "--noheader", "--parsable2", begin, f"--format={FIELDS}"]
    parts = [names[at : at + MOST_NAMES] for at in range(0, len(names), MOST_NAMES)]
    return "".join(call([*words, f"--name={','.join(part)}"], PATIENCE_SECONDS) for part in parts)


def cost_in(listing: str) -> Cost:
    """The cost in what sacct prints: a line an attempt, each followed by those of its steps."""
    cost = Cost("sacct")
    attempts: list[list[list[str]]] = []
    for row in (line.split("|", 6) for line in listing.splitlines() if line.count("|") >= 6):
        if "." not in row[0] or not attempts:  # no step's name: an attempt begins
            attempts.append([])
        attempts[-1].append(row)
    for attempt in attempts:
        _, state, code, _, resources, node, _ = attempt[0]
        if node == "None assigned":
            continue  # it has not begun
        # SLURM 22.05 gives 0 s to an attempt that was requeued, but not to its steps.
        seconds = int(attempt[0][3] or 0) or max(int(line[3] or 0) for line in attempt)
        memory = max(_bytes(line[6]) for line in attempt)
        if memory > (cost.largest_memory_bytes or 0):
            cost.largest_memory_bytes = memory
        lost = None if int(code.partition(":")[0] or 0) in KEPT_CODES[1:] else LOST_STATES.get(state.split()[0])
        gpus = re.search(r"(?:^|,)gres/gpu=(\d+)", resources)
        cost.add(seconds, int(gpus[1]) if gpus else 0, lost)
    return cost


def _bytes(text: str) -> int:
    """
    >>> _bytes("12104K"), _bytes("1.5G"), _bytes("")
    (12394496, 1610612736, 0)
    """
    found = re.fullmatch(r"([\d.]+)([KMGT]?)", text)
    return int(float(found[1]) * UNITS[found[2]]) if found else 0


def from_attempts(of_trials: Iterable[tuple[Sequence[dict[str, Any]], str, str]]) -> Cost:
    """The cost in the attempts of each trial, with its state and the fate of the last one (see causes.Known). Trials
    that were packed into one task share its time."""
    trials = list(of_trials)
    packed = Counter((attempt["job"], attempt["restart"]) for attempts, *_ in trials for attempt in attempts)
    cost = Cost("attempts.jsonl")
    for attempts, state, fate in trials:
        for attempt in attempts:
            last, begin, end = attempt is attempts[-1], attempt.get("begin"), attempt.get("end")
            alive = last and end is None and (state == "running" or fate == "alive")
            if alive:
                end = time.time()
            seconds = 0.0 if begin is None or end is None else max(0.0, end - begin)
            cost.without_end += end is None
            lost = (
                None if alive or (last and state in ("running", "finished")) else _lost(attempt, fate if last else "")
            )
            cost.add(seconds / packed[attempt["job"], attempt["restart"]], attempt.get("gpus"), lost)
    return cost


def _lost(attempt: dict[str, Any], fate: str = "") -> str | None:
    code = attempt.get("code")
    if code is None:  # it ended before that could be written; of an unknown fate nothing is said
        return {"cancelled": "cancelled", "gone": "killed or dead node", "unknown": None}.get(fate, "dead node")
    return None if code in KEPT_CODES else LOST_CODES.get(code, "failure")
