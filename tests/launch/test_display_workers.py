"""segsuite.launch.display with several trials at a time."""

import io

from rich.console import Console

from segsuite.experiment import Experiment
from segsuite.launch.display import Display
from tests.launch.displays import Clock, epoch, rendered, text


def test_each_of_several_workers_has_a_row_on_a_terminal(experiment: Experiment, terminal: Console) -> None:
    display = Display(terminal)
    display.begin(experiment, finished=0, workers=2)
    for trial in experiment.trials[:2]:
        display.starts(trial)
    display.progress(experiment.trials[1], epoch(2, loss=0.125))
    first, short, long = rendered(display).splitlines()[:3]
    display.end()
    assert first.startswith("trials 1 to 2 of 4")
    assert "[red]short[/red], seed 0" in short
    assert "starting" in short
    assert "long [/x], seed 0" in long
    assert "epoch 3 of 4   loss 0.125" in long


def test_lines_of_several_workers_name_their_trial(experiment: Experiment, pipe: Console) -> None:
    display = Display(pipe)
    display.begin(experiment, finished=0, workers=2)
    for trial in experiment.trials[:2]:
        display.starts(trial)
    display.progress(experiment.trials[1], epoch(1))
    display.progress(experiment.trials[0], {"phase": "warning", "warning": "slow"})
    lines = text(pipe).splitlines()
    assert lines[0] == "small: 4 trials (2 arms x 2 seeds), 2 at a time"
    assert lines[-2:] == ["  long [/x], seed 0: epoch 2 of 4, loss 0.500", "  [red]short[/red], seed 0: warning: slow"]


def test_the_time_left_counts_all_workers(experiment: Experiment, clock: Clock) -> None:
    display = Display(Console(file=io.StringIO()))
    display.begin(experiment, finished=0, workers=2)
    for trial in experiment.trials[:2]:
        display.starts(trial)
    clock.now += 60
    for trial in experiment.trials[:2]:
        display.ends(trial)
    assert display.time_left() == ", 1 min 00 s left"


def test_a_trial_that_another_launcher_took_is_no_work_of_this_run(experiment: Experiment, pipe: Console) -> None:
    display = Display(pipe)
    display.begin(experiment, finished=0, workers=2)
    display.starts(experiment.trials[0])
    display.leaves(experiment.trials[0])
    display.starts(experiment.trials[1])
    assert "trial 1 of 4: long [/x], seed 0" in text(pipe).splitlines()[-1]
