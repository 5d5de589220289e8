"""`segsuite encoders`: the table, one row, and names that are not in it."""

import json

import pytest

from segsuite.cli import main
from segsuite.encoders import TABLE


def test_the_listing_has_a_line_a_row(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["encoders"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split()[:3] == ["name", "family", "library"]
    assert [line.split()[0] for line in lines[1:-1]] == list(TABLE)
    assert "unproved" in lines[-1]


def test_json_has_every_field_of_every_row(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["encoders", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [one["name"] for one in found] == list(TABLE)
    assert found[0] == {
        "name": "tv-alexnet",
        "proved": True,
        "family": "AlexNet",
        "library": "torchvision",
        "strides": [4, 8, 16, 32],
        "channels": [64, 192, 256, 256],
        "output_strides": [8, 16, 32],
        "licence": "not stated",
        "mean_std": "imagenet",
        "sizes": "ceil",
        "offsets": [-1.5, -3.5, -7.5, -15.5],
        "weights": "https://download.pytorch.org/models/alexnet-owt-7be5be79.pth",
    }


def test_one_encoder_is_described(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["encoders", "tu-resnet50d"]) == 0
    lines = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines() if "  " in line)
    assert (lines["name"], lines["strides"], lines["licence"]) == ("tu-resnet50d", "2 4 8 16 32", "Apache-2.0")


@pytest.mark.parametrize(("name", "dilation"), [("tu-resnet50", "yes"), ("mit_b5", "no")])
def test_a_name_that_is_not_in_the_table_is_said_to_be_unproved(
    name: str, dilation: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["encoders", name]) == 0
    printed = capsys.readouterr().out
    assert "not in the table: unproved" in printed
    assert printed.split()[-2:] == ["dilation", dilation]


def test_a_wrong_name_gets_the_nearest_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["encoders", "tv-alexnett"]) == 2
    assert "did you mean 'tv-alexnet'?" in capsys.readouterr().err
