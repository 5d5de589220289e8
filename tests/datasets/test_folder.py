import numpy as np
import pytest
from PIL import Image

from segsuite.datasets.audit import audit
from segsuite.datasets.base import default_palette
from segsuite.datasets.fractions import split_of
from segsuite.errors import ConfigError, DataError
from tests.datasets.trees import GLOBS, build_folder, folder_tree, ids_of, names_of, save


def only_label(root, mask, **settings):
    """The label of a dataset of one image with this mask."""
    folder_tree(root, ["one"], lambda i: mask)
    return build_folder(root, **GLOBS, **settings).read(0)[1]


# Raw values


def test_ids_without_values_are_classes_and_255_is_void(tmp_path):
    label = only_label(tmp_path, ids_of(0, 1, 2, 255), classes=["a", "b", "c"])
    np.testing.assert_array_equal(label, ids_of(0, 1, 2, 255))
    assert label.dtype == np.uint8


def test_values_map_many_to_one_and_to_void(tmp_path):
    values = {0: "void", 7: "a", 9: "b", 200: "b"}
    np.testing.assert_array_equal(only_label(tmp_path, ids_of(0, 7, 9, 200), values=values), ids_of(255, 0, 1, 1))


def test_binary_0_255_mask_maps(tmp_path):
    np.testing.assert_array_equal(only_label(tmp_path, ids_of(0, 255), values={0: "a", 255: "b"}), ids_of(0, 1))


def test_binary_0_255_mask_without_values_is_not_taken_for_void(tmp_path):
    with pytest.raises(DataError, match="unclear") as caught:
        only_label(tmp_path, ids_of(0, 255))
    assert "{0: a, 255: b}" in caught.value.advice


def test_grey_mask_saved_as_rgb_maps_by_integers(tmp_path):
    mask = np.dstack([ids_of(0, 255)] * 3)
    np.testing.assert_array_equal(only_label(tmp_path, mask, values={0: "a", 255: "b"}), ids_of(0, 1))


def test_colours_map(tmp_path):
    mask = np.array([(0, 0, 0), (128, 0, 64), (255, 255, 255)], dtype=np.uint8)[ids_of(0, 1, 2)]
    values = {"#000000": "a", "#800040": "b", "#FFFFFF": "void"}
    np.testing.assert_array_equal(only_label(tmp_path, mask, values=values), ids_of(0, 1, 255))


def test_unknown_colour_is_an_error_with_its_count(tmp_path):
    mask = np.zeros((6, 8, 3), np.uint8)
    mask[0, :2] = (1, 2, 3)
    with pytest.raises(DataError, match="#010203 in 2 pixels"):
        only_label(tmp_path, mask, values={"#000000": "a", "#800040": "b"})


def test_integer_mask_with_colours_only_is_an_error(tmp_path):
    with pytest.raises(DataError, match="integer ids"):
        only_label(tmp_path, ids_of(0, 1), values={"#000000": "a", "#800040": "b"})


def test_palette_png_gives_its_indices(tmp_path):
    folder_tree(tmp_path, ["one"])
    image = Image.fromarray(ids_of(0, 1, 255)).convert("P")
    image.putdata(ids_of(0, 1, 255).ravel().tolist())
    image.putpalette([7, 7, 7] * 256)
    image.save(tmp_path / "masks" / "one.png")
    np.testing.assert_array_equal(build_folder(tmp_path, **GLOBS).read(0)[1], ids_of(0, 1, 255))


def test_16_bit_mask_and_image_work(tmp_path):
    mask = ids_of(0, 1).astype(np.uint16) * 24000
    folder_tree(tmp_path, ["one"], lambda i: mask)
    save(tmp_path / "images" / "one.png", mask)
    image, label = build_folder(tmp_path, **GLOBS, values={0: "a", 24000: "b"}, value_range=(0, 48000)).read(0)
    np.testing.assert_array_equal(label, ids_of(0, 1))
    assert (image.dtype, image.max()) == (np.float32, 0.5)


@pytest.mark.parametrize("value", [-3, 70000])
def test_32_bit_mask_maps_and_its_unknown_values_are_found(tmp_path, value):
    folder_tree(tmp_path, ["one"])
    mask = np.where(ids_of(0, 1) > 0, 65536, -1).astype(np.int32)
    save(tmp_path / "masks" / "one.tif", mask)
    data = build_folder(tmp_path, **{**GLOBS, "masks": "masks/*.tif"}, values={-1: "a", 65536: "b"})
    np.testing.assert_array_equal(data.read(0)[1], ids_of(0, 1))
    mask[0, 0] = value
    save(tmp_path / "masks" / "one.tif", mask)
    with pytest.raises(DataError, match=f"value {value} in 1 pixel"):
        data.read(0)


