"""segsuite.config.problems: what is wrong with a setting is said in our words, never in pydantic's."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from segsuite.config import TrialSettings, validate
from segsuite.config.base import models_in
from segsuite.errors import ConfigError
from segsuite.launch.slurm.profile import Profile, read_profile
from segsuite.launch.slurm.stage import Stage
from segsuite.yaml_io import to_text

PYDANTIC = re.compile(
    r"input should|valid (string|integer|dict|list|tuple|boolean|number)|field required|extra inputs|discriminator"
    r"|value error|validation error|tag '|unable to|instance of",
    re.IGNORECASE,
)
WRONG: tuple[Any, ...] = (
    None,
    True,
    -1,
    0,
    1.5,
    1e308,
    "",
    "x",
    "5",
    "yes",
    [],
    [1],
    [1, 2, 3],
    ["a", 1],
    {},
    {"a": 1},
)
PLAIN: dict[str, Any] = {"data": {"name": "shapes"}, "model": {"name": "unet"}}


def told(**values: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        validate({**PLAIN, **values}, lambda path: ".".join(map(str, path)))
    return caught.value.what


def sections(model: type[BaseModel], values: dict[str, Any]) -> Iterator[tuple[type[BaseModel], dict[str, Any]]]:
    """Every group of settings, and the mapping around it."""
    yield model, values
    for name, field in model.model_fields.items():
        for inner in models_in(field.annotation):
            of_inner: dict[str, Any] = {}
            if "name" in inner.model_fields:
                found = re.findall(r"'([^']+)'", str(inner.model_fields["name"].annotation))
                of_inner = {"name": found[0] if found else "smp/Unet" if name == "model" else "carafe"}
            elif "rule" in inner.model_fields:
                of_inner = {"rule": "log"}
            yield from sections(inner, _within(values, name, of_inner))


def _within(values: dict[str, Any], name: str, inner: dict[str, Any]) -> dict[str, Any]:
    """`inner`, which also knows how to become part of whole settings."""
    return {"": (values, name), **inner}


def whole(values: dict[str, Any]) -> dict[str, Any]:
    """The settings of a trial that hold `values` at their place."""
    above = values.get("")
    plain = {key: value for key, value in values.items() if key}
    return plain if above is None else whole({**above[0], above[1]: plain})


def test_no_wrong_value_of_any_setting_is_told_in_pydantics_words() -> None:
    tried, leaked = 0, []
    for model, values in sections(TrialSettings, PLAIN):
        for name in model.model_fields:
            for wrong in WRONG:
                try:
                    validate(whole({**values, name: wrong}), str)
                except ConfigError as error:
                    tried += 1
                    leaked += [error.what] if PYDANTIC.search(error.what) else []
    assert leaked == []
    assert tried > 3000


def test_no_wrong_value_of_any_key_of_a_site_profile_is_told_in_pydantics_words(tmp_path: Path) -> None:
    path = tmp_path / "site.yaml"
    stage = [{"stage": {"archive": "a.tar", name: wrong}} for name in Stage.model_fields for wrong in WRONG]
    plain = [{name: wrong} for name in Profile.model_fields for wrong in WRONG]
    inside = [{name: [wrong]} for name in Profile.model_fields for wrong in WRONG]
    entries = [{"resources": [{"match": {"arm": "a"}, **one}]} for one in (*plain, *inside, *stage) if one]
    tried, leaked = 0, []
    for values in (*plain, *inside, *stage, *entries):
        path.write_text(to_text(values))
        try:
            read_profile(str(path))
        except ConfigError as error:
            tried += 1
            leaked += [error.what] if PYDANTIC.search(error.what) or "cannot be" in error.what else []
    assert leaked == []
    assert tried > 800


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"train": {"epochs": "5"}}, "train.epochs must be a whole number, not the text '5': remove the quotes"),
        ({"train": {"epochs": 1.5}}, "train.epochs must be a whole number, not 1.5"),
        ({"train": {"epochs": None}}, "train.epochs must be a whole number, not null"),
        ({"train": {"epochs": 0}}, "train.epochs must be at least 1, not 0"),
        (
            {"train": {"optimizer": {"learning_rate": "1e-3"}}},
            "must be a number, not the text '1e-3': remove the quotes",
        ),
        ({"train": {"match_gradient_norm": "yes"}}, "must be true or false, not the text 'yes': write true"),
        (
            {"train": {"schedule": {"milestones": 0.5}}},
            "milestones must be a list, not 0.5: write [0.5] if it is one value",
        ),
        ({"augment": {"scale": [1]}}, "augment.scale needs at least 2 values, not [1]"),
        (
            {"loss": {"class_weights": {"rule": "log", "clip": [0, 0]}}},
            "the highest above 0, not [0, 0]",
        ),
        ({"loss": {"class_weights": {"rule": "log", "clip": [2, 1]}}}, "the highest above 0, not [2, 1]"),
        ({"train": {"precision": True}}, "train.precision: unknown value 'true'; valid: auto"),
        ({"model": {"name": "unet", "match": [None]}}, "model.match: unknown value '[null]'; valid: multiply_adds"),
        ({"loss": {"name": True}}, "loss.name: unknown loss 'true'; valid: boundary, boundary_weighted_cross"),
        ({"loss": {"name": "sum", "terms": [{"name": 5}]}}, "loss.terms.0.name: unknown name '5'; valid: boundary"),
        ({"loss": {"name": "unified_focal", "rare_classes": []}}, "rare_classes needs at least 1 value, not []"),
        ({"loss": 5}, "loss must be a mapping, not 5"),
        ({"execution": {"workers": "two"}}, "execution.workers must be a whole number or auto, not the text 'two'"),
        ({"execution": {"workers": "5"}}, "must be a whole number or auto, not the text '5': remove the quotes"),
        ({"execution": {"workers": -1}}, "execution.workers must be at least 0, not -1"),
        ({"model": {"name": "smp/Unet", "options": {"a": {"b": 1}}}}, "model.options.a must be"),
    ],
)
def test_a_wrong_value_is_told_with_what_it_must_be(values: dict[str, Any], sentence: str) -> None:
    assert sentence in told(**values)


def test_one_class_that_is_a_list_is_no_name_to_write() -> None:
    what = told(data={"name": "folder", "root": "d", "classes": [["a", "b"]]})
    assert 'data.classes.0 must be text, not ["a", "b"]' in what
    assert "binary mask" not in what


def test_a_setting_of_several_types_is_told_once() -> None:
    what = told(model={"name": "smp/Unet", "options": {"a": {"b": 1}}})
    assert what.count("model.options.a") == 1
    for wrong in ("two", -1, None, [1], True):
        assert told(execution={"workers": wrong}).count("execution.workers") == 1
