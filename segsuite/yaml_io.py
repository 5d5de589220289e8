"""The only reader of YAML: safe, no duplicate keys, YAML 1.2 scalars, and errors with file and line.

PyYAML implements YAML 1.1, where `1e-3` is a string, `no` and `on` are booleans, `010` is 8 and `12:30` is 750. Here numbers
are what one expects and only `true` and `false` are booleans.
"""

import re
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from segsuite.errors import ConfigError

KeyPath = tuple[str | int, ...]


class _Loader(yaml.SafeLoader):
    pass


_Loader.yaml_implicit_resolvers = {}
for _tag, _pattern, _first in (
    ("bool", r"true|false|True|False", "tfTF"),
    ("int", r"[-+]?[0-9]+|0x[0-9a-fA-F]+", "-+0123456789"),
    ("float", r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.inf|\.nan", "-+.0123456789"),
    ("null", r"~|null|Null|", "~nN"),
    ("merge", r"<<", "<"),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(rf"^(?:{_pattern})$"), list(_first))
_Loader.yaml_implicit_resolvers.setdefault("", []).append(("tag:yaml.org,2002:null", re.compile(r"^$")))


def _integer(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> int:
    text = str(loader.construct_scalar(node))
    return int(text, 16) if text.lower().startswith("0x") else int(text)


_Loader.add_constructor("tag:yaml.org,2002:int", _integer)


class Source:
    """A YAML file's content and the line of every key, for error messages."""

    def __init__(self, value: Any, lines: dict[KeyPath, int], name: str) -> None:
        self.value, self.lines, self.name = value, lines, name

    def where(self, path: KeyPath) -> str:
        """`file:line` of the deepest part of `path` that the file holds."""
        while path and path not in self.lines:
            path = path[:-1]
        return f"{self.name}:{self.lines.get(path, 1)}"


def read_file(path: Path) -> Source:
    """Reads a YAML file. Raises ConfigError with file:line for a missing file, bad YAML or a duplicate key."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(f"there is no file {path}", advice=_like(path)) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read the file: {error}", str(path)) from error
    return read_text(text, str(path))


def read_text(text: str, name: str) -> Source:
    """Reads YAML from `text`; `name` stands for the file in errors. The top level must be a mapping."""
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
        lines: dict[KeyPath, int] = {}
        if node is not None:
            _check(node, (), lines, name)
        value = loader.construct_document(node) if node is not None else {}
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"{name}:{mark.line + 1}" if mark else name
        raise ConfigError(f"not valid YAML: {error.problem or error.context}", where) from error
    except yaml.YAMLError as error:
        raise ConfigError(f"not valid YAML: {error}", name) from error
    finally:
        loader.dispose()
    if not isinstance(value, dict):
        raise ConfigError("the file must hold `key: value` pairs", f"{name}:1")
    return Source(value, lines, name)


def read_value(text: str) -> Any:
    """A value as on the right of `--set key=value`: `1e-3` is a float, `[a, b]` a list, plain words are strings."""
    return read_text(f"value: {text}", f"--set ...={text}").value["value"] if text.strip() else ""


def to_text(value: Any) -> str:
    """`value` as YAML, keys in their given order, floats exact."""
    return str(yaml.safe_dump(value, sort_keys=False, allow_unicode=True, default_flow_style=None, width=110))


def _check(node: yaml.Node, path: KeyPath, lines: dict[KeyPath, int], name: str) -> None:
    lines.setdefault(path, node.start_mark.line + 1)
    if isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            _check(item, (*path, index), lines, name)
    elif isinstance(node, yaml.MappingNode):
        seen: dict[Hashable, int] = {}
        for key_node, value_node in node.value:
            key, line = key_node.value, key_node.start_mark.line + 1
            if not isinstance(key, str):
                raise ConfigError("a key must be a plain word or number", f"{name}:{line}")
            if key in seen and key != "<<":
                raise ConfigError(
                    f"the key '{key}' stands twice", f"{name}:{line}", f"it is also on line {seen[key]}: remove one"
                )
            seen[key] = line
            lines[(*path, key)] = line
            _check(value_node, (*path, key), lines, name)


def _like(path: Path) -> str:
    from segsuite.errors import nearest

    there = [str(other) for other in path.parent.glob("*.y*ml")] if path.parent.is_dir() else []
    near = nearest(str(path), there)
    if near:
        return f"did you mean {near}?"
    return f"the folder {path.parent} holds: {', '.join(sorted(there)[:12])}" if there else "check the path"
