"""segsuite.launch.display: plain lines in a pipe, a live display on a terminal, and texts as they are."""

import io
import re
from collections.abc import Iterator
from typing import Any

import pytest
from rich.console import Console

from segsuite.experiment import Experiment
from segsuite.io import atomic
from segsuite.launch.display import Display, duration
from tests.launch.displays import Clock, epoch, rendered, text
from tests.results import whole_result


@pytest.fixture
def live(experiment: Experiment, terminal: Console) -> Iterator[Display]:
    """A display on a terminal, in the middle of its second trial of four."""
    display = Display(terminal)
    display.begin(experiment, finished=1)
    display.starts(experiment.trials[1])
    yield display
    display.end()


def test_a_pipe_gets_a_line_for_each_event_and_no_escapes(experiment: Experiment, pipe: Console, clock: Clock) -> None:
    display, trial = Display(pipe), experiment.trials[1]
    display.begin(experiment, finished=1)
    display.starts(trial)
    clock.now += 5
    display.progress(trial, epoch(0, step=10, steps=40))
    clock.now += 70
    display.progress(trial, epoch(1, step=20, steps=40, miou=0.25))
    atomic.write_json(trial.folder / "result.json", whole_result(scores={"miou": 0.7123}))
    display.ends(trial)
    display.end()
    assert text(pipe).splitlines() == [
        "small: 4 trials (2 arms x 2 seeds), 1 already finished",
        "question: Which [bold]one[/bold] of [/these]?",
        f"trial 2 of 4: long [/x], seed 0 ({trial.id})",
        "  epoch 1 of 4, loss 0.500, 58 s left",
        "  epoch 2 of 4, loss 0.500, val mIoU 0.250, 6 min 39 s left",
        "  finished: long [/x], seed 0: mIoU 0.712 in 1 min 15 s",
    ]


def test_steps_are_not_told_in_a_pipe(experiment: Experiment, pipe: Console) -> None:
    display = Display(pipe)
    display.begin(experiment, finished=0)
    display.starts(experiment.trials[0])
    before = text(pipe)
    display.progress(
        experiment.trials[0], {"phase": "train", "epoch": 0, "epochs": 2, "step": 3, "steps": 40, "loss": 0.9}
    )
    display.progress(experiment.trials[0], {"phase": "validate", "epoch": 0, "epochs": 2, "step": 20, "steps": 40})
    assert text(pipe) == before


def test_a_long_line_is_not_folded_in_a_pipe(experiment: Experiment, pipe: Console) -> None:
    trial = experiment.trials[0]
    atomic.write_json(trial.folder / "failure.json", {"reason": "x " * 100, "where": "a/b.png", "advice": "mend it"})
    display = Display(pipe)
    display.begin(experiment, finished=0)
    display.starts(trial)
    display.ends(trial)
    lines = text(pipe).splitlines()
    assert lines[3] == f"  FAILED: [red]short[/red], seed 0: {'x ' * 100}"
    assert lines[4:] == ["    where: a/b.png", "    to do: mend it", f"    log: {trial.folder / 'log.txt'}"]


def test_a_stopped_trial_says_how_to_go_on(experiment: Experiment, pipe: Console) -> None:
    display = Display(pipe)
    display.begin(experiment, finished=0)
    display.starts(experiment.trials[0])
    display.ends(experiment.trials[0])
    assert "stopped: [red]short[/red], seed 0 after 0 s; the same command continues it" in text(pipe)


def test_an_epoch_without_a_loss_is_told(experiment: Experiment, pipe: Console) -> None:
    display = Display(pipe)
    display.begin(experiment, finished=0)
    display.starts(experiment.trials[0])
    display.progress(experiment.trials[0], epoch(2, loss=None))
    assert text(pipe).splitlines()[-1] == "  epoch 3 of 4"


def test_waiting_is_told_once_for_each_holder(experiment: Experiment, pipe: Console) -> None:
    display = Display(pipe)
    display.begin(experiment, finished=0)
    for pid in (1, 1, 2):
        display.waits_for(experiment.trials[0], {"pid": pid, "host": "node[1]"})
    display.waits_for(experiment.trials[0], None)
    assert text(pipe).count("waiting for [red]short[/red], seed 0") == 3
    assert "by process 1 on node[1]" in text(pipe)


