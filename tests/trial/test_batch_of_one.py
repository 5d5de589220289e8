"""segsuite.trial.batch_of_one: a batch that cannot be normalised is refused before the first step, and no other."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from segsuite.config import TrialSettings, validate
from segsuite.errors import ConfigError
from segsuite.models import build_model
from segsuite.trial.batch_of_one import check_normalised, refused_at
from segsuite.trial.data import build_data
from segsuite.trial.networks import build_network
from tests.reliability.trials import attempt, frozen, write_experiment

# Network, its settings, height and width.
CASES: list[tuple[str, dict[str, Any], tuple[int, int]]] = [
    ("smp/DeepLabV3", {}, (64, 64)),
    ("smp/DeepLabV3Plus", {}, (64, 64)),
    ("smp/PAN", {}, (64, 64)),
    ("smp/UPerNet", {}, (64, 64)),
    ("smp/FPN", {}, (64, 64)),
    ("smp/FPN", {}, (32, 32)),
    ("unet", {}, (32, 32)),
    ("unet", {}, (20, 64)),
    ("unet", {"normalisation": "group"}, (32, 32)),
    ("unet", {"normalisation": "group", "encoder_normalisation": "frozen_batch"}, (32, 32)),
    ("unet", {"normalisation": "instance", "encoder_normalisation": "frozen_batch"}, (32, 32)),
    ("fcn", {}, (32, 32)),
    ("fcn", {}, (64, 32)),
    ("deeplabv3", {}, (64, 64)),
    ("deeplabv3plus", {}, (32, 32)),
]


@pytest.mark.parametrize("images", [1, 2])
@pytest.mark.parametrize(("name", "settings", "size"), CASES)
def test_it_refuses_what_torch_refuses(name: str, settings: dict[str, Any], size: tuple[int, int], images: int) -> None:
    network = build_model(name, 3, encoder="resnet18", **settings)
    found = refused_at(network, (images, 3, *size))
    try:
        network.train()(torch.rand(images, 3, *size))
        refused = False
    except ValueError:
        refused = True
    assert (found is not None) == refused
    if found is not None:
        assert found[1][2:] == (1, 1)


def test_looking_changes_nothing_of_the_network() -> None:
    network = build_model("deeplabv3", 3, encoder="resnet18", auxiliary_weight=0.4)
    network.encoder.eval()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    modes = [module.training for module in network.modules()]
    generator = torch.get_rng_state()
    refused_at(network, (1, 3, 64, 64))
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert [module.training for module in network.modules()] == modes
    assert torch.equal(torch.get_rng_state(), generator)
    assert network.take_auxiliary_logits() is None


def settings_of(**changes: Any) -> TrialSettings:
    values: dict[str, Any] = {
        "data": {"name": "shapes", "size": [64, 64], "train_images": 2, "val_images": 1, "test_images": 1},
        "model": {"name": "unet", "encoder": "resnet18"},
        "train": {"batch_size": 1},
    }
    for section, content in changes.items():
        values[section] = {**values.get(section, {}), **content}
    return validate(values, str)


def check(settings: TrialSettings) -> None:
    data = build_data(settings)
    check_normalised(build_network(settings, data.num_classes), data, settings)


@pytest.mark.parametrize(
    "changes",
    [
        {"augment": {"crop": [32, 32]}},
        {"data": {"size": [32, 32]}},
        {"augment": {"scale": [0.4, 1.0]}},
        {"model": {"name": "smp/PAN"}},
        {"augment": {"crop": [32, 32]}, "train": {"freeze_encoder_epochs": 1, "batch_size": 1}},
    ],
)
def test_the_smallest_batch_of_the_training_is_looked_at(changes: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"cannot normalise its features in training: of a batch of 1 x") as caught:
        check(settings_of(**changes))
    assert "set train.batch_size to 2 or more" in caught.value.advice
    assert ("model.normalisation" in caught.value.advice) == (changes.get("model") is None)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"train": {"batch_size": 2}, "augment": {"crop": [32, 32]}},
        {"train": {"batch_size": 1, "overfit_batches": 1}, "augment": {"crop": [32, 32]}},
        {
            "train": {"batch_size": 1, "epochs": 2, "freeze_encoder_epochs": 2},
            "augment": {"crop": [32, 32]},
            "model": {"normalisation": "group"},
        },
    ],
)
def test_what_can_be_normalised_is_taken(changes: dict[str, Any]) -> None:
    check(settings_of(**changes))


@pytest.mark.slow
def test_a_trial_says_it_before_its_first_step(tmp_path: Path) -> None:
    model = {"name": "smp/DeepLabV3", "encoder": "resnet18"}
    folder = frozen(write_experiment(tmp_path, model=model, train__batch_size=1))
    assert attempt(folder) == 2
    failure = json.loads((folder / "failure.json").read_text())
    assert "cannot normalise its features in training" in failure["reason"]
    assert failure["traceback"] == ""
    assert not (folder / "events.jsonl").exists()
