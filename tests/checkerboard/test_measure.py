"""All measures of a network at once: what is told, what is found, what is left alone."""

import math
import random
from collections import Counter
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from segsuite.checkerboard import MEASURES
from segsuite.checkerboard.maps import MapMeasures, cut
from segsuite.checkerboard.measure import AT_THE_END, IN_TRAINING, measure, periods_of
from segsuite.checkerboard.pictures import CROP_SIDE, pictures
from segsuite.checkerboard.scene import Scene, scene_of
from segsuite.checkerboard.spectrum import power_spectrum
from segsuite.checkerboard.textures import spectrum_lines
from segsuite.errors import NonFiniteError
from segsuite.models import build_model
from segsuite.models.network import SegmentationNetwork
from tests.checkerboard.tiny import Core, network, samples, scene

FREE = ("nearest_conv", "transposed_balanced")
NOT_FREE = ("transposed_k2", "transposed_k3", "pixel_shuffle")


def rows(net: SegmentationNetwork, of: Scene | None = None) -> dict[tuple[str, Any, str], tuple[float, Any]]:
    found = measure(net, of or scene(), IN_TRAINING).rows
    keys = [(row["place"], row["stride"], row["measure"]) for row in found]
    assert not [key for key, count in Counter(keys).items() if count > 1]
    return {key: (row["value"], row["control"]) for key, row in zip(keys, found, strict=True)}


def test_every_place_is_measured_by_its_measures() -> None:
    found: dict[str, set[str]] = {}
    for place, _, name in rows(network()):
        found.setdefault(place, set()).add(name)
    of_maps = {"harmonic_share", "harmonic_decibels", "static_phase_variance", "tile_phase_variance"}
    assert found == {
        "logits": of_maps,
        "probabilities": of_maps,
        "gradient": of_maps | {"phase_energy_variation"},
        "seam:core.first": of_maps,
        "seam:core.second": of_maps,
        "prediction": {"shift_flips", "isolated_pixels", "boundary_length_ratio", "blockiness"},
        "decoder": {"constant_response_index", "constant_response_flips"},
    }
    assert set().union(*found.values()) == set(MEASURES)


def test_strides_count_pixels_of_the_image() -> None:
    found = rows(network())
    assert {stride for place, stride, _ in found if place == "seam:core.first"} == {4}
    assert {stride for place, stride, _ in found if place == "seam:core.second"} == {2}
    assert {stride for place, stride, _ in found if place == "logits"} == {2, 4}
    assert {stride for place, stride, _ in found if place == "decoder"} == {4}


@pytest.mark.parametrize("upsampler", [*FREE, *NOT_FREE])
def test_a_decoder_that_keeps_constants_is_told_from_one_that_does_not(upsampler: str) -> None:
    found = rows(network(upsampler))
    index, border = found["decoder", 4, "constant_response_index"]
    assert border < 1e-9
    assert index < 1e-9 if upsampler in FREE else index > 1e-3


@pytest.mark.parametrize("measured", ["harmonic_share", "tile_phase_variance", "static_phase_variance"])
def test_random_kernels_are_found_behind_each_seam(measured: str) -> None:
    patterned, clean = rows(network("transposed_k2")), rows(network("bilinear_conv"))
    for place, stride in (("seam:core.first", 4), ("seam:core.second", 2)):
        value, control = patterned[place, stride, measured]
        assert value > 2 * abs(control) + 0.01
        assert value > 10 * clean[place, stride, measured][0]


def test_a_network_without_a_decoder_of_its_own_has_no_constant_response() -> None:
    torch.manual_seed(0)
    net = build_model("smp/Unet", 4, encoder="resnet18").to(memory_format=torch.channels_last)
    found = rows(net, scene_of(samples(2), net.stride))
    assert not [key for key in found if key[0] in ("decoder",) or key[0].startswith("seam")]
    assert periods_of(net) == (2, 4, 8, 16, 32)