def test_a_terminal_shows_trial_epoch_loss_score_and_time_left(
    live: Display, experiment: Experiment, clock: Clock
) -> None:
    clock.now = live._started + 60
    live.progress(experiment.trials[1], epoch(0, miou=0.25))
    live.progress(
        experiment.trials[1], {"phase": "train", "epoch": 1, "epochs": 4, "step": 20, "steps": 40, "loss": 0.375}
    )
    shown = rendered(live)
    assert "trial 2 of 4" in shown
    assert "epoch 2 of 4" in shown
    assert "loss 0.375" in shown
    assert "val mIoU 0.250" in shown
    assert re.search(r"\d+ min \d\d s", shown)


def test_a_terminal_shows_the_name_of_an_arm_as_it_is(live: Display) -> None:
    assert "long [/x], seed 0" in rendered(live)


@pytest.mark.parametrize(
    ("event", "shown"),
    [
        ({}, "starting"),
        ({"phase": "validate", "epoch": 0, "epochs": 4}, "(validating)"),
        ({"phase": "evaluate", "epoch": 3, "epochs": 4, "images": 5}, "(scoring)"),
        ({"phase": "evaluate", "images": 5}, "starting"),
    ],
)
def test_a_terminal_shows_what_is_being_done(
    live: Display, experiment: Experiment, event: dict[str, Any], shown: str
) -> None:
    live.progress(experiment.trials[1], event)
    assert shown in rendered(live)


def test_a_new_trial_forgets_the_score_of_the_last(live: Display, experiment: Experiment) -> None:
    live.progress(experiment.trials[1], epoch(0, miou=0.25))
    live.ends(experiment.trials[1])
    live.starts(experiment.trials[2])
    assert "trial 3 of 4" in rendered(live)
    assert "mIoU" not in rendered(live)


def test_a_terminal_is_drawn_on_while_it_runs(live: Display, experiment: Experiment, terminal: Console) -> None:
    assert live._live is not None
    live.progress(experiment.trials[1], epoch(0))
    live._live.refresh()
    assert "trial 2 of 4" in text(terminal)
    assert "question: Which [bold]one[/bold] of [/these]?" in text(terminal)


def test_what_has_ended_stays_on_the_terminal(live: Display, terminal: Console, experiment: Experiment) -> None:
    atomic.write_json(experiment.trials[1].folder / "result.json", whole_result(scores={"miou": None}))
    live.ends(experiment.trials[1])
    live.end()
    assert "finished: long [/x], seed 0: mIoU - in" in text(terminal)


def test_nothing_is_drawn_when_all_is_finished(experiment: Experiment, terminal: Console) -> None:
    display = Display(terminal)
    display.begin(experiment, finished=4)
    display.end()
    assert text(terminal).splitlines()[0] == "small: 4 trials (2 arms x 2 seeds), 4 already finished"
    assert "\x1b[" not in text(terminal)


def test_no_time_is_foretold_from_nothing(experiment: Experiment) -> None:
    display = Display(Console(file=io.StringIO()))
    display.begin(experiment, finished=0)
    display.starts(experiment.trials[0])
    assert display.time_left() == ""


def test_the_time_left_is_that_of_the_trials_left_at_the_present_pace(experiment: Experiment, clock: Clock) -> None:
    display = Display(Console(file=io.StringIO()))
    display.begin(experiment, finished=0)
    display.starts(experiment.trials[0])
    clock.now += 60
    display.ends(experiment.trials[0])
    display.starts(experiment.trials[1])
    assert display.time_left() == ", 3 min 00 s left"


def test_finished_trials_do_not_count_as_work_of_this_run(experiment: Experiment, clock: Clock) -> None:
    display = Display(Console(file=io.StringIO()))
    display.begin(experiment, finished=2)
    display.starts(experiment.trials[2])
    clock.now += 60
    display.ends(experiment.trials[2])
    display.starts(experiment.trials[3])
    assert display.time_left() == ", 1 min 00 s left"


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0, "0 s"),
        (59.4, "59 s"),
        (59.6, "1 min 00 s"),
        (75, "1 min 15 s"),
        (3599.6, "1 h 00 min"),
        (3700, "1 h 02 min"),
        (3640, "1 h 01 min"),
        (90000, "25 h 00 min"),
    ],
)
def test_durations_are_said_as_people_do(seconds: float, said: str) -> None:
    assert duration(seconds) == said
