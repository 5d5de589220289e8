"""Options may stand between the words of a command."""

import pytest

from segsuite.cli import build_parser


def test_words_of_a_list_may_come_after_an_option() -> None:
    parser = build_parser()
    for words in (["evaluate", "e.yaml", "--split", "val", "1a", "2b"], ["evaluate", "e.yaml", "1a", "--json", "2b"]):
        assert parser.parse_args(words).trial == ["1a", "2b"]
    assert parser.parse_args(["predict", "9f", "a.png", "--out", "x", "b.png"]).images == ["a.png", "b.png"]
    with pytest.raises(SystemExit):
        parser.parse_args(["evaluate", "e.yaml", "1a", "--josn"])
    with pytest.raises(SystemExit):
        parser.parse_args(["plan", "e.yaml", "--json", "1a"])
