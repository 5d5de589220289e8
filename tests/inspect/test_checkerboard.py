"""`segsuite inspect --checkerboard`: its table, its JSON, its page and its errors."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from segsuite.cli import main

REPOSITORY = Path(__file__).resolve().parents[2]

Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    """Calls the command in an empty folder: exit code, output, errors."""
    monkeypatch.chdir(tmp_path)

    def calling(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        try:
            code = main(("inspect", *arguments))
        except SystemExit as end:
            code = int(end.code or 0)
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return calling


def rows(out: str) -> dict[str, dict[str, str]]:
    """Target -> column -> cell, of the table."""
    lines = out[: out.index("\nDCI:")].splitlines()
    names = re.split(r"\s{2,}", lines[0].strip())
    return {line.split()[0]: dict(zip(names, re.split(r"\s{2,}", line.strip()), strict=True)) for line in lines[1:]}


def test_the_table_has_a_row_for_each_target_in_order(call: Call) -> None:
    code, out, error = call("--checkerboard", "transposed_k3", "bilinear", "k3s2p1+k3s2p1", "--draws", "3")
    found = rows(out)
    assert (code, error) == (0, "")
    assert list(found) == ["transposed_k3", "bilinear", "k3s2p1+k3s2p1"]
    assert {name: row["factor"] for name, row in found.items()} == dict(zip(found, ["2", "2", "4"], strict=True))


def test_the_figures_of_bilinear_are_those_of_the_books(call: Call) -> None:
    found = rows(call("--checkerboard", "bilinear")[1])["bilinear"]
    expected = {"overlap CV": "0.0000", "DCI": "0", "IRR 0.25": "-47.8", "IRR 0.5": "-29.7", "order": "3+"}
    expected |= {"condition": "4", "shift px": "+0.00", "parameters": "0", "MACs/px": "0", "draws": "1"}
    assert {name: found[name] for name in expected} == expected


def test_the_overlap_of_kernel_3_is_uneven(call: Call) -> None:
    assert rows(call("--checkerboard", "transposed_k3", "--draws", "1")[1])["transposed_k3"]["overlap CV"] == "0.4843"


def test_standard_errors_are_told_where_there_are_some(call: Call) -> None:
    assert "largest standard errors: DCI 0." in call("--checkerboard", "transposed_k3", "--draws", "3")[1]
    assert "standard errors" not in call("--checkerboard", "bilinear")[1]


def test_options_reach_the_figures(call: Call) -> None:
    out = call("--checkerboard", "transposed_k2", "--channels", "4", "--factor", "4", "--draws", "2")[1]
    found = rows(out)["transposed_k2"]
    assert (found["factor"], found["parameters"], found["draws"]) == ("4", str(2 * (4 * 16 + 4)), "2")


def test_the_seed_decides(call: Call) -> None:
    outs = [call("--checkerboard", "transposed_k2", "--draws", "2", "--seed", seed)[1] for seed in ("1", "1", "2")]
    assert outs[0] == outs[1] != outs[2]


def test_json_holds_standard_errors_and_harmonics(call: Call) -> None:
    code, out, error = call("--checkerboard", "transposed_k3", "bilinear", "--draws", "3", "--json")
    found = json.loads(out)
    assert (code, error) == (0, "")
    assert [one["target"] for one in found] == ["transposed_k3", "bilinear"]
    assert found[0]["imbalance"]["draws"] == 3
    assert found[0]["imbalance"]["standard_error"] > 0
    shares = [one["share"] for one in found[0]["harmonics_carried"]]
    assert sum(shares) == pytest.approx(found[0]["imbalance"]["mean"])
    assert found[1]["harmonics_carried"] == []


def test_out_writes_a_page(call: Call) -> None:
    code, out, _ = call("--checkerboard", "bilinear", "--out", "new/page.html")
    assert (code, out.splitlines()[-1]) == (0, "written to new/page.html")
    assert Path("new/page.html").read_text("utf-8").startswith("<!doctype html>")


def test_an_own_module_of_the_current_folder_is_inspected(call: Call) -> None:
    Path("mine_here.py").write_text("from torch import nn\n\ndef up():\n    return nn.Upsample(scale_factor=2)\n")
    code, out, _ = call("--checkerboard", "module:mine_here:up", "--channels", "2")
    found = rows(out)["module:mine_here:up"]
    assert (code, found["DCI"], found["IRR 0.25"], found["order"]) == (0, "0", "-15.9", "1")


MISTAKES = {
    "nothing": ([], "nothing to look at"),
    "no target": (["--checkerboard"], "segsuite inspect --help"),
    "target": (["--checkerboard", "transposd_k4"], "did you mean 'transposed_k4'?"),
    "init": (["--checkerboard", "transposed_k4:bilinea"], "did you mean 'bilinear'?"),
    "option": (["--checkbord", "transposed_k4"], "did you mean '--checkerboard'?"),
    "module": (["--checkerboard", "module:nowhere.up:Up"], "there is no Python module 'nowhere'"),
    "draws": (["--checkerboard", "bilinear", "--draws", "0"], "--draws 0 is not in 1 to 1000"),
    "factor": (["--checkerboard", "transposed_k4", "--factor", "3"], "power of two"),
    "places": (["--checkerboard", "module:aligned:up"], "does not treat all places alike"),
    "a folder": (["--checkerboard", "bilinear", "--out", "."], "is a folder"),
    "no folder": (["--checkerboard", "bilinear", "--out", "aligned.py/x.html"], "that you may write to"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_told_with_what_where_and_what_to_do(call: Call, mistake: str) -> None:
    Path("aligned.py").write_text(
        "from torch import nn\n\n"
        "def up():\n    return nn.Upsample(scale_factor=2, mode='bilinear', align_corners=True)\n"
    )
    arguments, hint = MISTAKES[mistake]
    code, out, error = call(*arguments)
    assert (code, out) == (2, "")
    assert hint in error
    assert [line[:9] for line in error.splitlines()] == ["error: " + error[7:9], "  where: ", "  to do: "]
    assert "Traceback" not in error


@pytest.mark.parametrize("arguments", [["--help"], [], ["--checkerboard", "transposd_k4"]])
def test_help_and_mistakes_are_told_without_torch(arguments: list[str]) -> None:
    code = (
        "import sys; from segsuite.cli import main\n"
        "try:\n    main(sys.argv[1:])\nexcept SystemExit:\n    pass\n"
        "print('torch' in sys.modules)"
    )
    found = subprocess.run(
        [sys.executable, "-c", code, "inspect", *arguments],
        env={"PYTHONPATH": str(REPOSITORY), "PATH": ""},
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout.splitlines()[-1] == "False"


def test_an_interrupt_ends_without_a_traceback_and_without_a_page(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("segsuite.inspect.checkerboard.profile_of", interrupted)
    assert call("--checkerboard", "bilinear", "--out", "page.html") == (75, "", "")
    assert not Path("page.html").exists()
