"""The JSON Schema of an experiment's YAML, from which editors complete and check it."""

from typing import Any

from segsuite.config import TrialSettings


def experiment_schema() -> dict[str, Any]:
    """JSON Schema (2020-12). Nothing is required here, since a file may build on others through `defaults`."""
    schema = TrialSettings.model_json_schema()
    settings: dict[str, Any] = schema.pop("properties")
    del settings["seed"]
    value = {"type": ["string", "number", "boolean", "null", "array", "object"]}
    patch = {"type": "object", "description": "setting -> value", "additionalProperties": value, "minProperties": 1}
    options = {"type": "array", "minItems": 2, "items": value}
    schema["properties"] = {
        "name": {
            "type": "string",
            "pattern": "^[a-z0-9][a-z0-9._-]{0,63}$",
            "description": "Name and folder of the experiment.",
        },
        "question": {"type": "string", "description": "What the experiment is to answer; shown with every result."},
        "defaults": {
            "anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}],
            "description": "Files, relative to this one, that it builds on; mappings merge, lists are replaced.",
        },
        "compare": {
            "description": "Axes: a setting with a list of values, or mappings of settings that move together.",
            "anyOf": [
                {
                    "type": "object",
                    "additionalProperties": {"anyOf": [options, {"type": "object", "additionalProperties": patch}]},
                },
                {"type": "array", "minItems": 2, "items": patch},
            ],
        },
        "exclude": {"type": "array", "items": patch, "description": "Points of the grid that are left out."},
        "seeds": {
            "type": "array",
            "items": {"type": "integer", "minimum": 0, "maximum": 2**32 - 1},
            "minItems": 1,
            "uniqueItems": True,
            "description": "Every arm is run once with each seed.",
        },
        "baseline": {**patch, "description": "Axis values of the one arm that the others are compared with."},
        "runs_root": {
            "type": "string",
            "default": "runs",
            "description": "Folder of run directories, relative to the working directory.",
        },
        **settings,
    }
    schema["title"] = "segsuite experiment"
    schema["description"] = "One question: base settings, what is compared, seeds and a baseline."
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    _loosen(schema)
    return schema


def _loosen(schema: Any) -> None:
    """Drops what a single file need not fulfil: a section's other keys may come from `defaults`, an axis or --set."""
    if isinstance(schema, dict):
        if isinstance(schema.get("required"), list):
            del schema["required"]
        # Without its name, a section may fit several of the alternatives.
        schema.pop("discriminator", None)
        if "oneOf" in schema:
            schema["anyOf"] = schema.pop("oneOf")
        for value in schema.values():
            _loosen(value)
    elif isinstance(schema, list):
        for value in schema:
            _loosen(value)
