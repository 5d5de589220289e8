"""`segsuite inspect TARGET`: tables, JSON, the page, and errors of a user."""

import html
import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from segsuite.cli import main

Call = Callable[..., tuple[int, str, str]]

EXPERIMENT = """\
name: tiny
question: How much does the upsampler cost?
data: {name: camvid, root: nowhere/camvid}
model: {name: fcn, variant: plain, stride: 8, encoder: mobilenetv3_small_100, weights: imagenet}
augment: {crop: [64, 96]}
train: {batch_size: 3}
compare: {model.upsampler: [transposed_k2, nearest_conv]}
seeds: [0, 1]
baseline: {model.upsampler: nearest_conv}
"""
FOLDER = """\
data: {name: folder, root: nowhere, classes: [a, b, c], images: "*.png", masks: "*.png", fractions: {train: 1}}
model: {name: fcn, variant: plain, stride: 8, encoder: mobilenetv3_small_100}
"""


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    """Calls the command in a folder that holds e.yaml: exit code, output, errors."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "e.yaml").write_text(EXPERIMENT)
    (tmp_path / "folder.yaml").write_text(FOLDER)
    (tmp_path / "stack.yaml").write_text("layers:\n  - conv 11 s4 p2 64\n  - pool 3 s2\n")

    def calling(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        try:
            code = main(("inspect", *arguments))
        except SystemExit as end:
            code = int(end.code or 0)
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return calling


def test_a_stack_prints_a_row_a_layer_and_the_totals(call: Call) -> None:
    code, out, error = call("stack.yaml")
    rows = [re.split(r"\s{2,}", line.strip()) for line in out.strip().splitlines()]
    assert (code, error) == (0, "")
    assert rows[0] == ["layer", "what", "channels", "size", "stride", "field", "start", "parameters", "multiply-adds"]
    assert rows[1] == ["conv1", "conv 11x11 s4", "64", "55x55", "4", "11", "3.5", "23,296", "70,276,800"]
    assert rows[2] == ["pool1", "pool 3x3 s2", "64", "27x27", "8", "19", "7.5", "0", "0"]
    assert rows[3][-2:] == ["23,296", "70,276,800"]


def test_the_size_may_be_given(call: Call) -> None:
    assert " 15x31 " in call("stack.yaml", "--size", "64", "128")[1]


def test_every_arm_of_an_experiment_is_explained_without_its_data_or_weights(call: Call) -> None:
    code, out, error = call("e.yaml")
    assert (code, error) == (0, "")
    table, *arms = out.split("\n\nupsampler=")
    lines = table.splitlines()
    assert lines[1].startswith("upsampler=transposed_k2 ")
    assert re.match(r"upsampler=nearest_conv \(baseline\)", lines[2])
    assert "-" in lines[1]
    assert [arm.split("\n")[0] for arm in arms] == ["transposed_k2", "nearest_conv"]
    assert all("for an image of 360 x 480" in arm and "3 images of 64 x 96" in arm for arm in arms)


def test_one_arm_is_shown_with_its_layers(call: Call) -> None:
    code, out, _ = call("e.yaml", "--arm", "upsampler=transposed_k2")
    assert code == 0
    assert re.search(r"core\.steps\.0\.upsampler\.steps\.0 +transposed 2x2 s2 ", out)


def test_json_holds_every_figure(call: Call) -> None:
    code, out, _ = call("e.yaml", "--json", "--batch", "2")
    answer = json.loads(out)
    assert code == 0
    assert [(arm["arm"], arm["baseline"]) for arm in answer["arms"]] == [
        ("upsampler=transposed_k2", False),
        ("upsampler=nearest_conv", True),
    ]
    for arm in answer["arms"]:
        assert arm["memory"]["training_shape"] == [2, 3, 64, 96]
        assert arm["parameters"] == sum(layer["parameters"] for layer in arm["layers"])
        assert arm["multiply_adds"] == sum(block["multiply_adds"] for block in arm["blocks"])
        assert arm["field"]["rows"]["size"] > arm["encoder_field"]["rows"]["size"] - 1


def test_settings_may_be_overridden(call: Call) -> None:
    fields = [
        json.loads(call("e.yaml", "--json", *options)[1])["arms"][0]["encoder_field"]["rows"]["size"]
        for options in ([], ["--set", "model.stride=16"])
    ]
    assert fields[0] < fields[1]


def test_a_model_is_named_with_what_is_assumed(call: Call) -> None:
    code, out, _ = call("UNET", "--set", "model.encoder=mobilenetv3_small_100", "--size", "64", "64")
    assert code == 0
    assert "core.head" in out
    assert "classes and size of camvid" in out


def test_the_page_holds_everything_and_asks_nothing_of_any_network(call: Call, tmp_path: Path) -> None:
    code, out, _ = call("e.yaml", "--out", "page.html")
    page = (tmp_path / "page.html").read_text("utf-8")
    without_scripts = html.unescape(re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL))
    assert code == 0
    assert out.endswith("written to page.html\n")
    assert "default-src 'none'" in without_scripts
    assert not re.findall(r"(?:src|href)=\"(?!data:)", without_scripts)
    assert "How much does the upsampler cost?" in without_scripts
    assert re.findall(r"<h2>(.*?)</h2>", page) == [
        "The arms side by side",
        "upsampler=transposed_k2",
        "upsampler=nearest_conv (baseline)",
    ]
    data = json.loads(re.search(r'id="data">(.*?)</script>', page, re.DOTALL)[1])  # type: ignore[index]
    assert set(data["figures"]) == {"inspect-arms", "inspect-depth", "inspect-0-blocks", "inspect-1-blocks"}


def test_images_of_a_folder_need_a_size(call: Call) -> None:
    code, _, error = call("folder.yaml")
    assert code == 2
    assert "do not tell how large the images are" in error
    assert "folder.yaml:1" in error
    assert "--size HEIGHT WIDTH" in error
    assert call("folder.yaml", "--size", "64", "64")[0] == 0


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], ["nothing to look at", "segsuite inspect vgg16"]),
        (["vgg61"], ["unknown network 'vgg61'; did you mean 'vgg16'?"]),
        (["nothing_like_it"], ["unknown network 'nothing_like_it'", "a YAML with layers"]),
        (["stak.yaml"], ["there is no file stak.yaml", "did you mean stack.yaml?"]),
        (["z.yaml"], ["there is no file z.yaml", "holds: e.yaml, folder.yaml, stack.yaml"]),
        (["e.yaml", "--arm", "nearest"], ["unknown arm 'nearest'", "segsuite plan"]),
        (["e.yaml", "--set", "model.stide=16"], ["did you mean 'stride'?"]),
        (["stack.yaml", "--set", "a=b"], ["a stack of layers has no settings"]),
        (["stack.yaml", "--size", "4", "4"], ["nothing is left for layer 'conv1'", "stack.yaml:2", "--size H W"]),
        (["stack.yaml", "--size", "0", "4"], ["--size 0 4 is not 1 to"]),
        (["stack.yaml", "--batch", "0"], ["--batch 0 is not in 1 to 4096"]),
        (["stack.yaml", "--out", "."], ["is a folder"]),
    ],
)
def test_errors_say_what_where_and_what_to_do(call: Call, arguments: list[str], told: list[str]) -> None:
    code, out, error = call(*arguments)
    assert (code, out) == (2, "")
    assert all(part in error for part in told), error
    assert "Traceback" not in error
