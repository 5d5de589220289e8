"""What pydantic finds wrong with a value, in our words: what must be there, what is there, and how to write it."""

import json
import re
from collections.abc import Mapping
from typing import Any

from segsuite.errors import plural
from segsuite.yaml_io import in_line

# pydantic's kinds of errors that say which type a value must have.
EXPECTED = {
    "bool_type": "true or false",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "string_type": "text",
    "tuple_type": "a list",
    "list_type": "a list",
    "dict_type": "a mapping",
    "mapping_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
    "none_required": "null",
}
NUMBERS = ("a whole number", "a number")
_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?")


def expectation(kind: str) -> str | None:
    """What a value must be, if the error's kind is about its type."""
    return EXPECTED.get(kind)


def must_be(expected: list[str], value: Any) -> str:
    """The sentence for a value of another type than any of those expected.

    >>> must_be(["a whole number"], "5"), must_be(["text"], 5)
    ("must be a whole number, not the text '5': remove the quotes", "must be text, not 5: put it in quotes, '5'")
    """
    wanted = list(dict.fromkeys(expected))
    said = f"must be {' or '.join(wanted)}, not {shown(value)}"
    if isinstance(value, str) and _NUMBER.fullmatch(value.strip()) and any(word in NUMBERS for word in wanted):
        return f"{said}: remove the quotes"
    if isinstance(value, str) and "true or false" in wanted and value.lower() in ("yes", "no", "on", "off"):
        return f"{said}: write {str(value.lower() in ('yes', 'on')).lower()}"
    if "text" in wanted and isinstance(value, bool | int | float):
        return f"{said}: put it in quotes, '{json.dumps(value)}'"
    if "text" in wanted and isinstance(value, dict):
        return f"{said}: text that begins with {{ is put in quotes"
    if wanted == ["a list"] and not isinstance(value, dict):
        return f"{said}: write [{_plain(value)}] if it is one value"
    return said


def sentence(kind: str, context: Mapping[str, Any], value: Any) -> str:
    """The sentence for an error of pydantic of this `kind`, whose `context` holds its numbers; without the setting's
    name, which comes before it."""
    if kind in EXPECTED:
        return must_be([EXPECTED[kind]], value)
    got = shown(value)
    limits = {"greater_than": ("above", "gt"), "greater_than_equal": ("at least", "ge")}
    limits |= {"less_than": ("below", "lt"), "less_than_equal": ("at most", "le")}
    if kind in limits:
        words, key = limits[kind]
        return f"must be {words} {context.get(key):g}, not {got}"
    if kind == "finite_number":
        return f"must be a finite number, not {got}"
    if kind in ("too_short", "string_too_short"):
        unit = "character" if kind.startswith("string") else "value"
        return f"needs at least {plural(context.get('min_length', 0), unit)}, not {got}"
    if kind in ("too_long", "string_too_long"):
        unit = "character" if kind.startswith("string") else "value"
        return f"takes at most {plural(context.get('max_length', 0), unit)}, not {got}"
    return f"cannot be {got}"


def shown(value: Any) -> str:
    """A value as an error shows it.

    >>> shown("5"), shown(None), shown([1, "a"])
    ("the text '5'", 'null', '[1, "a"]')
    """
    if isinstance(value, str):
        return f"the text {value[:80]!r}"
    if isinstance(value, dict):
        keys = ", ".join(map(str, value))
        return f"a mapping ({keys[:80]})" if keys else "an empty mapping"
    return json.dumps(value, default=str)[:120]


def written(value: Any) -> str:
    """A value as YAML writes it, text without quotes.

    >>> written("a"), written(True), written([None])
    ('a', 'true', '[null]')
    """
    return value if isinstance(value, str) else in_line(value)


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, default=str)
