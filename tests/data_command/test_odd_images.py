"""What is odd in a folder of images is read as it is, or refused by name before the first step: by `segsuite plan`
where the headers of a few files tell it, by `segsuite data check` and `segsuite run` always."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from segsuite.cli import main
from segsuite.datasets.folder import Folder
from segsuite.datasets.image_io import read_mask
from tests.datasets.odd_files import png, tiff
from tests.datasets.odd_trees import ODD, RAMP, YAML, plain, tree, values_to
from tests.datasets.trees import ids_of, image_of, save


@pytest.fixture
def in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def called(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    """Exit code and what went to standard error, in one line."""
    capsys.readouterr()
    code = main(arguments)
    return code, " ".join(capsys.readouterr().err.split())


def written(ending: str = "png", batch: int = 2, crop: str = "null", more: str = "") -> str:
    Path("e.yaml").write_text(YAML.format(ending=f"*.{ending}", batch=batch, crop=crop, more=more))
    return "e.yaml"


@pytest.mark.usefixtures("in_a_folder")
@pytest.mark.parametrize("name", ODD)
@pytest.mark.parametrize("command", ["plan", "check", "run"])
def test_what_cannot_be_read_as_it_is_is_refused_by_name(
    name: str, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    make, ending, said, by_plan = ODD[name]
    make()
    words = ("data", "check") if command == "check" else (command,)
    more = "  values: {0: a, 1: b, 255: void}\n" if name == "only void" else ""
    code, told = called(capsys, *words, written(ending, batch=4 if name == "few images" else 2, more=more))
    if command == "plan" and not by_plan:
        assert (code, told) == (0, "")
        return
    assert code == 2
    assert said in told
    assert "to do: " in told
    assert "Traceback" not in told


GOOD: dict[str, tuple[Callable[[], Any], str, dict[str, Any], Callable[[], Any]]] = {
    "16 bits with a range": (
        lambda: tree(values_to(4095)),
        "png",
        {"value_range": (0, 4095)},
        lambda: RAMP * 87 / 4095,
    ),
    "opaque RGBA": (
        lambda: tree(lambda p, n: save(p, np.dstack([image_of(n), np.full((6, 8), 255, np.uint8)]))),
        "png",
        {},
        lambda: image_of(0)[:, :, 1],
    ),
    "a plain TIFF": (
        lambda: tree(lambda p, n: tiff(p, image_of(n)), "tif"),
        "tif",
        {},
        lambda: image_of(0)[:, :, 1],
    ),
    "signed 16 bits": (
        lambda: tree(lambda p, n: tiff(p, RAMP.astype(np.int16) * 600), "tif"),
        "tif",
        {},
        lambda: RAMP * 600 / 32767,
    ),
    "upright EXIF": (
        lambda: tree(lambda p, n: tiff(p, image_of(n), orientation=[1]), "tif"),
        "tif",
        {},
        lambda: image_of(0)[:, :, 1],
    ),
}


@pytest.mark.usefixtures("in_a_folder")
@pytest.mark.parametrize("name", GOOD)
def test_what_can_be_read_as_it_is_is_read(name: str) -> None:
    make, ending, settings, expected = GOOD[name]
    make()
    data = Folder(
        "train", root="d", classes=["a", "b"], images=f"{{split}}/i/*.{ending}", masks="{split}/m/*.png", **settings
    )
    np.testing.assert_allclose(data.read(0)[0][:, :, 1], expected(), atol=1e-6)


@pytest.mark.usefixtures("in_a_folder")
def test_endings_of_any_case_are_all_found(capsys: pytest.CaptureFixture[str]) -> None:
    tree(plain)
    for number, ending in enumerate(("PNG", "Png")):
        save(Path(f"d/train/i/x{number}.png"), image_of())
        Path(f"d/train/i/x{number}.png").rename(f"d/train/i/x{number}.{ending}")
        save(Path(f"d/train/m/x{number}.png"), ids_of(0, 1))
    assert main(("data", "check", written())) == 0
    assert "train  5" in " ".join(capsys.readouterr().out.split()).replace("train 5", "train  5")


@pytest.mark.usefixtures("in_a_folder")
def test_images_of_unlike_sizes_with_a_crop_or_alone_in_their_batch_are_taken(
    capsys: pytest.CaptureFixture[str],
) -> None:
    ODD["unlike sizes"][0]()
    assert called(capsys, "data", "check", written(crop="[4, 4]"))[0] == 0
    assert called(capsys, "data", "check", written(batch=1))[0] == 0


@pytest.mark.usefixtures("in_a_folder")
@pytest.mark.parametrize(("bits", "count"), [(2, 4), (4, 16)])
def test_ids_of_few_bits_are_not_stretched(bits: int, count: int) -> None:
    packed = bytes(
        sum((first + at) % count << (8 - bits * (at + 1)) for at in range(8 // bits))
        for first in range(0, count, 8 // bits)
    )
    png(Path("m.png"), [packed], count, bits, 0)
    np.testing.assert_array_equal(read_mask(Path("m.png")), [list(range(count))])


@pytest.mark.usefixtures("in_a_folder")
@pytest.mark.parametrize(("value_range", "code"), [("[5000, 6000]", 2), ("[-20, -10]", 2), ("[100, 200]", 0)])
def test_a_range_that_no_value_lies_in_is_refused(
    value_range: str, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    tree(values_to(4095))
    found, told = called(capsys, "data", "check", written(more=f"  value_range: {value_range}\n"))
    assert found == code
    assert ("no value of the images of split train lies within data.value_range" in told) == (code == 2)
