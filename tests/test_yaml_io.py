"""segsuite.yaml_io: scalars mean what a reader expects, every error has its line, no text can run code or hang."""

import re
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from segsuite import yaml_io
from segsuite.errors import ConfigError


def read(text: str) -> dict[str, Any]:
    return dict(yaml_io.read_text(text, "e.yaml").value)


def refused(text: str) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        yaml_io.read_text(text, "e.yaml")
    assert caught.value.what
    assert caught.value.where
    assert caught.value.advice
    assert "\n" not in caught.value.what
    return caught.value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 0.001),
        ("2E5", 200000.0),
        ("1.", 1.0),
        (".5", 0.5),
        ("-1.5e+2", -150.0),
        ("010", 10),
        ("+7", 7),
        ("0x1f", 31),
        ("true", True),
        ("False", False),
        ("null", None),
        ("~", None),
        ("", None),
        ("no", "no"),
        ("on", "on"),
        ("off", "off"),
        ("yes", "yes"),
        ("y", "y"),
        ("12:30", "12:30"),
        ("12:30:45", "12:30:45"),
        ("2024-01-02", "2024-01-02"),
        ("2001-12-14 21:59:43.10 -5", "2001-12-14 21:59:43.10 -5"),
        ("1_000", "1_000"),
        ("'1e-3'", "1e-3"),
        ("[no, 010, 1e-3]", ["no", 10, 0.001]),
        ("!!str 5", "5"),
        ("!!int 010", 10),
    ],
)
def test_a_scalar_means_what_it_looks_like(text: str, value: Any) -> None:
    found = read(f"key: {text}")["key"]
    assert (found, type(found)) == (value, type(value))


def test_a_number_that_ends_in_a_newline_is_a_text() -> None:
    assert read('key: !!str "5\\n"') == read('key: "5\\n"') == {"key": "5\n"}


@pytest.mark.parametrize("word", ["no", "on", "off", "yes", "2024-01-02"])
def test_a_word_stays_a_word_as_a_key(word: str) -> None:
    assert read(f"{word}: 1") == {word: 1}


def test_whole_numbers_may_be_keys() -> None:
    assert read("values: {0: sky, 255: void}") == {"values": {0: "sky", 255: "void"}}


@given(st.floats(allow_nan=False))
def test_a_written_float_is_read_back_exactly(value: float) -> None:
    assert read(yaml_io.to_text({"key": value})) == {"key": value}


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(st.text(), plain, max_size=4))
def test_what_is_written_is_read_back(value: dict[str, Any]) -> None:
    assert read(yaml_io.to_text(value)) == value


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("a: 1\nb: 2\na: 3\n", (3, 1)),
        ("a:\n  b:\n    c: 1\n    d: 2\n    c: 3\n", (5, 3)),
        ("a:\n- x: 1\n- y: 1\n  z: 2\n  y: 3\n", (5, 3)),
        ("a: 1\n'a': 2\n", (2, 1)),
        ("v:\n  10: a\n  010: b\n", (3, 2)),
    ],
)
def test_a_key_that_stands_twice_is_refused_with_both_lines(text: str, lines: tuple[int, int]) -> None:
    error = refused(text)
    assert "appears twice" in error.what
    assert (error.where, f"line {lines[1]}:" in error.advice) == (f"e.yaml:{lines[0]}", True)


@pytest.mark.parametrize(
    "value",
    [
        "!!python/object/apply:os.system ['touch pwned']",
        "!!python/name:os.system",
        "!!python/tuple [1, 2]",
        "!unknown 1",
        "!!timestamp 2024-01-02",
        "!!binary aGVsbG8=",
        "!!set {a, b}",
    ],
)
def test_a_tag_that_is_not_plain_is_refused(value: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    error = refused(f"a: 1\nb: {value}\n")
    assert error.where == "e.yaml:2"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("value", ["!!int abc", "!!float abc", "!!bool maybe", "!!null x", "9" * 5000])
def test_a_value_that_its_type_cannot_hold_is_refused(value: str) -> None:
    assert refused(f"a: 1\nb: {value}\n").where == "e.yaml:2"


@pytest.mark.parametrize("key", ["true", "null", "1.5", "[a, b]", "{a: b}", "? [a]\n"])
def test_a_key_that_is_no_word_is_refused(key: str) -> None:
    assert refused(f"a: 1\n{key}: 2\n").where == "e.yaml:2"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a: 1\nb: [1, 2\n", 2),
        ("a: 1\n\tb: 2\n", 2),
        ("a: 1\nb: 'x\n", 2),
        ("a: b: c\n", 1),
        ("a: 1\nb: *nothing\n", 2),
        ("a: 1\n---\nb: 2\n", 2),
        ("a: 1\nb: \x07\n", 2),
        ("- a\n- b\n", 1),
        ("only a sentence\n", 1),
    ],
)
def test_bad_yaml_is_refused_with_its_line(text: str, line: int) -> None:
    assert refused(text).where == f"e.yaml:{line}"


@pytest.mark.parametrize("text", ["", "\n\n", "# only a comment\n", "---\n", "~\n"])
def test_an_empty_file_is_an_empty_mapping(text: str) -> None:
    assert read(text) == {}


