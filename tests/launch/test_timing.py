"""benchmarks/timing.py: ratios are taken round by round, in turn, and shown with their spread."""

import importlib.util
import json
import sys
from argparse import Namespace
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture(scope="module")
def timing() -> ModuleType:
    path = Path(__file__).resolve().parents[2] / "benchmarks" / "timing.py"
    spec = importlib.util.spec_from_file_location("benchmark_timing", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_functions_are_called_in_turn_and_the_order_turns(timing: ModuleType) -> None:
    called: list[str] = []
    timing.side_by_side({name: lambda name=name: called.append(name) for name in "ab"}, rounds=3, warmup=0)
    assert called == list("abbaab")


def test_a_function_may_tell_its_own_seconds(timing: ModuleType) -> None:
    assert timing.side_by_side({"a": lambda: 7.0}, rounds=2) == {"a": [7.0, 7.0]}


def test_ratios_are_medians_round_by_round_so_that_a_slow_round_does_not_count(timing: ModuleType) -> None:
    table = timing.Table("T", "ms", "a", {"row": {"a": [1.0, 1.0, 100.0], "b": [2.0, 2.0, 200.0]}})
    assert table.to_json()["rows"]["row"]["b"]["ratio"] == 2.0


def test_quartiles_need_four_rounds(timing: ModuleType) -> None:
    def cell(rounds: int) -> str:
        values = [float(value) for value in range(1, rounds + 1)]
        table = timing.Table("T", "ms", "a", {"row": {"a": [1.0] * rounds, "b": values}})
        return str(table.to_markdown().splitlines()[-1].split("|")[3]).strip()

    assert cell(3) == "2 (**2.00**)"
    assert cell(5) == "3 (**3.00**, 2.00 to 4.00)"


def test_nothing_is_divided_by_memory_that_was_there_before(timing: ModuleType) -> None:
    table = timing.Table("T", "MiB", "a", {"row": {"a": [0.0], "b": [4.0]}})
    assert table.to_json()["rows"]["row"]["b"]["ratio"] is None
    assert "| 4 " in table.to_markdown()


def test_a_form_that_a_row_does_not_have_is_an_empty_cell(timing: ModuleType) -> None:
    rows = {"one": {"a": [1.0], "b": [2.0]}, "two": {"a": [1.0], "c": [3.0]}}
    table = timing.Table("T", "ms", "a", rows)
    assert table.forms == ["a", "b", "c"]
    lines = table.to_markdown().splitlines()
    assert len({line.count("|") for line in lines[2:]}) == 1
    assert [cell.strip() for cell in lines[-1].split("|")[1:-1]] == ["two", "1", "", "3 (**3.00**)"]


def test_json_names_the_machine_and_holds_every_time(timing: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    table = timing.Table("T", "ms", "a", {"row": {"a": [1.0, 3.0]}})
    timing.show("name", Namespace(json=True, threads=1, rounds=2), [table], ["a note"])
    found = json.loads(capsys.readouterr().out)
    assert found["benchmark"] == "name"
    assert found["machine"]["threads"] == 1
    assert found["tables"][0]["rows"]["row"]["a"]["values"] == [1.0, 3.0]
    assert found["notes"] == ["a note"]