class Skip(nn.Module):
    """Logits that are the image sharpened: all of its texture, no upsampling."""

    encoder: nn.Module

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Identity()
        self.sharpen = nn.Conv2d(3, 3, 3, padding=1, groups=3, bias=False)
        kernel = torch.tensor([[0.0, -1, 0], [-1, 4.2, -1], [0, -1, 0]])
        self.sharpen.weight = nn.Parameter(kernel.expand(3, 1, 3, 3).clone())

    def forward(self, x_NCHW: Tensor) -> Tensor:
        logits: Tensor = self.sharpen(x_NCHW)
        return logits


@pytest.mark.parametrize("period", [2, 4])
def test_a_texture_of_the_image_raises_no_false_alarm(period: int) -> None:
    core = Skip()
    net = SegmentationNetwork(core, 3, Core("nearest_conv").encoder, 4, 4)
    stripes = np.where(np.arange(96) % period < period / 2, 25, -25)
    textured = [
        (name, (image + stripes[:, None] * [1, -1, 0]).clip(0, 255).astype(np.uint8), label)
        for name, image, label in samples(3)
    ]
    found = rows(net, scene_of(textured, 4))
    for name in ("harmonic_share", "tile_phase_variance"):
        value, control = found["logits", period, name]
        assert value > 0.2
        assert value - control < 0.1 * value
    decibels, control = found["logits", period, "harmonic_decibels"]
    assert decibels > 6
    assert decibels - control < 1


def test_labels_that_are_blocks_raise_no_false_alarm() -> None:
    """Ground truth drawn in blocks of four, and a network that predicts it."""
    random_blocks = np.random.default_rng(0).integers(0, 3, (4, 20, 24)).astype(np.uint8)
    blocks = random_blocks.repeat(4, axis=1).repeat(4, axis=2)
    drawn = [(str(i), (label[..., None] == [0, 1, 2]).astype(np.float32), label) for i, label in enumerate(blocks)]
    net = SegmentationNetwork(Skip(), 3, Core("nearest_conv").encoder, 4, 4)
    core = net.core
    assert isinstance(core, Skip)
    core.sharpen.weight.data = torch.zeros(3, 1, 3, 3)
    core.sharpen.weight.data[:, :, 1, 1] = 1
    found = rows(net, scene_of(drawn, 4))
    value, control = found["prediction", 4, "blockiness"]
    assert value == control == 0.75
    value, control = found["logits", 4, "harmonic_share"]
    assert value - control < 0.1 * value
    assert found["prediction", None, "boundary_length_ratio"] == (1, 1)


def test_a_pattern_that_is_planted_behind_a_textured_image_is_found() -> None:
    class Patterned(Skip):
        def forward(self, x_NCHW: Tensor) -> Tensor:
            board = (torch.arange(x_NCHW.shape[-2])[:, None] + torch.arange(x_NCHW.shape[-1])) % 2
            return super().forward(x_NCHW) + torch.tensor([1.0, -1, 0])[:, None, None] * (board - 0.5)

    net = SegmentationNetwork(Patterned(), 3, Core("nearest_conv").encoder, 4, 4)
    value, control = rows(net)["logits", 2, "harmonic_share"]
    assert value > 5 * control


@pytest.mark.parametrize("upsampler", ["transposed_k3", "nearest_conv"])
def test_nothing_of_the_process_changes(upsampler: str) -> None:
    net = network(upsampler).train()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    states = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state()  # type: ignore[index]
    first = measure(net, scene(), AT_THE_END).rows
    assert (random.getstate(), np.random.get_state()[1].tolist()) == states[:2]  # type: ignore[index]
    assert torch.equal(torch.get_rng_state(), states[2])
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert all(module.training for module in net.modules())
    assert all(parameter.grad is None and parameter.requires_grad for parameter in net.parameters())
    again = measure(net, scene(), AT_THE_END).rows
    assert all(one == other for one, other in zip(first, again, strict=True))


