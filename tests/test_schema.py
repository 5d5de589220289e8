"""segsuite.schema: a JSON Schema by its own rules, against which the experiments of this repository are right."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from segsuite import yaml_io
from segsuite.composition import EXPERIMENT_KEYS
from segsuite.config import TrialSettings
from segsuite.models import MODELS
from segsuite.schema import experiment_schema
from segsuite.upsamplers import UPSAMPLERS

try:
    import jsonschema
except ImportError:
    jsonschema = None

REPOSITORY = Path(__file__).resolve().parents[1]
EXPERIMENTS = sorted((REPOSITORY / "experiments").rglob("*.yaml"))
SCHEMA = experiment_schema()
TYPES: dict[str, type | tuple[type, ...]] = {
    "object": dict,
    "array": list,
    "string": str,
    "boolean": bool,
    "null": type(None),
    "integer": int,
    "number": (int, float),
}
KEYWORDS = {
    *("$defs", "$ref", "$schema", "title", "description", "default", "const", "enum", "type", "anyOf", "allOf"),
    *("properties", "additionalProperties", "propertyNames", "minProperties", "items", "prefixItems", "minItems"),
    *("maxItems", "uniqueItems", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "pattern", "minLength"),
    "maxLength",
    "identity",
}


def subschemas(schema: dict[str, Any], at: str = "#") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every schema in `schema`, with its place."""
    yield at, schema
    for keyword in ("properties", "$defs"):
        for name, inner in schema.get(keyword, {}).items():
            yield from subschemas(inner, f"{at}/{keyword}/{name}")
    for keyword in ("items", "additionalProperties", "propertyNames"):
        if isinstance(schema.get(keyword), dict):
            yield from subschemas(schema[keyword], f"{at}/{keyword}")
    for keyword in ("anyOf", "allOf", "prefixItems"):
        for index, inner in enumerate(schema.get(keyword, [])):
            yield from subschemas(inner, f"{at}/{keyword}/{index}")


def of(reference: str) -> dict[str, Any]:
    assert reference.startswith("#/$defs/")
    found: dict[str, Any] = SCHEMA["$defs"][reference.removeprefix("#/$defs/")]
    return found


def faults(value: Any, schema: dict[str, Any], at: str = "") -> list[str]:
    """What is wrong with `value`: the part of JSON Schema that this schema uses."""
    found: list[str] = []
    if "$ref" in schema:
        found += faults(value, of(schema["$ref"]), at)
    if "anyOf" in schema and all(faults(value, option, at) for option in schema["anyOf"]):
        found.append(f"{at}: {value!r} fits none of the alternatives")
    names = schema.get("type", list(TYPES))
    names = [names] if isinstance(names, str) else names
    if not any(isinstance(value, TYPES[name]) and (name == "boolean" or value is not True) for name in names):
        found.append(f"{at}: {value!r} is no {names}")
    if ("enum" in schema and value not in schema["enum"]) or ("const" in schema and value != schema["const"]):
        found.append(f"{at}: {value!r} is not one of the values")
    if isinstance(value, dict):
        for key, item in value.items():
            inner = schema.get("properties", {}).get(str(key), schema.get("additionalProperties", True))
            found += [f"{at}.{key} is unknown"] if inner is False else []
            found += faults(item, inner, f"{at}.{key}") if isinstance(inner, dict) else []
    if isinstance(value, list):
        found += [f"{at} is too short"] if len(value) < schema.get("minItems", 0) else []
        found += [f"{at} is too long"] if len(value) > schema.get("maxItems", len(value)) else []
        starts = schema.get("prefixItems", [])
        for index, item in enumerate(value):
            found += faults(item, starts[index] if index < len(starts) else schema.get("items", {}), f"{at}[{index}]")
    if isinstance(value, str) and not schema.get("minLength", 0) <= len(value) <= schema.get("maxLength", len(value)):
        found.append(f"{at}: {value!r} is too short or too long")
    if isinstance(value, str) and not re.search(schema.get("pattern", ""), value):
        found.append(f"{at}: {value!r} does not match")
    if isinstance(value, int | float) and not isinstance(value, bool):
        found += [f"{at} is too small"] if value < schema.get("minimum", value) else []
        found += [f"{at} is too large"] if value > schema.get("maximum", value) else []
        found += [f"{at} is too small"] if value <= schema.get("exclusiveMinimum", value - 1) else []
        found += [f"{at} is too large"] if value >= schema.get("exclusiveMaximum", value + 1) else []
    return found


def check(value: dict[str, Any]) -> list[str]:
    found = faults(value, SCHEMA)
    if jsonschema is not None:
        validator = jsonschema.Draft202012Validator(SCHEMA)
        assert bool(list(validator.iter_errors(value))) == bool(found)
    return found


def test_every_keyword_is_one_of_json_schema() -> None:
    unknown = {f"{at}: {keyword}" for at, schema in subschemas(SCHEMA) for keyword in set(schema) - KEYWORDS}
    assert not unknown


