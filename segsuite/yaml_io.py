"""The only reader of YAML: safe, no duplicate keys, YAML 1.2 scalars, and errors with file and line.

PyYAML implements YAML 1.1, where `1e-3` is a string, `no` and `on` are booleans, `010` is 8 and `12:30` is 750. Here
numbers are what one expects and only `true` and `false` are booleans.
"""

import re
from pathlib import Path
from typing import Any

import yaml

from segsuite.errors import ConfigError, nearest
from segsuite.io.reading import patiently
from segsuite.io.text_files import NotUtf8, utf8
from segsuite.io.yaml_faults import COMMENT, colour_as_comment, fault

KeyPath = tuple[str | int, ...]


# Nodes that aliases may repeat in all: enough for any experiment, far from what nested aliases ("billion laughs") make.
MOST_REPEATED = 10_000
PLAIN_TAGS = ("bool", "float", "int", "map", "null", "seq", "str")


class _Loader(yaml.SafeLoader):
    pass


_Loader.yaml_constructors = {
    tag: constructor
    for tag, constructor in yaml.SafeLoader.yaml_constructors.items()
    if tag is None or tag in {f"tag:yaml.org,2002:{name}" for name in PLAIN_TAGS}
}
_Loader.yaml_implicit_resolvers = {}
_PATTERNS: list[tuple[str, re.Pattern[str]]] = []
for _tag, _text, _first in (
    ("bool", r"true|false|True|False", "tfTF"),
    ("int", r"[-+]?[0-9]+|0x[0-9a-fA-F]+", "-+0123456789"),
    ("float", r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.inf|\.nan", "-+.0123456789"),
    ("null", r"~|null|Null|", "~nN"),
    ("merge", r"<<", "<"),
):
    # \Z: `$` would take a value that ends in a newline for a number.
    _PATTERNS.append((_tag, re.compile(rf"^(?:{_text})\Z")))
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", _PATTERNS[-1][1], list(_first))
_Loader.yaml_implicit_resolvers.setdefault("", []).append(("tag:yaml.org,2002:null", re.compile(r"^\Z")))


def _integer(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> int:
    return _whole_number(str(loader.construct_scalar(node)))


def _whole_number(text: str) -> int:
    return int(text, 16) if text.startswith("0x") else int(text)


_Loader.add_constructor("tag:yaml.org,2002:int", _integer)


class _Dumper(yaml.SafeDumper):
    # The reader's scalars: PyYAML's own would write the word `1e-3` without the quotes that keep it a word.
    yaml_implicit_resolvers = _Loader.yaml_implicit_resolvers

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _quoted(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    # PyYAML 6.0.3 writes a next-line character outside double quotes as a break, which is read as a space.
    style = "'" if _is_word_to_us_alone(text) else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style if text.isprintable() else '"')


def _is_word_to_us_alone(text: str) -> bool:
    """Whether readers of YAML 1.1 take a word for something else: `off` for false, `12:30` for 750, a date."""
    resolvers = yaml.SafeLoader.yaml_implicit_resolvers.get(text[:1], [])
    return text.lower() in ("y", "n") or any(pattern.match(text) for _, pattern in resolvers)


_Dumper.add_representer(str, _quoted)


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
        text = utf8(patiently(path.read_bytes))
    except FileNotFoundError:
        raise ConfigError(f"there is no file {path}", f"the folder {path.parent.resolve()}", similar(path)) from None
    except NotUtf8 as error:
        advice = "name a YAML file, saved as UTF-8"
        raise ConfigError(f"the file cannot be read: {error.what}", f"{path}:{error.line}", advice) from None
    except OSError as error:
        raise ConfigError(f"cannot read the file: {error.strerror}", str(path), "name a YAML file") from error
    return read_text(text, str(path))


def read_text(text: str, name: str) -> Source:
    """Reads YAML from `text`; `name` stands for the file in errors. The top level must be a mapping."""
    value, lines = _parse(text, name)
    value = {} if value is None else value
    if not isinstance(value, dict):
        advice = "write a space after each colon" if re.match(r"[\w.]+:\S", text) else "see the experiments/ folder"
        raise ConfigError("the file must hold `key: value` pairs", f"{name}:1", advice)
    return Source(value, lines, name)


def read_value(text: str, name: str = "--set") -> Any:
    """A value as on the right of `--set key=value`: `1e-3` is a float, `[a, b]` a list, plain words are strings, and so
    are patterns of files, which a YAML file has in quotes.

    >>> read_value("1e-3"), read_value("[no, 010]"), read_value(""), read_value("{split}/*.png")
    (0.001, ['no', 10], '', '{split}/*.png')
    """
    plain = text.strip()
    if not plain or re.match(r"[*#]|\{split\}", plain):
        return plain
    value = _parse(text, name)[0]
    # No comments on a command line: ` #1` is part of what is meant.
    return plain if isinstance(value, str) and plain.startswith(f"{value} ") and "#" in plain else value


def to_text(value: Any) -> str:
    """`value` as YAML, keys in their given order, floats exact."""
    dumped = yaml.dump(value, None, _Dumper, sort_keys=False, allow_unicode=True, default_flow_style=None, width=110)
    return str(dumped)


def in_line(value: Any) -> str:
    """`value` as YAML in one line.

    >>> in_line({"name": "sgd", "momentum": 0.5}), in_line([1, 2]), in_line(None), in_line("5")
    ('{name: sgd, momentum: 0.5}', '[1, 2]', 'null', "'5'")
    """
    dumped = str(
        yaml.dump(value, None, _Dumper, sort_keys=False, allow_unicode=True, default_flow_style=True, width=1e9)
    )
    return dumped.removesuffix("\n").removesuffix("\n...")


def _parse(text: str, name: str) -> tuple[Any, dict[KeyPath, int]]:
    """The plain value in `text`, and the line of every key."""
    if (line := colour_as_comment(text)) is not None:
        what = "a # begins a comment, so that this colour is not read"
        raise ConfigError(what, f"{name}:{line}", 'put the colour in quotes: "#ff0000": NAME')
    loader: _Loader | None = None
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        checked = _Checked(name)
        if node is not None:
            checked.add(node, (), ())
        return (loader.construct_document(node) if node is not None else None), checked.lines
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        if re.search("stream end|end of stream", error.problem or "") and error.context_mark is not None:
            mark = error.context_mark  # where the bracket or quote stands that is never closed, not the file's end
        lines, number = text.splitlines(), mark.line if mark else 0
        if error.context_mark is not None and error.problem_mark is not None and "flow" in (error.context or ""):
            # A comment within brackets hides what closes them, and the parser stumbles some lines below.
            within = range(error.context_mark.line, min(error.problem_mark.line + 1, len(lines)))
            number = next((at for at in within if COMMENT.search(lines[at])), number)
        what, advice = fault(error.problem or error.context or "", lines[number] if number < len(lines) else "")
        raise ConfigError(what, f"{name}:{number + 1}", advice) from error
    except yaml.reader.ReaderError as error:
        what = f"the character U+{ord(text[error.position]):04X} is not allowed"
        raise ConfigError(what, f"{name}:{text.count(chr(10), 0, error.position) + 1}", "remove it") from error
    except RecursionError:
        raise ConfigError("the YAML is nested too deeply", f"{name}:1", "use less nesting") from None
    finally:
        if loader is not None:
            loader.dispose()


class _Checked:
    """Walks the nodes before values are made of them: the line of each key, no key twice, no runaway aliases."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.lines: dict[KeyPath, int] = {}
        self._seen: set[int] = set()
        self._repeated = 0

    def add(self, node: yaml.Node, path: KeyPath, above: tuple[yaml.Node, ...]) -> None:
        """Adds `node`, which stands at `path` and inside the nodes `above`."""
        line = node.start_mark.line + 1
        self._check_alias(node, above, line)
        self.lines.setdefault(path, line)
        within = (*above, node)
        if isinstance(node, yaml.SequenceNode):
            for index, item in enumerate(node.value):
                self.add(item, (*path, index), within)
        elif isinstance(node, yaml.MappingNode):
            # Own keys before those of `<<`, which they override.
            for key, line, value in sorted(self._own(node), key=lambda item: item[0] == "<<"):
                if key == "<<":
                    for merged in value.value if isinstance(value, yaml.SequenceNode) else [value]:
                        self.add(merged, path, within)
                else:
                    self.lines.setdefault((*path, key), line)
                    self.add(value, (*path, key), within)
        else:
            self._check_scalar(node, line)

    def _own(self, node: yaml.MappingNode) -> list[tuple[str | int, int, yaml.Node]]:
        seen: dict[str | int, int] = {}
        found = []
        for key_node, value_node in node.value:
            text, line = key_node.value, key_node.start_mark.line + 1
            kind = key_node.tag.rsplit(":", 1)[-1]
            if not isinstance(text, str) or kind not in ("str", "int", "merge"):
                shown = f"'{text}' cannot be a key" if isinstance(text, str) else "a list or mapping cannot be a key"
                raise ConfigError(shown, f"{self.name}:{line}", "a key is a word or a whole number: put it in quotes")
            self._check_scalar(key_node, line)
            key = _whole_number(text) if kind == "int" else text
            if key in seen:
                raise ConfigError(
                    f"the key '{key}' appears twice",
                    f"{self.name}:{line}",
                    f"it is also on line {seen[key]}: remove one",
                )
            seen[key] = line
            found.append((key, line, value_node))
        return found

    def _check_alias(self, node: yaml.Node, above: tuple[yaml.Node, ...], line: int) -> None:
        if any(node is other for other in above):
            raise ConfigError("an alias (*) stands inside its own anchor (&)", f"{self.name}:{line}", "write it out")
        self._repeated += id(node) in self._seen
        self._seen.add(id(node))
        if self._repeated > MOST_REPEATED:
            what = f"aliases (*) repeat more than {MOST_REPEATED} values"
            raise ConfigError(what, f"{self.name}:{line}", "write out what is needed")

    def _check_scalar(self, node: yaml.Node, line: int) -> None:
        kind = node.tag.rsplit(":", 1)[-1]
        if kind in ("int", "float", "bool", "null") and not any(
            pattern.match(node.value) for tag, pattern in _PATTERNS if tag == kind
        ):
            raise ConfigError(f"{node.value[:80]!r} is not a {kind}", f"{self.name}:{line}", "remove the tag (!!)")
        if kind == "int" and len(node.value) > 40:
            raise ConfigError(f"a number of {len(node.value)} digits", f"{self.name}:{line}", "write a smaller one")


def similar(path: Path) -> str:
    """What to do about a file that is not there: the nearest name in its folder, or the names that are there."""
    there = sorted(path.parent.glob("*.y*ml")) if path.parent.is_dir() else []
    # By their names alone: the folders, and the ending, are alike whatever they are.
    near = nearest(path.stem, [other.stem for other in there], likeness=0.7)
    if near:
        return f"did you mean {next(other for other in there if other.stem == near)}?"
    listed = ", ".join(str(other) for other in there[:12])
    return f"the folder {path.parent} holds: {listed}" if there else "check the path"