def test_images_are_added_up_one_by_one() -> None:
    """Three times the same image is that image."""
    one = scene(1)
    thrice = Scene(one.images_NCHW.repeat(3, 1, 1, 1), one.labels_NHW.repeat(3, 1, 1), ("a", "b", "c"))
    net = network().train()
    for _ in range(3):  # so that no statistics are taken of the images
        net(one.images_NCHW)
    once, three_times = rows(net, one), rows(net, thrice)
    for key, (value, control) in once.items():
        if key[0] not in ("decoder", "gradient"):
            assert three_times[key][0] == pytest.approx(value, rel=1e-4, abs=1e-9, nan_ok=True), key
            if control is not None:
                assert three_times[key][1] == pytest.approx(control, rel=1e-4, abs=1e-9, nan_ok=True), key


def test_logits_that_are_not_finite_are_refused() -> None:
    net = network()
    with torch.no_grad():
        net.core.head[1].bias[0] = math.nan  # type: ignore[index, union-attr]
    with pytest.raises(NonFiniteError):
        measure(net, scene())


@pytest.mark.parametrize("size", [(32, 48), (20, 20), (10, 9)])
def test_images_too_small_for_a_measure_have_no_row_of_it(size: tuple[int, int]) -> None:
    found = measure(network(), scene_of(samples(2, size), 4), AT_THE_END)
    assert {row["place"] for row in found.rows} >= {"prediction", "decoder"}
    assert pictures(found, scene(2, size), (2, 4))


def test_scenes_are_the_middles_of_images_of_one_size() -> None:
    given = [*samples(1, (80, 96)), *samples(1, (70, 300))]
    found = scene_of(given, 32, largest_side=96)
    assert found.images_NCHW.shape == (2, 3, 64, 96)
    np.testing.assert_array_equal(found.labels_NHW[0], given[0][2][8:72])
    np.testing.assert_array_equal(found.labels_NHW[1], given[1][2][3:67, 102:198])
    expected = torch.from_numpy(given[1][1][3:67, 102:198] / 255).permute(2, 0, 1).float()
    torch.testing.assert_close(found.images_NCHW[1], expected)


def test_the_control_of_a_clean_map_is_near_its_value() -> None:
    """Smooth random content without any lattice: what it has at the harmonics is no finding."""
    generator = torch.Generator().manual_seed(0)
    noise, scene_maps = torch.randn(6, 4, 120, 120, generator=generator), torch.randn(6, 3, 120, 120)
    noise = nn.functional.avg_pool2d(noise, 2, stride=1, padding=1)
    sums = MapMeasures((2, 4, 8))
    sums.add(cut(noise, 1, (2, 4, 8)))
    of_scene = spectrum_lines([power_spectrum(cut(scene_maps, 1, (2, 4, 8)))], (2, 4, 8))
    for row in sums.rows("logits", 1, of_scene):
        if row["measure"] == "harmonic_decibels":
            assert row["value"] - row["control"] < 1, row
        else:
            assert row["value"] < 1.2 * max(row["control"], 0) + 0.002, row


def test_pictures_are_small_and_named() -> None:
    net = network()
    measured = measure(net, scene(), AT_THE_END)
    found = pictures(measured, scene(), periods_of(net))
    shapes = {name: (str(value.dtype), value.shape) for name, value in found.items()}
    assert shapes == {
        "spectrum": ("float16", (60, 76)),
        "phase_map": ("float16", (4, 4)),
        "constant_response": ("float16", (4, 4)),
        "constant_response_classes": ("uint8", (4, 4)),
        "margin": ("float16", (CROP_SIDE, CROP_SIDE)),
        "margin_image": ("uint8", (CROP_SIDE, CROP_SIDE, 3)),
        "margin_label": ("uint8", (CROP_SIDE, CROP_SIDE)),
        "margin_prediction": ("uint8", (CROP_SIDE, CROP_SIDE)),
    }
    assert all(np.isfinite(value.astype(float)).all() for value in found.values())
    assert found["spectrum"].max() == 0
    assert found["phase_map"].astype(float).mean() == pytest.approx(1, abs=1e-2)
