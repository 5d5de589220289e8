"""What a run shows while it goes: a live display on a terminal, plain lines when piped."""

import time
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from segsuite.errors import SegsuiteError, plural
from segsuite.experiment import Experiment, Trial
from segsuite.io import claims, store


def duration(seconds: float) -> str:
    """Seconds as people say them.

    >>> [duration(value) for value in (4.2, 75, 3700)]
    ['4 s', '1 min 15 s', '1 h 02 min']
    """
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60:02d} min"


@dataclass
class _Shown:
    """A running trial and what it has told of itself."""

    trial: Trial
    number: int
    started: float
    event: dict[str, Any] = field(default_factory=dict)
    miou: float | None = None

    @property
    def name(self) -> str:
        return f"{self.trial.arm}, seed {self.trial.seed}"

    def fraction(self) -> float:
        """Share that is done; the last twentieth is the evaluation."""
        steps = self.event.get("steps")
        return min(1.0, self.event.get("step", 0) / steps) * 0.95 if steps else 0.0

    def progress(self) -> str:
        """Epoch, loss and score."""
        parts = ["starting"]
        if self.event.get("phase") == "decode":
            parts = [f"decoding image {self.event['images']} of {self.event['of']}"]
        if "epoch" in self.event:
            phase = {"validate": " (validating)", "evaluate": " (scoring)"}.get(str(self.event.get("phase")), "")
            parts = [f"epoch {self.event['epoch'] + 1} of {self.event['epochs']}{phase}"]
        if self.event.get("loss") is not None:
            parts.append(f"loss {self.event['loss']:.3f}")
        if self.miou is not None:
            parts.append(f"val mIoU {self.miou:.3f}")
        return "   ".join(parts)


