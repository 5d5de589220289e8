"""segsuite.io.results: the one definition of a whole result.json."""

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from segsuite.io import results
from tests.results import WHOLE, whole_result


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of every value within `value`."""
    if path:
        yield path
    if isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from places(inner, (*path, key))


def changed(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    """A copy of `value` with `new` at `path`."""
    copied = copy.deepcopy(value)
    at = copied
    for key in path[:-1]:
        at = at[key]
    at[path[-1]] = new
    return copied


def test_a_whole_result_is_whole(tmp_path: Path) -> None:
    (tmp_path / "result.json").write_text(json.dumps(WHOLE))
    assert results.read(tmp_path) == WHOLE


@pytest.mark.parametrize("wrong", [float("nan"), float("inf"), "text", True, [1], {"a": "b"}, 10**400], ids=repr)
def test_no_value_of_another_kind_is_let_through(wrong: Any) -> None:
    for path in places(WHOLE):
        if not (isinstance(wrong, str) and path[-1] in ("split", "checkpoint")):
            assert results.fault(changed(WHOLE, path, wrong)), path


def test_what_every_reader_needs_must_be_there() -> None:
    for path in places(WHOLE):
        if path[0] != "class_scores" or len(path) < 3:
            lacking = copy.deepcopy(WHOLE)
            at: Any = lacking
            for key in path[:-1]:
                at = at[key]
            del at[path[-1]]
            assert results.fault(lacking) == f"{'.'.join(path)} is missing"


def test_nothing_measured_and_entries_of_later_versions_are_no_damage() -> None:
    assert results.fault(whole_result(scores={"miou": None}, tomorrow={"anything": [1, "two"]})) == ""


@pytest.mark.parametrize(
    "content",
    [
        b"", b"{", b"[]", b"null", b"\xff\xfe{}", json.dumps(WHOLE).encode()[:-40], json.dumps(WHOLE).encode("utf-16"),
        b'{"scores": NaN}', b"[" * 100_000, json.dumps(WHOLE).replace("1000", "1e400").encode(),
    ],
    ids=["empty", "cut", "list", "null", "not UTF-8", "cut late", "UTF-16", "NaN", "deep", "infinite"],
)  # fmt: skip
def test_damage_is_one_sentence_that_names_the_file(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "result.json").write_bytes(content)
    with pytest.raises(results.Damaged, match=r"^result\.json is (empty|damaged: [^\n]+)$"):
        results.read(tmp_path)
