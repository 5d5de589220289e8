"""Defaults and trial ids are pinned: a result must never be taken for that of other settings."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from segsuite.config import TrialSettings
from segsuite.config.base import EXECUTION, PATH, models_in
from segsuite.experiment import load

GOLDEN = Path(__file__).parent / "golden"
CHANGED = "a default moved: raise SCHEMA in segsuite/config/trial.py when a meaning changes, then renew {}"


def identifying(model: type[BaseModel]) -> dict[str, Any]:
    return {name: field for name, field in model.model_fields.items() if field.json_schema_extra != EXECUTION}


def settings_classes() -> list[type[BaseModel]]:
    """TrialSettings and every group of settings in it that is part of a trial's identity."""
    found: list[type[BaseModel]] = [TrialSettings]
    for model in found:
        inner = [part for field in identifying(model).values() for part in models_in(field.annotation)]
        found += [part for part in dict.fromkeys(inner) if part not in found]
    return found


def defaults() -> dict[str, dict[str, Any]]:
    def plain(field: Any) -> Any:
        if field.is_required():
            return "(required)"
        value = field.get_default(call_default_factory=True)
        return {"(section)": type(value).__name__} if isinstance(value, BaseModel) else value

    return {
        model.__name__: {name: plain(field) for name, field in identifying(model).items()}
        for model in sorted(settings_classes(), key=lambda model: model.__name__)
    }


def test_no_default_has_moved() -> None:
    golden = json.loads((GOLDEN / "defaults.json").read_text("utf-8"))
    now = json.loads(json.dumps(defaults()))
    moved = [
        f"{section}.{name}: {value!r} -> {now.get(section, {}).get(name, 'gone')!r}"
        for section, fields in golden.items()
        for name, value in fields.items()
        if now.get(section, {}).get(name, "gone") != value
    ]
    assert not moved, f"{CHANGED.format('tests/golden/defaults.json')}: {moved}"


def test_every_default_is_pinned() -> None:
    golden = json.loads((GOLDEN / "defaults.json").read_text("utf-8"))
    new = [
        f"{section}.{name}"
        for section, fields in defaults().items()
        for name in fields
        if name not in golden.get(section, {})
    ]
    assert not new, f"add the defaults of these new settings to tests/golden/defaults.json: {new}"


EXPERIMENTS = {
    "plain": "data: {name: shapes}\nmodel: {name: unet}\nseeds: [0, 1]\n",
    "compared": """\
data: {name: camvid, root: anywhere/camvid}
model: {name: unet, encoder: resnet34, weights: some/where/r34.pth}
loss: {class_weights: [1, 2, 0.5]}
train: {epochs: 3, optimizer: {learning_rate: 2e-3}, schedule: {name: cosine}}
augment: {crop: [64, 96]}
execution: {threads: 1}
compare:
  model.upsampler: [nearest_conv, transposed_k4]
  precision: [{train.precision: fp32}, {train.precision: auto, train.gradient_clip: 1}]
seeds: [3]
""",
    # pool3 and pool4 of a VGG are scored since; before, 16s was 05530d9446c3 and 8s was 175d3f3ea606 here
    "revised": """data: {name: shapes}
model: {name: fcn}
compare:
  model.encoder: [resnet18, vgg16]
  model.variant: [32s, 16s, 8s, plain]
baseline: {model.encoder: resnet18, model.variant: 8s}
seeds: [0]
""",
}


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_no_id_has_moved(name: str, tmp_path: Path) -> None:
    (tmp_path / "e.yaml").write_text(EXPERIMENTS[name])
    now = {f"{trial.arm}, seed {trial.seed}": trial.id for trial in load(tmp_path / "e.yaml").trials}
    golden = json.loads((GOLDEN / "trial_ids.json").read_text("utf-8"))[name]
    assert now == golden, CHANGED.format("tests/golden/trial_ids.json")


def settings_fields() -> Iterator[tuple[str, Any]]:
    for model in settings_classes():
        for name, field in model.model_fields.items():
            yield f"{model.__name__}.{name}", field


def test_the_marks_on_fields_are_known() -> None:
    marks = [field.json_schema_extra for _, field in settings_fields() if isinstance(field.json_schema_extra, dict)]
    assert all(mark.get("identity", "none") in (EXECUTION["identity"], PATH["identity"]) for mark in marks)