def test_a_byte_order_mark_is_no_part_of_the_first_key() -> None:
    assert read("\ufeffa: 1\n") == {"a": 1}


@pytest.mark.parametrize("text", ["a: &x [*x]\n", "a: &x {b: *x}\n", "a: &x\n  b: [1, {c: *x}]\n", "a: &x {<<: *x}\n"])
def test_an_alias_inside_its_own_anchor_is_refused(text: str) -> None:
    assert "own anchor" in refused(text).what


def laughs(item: str) -> str:
    """Ten anchors, each of which repeats the one before nine times."""
    lines = [f"a0: &a0 {item.format('1')}"]
    lines += [f"a{n}: &a{n} {item.format(', '.join([f'*a{n - 1}'] * 9))}" for n in range(1, 11)]
    return "\n".join(lines)


@pytest.mark.parametrize("item", ["[{}]", "{{<<: [{}]}}"])
def test_a_billion_laughs_are_refused_at_once(item: str) -> None:
    text = laughs(item) if "<<" not in item else laughs(item).replace("{<<: [1]}", "{x: 1}")
    started = time.monotonic()
    assert "repeat more than" in refused(text).what
    assert time.monotonic() - started < 60


def test_a_hundred_thousand_brackets_are_refused() -> None:
    assert "too deeply" in refused("a: " + "[" * 100_000).what


def test_aliases_of_ordinary_use_are_read() -> None:
    text = "base: &base {lr: 1e-3, epochs: 5}\nlong:\n  <<: *base\n  epochs: 9\nlist: [*base, *base]\n"
    value = read(text)
    assert value["long"] == {"lr": 0.001, "epochs": 9}
    assert value["list"] == [value["base"]] * 2


def test_where_is_the_line_of_the_key() -> None:
    source = yaml_io.read_text("a:\n  b:\n    [1,\n     2]\nc: 3\n", "e.yaml")
    places = [source.where(path) for path in (("a",), ("a", "b"), ("a", "b", 1), ("c",))]
    assert places == ["e.yaml:1", "e.yaml:2", "e.yaml:4", "e.yaml:5"]


def test_where_falls_back_to_the_nearest_part_that_the_file_holds() -> None:
    source = yaml_io.read_text("x: 0\na:\n  b: 1\n", "e.yaml")
    assert source.where(("a", "missing", 3)) == "e.yaml:2"


def test_where_of_a_merged_key_is_where_it_is_written() -> None:
    source = yaml_io.read_text("base: &b\n  lr: 1\n  n: 2\nuse:\n  <<: *b\n  n: 3\n", "e.yaml")
    assert (source.where(("use", "lr")), source.where(("use", "n"))) == ("e.yaml:2", "e.yaml:6")


def test_a_missing_file_names_the_nearest_one(tmp_path: Path) -> None:
    (tmp_path / "quickstart.yaml").write_text("a: 1\n")
    with pytest.raises(ConfigError, match=r"quickstrat\.yaml") as caught:
        yaml_io.read_file(tmp_path / "quickstrat.yaml")
    assert caught.value.advice == f"did you mean {tmp_path / 'quickstart.yaml'}?"
    assert str(tmp_path) in caught.value.where


@pytest.mark.parametrize("content", [b"\x89PNG\r\n\x1a\n\x00", b"a: \xff\xfe\n"])
def test_a_file_that_is_no_text_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "e.yaml").write_bytes(content)
    with pytest.raises(ConfigError, match=r"not UTF-8|zero bytes"):
        yaml_io.read_file(tmp_path / "e.yaml")


@pytest.mark.parametrize("name", ["", "x" * 300 + ".yaml"])
def test_what_cannot_be_opened_is_a_config_error(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError):
        yaml_io.read_file(tmp_path / name)


@pytest.mark.parametrize(
    ("text", "value"), [("1e-3", 0.001), ("[a, no]", ["a", "no"]), ("{b: 1}", {"b": 1}), ("", ""), ("no", "no")]
)
def test_a_value_of_set_is_read_as_in_a_file(text: str, value: Any) -> None:
    assert yaml_io.read_value(text) == value


def test_a_value_of_set_cannot_bring_in_another_key() -> None:
    with pytest.raises(ConfigError):
        yaml_io.read_value("5\nseeds: [1]")


def test_numbers_differ_from_yaml_1_1_only_where_it_surprises() -> None:
    text = "{a: 1, b: -2.5, c: 1.0e+3, d: [true, null], e: word}"
    assert read(f"k: {text}")["k"] == yaml.safe_load(text)


@pytest.mark.parametrize("word", ["off", "on", "yes", "No", "y", "n", "12:30", "2026-01-01", "010", "1_000"])
def test_words_are_words_to_readers_of_yaml_1_1_too(word: str) -> None:
    """`deterministic: off` in trial.yaml was False to other programs."""
    written = yaml_io.to_text({"key": word, "list": [word]})
    assert yaml.safe_load(written) == {"key": word, "list": [word]}
    assert re.search(rf"key: ['\"]{word}['\"]", written), written
