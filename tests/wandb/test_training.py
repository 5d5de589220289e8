"""Real trials: tracking neither changes a training nor ends it, and costs little."""

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from segsuite.config.tracking import is_shown
from segsuite.experiment import Experiment, load
from segsuite.launch.wandb_sync import run_of
from tests.reliability.trials import digest
from tests.wandb import offline_log
from tests.wandb.backend import API_KEY, Backend
from tests.wandb.scenarios import REPOSITORY, environment

YAML = """
name: tiny
data: {{name: shapes, size: [32, 48], train_images: 8, val_images: 4}}
model: {{name: unet, encoder: resnet18, decoder_channels: [16, 16, 8, 8, 8]}}
augment: {{horizontal_flip: 0.5, brightness: 0.2}}
train: {{epochs: {epochs}, batch_size: 4, precision: fp32, validate_every: 2}}
execution: {{threads: 1, device: cpu}}
tracker: {tracker}
wandb: {{mode: auto, images: 2}}
runs_root: {root}
"""


def experiment(tmp_path: Path, name: str, tracker: str = "wandb", epochs: int = 4) -> Experiment:
    """One trial, its run directory below `name`."""
    path = tmp_path / f"{name}.yaml"
    path.write_text(YAML.format(root=tmp_path / name, tracker=tracker, epochs=epochs))
    return load(path)


def run(given: Experiment, **values: str) -> subprocess.CompletedProcess[str]:
    """`segsuite run`."""
    return subprocess.run(
        [sys.executable, "-m", "segsuite", "run", str(given.path)],
        cwd=REPOSITORY, env=environment(given.path.parent, **values), capture_output=True, text=True, check=False,
    )  # fmt: skip


def weights(given: Experiment) -> dict[str, Any]:
    path = given.trials[0].folder / "checkpoints" / "last.ckpt"
    return dict(torch.load(path, map_location="cpu", weights_only=True)["state_dict"])


@pytest.mark.slow
def test_tracking_changes_no_bit_of_the_weights_nor_of_the_scores(tmp_path: Path) -> None:
    tracked, plain = experiment(tmp_path, "tracked"), experiment(tmp_path, "plain", tracker="none")
    assert [run(given).returncode for given in (tracked, plain)] == [0, 0]
    log = offline_log.wait(offline_log.folders(tracked.trials[0].folder)[0])
    assert sum("samples/prediction" in row for row in log.history) == 2  # of the validations after epochs 2 and 4
    assert log.summary["complete"] == 1
    first, second = weights(tracked), weights(plain)
    assert sum(isinstance(value, torch.Tensor) for value in first.values()) > 100
    assert digest(first) == digest(second)
    scores = [json.loads((given.trials[0].folder / "result.json").read_text())["scores"] for given in (tracked, plain)]
    assert scores[0] == scores[1]


@pytest.mark.slow
def test_a_preempted_trial_leaves_with_75_and_is_not_finished(tmp_path: Path, server: Backend) -> None:
    given = experiment(tmp_path, "long", epochs=400)
    (trial,) = given.trials
    process = subprocess.Popen(
        [sys.executable, "-m", "segsuite", "run", str(given.path)],
        cwd=REPOSITORY, env=environment(tmp_path, **server.environment()), stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    server.wait(lambda: run_of(trial) in server.runs and server.runs[run_of(trial)].history, seconds=90)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    tracked = server.runs[run_of(trial)]
    assert (process.returncode, tracked.state, tracked.exit_code) == (75, "preempted", 75)
    assert not (trial.folder / "result.json").exists()


@pytest.mark.slow
def test_without_a_server_there_is_one_warning_and_a_result(tmp_path: Path) -> None:
    given = experiment(tmp_path, "dead", epochs=2)
    done = run(given, WANDB_BASE_URL="http://127.0.0.1:9", WANDB_API_KEY=API_KEY)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("warning:") == 1, done.stdout
    assert len(offline_log.folders(given.trials[0].folder)) == 1


@pytest.mark.slow
def test_tensorboard_is_a_tracker_or_says_what_it_needs(tmp_path: Path) -> None:
    given = experiment(tmp_path, "board", tracker="tensorboard", epochs=2)
    done = run(given)
    assert done.returncode == 0, done.stderr
    try:
        import tensorboard  # noqa: F401
    except ImportError:
        assert done.stdout.count("segsuite[tensorboard]") == 1, done.stdout
    else:
        # That of the attempt, and the one that torch's add_hparams opens beside it.
        assert len(list((given.trials[0].folder / "tensorboard").glob("events.*"))) == 2


@pytest.mark.parametrize(
    ("epochs", "every", "times"), [(20, 1, 5), (20, 4, 5), (7, 3, 5), (3, 1, 5), (1, 1, 5), (50, 7, 3)]
)
def test_predictions_are_shown_at_the_last_validation_and_at_few(epochs: int, every: int, times: int) -> None:
    validations = sorted({*range(every, epochs + 1, every), epochs})
    shown = [done for done in validations if is_shown(done, epochs, every, times)]
    assert shown[-1] == epochs
    assert len(shown) == min(times, len(validations))


def test_the_tracker_is_no_part_of_a_trial_s_identity(tmp_path: Path) -> None:
    ids = {experiment(tmp_path, name, tracker=name).trials[0].id for name in ("wandb", "none", "tensorboard")}
    assert len(ids) == 1