def test_unknown_value_is_an_error_with_file_value_and_count(tmp_path):
    mask = ids_of(0, 1)
    mask[2, 1:4] = 9
    with pytest.raises(DataError, match=r"value 9 in 3 pixels") as caught:
        only_label(tmp_path, mask)
    assert caught.value.where.endswith("one.png")


def test_many_unknown_values_are_those_of_a_soft_mask_and_want_ranges(tmp_path):
    soft = (np.arange(ids_of(0, 1).size, dtype=np.uint8) * 3).reshape(ids_of(0, 1).shape)
    with pytest.raises(DataError, match=r"and \d+ other values that do not either") as caught:
        only_label(tmp_path, soft)
    assert '{"0-127": a, "128-255": ' in caught.value.advice


def test_mask_of_another_size_is_an_error_with_both_sizes(tmp_path):
    with pytest.raises(DataError, match=r"mask is 4x5 but its image is 6x8"):
        only_label(tmp_path, ids_of(0, size=(4, 5)))


@pytest.mark.parametrize(
    "settings",
    [
        {"values": {0: "a", 1: "B"}},
        {"values": {0: "a"}},
        {"values": {0: "a", "#12": "b"}},
        {"values": {0: "a", True: "b"}},
        {"classes": ["a", "a"]},
        {"classes": ["a", "void"]},
        {"classes": []},
        {"value_range": (5, 5)},
        {"masks": None},
        {"csv": "list.csv"},
    ],
)
def test_contradictory_settings_are_config_errors(tmp_path, settings):
    folder_tree(tmp_path, ["one"])
    with pytest.raises(ConfigError):
        build_folder(tmp_path, **{**GLOBS, **settings})


# Splits by fractions


def test_fractions_part_all_images_about_as_asked(tmp_path):
    fractions = {"train": 0.7, "val": 0.2, "test": 0.1}
    found = [split_of(f"images/{i}", fractions, 0) for i in range(4000)]
    for name, share in fractions.items():
        assert found.count(name) / 4000 == pytest.approx(share, abs=0.03)
    assert None not in found


def test_added_images_move_no_other_image(tmp_path):
    settings = {**GLOBS, "fractions": {"train": 0.5, "val": 0.5}}
    folder_tree(tmp_path, [f"{i}" for i in range(20)])
    before = set(names_of(build_folder(tmp_path, **settings)))
    folder_tree(tmp_path, [f"{i}" for i in range(40)])
    after = set(names_of(build_folder(tmp_path, **settings)))
    assert {name for name in after if int(name) < 20} == before
    assert after.isdisjoint(names_of(build_folder(tmp_path, "val", **settings)))


def test_split_seed_changes_the_parts(tmp_path):
    folder_tree(tmp_path, [f"{i}" for i in range(30)])
    settings = {**GLOBS, "fractions": {"train": 0.5}}
    assert names_of(build_folder(tmp_path, **settings)) != names_of(build_folder(tmp_path, **settings, split_seed=1))


@pytest.mark.parametrize("fractions", [{"train": 0.9, "val": 0.2}, {"train": 1.2}, {"train": 1, "val": 0}, {"val": 1}])
def test_wrong_fractions_are_config_errors(tmp_path, fractions):
    folder_tree(tmp_path, ["one"])
    with pytest.raises(ConfigError):
        build_folder(tmp_path, **{**GLOBS, "fractions": fractions})


def test_split_given_nowhere_or_twice_is_a_config_error(tmp_path):
    folder_tree(tmp_path / "train", ["one"])
    with pytest.raises(ConfigError, match="nowhere"):
        build_folder(tmp_path, images="train/images/*", masks="train/masks/*")
    with pytest.raises(ConfigError, match="twice"):
        build_folder(tmp_path, images="{split}/images/*", masks="{split}/masks/*", fractions={"train": 1})


# Identity and colours


def test_fingerprint_is_free_of_place_and_follows_the_meaning(tmp_path):
    first, second = (build_folder(folder_tree(tmp_path / name, ["0", "1"]), **GLOBS) for name in "pq")
    swapped = build_folder(tmp_path / "p", **GLOBS, values={0: "b", 1: "a"})
    assert first.fingerprint() == second.fingerprint()
    assert swapped.fingerprint() != first.fingerprint()


def test_palette_has_distinct_colours():
    assert len(set(default_palette(60))) == 60
    assert default_palette(60)[:5] == default_palette(5)


def test_audit_of_a_good_folder_is_clean(tmp_path):
    result = audit(build_folder(folder_tree(tmp_path, ["0", "1"]), **GLOBS))
    result.raise_if_bad()
    assert result.pixels.tolist() == [48, 48]
