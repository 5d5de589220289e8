"""`segsuite run` and `segsuite retry`: what is repeated is said, and trials are chosen by name."""

import re
from pathlib import Path

import pytest

from segsuite.cli import main
from segsuite.commands.experiments import trial_called, trials_called
from segsuite.errors import ConfigError
from segsuite.experiment import Trial, load
from segsuite.io import atomic, store
from segsuite.launch import local
from segsuite.launch.freeze import freeze
from segsuite.launch.slots import Slot
from segsuite.launch.slurm.estimate import cost
from segsuite.launch.slurm.profile import Profile
from tests.reliability.trials import segsuite, trials_of, write_experiment
from tests.results import whole_result

TWO_ARMS = {"compare": {"train.optimizer.learning_rate": [1e-3, 2e-3]}, "seeds": [0, 1]}


@pytest.mark.parametrize(
    "option", [["--dry-run"], ["--test-only"], ["--live-code"], ["--profile", "x"], ["--untracked", "copy"]]
)
@pytest.mark.parametrize("command", ["run", "retry"])
def test_an_option_of_a_cluster_runs_nothing_here(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str, option: list[str]
) -> None:
    assert main([command, str(write_experiment(tmp_path)), *option]) == 2
    assert f"{option[0]} is for a cluster" in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(("failed", "command"), [(0, "report"), (1, "why")])
def test_a_run_ends_with_the_command_to_type_next(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, failed: int, command: str
) -> None:
    monkeypatch.setattr(local, "run", lambda *_: local.Outcome(finished=1, failed=failed))
    monkeypatch.setenv("COLUMNS", "80")
    path = write_experiment(tmp_path, train__epochs=1)
    assert main(["run", str(path), "--set", "data.val_images=5"]) == failed
    assert capsys.readouterr().out.splitlines()[-1] == f"next: segsuite {command} {path} --set data.val_images=5"