class Display:
    """Trial k of n and time left; of each running trial epoch, loss and mIoU."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(highlight=False, soft_wrap=True)
        self._live: Live | None = None
        self._total = self._begun = 0
        self._running: dict[str, _Shown] = {}
        self._side_by_side = False
        self._started = time.monotonic()
        self._work = self._work_done = 0
        self._waits_for = ""

    def begin(self, experiment: Experiment, finished: int, workers: int = 1) -> None:
        """Opens the display; with several workers, lines name their trial."""
        self._total, self._begun, self._side_by_side = len(experiment.trials), finished, workers > 1
        self._work, self._started = self._total - finished, time.monotonic()
        already = f", {finished} already finished" if finished else ""
        at_once = f", {workers} at a time" if workers > 1 else ""
        self.console.print(f"{experiment.name}: {plural(self._total, 'trial')} ({experiment.size}){at_once}{already}")
        if experiment.question:
            self._line(f"question: {experiment.question}")
        if self.console.is_terminal and self._work:
            self._live = Live(get_renderable=self.rendered, console=self.console, refresh_per_second=4, transient=True)
            self._live.start()

    def starts(self, trial: Trial) -> None:
        """A trial begins."""
        self._begun += 1
        self._waits_for = ""
        self._running[trial.id] = _Shown(trial, self._begun, time.monotonic())
        if self._live is None:
            self._line(f"trial {self._begun} of {self._total}: {trial.arm}, seed {trial.seed} ({trial.id})")

    def progress(self, trial: Trial, event: dict[str, Any]) -> None:
        """What a trial tells of itself."""
        shown = self._running.get(trial.id)
        if shown is None:  # it has ended
            return
        said = f"{shown.name}: " if self._side_by_side else ""
        if event.get("phase") == "warning":
            self._line(f"  {said}warning: {event.get('warning')}")
            return
        if event.get("phase") == "note":
            self._line(f"  {said}{event.get('note')}")
            return
        shown.event = {**shown.event, **event}
        if event.get("miou") is not None:
            shown.miou = event["miou"]
        if self._live is None and event.get("phase") == "epoch":
            score = f", val mIoU {event['miou']:.3f}" if event.get("miou") is not None else ""
            loss = f", loss {event['loss']:.3f}" if event.get("loss") is not None else ""
            self._line(f"  {said}epoch {event['epoch'] + 1} of {event['epochs']}{loss}{score}{self.time_left()}")

    def says(self, text: str) -> None:
        """Of what concerns the whole run."""
        self._line(text)

    def warns(self, text: str) -> None:
        """Of what concerns the whole run."""
        self._line(f"  warning: {text}")

    def ends(self, trial: Trial) -> None:
        """A trial has ended, one way or another."""
        self._work_done += 1
        shown = self._running.pop(trial.id)
        took = duration(time.monotonic() - shown.started)
        look = store.look(trial.folder)
        if look.state == "finished" and look.result is not None:
            score = look.result["scores"]["miou"]
            self._line(f"  finished: {shown.name}: mIoU {'-' if score is None else f'{score:.3f}'} in {took}")
        elif look.state in ("damaged", "unreadable"):
            self._line(f"  {look.state}: {shown.name}: {look.why}")
        elif look.state == "failed":
            failure = store.read_json(trial.folder / "failure.json") or {}
            self._line(f"  FAILED: {shown.name}: {failure.get('reason')}")
            for word, key in (("where", "where"), ("to do", "advice")):
                if failure.get(key):
                    self._line(f"    {word}: {failure[key]}")
            self._line(f"    log: {trial.folder / 'log.txt'}")
        else:
            self._line(f"  stopped: {shown.name} after {took}; the same command continues it")

    def leaves(self, trial: Trial) -> None:
        """Another process runs the trial that was begun here."""
        self._running.pop(trial.id)
        self._begun -= 1

    def leaves_alone(self, trial: Trial, look: store.Look) -> None:
        """A trial is not run, since nobody knows what its run directory holds."""
        self._work_done += 1
        self._line(f"  unreadable: {trial.arm}, seed {trial.seed}: {look.why}; it is not run")
        self._line(f"    where: {trial.folder}")
        self._line(f"    to do: {look.to_do}")

    def refuses(self, trial: Trial, error: SegsuiteError) -> None:
        """A trial could not be begun."""
        self._work_done += 1
        shown = self._running.pop(trial.id)
        self._line(f"  FAILED: {shown.name}: {error.what}")
        self._line(f"    where: {error.where}")
        self._line(f"    to do: {error.advice}")

    def waits_for(self, trial: Trial, holder: dict[str, Any] | None) -> None:
        """Nothing to do but to wait for another process."""
        said = f"{trial.arm}, seed {trial.seed}" + (f", run by {claims.in_words(holder)}" if holder else "")
        if said != self._waits_for:
            self._waits_for = said
            self._line(f"  waiting for {said}")

    def end(self) -> None:
        """Closes the display."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    def _line(self, text: str) -> None:
        # As text, not as markup: an arm's name may hold brackets.
        self.console.print(Text(text), soft_wrap=True)

    def _fraction(self) -> float:
        """Trials' worth of work that the running ones have done; another thread may add one meanwhile."""
        return sum(shown.fraction() for shown in list(self._running.values()))

    def time_left(self) -> str:
        """How long what is left will take, such as ", 3 min 00 s left"; empty until that can be told."""
        done = self._work_done + self._fraction()
        if done < 0.02:
            return ""
        return f", {duration((time.monotonic() - self._started) / done * max(0, self._work - done))} left"

    def rendered(self) -> Group:
        """The lines of a terminal as they are now."""
        running = list(self._running.values())
        table = Table.grid(padding=(0, 2))
        finished = self._begun - len(running)
        bar = ProgressBar(total=self._total, completed=finished + self._fraction(), width=40)
        which = f"trial {self._begun}" if len(running) < 2 else f"trials {_numbers(running)}"
        table.add_row(Text(f"{which} of {self._total}"), bar, Text(self.time_left().removeprefix(", ")))
        rows = Table.grid(padding=(0, 3))
        for shown in running:
            rows.add_row(Text(f"  {shown.name}"), Text(shown.progress()))
        return Group(table, rows)


def _numbers(running: list[_Shown]) -> str:
    """
    >>> _numbers([_Shown(None, number, 0.0) for number in (2, 3, 4)])
    '2 to 4'
    >>> _numbers([_Shown(None, number, 0.0) for number in (2, 4)])
    '2, 4'
    """
    numbers = sorted(shown.number for shown in running)
    if numbers == list(range(numbers[0], numbers[-1] + 1)):
        return f"{numbers[0]} to {numbers[-1]}"
    return ", ".join(map(str, numbers))
