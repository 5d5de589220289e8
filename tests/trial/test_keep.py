"""What stays of the checkpoints of a finished trial."""

from pathlib import Path

import pytest

from segsuite.experiment import load
from segsuite.io.store import RunDirectory, read_json
from segsuite.models.network import SegmentationNetwork
from segsuite.train import checkpoint_io
from segsuite.train.callbacks import StopRequest
from segsuite.trial import run_trial
from segsuite.trial.frozen import read
from segsuite.trial.networks import trained_network
from tests.reliability.trials import frozen, write_experiment

FEW = {"tracker": "none", "train__epochs": 2, "train__max_steps": 4, "data__train_images": 4}


def run(folder: Path) -> dict[str, object]:
    return run_trial(folder, lambda event: None, StopRequest())


def numbers(network: SegmentationNetwork) -> int:
    return sum(value.numel() for value in network.state_dict().values())


@pytest.mark.slow
def test_a_finished_trial_keeps_the_weights_alone(tmp_path: Path) -> None:
    path = write_experiment(tmp_path, **FEW, execution__keep="weights")
    folder = frozen(path)
    result = run(folder)
    directory = RunDirectory(folder)
    for checkpoint in (directory.last_checkpoint, directory.best_checkpoint):
        assert checkpoint_io.is_weights_alone(checkpoint_io.load(checkpoint))
    network = trained_network(folder, read(folder).settings, 8)
    assert directory.last_checkpoint.stat().st_size < 4.4 * numbers(network) + 200_000

    # Without its result it is scored again, and not trained again or said to be damaged.
    (folder / "result.json").unlink()
    events = (folder / "events.jsonl").read_text()
    again = run(folder)
    assert again["scores"] == result["scores"]
    assert again["loss_gradient_norm"] == result["loss_gradient_norm"]
    assert (folder / "events.jsonl").read_text() == events

    assert load(path, ["train.epochs=3"]).trials[0].id != folder.name, "more epochs are another trial"
    assert load(path, ["execution.keep=all"]).trials[0].id == folder.name


@pytest.mark.slow
def test_all_is_kept_where_it_is_wished(tmp_path: Path) -> None:
    folder = frozen(write_experiment(tmp_path, **FEW, execution__keep="all"))
    run(folder)
    directory = RunDirectory(folder)
    before = directory.last_checkpoint.stat().st_size
    assert not checkpoint_io.is_weights_alone(checkpoint_io.load(directory.last_checkpoint))
    assert checkpoint_io.keep_weights(directory) > before // 2
    assert checkpoint_io.keep_weights(directory) == 0
    assert read_json(folder / "result.json") is not None