def test_without_failures_there_is_nothing_to_retry(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_experiment(tmp_path, seeds=[0, 1])
    assert main(["retry", str(path)]) == 0
    assert capsys.readouterr().out == f"nothing to retry; `segsuite run {path}` runs what has no result yet\n"
    atomic.write_json(freeze(trials_of(path)[0]) / "result.json", whole_result())
    assert main(["retry", str(path), trials_of(path)[0].id]) == 0
    assert "nothing to retry" in capsys.readouterr().out


def test_what_is_held_on_a_cluster_is_not_run_here(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_experiment(tmp_path)
    atomic.write_json(tmp_path / "runs" / "tiny" / "slurm" / "held.json", {"reason": "why", "job": "1", "time": 0})
    assert main(["retry", str(path)]) == 2
    assert "trials are held on the cluster: why" in capsys.readouterr().err


def test_trials_are_called_by_id_arm_and_folder(tmp_path: Path) -> None:
    experiment = load(write_experiment(tmp_path, **TWO_ARMS))
    first, second, third, _ = experiment.trials
    assert trials_called(experiment, first.id[:8]) == [first]
    assert trials_called(experiment, first.arm) == [first, third]
    assert trials_called(experiment, str(freeze(second))) == [second]
    assert trial_called(experiment, second.id) == second


@pytest.mark.parametrize(
    ("wish", "what"), [("", "4 trials begin with ''"), ("zzz", "unknown trial 'zzz'"), ("learning_rate=0.001", "arm")]
)
def test_a_name_that_does_not_mean_one_trial_is_refused(tmp_path: Path, wish: str, what: str) -> None:
    experiment = load(write_experiment(tmp_path, **TWO_ARMS))
    with pytest.raises(ConfigError, match=what):
        trial_called(experiment, wish)


def test_the_cost_is_the_median_of_the_arm_else_of_all(tmp_path: Path) -> None:
    experiment = load(write_experiment(tmp_path, **TWO_ARMS | {"seeds": [0, 1, 2, 3]}))
    slow = [trial for trial in experiment.trials if trial.arm == experiment.arms[0]]
    for trial, took in zip(slow, (100, 300, 800), strict=False):
        store.RunDirectory(freeze(trial)).finish(whole_result(cost={"attempt_seconds": took, "train_seconds": 50}))
    missing = [trial for trial in experiment.trials if store.state(trial.folder) != "finished"]
    found = cost(experiment, missing, Profile(gpus_per_node="a100:2"))
    assert (found.trials, found.finished, found.seconds) == (5, 3, 5 * 300)
    assert found.gpu_hours == pytest.approx(2 * 1500 / 3600)
    assert cost(experiment, missing, Profile(gpus_per_node=1, pack=4)).gpu_hours == pytest.approx(1500 / 4 / 3600)


def test_of_a_resumed_trial_the_whole_training_counts(tmp_path: Path) -> None:
    experiment = load(write_experiment(tmp_path, seeds=[0, 1]))
    done, missing = experiment.trials
    store.RunDirectory(freeze(done)).finish(whole_result(cost={"attempt_seconds": 60, "train_seconds": 500}))
    assert cost(experiment, [missing], Profile()).seconds == 500


class Failing:
    """An attempt that fails at once, each time in the same way."""

    code = 1

    def __init__(self, trial: Trial, slot: Slot, *_: object) -> None:
        self.trial, self.slot = trial, slot
        store.RunDirectory(trial.folder).fail(ConfigError("all is broken"))

    def ended(self) -> bool:
        return True


@pytest.fixture
def failing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An experiment of five trials that all fail."""
    monkeypatch.setattr(local, "Attempt", Failing)
    return write_experiment(tmp_path, seeds=[0, 1, 2, 3, 4])


def states(path: Path) -> list[str]:
    return [store.state(trial.folder) for trial in trials_of(path)]


# One after the other: side by side, a fourth trial has begun when the third one fails.
ONE_AT_A_TIME = ("--fresh", "--workers", "1")


def test_three_equal_failures_start_no_further_trial(failing: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", str(failing), *ONE_AT_A_TIME]) == 1
    assert states(failing) == ["failed"] * 3 + ["new"] * 2
    told = "the first 3 trials failed in the same way: all is broken; not started: 2 trials"
    assert capsys.readouterr().err.splitlines() == [
        f"error: {told}",
        f"  where: {failing.parent / 'runs' / 'tiny'}",
        f"  to do: mend it, then `segsuite retry {failing}`; or add --keep-going",
    ]


def test_who_wants_to_keep_going_is_told_what_is_repeated(failing: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["run", str(failing), *ONE_AT_A_TIME])
    capsys.readouterr()
    assert main(["run", str(failing), *ONE_AT_A_TIME, "--keep-going"]) == 1
    assert capsys.readouterr().out.startswith("to retry: 3 failed: all is broken\n")
    assert states(failing) == ["failed"] * 5


def test_retry_takes_only_the_trials_that_are_named(failing: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["run", str(failing), *ONE_AT_A_TIME])
    first, second, *_, last = trials_of(failing)
    before = [(trial.folder / "failure.json").stat().st_mtime_ns for trial in (first, second)]
    capsys.readouterr()
    assert main(["retry", str(failing), first.id, last.id, *ONE_AT_A_TIME]) == 1
    assert capsys.readouterr().out.startswith("to retry: 1 failed: all is broken\ntiny: 2 trials ")
    assert states(failing) == ["failed"] * 3 + ["new", "failed"]
    after = [(trial.folder / "failure.json").stat().st_mtime_ns for trial in (first, second)]
    assert [new != old for new, old in zip(after, before, strict=True)] == [True, False]


def test_retry_without_names_runs_what_failed_and_what_was_not_started(failing: Path) -> None:
    main(["run", str(failing), *ONE_AT_A_TIME])
    before = (trials_of(failing)[2].folder / "failure.json").stat().st_mtime_ns
    assert main(["retry", str(failing), *ONE_AT_A_TIME, "--keep-going"]) == 1
    assert states(failing) == ["failed"] * 5
    assert (trials_of(failing)[2].folder / "failure.json").stat().st_mtime_ns != before


@pytest.mark.slow
def test_where_a_step_spends_its_time_is_printed_and_nothing_is_left(tmp_path: Path) -> None:
    path = write_experiment(tmp_path)
    done = segsuite("run", path, "--profile-steps")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert "20 steps on cpu, fp32, 1 CPU thread" in lines[0]
    assert [line.split("  ")[0] for line in lines[2:11]] == [
        "data", "forward", "loss", "backward", "checks", "optimizer", "logging", "the rest", "all",
    ]  # fmt: skip
    assert re.search(r"images/s, \d+% of the [\d.]+ TFLOP/s", lines[-2])
    assert re.match(r"an image of a validation: forward [\d.]+ ms, metric [\d.]+ ms;", lines[-1])
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("command", ["plan", "run", "data check"])
def test_a_wrong_root_is_said_once(tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str) -> None:
    """Not once for each split and arm."""
    data = "data={name: folder, root: ./no, classes: [a, b], images: '{split}/i/*.png', masks: '{split}/m/*.png'}"
    assert main([*command.split(), str(write_experiment(tmp_path, **TWO_ARMS)), "--set", data]) == 2
    told = capsys.readouterr()
    assert (told.out + told.err).count("there is no dataset folder") == 1
