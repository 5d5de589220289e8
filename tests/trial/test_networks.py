"""A trial's network before and after training, for looking at."""

import json
from pathlib import Path

import pytest
import torch

from segsuite.config import TrialSettings, validate
from segsuite.errors import ConfigError
from segsuite.train import checkpoint_io
from segsuite.trial.networks import build_network, scored_dataset, trained_network
from tests.results import whole_result

CLASSES = 3
IMAGE = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))


def settings(**more: object) -> TrialSettings:
    model = {"name": "fcn", "encoder": "resnet18"}
    return validate({"data": {"name": "shapes"}, "model": model, **more}, lambda path: "here")


def finished(folder: Path, checkpoint: str = "last") -> torch.nn.Module:
    """A run directory with the weights of another seed; the network that they are of."""
    network = build_network(settings(seed=7), CLASSES).eval()
    weights = {f"network.{name}": value for name, value in network.state_dict().items()}
    checkpoint_io.save({"state_dict": weights}, folder / "checkpoints" / f"{checkpoint}.ckpt")
    (folder / "result.json").write_text(json.dumps(whole_result()))
    return network


def test_a_trained_network_has_the_weights_of_its_checkpoint(tmp_path: Path) -> None:
    expected = finished(tmp_path)
    with torch.inference_mode():
        found = trained_network(tmp_path, settings(), CLASSES)(IMAGE)
        assert torch.equal(found, expected(IMAGE))
        assert not torch.equal(found, build_network(settings(), CLASSES).eval()(IMAGE))


def test_the_checkpoint_that_was_scored_is_read(tmp_path: Path) -> None:
    expected = finished(tmp_path, "best")
    found = trained_network(tmp_path, settings(evaluation={"checkpoint": "best"}), CLASSES)
    with torch.inference_mode():
        assert torch.equal(found(IMAGE), expected(IMAGE))


def test_the_start_is_a_function_of_the_seed() -> None:
    one, same, other = (build_network(settings(seed=seed), CLASSES).eval() for seed in (3, 3, 4))
    with torch.inference_mode():
        assert torch.equal(one(IMAGE), same(IMAGE))
        assert not torch.equal(one(IMAGE), other(IMAGE))


def test_what_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="has not finished"):
        trained_network(tmp_path, settings(), CLASSES)
    (tmp_path / "result.json").write_text(json.dumps(whole_result()))
    with pytest.raises(ConfigError, match="no checkpoint any more"):
        trained_network(tmp_path, settings(), CLASSES)


def test_the_scored_split_is_the_one_of_the_settings() -> None:
    assert scored_dataset(settings(evaluation={"split": "test"})).split == "test"
