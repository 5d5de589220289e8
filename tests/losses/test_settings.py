"""The settings of losses in an experiment, and what a trial makes of them."""

import inspect
import json
from pathlib import Path
from typing import Any, get_args

import pytest

from segsuite.config import TrialSettings, trial_id, validate
from segsuite.config.base import models_in
from segsuite.config.loss import RuleName, WeightRule
from segsuite.datasets import build_dataset
from segsuite.datasets.base import SegmentationDataset
from segsuite.errors import ConfigError
from segsuite.families import resolve
from segsuite.losses import LOSSES, build_loss
from segsuite.losses.class_weights import RULES, class_weights
from segsuite.trial.loss import resolve_loss

Options = dict[str, Any]
MODELS = {
    get_args(model.model_fields["name"].annotation)[0]: model
    for model in models_in(TrialSettings.model_fields["loss"].annotation)
}
OWN = {"ignore_index"}  # the suite's void is 255 everywhere
MADE = {"pixel_counts", "rare_classes"}  # made by the trial from what the settings say


def settings(**loss: Any) -> TrialSettings:
    values = {"data": {"name": "shapes"}, "model": {"name": "unet"}, "loss": loss}
    return validate(values, lambda path: ".".join(map(str, path)))


@pytest.fixture
def shapes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SegmentationDataset:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return build_dataset("shapes", "train", size=(24, 32), train_images=6)


def resolved(shapes: SegmentationDataset, images: int = 6, **loss: Any) -> tuple[Options, dict[str, dict[str, float]]]:
    return resolve_loss(settings(**loss).loss.model_dump(), shapes, range(images))


def test_every_loss_has_settings() -> None:
    assert set(MODELS) == set(LOSSES)


@pytest.mark.parametrize("name", sorted(set(LOSSES) - {"sum"}))
def test_settings_and_defaults_are_those_of_the_loss(name: str) -> None:
    parameters = inspect.signature(resolve("loss", LOSSES, name)).parameters
    fields = MODELS[name].model_fields
    assert set(fields) - {"name", "weight"} == set(parameters) - OWN
    same = set(parameters) - OWN - MADE
    assert {key: fields[key].default for key in same} == {key: parameters[key].default for key in same}


def test_rules_are_those_of_class_weights() -> None:
    assert get_args(RuleName) == RULES
    parameters = inspect.signature(class_weights).parameters
    defaults = {key: field.default for key, field in WeightRule.model_fields.items() if key != "rule"}
    assert defaults == {key: parameters[key].default for key in defaults}


def test_a_loss_without_a_name_is_cross_entropy() -> None:
    assert settings(label_smoothing=0.1).loss.name == "cross_entropy"
    terms = settings(name="sum", terms=[{"class_weights": "log"}]).loss.model_dump()["terms"]
    assert terms[0]["name"] == "cross_entropy"


def test_a_rule_alone_is_the_same_trial_however_it_is_written() -> None:
    assert trial_id(settings(class_weights="log")) == trial_id(settings(class_weights={"rule": "log"}))


def test_terms_make_the_trial() -> None:
    ids = [trial_id(settings(name="sum", terms=[{"name": "dice", "weight": weight}])) for weight in (1.0, 2.0)]
    assert ids[0] != ids[1]
    assert ids[0] == trial_id(settings(name="sum", terms=[{"name": "dice"}]))


@pytest.mark.parametrize(
    ("loss", "message"),
    [
        ({"name": "dise"}, "did you mean 'dice'"),
        ({"name": "dice", "smoth": 1.0}, "did you mean 'smooth'"),
        ({"name": "focal", "gamma": -1}, r"loss\.gamma"),
        ({"class_weights": "median"}, "did you mean 'median_frequency'"),
        ({"class_weights": 3}, r"loss\.class_weights"),
        ({"name": "sum", "terms": []}, r"loss\.terms: at least one is needed"),
        ({"name": "sum", "terms": [{"name": "dice", "squard": True}]}, "did you mean 'squared'"),
        ({"name": "sum", "terms": [{"name": "sum", "terms": []}]}, r"loss\.terms\.0\.name: unknown"),
        ({"name": "sum", "terms": [3]}, r"loss\.terms\.0 must be a mapping"),
        ({"name": "unified_focal"}, r"loss\.rare_classes is required"),
    ],
    ids=str,
)
def test_mistakes_are_told_with_their_place(loss: Options, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        settings(**loss)


@pytest.mark.parametrize("name", sorted(set(LOSSES) - {"sum", "unified_focal"}))
def test_defaults_build_the_loss(name: str, shapes: SegmentationDataset) -> None:
    options, _ = resolved(shapes, name=name)
    assert type(build_loss(**options)) is resolve("loss", LOSSES, name)


def test_rules_become_numbers_of_the_training_split(shapes: SegmentationDataset) -> None:
    labels = [shapes.read(index)[1] for index in range(6)]
    counts = [sum(int((label == c).sum()) for label in labels) for c in range(8)]
    rule = {"rule": "inverse_sqrt", "normalise": "mean"}
    options, weights = resolved(shapes, class_weights=rule)
    assert options["class_weights"] == pytest.approx(class_weights(counts, "inverse_sqrt", normalise="mean"))
    assert weights == {"class_weights": dict(zip(shapes.classes, options["class_weights"], strict=True))}
    json.dumps(weights)


def test_only_the_images_that_are_trained_on_are_counted(shapes: SegmentationDataset) -> None:
    label = shapes.read(0)[1]
    options, _ = resolved(shapes, images=1, name="logit_adjusted_cross_entropy")
    assert options["pixel_counts"] == [int((label == c).sum()) for c in range(8)]


def test_terms_of_a_sum_are_resolved_each(shapes: SegmentationDataset) -> None:
    terms = [{"name": "focal", "alpha": "log"}, {"name": "tversky", "weight": 2.0}, {"class_weights": [1.0] * 8}]
    options, weights = resolved(shapes, name="sum", terms=terms)
    assert options["terms"][0]["alpha"] == list(weights["terms.0.alpha"].values())
    assert options["terms"][1]["alpha"] == 0.3
    assert set(weights) == {"terms.0.alpha", "terms.2.class_weights"}
    build_loss(**options)


def test_rare_classes_are_named(shapes: SegmentationDataset) -> None:
    options, _ = resolved(shapes, name="unified_focal", rare_classes=["wire", "spot"])
    assert options["rare_classes"] == [5, 7]
    with pytest.raises(ConfigError, match="did you mean 'wire'"):
        resolved(shapes, name="unified_focal", rare_classes=["wires"])


def test_numbers_that_do_not_fit_the_classes_are_refused(shapes: SegmentationDataset) -> None:
    with pytest.raises(ConfigError, match=r"loss\.class_weights has 2 numbers, the dataset 8 classes"):
        resolved(shapes, class_weights=[1.0, 2.0])
    with pytest.raises(ConfigError, match=r"loss\.terms\.0\.class_weights has 2 numbers"):
        resolved(shapes, name="sum", terms=[{"name": "dice", "class_weights": [1.0, 2.0]}])


def test_nothing_is_counted_when_nothing_asks(shapes: SegmentationDataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shapes, "fingerprint", lambda: pytest.fail("counted"))
    assert resolved(shapes, name="dice")[1] == {}
