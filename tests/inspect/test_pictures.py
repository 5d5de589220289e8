"""`segsuite inspect E.yaml --field` and `--evidence`: rows, pages, mistakes; and the gridding of real networks."""

import html
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from segsuite.cli import main
from segsuite.datasets import build_dataset
from segsuite.errors import ConfigError
from segsuite.inspect.effective_field_networks import field_rows, gridding_rows, network_field, noise, real_images
from segsuite.inspect.effective_field_page import within, write_field_page
from segsuite.inspect.evidence_class_page import write_evidence_page
from segsuite.inspect.evidence_classes import default_layers, evidence_rows, find_evidence
from segsuite.inspect.evidence_pictures import field_picture
from segsuite.inspect.gridding import Window, gridding
from segsuite.inspect.gridding_measured import dilated_parts, network_gridding
from segsuite.models import build_model
from segsuite.models.network import SegmentationNetwork


def network(name: str = "deeplabv3", **settings: object) -> SegmentationNetwork:
    torch.manual_seed(0)
    settings = {"output_stride": 16, "aspp_channels": 8} | settings if name == "deeplabv3" else settings
    return build_model(name, 3, encoder="resnet18", **settings).eval()


SMALL = [torch.rand(1, 3, 96, 96, generator=torch.Generator().manual_seed(0)) for _ in range(2)]


def test_the_pyramid_of_a_real_network_has_the_gridding_of_the_theory() -> None:
    one = network(rates=[2, 4], image_pooling=False)
    large = [torch.rand(1, 3, 160, 160, generator=torch.Generator().manual_seed(0))]
    parts = [part for part in dilated_parts(one, large[0]) if part.of == "core.aspp"]
    assert parts[0].periods == (2, 4)
    found = network_gridding(one, large, parts)[0]
    theory = gridding([[Window(1)], [Window(3, 2)], [Window(3, 4)]], period=2)
    assert (found.period, found.field, found.hole) == (2, 9, theory.hole)
    assert found.coverage == pytest.approx(theory.coverage)
    assert found.by_paths == pytest.approx(theory.unevenness)
    assert found.measured == pytest.approx(theory.unevenness)  # one class has all, whatever the weights


def test_a_dilated_encoder_is_seen_from_the_first_features_of_its_stride() -> None:
    found = dilated_parts(network(output_stride=8, rates=[3]), SMALL[0])
    assert [(part.of, part.by) for part in found] == [
        ("core.encoder[-1]", "core.encoder[2]"),
        ("core.aspp", "core.encoder[-1]"),
    ]
    assert found[0].periods == (2, 4)


def test_a_network_without_dilation_has_no_dilated_parts() -> None:
    assert dilated_parts(network("unet"), SMALL[0]) == []


@pytest.fixture(scope="module")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    (folder / "tiny.yaml").write_text(
        "name: tiny\ndata: {name: shapes, size: [64, 64], train_images: 4, val_images: 3}\n"
        "model: {name: fcn, encoder: resnet18}\ncompare: {model.upsampler: [bilinear, nearest_conv]}\n"
        "train: {epochs: 1, batch_size: 2}\nexecution: {workers: 0}\ntracker: none\n"
    )
    return folder


def test_fields_of_all_arms_are_listed_without_training(
    shapes: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(shapes)
    assert main(["inspect", "tiny.yaml", "--field", "--images", "1", "--out", "page.html"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[1:3]] == ["upsampler=bilinear", "upsampler=nearest_conv"]
    assert all("at the start" in line for line in lines[1:3])
    check_page(Path("page.html").read_text("utf-8"))


MISTAKES = {
    "nothing": (["--field"], "no experiment is named"),
    "trial": (["tiny.yaml", "--field", "--trial", "upsampler=bilinea"], "did you mean 'upsampler=bilinear'?"),
    "unfinished": (["tiny.yaml", "--evidence"], "no trial has finished"),
    "images": (["tiny.yaml", "--field", "--images", "0"], "is not in 1 to 1000"),
    "out": (["tiny.yaml", "--field", "--out", "."], "is a folder"),
    "layer": (["tiny.yaml", "--field", "--images", "1", "--layer", "core.encodr"], "did you mean 'core.encoder'?"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_are_told(
    shapes: Path, mistake: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(shapes)
    arguments, hint = MISTAKES[mistake]
    assert main(["inspect", *arguments]) == 2
    assert hint in capsys.readouterr().err


def check_page(page: str) -> None:
    without_scripts = html.unescape(re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL))
    assert "default-src 'none'" in without_scripts
    assert not re.findall(r"(?:src|href)=\"(?!data:)", without_scripts)


def test_a_field_has_a_row_a_network_and_its_gridding(tmp_path: Path) -> None:
    one = network(output_stride=16, rates=[2])
    found = [network_field("arm", weights, one, SMALL, theoretical=200) for weights in ("at the start", "trained")]
    assert [row[:3] for row in field_rows(found)] == [("arm", "at the start", "200"), ("arm", "trained", "200")]
    assert len(gridding_rows(found)) == 2 * sum(len(part.periods) for part in dilated_parts(one, SMALL[0]))
    write_field_page(found, "title", ["fact"], tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text("utf-8")
    check_page(page)
    assert page.count('class="tile"') == 2


def test_noise_is_normal_for_the_network() -> None:
    one = network("unet")
    seen = [one.prepared(image) for image in noise(one, 2)]
    assert torch.stack(seen).mean().item() == pytest.approx(0, abs=0.02)
    assert torch.stack(seen).std().item() == pytest.approx(1, abs=0.02)


def test_energy_within_a_radius_counts_pixels() -> None:
    shares = within(np.ones((11, 11)), np.array([0.5, 1.0, 100.0]))
    np.testing.assert_allclose(shares * 121, [1, 5, 121])


def test_a_picture_of_a_field_is_lossless() -> None:
    assert field_picture(np.eye(4)).startswith("data:image/png;base64,")


def test_evidence_has_a_row_a_class_and_layer_and_a_page(tmp_path: Path) -> None:
    dataset = build_dataset("shapes", "val", size=(64, 64), train_images=4, val_images=3)
    one = build_model("unet", dataset.num_classes, encoder="resnet18", decoder_channels=[16, 8, 8, 8, 8]).eval()
    layers = default_layers(one)
    assert layers == ["core.encoder[-1]", "core.blocks.2.upsampler"]
    found = find_evidence(one, dataset, [0, 2], layers)
    with torch.inference_mode():
        predicted = {int(c) for index in (0, 2) for c in one(images_of(dataset, index))[0].argmax(dim=0).unique()}
    assert {item.class_id for item in found} == predicted
    assert len(evidence_rows(found)) == 2 * len(predicted)
    assert all(0 <= item.inside <= 1 for item in found)
    write_evidence_page(found, one, dataset, "title", ["fact"], tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text("utf-8")
    check_page(page)
    assert page.count('class="tile"') == (3 + 2 * 4) * len(predicted)
    with pytest.raises(ConfigError, match="unknown class"):
        find_evidence(one, dataset, [0], layers, ["nothing"])


def images_of(dataset: object, index: int) -> torch.Tensor:
    return torch.from_numpy(dataset.read(index)[0]).permute(2, 0, 1)[None]  # type: ignore[attr-defined]


def test_real_images_are_cut_to_what_needs_no_padding(camvid_root: Path) -> None:
    dataset = build_dataset("camvid", "val", root=str(camvid_root))
    assert {tuple(image.shape) for image in real_images(dataset, [0, 50])} == {(1, 3, 352, 480)}
