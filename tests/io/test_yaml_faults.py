"""What people get wrong in a YAML is told in a sentence with its line, not in the parser's words."""

import pytest

from segsuite import yaml_io
from segsuite.errors import ConfigError

# Text -> line, what is said, what is advised.
FAULTS: dict[str, tuple[int, str, str]] = {
    "images: {split}/images/*.png": (1, "a value that begins with { is a mapping", "'{split}/images/*.png'"),
    "a: [{split}/x, y]": (1, "a value that begins with { is a mapping", "'{split}/x'"),
    "a: 1\nimages: *.png": (2, "a value cannot begin with *", "'*.png'"),
    "images: **/*.png": (1, "a value cannot begin with *", "'**/*.png'"),
    "q: @x": (1, "a value cannot begin with @", "'@x'"),
    "q: `x`": (1, "a value cannot begin with `", "'`x`'"),
    "q: 100 %\nr: %x": (2, "a value cannot begin with %", "'%x'"),
    "a: *nothing": (1, "a value cannot begin with *", "'*nothing'"),
    "values: {#ff0000: leaf}": (1, "a # begins a comment", '"#ff0000": NAME'),
    "values:\n  0: a\n  #00FF00: leaf\n": (3, "a # begins a comment", '"#ff0000": NAME'),
    "values: {0: a, #00ff00: b}": (1, "a # begins a comment", '"#ff0000": NAME'),
    "classes: [sky #1, road]": (1, "what follows a # after a space is a comment", "put it in quotes"),
    "classes: [a, #b]\nroot: x": (1, "what follows a # after a space is a comment", "put it in quotes"),
    "data:\n  classes: [a, #b]\n  root: x\nmodel: {a: 1}": (2, "what follows a # after a space is", "in quotes"),
    "x: [a,\n  b #c]\ny: 2\n": (2, "what follows a # after a space is a comment", "put it in quotes"),
    "x: {a: 1, #b}\ny: 1": (1, "what follows a # after a space is a comment", "put it in quotes"),
    "x: ['#a', b]\ny: [a b: c: d]": (2, "not valid YAML", "check the indentation, colons and quotes"),
    "a:\n\tb: 1": (2, "there is a tab where YAML takes only spaces", "replace each tab by spaces"),
    "a:\tb": (1, "there is a tab where YAML takes only spaces", "replace each tab by spaces"),
    "a:\n  b: 1\n\tc: 2": (3, "there is a tab where YAML takes only spaces", "replace each tab by spaces"),
    "name: a: b": (1, "a colon is not allowed here", "put it in quotes"),
    "a: 1\n b: 2": (2, "a colon is not allowed here", "check the indentation"),
    "  a: 1\nb: 2": (2, "indented differently", "indent them alike"),
    "a: [1, 2": (1, "a bracket that begins here is never closed", "close it"),
    "a: {b: 1": (1, "a brace that begins here is never closed", "close it"),
    "a: 'x\nb: 1": (1, "a quote that begins here is never closed", "close it"),
    'root: "C:\\data"': (1, "a backslash within double quotes is an escape", "use single quotes"),
    "a: - b": (1, "a list begins in the middle of a line", "on a line of its own"),
    "a: 1\na: 2": (2, "the key 'a' appears twice", "it is also on line 1"),
    "x: {1: a, 1: b}": (1, "the key '1' appears twice", "remove one"),
    "name:e": (1, "the file must hold `key: value` pairs", "a space after each colon"),
}


@pytest.mark.parametrize("text", FAULTS)
def test_a_fault_is_told_with_its_line_and_what_to_write(text: str) -> None:
    line, what, advice = FAULTS[text]
    with pytest.raises(ConfigError) as caught:
        yaml_io.read_text(text, "e.yaml")
    assert what in caught.value.what
    assert caught.value.where == f"e.yaml:{line}"
    assert advice in caught.value.advice


GOOD: dict[str, object] = {
    "b: &x 1\na: *x": {"b": 1, "a": 1},
    'values: {"#ff0000": leaf}': {"values": {"#ff0000": "leaf"}},
    "values:\n  # a remark\n  '#00ff00': b\n": {"values": {"#00ff00": "b"}},
    "a: 5  #ff0000 is red": {"a": 5},
    "images: '{split}/*.png'": {"images": "{split}/*.png"},
}


@pytest.mark.parametrize("text", GOOD)
def test_what_is_right_is_read(text: str) -> None:
    assert yaml_io.read_text(text, "e.yaml").value == GOOD[text]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_utf_8_is_read_with_and_without_a_mark(tmp_path, encoding: str) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "e.yaml").write_text("question: caf\u00e9?\n", encoding=encoding)
    assert yaml_io.read_file(tmp_path / "e.yaml").value == {"question": "caf\u00e9?"}


@pytest.mark.parametrize(
    ("encoding", "what"), [("latin-1", "not UTF-8 (the byte 0xe9"), ("utf-16", "UTF-16, not UTF-8")]
)
def test_another_encoding_is_told_by_its_name(tmp_path, encoding: str, what: str) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "e.yaml").write_text("name: e\nquestion: caf\u00e9?\n", encoding=encoding)
    with pytest.raises(ConfigError) as caught:
        yaml_io.read_file(tmp_path / "e.yaml")
    assert what in caught.value.what
    assert caught.value.where == f"{tmp_path / 'e.yaml'}:{2 if encoding == 'latin-1' else 1}"
    assert "UTF-8" in caught.value.advice


@pytest.mark.parametrize("text", ["{split}/images/*", "*.png", "**/*.png", "#ff0000", "what is #1?", "a #b"])
def test_on_the_command_line_patterns_and_hashes_are_text(text: str) -> None:
    assert yaml_io.read_value(text) == text
