"""Two processes train one trial: as one process would, exactly resumable, and none waits for a dead one."""

import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from segsuite.io import claims, store
from segsuite.losses import build_loss
from segsuite.losses.of_images import losses_of_images
from segsuite.train import checkpoint_io
from segsuite.trial.data import build_data
from segsuite.trial.frozen import read
from segsuite.trial.networks import build_network
from tests.reliability.trials import attempt, frozen, kill, outcome, saved_step, start, wait_for, write_experiment

pytestmark = pytest.mark.slow
# Dropout needs random numbers of each rank's own; five images are validated on, which two ranks cannot share evenly; a
# frozen encoder has weights without a gradient.
TWO: dict[str, Any] = {
    "tracker": "none", "execution__devices": 2, "data__val_images": 5, "model__dropout": 0.2, "train__epochs": 2,
    "train__batch_size": 4, "train__freeze_encoder_epochs": 1, "train__ema_decay": 0.9,
}  # fmt: skip
# Rounding is all that may differ from one process: no dropout, and no optimizer that divides by the gradient's size.
EQUAL: dict[str, Any] = {
    "tracker": "none", "data__size": [64, 96], "augment__crop": [64, 64], "train__batch_size": 8, "train__epochs": 1,
    "train__optimizer": {"name": "sgd", "learning_rate": 0.01}, "loss": {"name": "sum", "terms": [
        {"name": "cross_entropy", "class_weights": "median_frequency"}, {"name": "dice"}, {"name": "lovasz_softmax"},
    ]},
}  # fmt: skip

# Its pyramid pools each image to one pixel, whose batch norm needs the other rank's image. Steps are small, since batch
# norm of two values can make rounding large.
ONE_IMAGE_A_RANK: dict[str, Any] = {
    "model": {"name": "deeplabv3", "encoder": "mobilenetv3_small_100", "aspp_channels": 8, "dropout": 0.0},
    "data__train_images": 6, "train__batch_size": 2, "train__optimizer": {"name": "sgd", "learning_rate": 1e-4},
}  # fmt: skip


def rank_of(process: subprocess.Popen[str], rank: int) -> int:
    """The pid of one of the ranks that a trial has started."""
    for pid in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split():
        if f"\0RANK={rank}\0".encode() in Path(f"/proc/{pid}/environ").read_bytes():
            return int(pid)
    raise AssertionError(f"no rank {rank}")


class Interrupted:
    """A trial of two ranks that was asked to stop in its first attempt and lost a rank in its second."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.codes: list[int] = []
        self.states: list[str] = []
        self._attempt(2, lambda process: process.terminate())
        begun = self._attempt(7, lambda process: os.kill(rank_of(process, 1), signal.SIGKILL))
        self.seconds = time.monotonic() - begun
        self.failure = store.read_json(folder / "failure.json") or {}
        self.was_claimed = claims.is_live(folder)
        self.codes.append(attempt(folder))

    def _attempt(self, step: int, do: Any) -> float:
        """Does something to an attempt after `step`; when."""
        with open(self.folder / "log.txt", "a") as log:
            process = start(
                "segsuite.trial", self.folder, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=log
            )
            try:
                wait_for(lambda: process.poll() is not None or saved_step(self.folder) >= step, f"step {step}", 120)
                assert process.poll() is None, (self.folder / "log.txt").read_text()
                begun = time.monotonic()
                do(process)
                self.codes.append(process.wait(60))
            finally:
                kill(process)
        self.states.append(store.state(self.folder))
        return begun


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = frozen(write_experiment(tmp_path_factory.mktemp("whole"), **TWO))
    assert attempt(folder) == 0, (folder / "log.txt").read_text()
    return folder


@pytest.fixture(scope="module")
def interrupted(tmp_path_factory: pytest.TempPathFactory) -> Interrupted:
    return Interrupted(frozen(write_experiment(tmp_path_factory.mktemp("interrupted"), **TWO)))


def test_two_ranks_that_are_asked_to_stop_save_and_exit_with_75(interrupted: Interrupted) -> None:
    assert (interrupted.codes[0], interrupted.states[0]) == (75, "unfinished")


def test_a_rank_that_is_killed_ends_the_trial_within_seconds(interrupted: Interrupted) -> None:
    assert interrupted.codes[1] == 1
    assert interrupted.seconds < 15
    assert not interrupted.was_claimed


def test_a_trial_that_lost_a_rank_has_failed_and_says_why(interrupted: Interrupted) -> None:
    assert interrupted.states[1] == "failed"
    assert interrupted.failure["reason"] == "process 1 of the trial was ended by SIGKILL"


def test_a_continued_trial_of_two_ranks_is_equal_to_an_uninterrupted_one(
    interrupted: Interrupted, uninterrupted: Path
) -> None:
    assert interrupted.codes[2] == 0, (interrupted.folder / "log.txt").read_text()
    assert outcome(interrupted.folder) == outcome(uninterrupted)


def test_ranks_share_a_validation_whose_images_do_not_divide(uninterrupted: Path) -> None:
    """The last epoch was validated by two ranks, the result is of the first alone: the same weights and images."""
    result = store.read_json(uninterrupted / "result.json")
    assert result is not None
    assert store.events(uninterrupted)[-1]["miou"] == result["scores"]["miou"]


def test_the_loss_of_a_shared_validation_is_that_of_all_images(uninterrupted: Path) -> None:
    trial = read(uninterrupted)
    data = build_data(trial.settings)
    network = build_network(trial.settings, data.num_classes)
    weights = checkpoint_io.load(uninterrupted / "checkpoints" / "last.ckpt")
    network.load_state_dict(checkpoint_io.network_weights(weights))
    network.eval()
    loss = build_loss("cross_entropy")
    with torch.inference_mode():
        losses = [
            losses_of_images(loss, network(group["image"]), group["label"]) for batch in data.scored for group in batch
        ]
    assert len(torch.cat(losses)) == 5
    assert store.events(uninterrupted)[-1]["validation_loss"] == pytest.approx(
        float(torch.cat(losses).mean()), rel=1e-6
    )


def test_a_result_says_how_many_processes_made_it_of_how_many_images(uninterrupted: Path) -> None:
    result = store.read_json(uninterrupted / "result.json")
    assert result is not None
    assert result["batch"] == {
        "ranks": 2, "images_per_rank": 2, "images": 4, "accumulate": 1, "effective": 4, "learning_rate_factor": 1.0,
    }  # fmt: skip


@pytest.mark.parametrize("changes", [{}, ONE_IMAGE_A_RANK], ids=["U-Net", "DeepLabV3, one image a rank"])
def test_two_ranks_train_as_one_process_does(changes: dict[str, Any], tmp_path: Path) -> None:
    settings = EQUAL | changes
    alone, both = (frozen(write_experiment(tmp_path / str(n), **settings, execution__devices=n)) for n in (1, 2))
    assert (attempt(alone), attempt(both)) == (0, 0), (both / "log.txt").read_text()
    assert alone.name == both.name  # the number of processes is no part of the identity
    expected, found = (checkpoint_io.load(folder / "checkpoints" / "last.ckpt") for folder in (alone, both))
    assert found["global_step"] == expected["global_step"] == 3
    for name, value in expected["state_dict"].items():
        if isinstance(value, torch.Tensor):
            torch.testing.assert_close(found["state_dict"][name], value, rtol=1e-3, atol=1e-4, msg=name)
    (of_one,), (of_two,) = store.events(alone), store.events(both)
    assert of_two["loss"] == pytest.approx(of_one["loss"], rel=1e-5)
    assert of_two["miou"] == pytest.approx(of_one["miou"], abs=1e-3)
