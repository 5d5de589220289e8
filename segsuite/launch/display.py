"""What a run shows while it goes: a live display on a terminal, plain lines when piped."""

import time
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from segsuite.experiment import Experiment, Trial
from segsuite.io import store


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


class Display:
    """Trial k of n, epoch, loss, mIoU and time left."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(highlight=False, soft_wrap=True)
        self._live: Live | None = None
        self._total = self._number = 0
        self._trial: Trial | None = None
        self._event: dict[str, Any] = {}
        self._miou: float | None = None
        self._started = self._trial_started = time.monotonic()
        self._work_done = 0.0
        self._waits_for = ""

    def begin(self, experiment: Experiment, finished: int) -> None:
        """Opens the display."""
        self._total, self._number = len(experiment.trials), finished
        self._started = time.monotonic()
        already = f", {finished} already finished" if finished else ""
        size = f"{self._total} trials ({len(experiment.arms)} arms x {len(experiment.seeds)} seeds)"
        self.console.print(f"{experiment.name}: {size}{already}")
        if experiment.question:
            self._line(f"question: {experiment.question}")
        if self.console.is_terminal and finished < self._total:
            self._live = Live(get_renderable=self._render, console=self.console, refresh_per_second=4, transient=True)
            self._live.start()

    def starts(self, trial: Trial) -> None:
        """A trial begins."""
        self._number += 1
        self._trial, self._event, self._miou, self._trial_started, self._waits_for = (
            trial,
            {},
            None,
            time.monotonic(),
            "",
        )
        if self._live is None:
            self._line(f"trial {self._number} of {self._total}: {trial.arm}, seed {trial.seed} ({trial.id})")

    def progress(self, event: dict[str, Any]) -> None:
        """What a trial tells of itself."""
        if event.get("phase") == "warning":
            self._line(f"  warning: {event.get('warning')}")
            return
        self._event = {**self._event, **event}
        if event.get("miou") is not None:
            self._miou = event["miou"]
        if self._live is None and event.get("phase") == "epoch":
            score = f", val mIoU {event['miou']:.3f}" if event.get("miou") is not None else ""
            loss = f", loss {event['loss']:.3f}" if event.get("loss") is not None else ""
            self._line(f"  epoch {event['epoch'] + 1} of {event['epochs']}{loss}{score}{self._left()}")

    def ends(self, trial: Trial) -> None:
        """A trial has ended, one way or another."""
        self._work_done += 1
        took = duration(time.monotonic() - self._trial_started)
        name = f"{trial.arm}, seed {trial.seed}"
        state = store.state(trial.folder)
        if state == "finished":
            result = store.read_json(trial.folder / "result.json") or {}
            score = result.get("scores", {}).get("miou")
            self._line(f"  finished: {name}: mIoU {'-' if score is None else f'{score:.3f}'} in {took}")
        elif state == "failed":
            failure = store.read_json(trial.folder / "failure.json") or {}
            self._line(f"  FAILED: {name}: {failure.get('reason')}")
            for word, key in (("where", "where"), ("to do", "advice")):
                if failure.get(key):
                    self._line(f"    {word}: {failure[key]}")
            self._line(f"    log: {trial.folder / 'log.txt'}")
        else:
            self._line(f"  stopped: {name} after {took}; the same command continues it")

    def waits_for(self, trial: Trial, holder: dict[str, Any] | None) -> None:
        """Nothing to do but to wait for another process."""
        owner = holder or {}
        said = f"{trial.arm}, seed {trial.seed}, run by process {owner.get('pid')} on {owner.get('host')}"
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
        """Share of the present trial that is done; the last twentieth is the evaluation."""
        steps = self._event.get("steps")
        return min(1.0, self._event.get("step", 0) / steps) * 0.95 if steps else 0.0

    def _left(self) -> str:
        done = self._work_done + self._fraction()
        remaining = self._total - self._number + 1 - self._fraction()
        if done < 0.02:
            return ""
        return f", {duration((time.monotonic() - self._started) / done * remaining)} left"

    def _render(self) -> Group:
        table = Table.grid(padding=(0, 2))
        bar = ProgressBar(total=self._total, completed=max(0, self._number - 1) + self._fraction(), width=40)
        table.add_row(Text(f"trial {self._number} of {self._total}"), bar, Text(self._left().removeprefix(", ")))
        if self._trial is None:
            return Group(table)
        event = self._event
        parts = [f"{self._trial.arm}, seed {self._trial.seed}"]
        if "epoch" in event:
            phase = {"validate": " (validating)", "evaluate": " (scoring)"}.get(str(event.get("phase")), "")
            parts.append(f"epoch {event['epoch'] + 1} of {event['epochs']}{phase}")
        else:
            parts.append("starting")
        if event.get("loss") is not None:
            parts.append(f"loss {event['loss']:.3f}")
        if self._miou is not None:
            parts.append(f"val mIoU {self._miou:.3f}")
        return Group(table, Text("  " + "   ".join(parts)))
