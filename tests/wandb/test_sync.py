"""`segsuite wandb-sync`: uploads, checks, repairs, and says what is missing."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from segsuite.experiment import Experiment, load
from segsuite.io import trial_warnings
from segsuite.launch.freeze import freeze
from segsuite.launch.wandb_sync import run_of
from tests.wandb.backend import Backend
from tests.wandb.scenarios import REPOSITORY, environment, python
from tests.wandb.test_interrupted import attempt

YAML = """
name: tiny
question: Which upsampler?
data: {{name: shapes, size: [32, 48], train_images: 8, val_images: 4}}
model: {{name: unet, upsampler: nearest_conv, decoder_channels: [16, 16, 8, 8, 8]}}
train: {{epochs: 4}}
wandb: {{images: 2}}
compare: {{model.upsampler: [nearest_conv, bilinear_conv]}}
seeds: [3]
runs_root: {root}
"""


@pytest.fixture
def experiment(tmp_path: Path) -> Experiment:
    """Two arms, one seed, nothing run yet."""
    path = tmp_path / "tiny.yaml"
    path.write_text(YAML.format(root=tmp_path / "runs"))
    return load(path)


def segsuite(command: str, experiment: Experiment, *more: str, **values: str) -> subprocess.CompletedProcess[str]:
    """The command line, on the experiment."""
    home = experiment.path.parent
    return subprocess.run(
        [sys.executable, "-m", "segsuite", command, str(experiment.path), *more],
        cwd=REPOSITORY, env=environment(home, **values), capture_output=True, text=True, timeout=180, check=False,
    )  # fmt: skip


def track(experiment: Experiment, **values: str) -> None:
    """Tracks all trials of the experiment, offline by default."""
    code = ""
    for trial in experiment.trials:
        freeze(trial)
        code += f"whole_trial(Path({str(trial.folder)!r}))\n"
    done = python(code, experiment.path.parent, **values)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr


def rows(done: subprocess.CompletedProcess[str]) -> list[str]:
    return done.stdout.splitlines()[1:]


def test_all_that_was_logged_arrives(server: Backend, experiment: Experiment) -> None:
    track(experiment)
    done = segsuite("wandb-sync", experiment, **server.environment())
    assert done.returncode == 0, done.stderr
    assert all("uploaded 1 log " in row and row.endswith("complete") for row in rows(done))
    assert set(server.runs) == {run_of(trial) for trial in experiment.trials}
    for run in server.runs.values():
        assert (run.state, run.summary["complete"], run.group) == ("finished", 1, "tiny: upsampler=nearest_conv")
        assert [row["epoch"] for row in run.history if "epoch" in row] == [0, 1, 2, 3]
        assert {Path(name).suffix for name in run.files if name.startswith("media/")} == {".jpg", ".png", ".json"}
    assert [one["state"] for one in server.artifacts.values()] == ["COMMITTED"] * 6
    assert sorted(one["type"] for one in server.artifacts.values()) == ["dataset"] * 2 + ["run_table"] * 4


def test_two_experiments_that_share_a_trial_have_a_run_each(server: Backend, experiment: Experiment) -> None:
    # Each trained the common baseline; the run of the one that ended last replaced the other's.
    other = experiment.path.with_name("other.yaml")
    other.write_text(experiment.path.read_text().replace("name: tiny", "name: other"))
    shared = experiment.trials[0], load(other).trials[0]
    assert shared[0].id == shared[1].id
    for trial in shared:
        freeze(trial)
        code = f"whole_trial(Path({str(trial.folder)!r}), images=0, experiment={trial.experiment!r})"
        assert python(code, other.parent, **server.environment()).stdout == ""
    assert {(run.name, run.group) for run in server.runs.values()} == {
        (f"{name}-{shared[0].id}", f"{name}: upsampler=nearest_conv") for name in ("tiny", "other")
    }
    assert [len(run.history) for run in server.runs.values()] == [5, 5]  # four epochs and the table of classes


@pytest.mark.slow
def test_a_second_call_uploads_nothing(server: Backend, experiment: Experiment) -> None:
    track(experiment)
    segsuite("wandb-sync", experiment, **server.environment())
    before = {name: len(run.history) for name, run in server.runs.items()}
    done = segsuite("wandb-sync", experiment, **server.environment())
    assert done.returncode == 0
    assert all("was complete" in row for row in rows(done))
    assert {name: len(run.history) for name, run in server.runs.items()} == before


@pytest.mark.slow
def test_what_was_online_needs_no_upload(server: Backend, experiment: Experiment) -> None:
    track(experiment, **server.environment())
    done = segsuite("wandb-sync", experiment, **server.environment())
    assert all("was complete" in row for row in rows(done)), done.stdout


@pytest.mark.slow
def test_the_parts_of_a_continued_trial_become_one_run(server: Backend, experiment: Experiment) -> None:
    first = experiment.trials[0]
    for trial in experiment.trials:
        freeze(trial)
    home = experiment.path.parent
    code = attempt(first.folder, 0, 2, "raise Preempted('stopped')").replace(
        "subject(folder)", "subject(folder, identifier=folder.name)"
    )
    python(code, home)
    python(f"whole_trial(Path({str(first.folder)!r}), first=2)", home)
    done = segsuite("wandb-sync", experiment, **server.environment())
    assert done.returncode == 0, done.stderr
    assert "uploaded 2 logs" in rows(done)[0]
    assert "not started" in rows(done)[1]
    run = server.runs[run_of(first)]
    assert {row["epoch"] for row in run.history if "epoch" in row} == {0, 1, 2, 3}
    assert (run.state, run.summary["complete"]) == ("finished", 1)


@pytest.mark.slow
def test_a_table_whose_staged_file_is_gone_is_made_again(server: Backend, experiment: Experiment) -> None:
    track(experiment)
    shutil.rmtree(experiment.folder / ".wandb")  # what `wandb sync` passes over in silence
    done = segsuite("wandb-sync", experiment, **server.environment())
    assert done.returncode == 0, done.stdout + done.stderr
    assert all("logged the rest from its files" in row for row in rows(done))
    tables = [one for one in server.artifacts.values() if one["type"] == "run_table" and one["state"] == "COMMITTED"]
    runs = sorted(run_of(trial) for trial in experiment.trials)
    assert sorted(one["run"] for one in tables) == sorted(2 * runs)
    assert sorted({run for one in server.artifacts.values() for run in one["used_by"]}) == runs


@pytest.mark.slow
def test_a_trial_that_was_never_tracked_is_logged_from_its_files(server: Backend, experiment: Experiment) -> None:
    track(experiment, WANDB_MODE="disabled")
    done = segsuite("wandb-sync", experiment, **server.environment())
    assert done.returncode == 0, done.stdout + done.stderr
    # Pictures of the training are in no file of ours.
    assert all(row.endswith("complete but for pictures") for row in rows(done))
    assert done.stderr.count("the predictions shown at epochs 0, 1, 2, 3; no log has them") == 2
    assert all("final/predictions" in run.summary for run in server.runs.values())
    for run in server.runs.values():
        assert {row["epoch"] for row in run.history if "epoch" in row} == {0, 1, 2, 3}
        assert (run.state, run.summary["final/miou"]) == ("finished", 0.75)


@pytest.mark.slow
def test_images_that_never_reached_the_log_are_missed_and_said_to_be_lost(
    server: Backend, experiment: Experiment
) -> None:
    # What was asked for was only what lies in the local log: a run that had lost all its images was "complete".
    first = experiment.trials[0]
    freeze(first)
    code = f"""
    from segsuite.train import wandb_tracker
    wandb_tracker.picture = lambda *_: 1 / 0
    whole_trial(Path({str(first.folder)!r}))
    """
    assert "making images failed" in python(code, experiment.path.parent).stdout
    assert len(trial_warnings.noted(first.folder)) == 2
    done = segsuite("wandb-sync", experiment, **server.environment())
    assert rows(done)[0].endswith("uploaded 1 log, logged the rest from its files  complete but for pictures")
    assert "final/predictions" in server.runs[run_of(first)].summary
    assert len(trial_warnings.noted(first.folder)) == 2


@pytest.mark.slow
def test_a_run_found_complete_has_no_warnings_any_more(server: Backend, experiment: Experiment) -> None:
    track(experiment)
    trial_warnings.note(experiment.trials[0].folder, "W&B: the server does not answer; logging offline")
    done = segsuite("wandb-sync", experiment, **server.environment())
    assert done.returncode == 0, done.stdout + done.stderr
    assert trial_warnings.noted(experiment.trials[0].folder) == []


@pytest.mark.slow
def test_what_stays_missing_is_named_and_the_exit_code_is_1(server: Backend, experiment: Experiment) -> None:
    track(experiment)
    server.fail = lambda operation: (200, {"data": {"createRunFiles": None}}) if operation == "CreateRunFiles" else None
    done = segsuite("wandb-sync", experiment, **server.environment())
    assert done.returncode == 1
    assert all(row.endswith("INCOMPLETE") for row in rows(done)), done.stdout
    assert "the predictions shown at epochs 0, 1, 2, 3\n" in done.stderr
    assert "the table of predictions\n" in done.stderr


def test_without_a_key_it_says_what_to_do(server: Backend, experiment: Experiment) -> None:
    done = segsuite("wandb-sync", experiment, WANDB_BASE_URL=server.url)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines()[0] == "error: there is no API key for W&B"
    assert "wandb login" in done.stderr


def test_without_a_server_it_is_an_error_of_three_sentences(experiment: Experiment) -> None:
    key = "local-" + "0" * 40
    done = segsuite("wandb-sync", experiment, WANDB_BASE_URL="http://127.0.0.1:9", WANDB_API_KEY=key)
    assert done.returncode == 1
    assert done.stderr.count("\n") <= 4, done.stderr
    assert "error: W&B does not answer" in done.stderr