def test_every_keyword_has_a_value_of_its_kind() -> None:
    for at, schema in subschemas(SCHEMA):
        names = schema.get("type", [])
        assert set([names] if isinstance(names, str) else names) <= set(TYPES), at
        assert all(isinstance(schema[key], list) and schema[key] for key in ("enum", "anyOf") if key in schema), at
        assert all(isinstance(schema[key], int) for key in ("minItems", "maxItems") if key in schema), at
        re.compile(schema.get("pattern", ""))


def test_every_reference_leads_somewhere() -> None:
    assert all(of(schema["$ref"]) for _, schema in subschemas(SCHEMA) if "$ref" in schema)


def test_it_is_right_by_the_meta_schema() -> None:
    if jsonschema is None:
        pytest.skip("jsonschema is not installed")
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


def test_it_names_its_dialect() -> None:
    assert SCHEMA["$schema"] == "https://json-schema.org/draft/2020-12/schema"


def test_every_key_of_an_experiment_is_there() -> None:
    assert set(SCHEMA["properties"]) == {*EXPERIMENT_KEYS, *TrialSettings.model_fields} - {"seed"}


def test_unknown_keys_are_refused_everywhere() -> None:
    groups = [(at, schema) for at, schema in subschemas(SCHEMA) if "properties" in schema]
    assert len(groups) > 10
    assert [at for at, schema in groups if schema.get("additionalProperties") is not False] == []


def test_every_setting_has_a_description() -> None:
    settings = [
        (f"{at}/{name}", field)
        for at, schema in subschemas(SCHEMA)
        for name, field in schema.get("properties", {}).items()
    ]
    # pydantic leaves out what the group that a field refers to says in the same words.
    said = [(place, {**(of(field["$ref"]) if "$ref" in field else {}), **field}) for place, field in settings]
    bare = [place for place, field in said if len(field.get("description", "")) < 8]
    assert (len(settings) > 50, bare) == (True, [])


def test_every_group_has_a_description() -> None:
    assert [name for name, schema in SCHEMA["$defs"].items() if len(schema.get("description", "")) < 8] == []


def test_the_upsamplers_are_listed() -> None:
    name, settings = SCHEMA["$defs"]["UNetModel"]["properties"]["upsampler"]["anyOf"]
    assert name["enum"] == sorted(UPSAMPLERS)
    assert of(settings["$ref"])["properties"]["name"]["enum"] == sorted(UPSAMPLERS)


def test_the_models_are_listed() -> None:
    names = [of(option["$ref"])["properties"]["name"] for option in SCHEMA["properties"]["model"]["anyOf"]]
    listed = [name for schema in names for name in schema.get("enum", [schema.get("const")])]
    assert sorted(listed) == sorted(MODELS)


@pytest.mark.parametrize("path", EXPERIMENTS, ids=lambda path: path.stem)
def test_the_experiments_of_this_repository_are_right(path: Path) -> None:
    assert check(yaml_io.read_file(path).value) == []


@pytest.mark.parametrize(
    "text",
    [
        "model: {upsampler: nearest_conv}",
        "model: {name: fcn, upsampler: {name: transposed_k4, init: bilinear}, last_upsampler: null}",
        "data: {root: somewhere}",
        "train: {optimizer: {learning_rate: 1e-3}}",
        "compare: [{train.epochs: 1}, {train.epochs: 2}]",
        "compare: {budget: {short: {train.epochs: 1}, long: {train.epochs: 2}}}",
        "compare: {model.decoder_channels: [[8, 8], [4]]}",
        "exclude: [{model.upsampler: [nearest_conv, bilinear_conv]}]",
        "defaults: [a.yaml, b.yaml]",
        "data: {name: folder, values: {0: sky, 255: void}, fractions: {train: 0.8, val: 0.2}}",
        "augment: {crop: null, scale: [0.5, 2]}",
        "model: {name: smp/Unet, options: {decoder_use_norm: batchnorm}}",
    ],
)
def test_a_file_that_builds_on_others_is_right(text: str) -> None:
    assert check(yaml_io.read_text(text, "e.yaml").value) == []


@pytest.mark.parametrize(
    "text",
    [
        "comapre: {}",
        "train: {epoch: 1}",
        "train: {epochs: 0}",
        "train: {epochs: many}",
        "model: {name: unet, upsampler: bilinar_conv}",
        "model: {name: unet, upsampler: {name: transposed_k4, int: bilinear}}",
        "model: {name: smp/Unt}",
        "data: {name: shapse}",
        "data: {name: shapes, root: x}",
        "seeds: 3",
        "seeds: [-1]",
        "name: ../up",
        "compare: {model.upsampler: [nearest_conv]}",
        "baseline: bilinear_conv",
        "augment: {scale: [1.0]}",
        "seed: 3",
    ],
)
def test_a_wrong_file_is_refused(text: str) -> None:
    assert check(yaml_io.read_text(text, "e.yaml").value)
