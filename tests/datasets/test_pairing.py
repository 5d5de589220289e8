import numpy as np
import pytest

from segsuite.errors import DataError
from tests.datasets.trees import GLOBS, build_folder, folder_tree, ids_of, image_of, names_of, save

# Finding pairs


def test_split_placeholder_picks_the_folder(tmp_path):
    for split in ("train", "val"):
        folder_tree(tmp_path / split, [f"{split}{i}" for i in range(2)])
    data = build_folder(tmp_path, "val", images="{split}/images/*.png", masks="{split}/masks/*.png")
    assert names_of(data) == ["val0", "val1"]
    np.testing.assert_array_equal(data.read(1)[0], image_of(1))


@pytest.mark.parametrize("suffix", ["_mask", "_label", "_gt", "-seg", "_gtFine_labelTrainIds"])
def test_suffix_that_all_masks_share_does_not_count(tmp_path, suffix):
    for name in ("x1", "x2"):
        save(tmp_path / f"{name}.png", image_of())
        save(tmp_path / f"{name}{suffix}.png", ids_of(0, 1))
    data = build_folder(tmp_path, images="*.png", masks=f"*{suffix}.png", fractions={"train": 1})
    assert names_of(data) == ["x1", "x2"]


def test_stems_that_repeat_are_paired_by_folder(tmp_path):
    folder_tree(tmp_path, ["p/0", "p/1", "q/0"], lambda i: ids_of(i % 2))
    data = build_folder(tmp_path, **GLOBS)
    assert names_of(data) == ["images/p/0", "1", "images/q/0"]
    assert [sample.mask.relative_to(tmp_path).as_posix() for sample in data.samples] == [
        *("masks/p/0.png", "masks/p/1.png", "masks/q/0.png")
    ]


def test_folders_beside_each_other_in_each_scene_are_paired(tmp_path):
    for scene in ("s", "t"):
        folder_tree(tmp_path / scene, ["0", "1"])
    data = build_folder(tmp_path, images="*/images/*.png", masks="*/masks/*.png", fractions={"train": 1})
    assert all(s.image.parts[-3] == s.mask.parts[-3] and s.image.stem == s.mask.stem for s in data.samples)
    assert len(data) == 4


def test_image_without_a_mask_is_an_error_with_names(tmp_path):
    folder_tree(tmp_path, ["0", "1", "2"])
    (tmp_path / "masks" / "1.png").unlink()
    with pytest.raises(DataError, match=r"1 of 3 images have no mask of the same name: images/1\.png"):
        build_folder(tmp_path, **GLOBS)


def test_two_images_of_one_name_are_an_error(tmp_path):
    folder_tree(tmp_path, ["0"])
    save(tmp_path / "images" / "0.jpg", image_of())
    with pytest.raises(DataError, match=r"share one name: images/0.jpg, images/0.png"):
        build_folder(tmp_path, **{**GLOBS, "images": "images/*"})


def test_empty_glob_names_the_pattern_and_the_folder(tmp_path):
    folder_tree(tmp_path, ["0"])
    with pytest.raises(DataError, match=r"pattern images/\*.tif") as caught:
        build_folder(tmp_path, **{**GLOBS, "images": "images/*.tif"})
    assert str(tmp_path) in caught.value.where


def test_missing_root_says_how_to_set_it(tmp_path):
    with pytest.raises(DataError) as caught:
        build_folder(tmp_path / "absent", **GLOBS)
    assert "data.root=" in caught.value.advice


# CSV


def write_csv(root, text):
    folder_tree(root, ["0", "1", "2"])
    (root / "list.csv").write_text(text)
    return root


def test_csv_with_a_split_column_gives_each_split(tmp_path):
    rows = "\ufeffimage,mask,split\n" + "".join(
        f"images/{i}.png,masks/{i}.png,{s}\n" for i, s in enumerate(["train", "val", "train"])
    )
    write_csv(tmp_path, rows)
    assert names_of(build_folder(tmp_path, csv="list.csv")) == ["0", "2"]
    assert names_of(build_folder(tmp_path, "val", csv="list.csv")) == ["1"]
    with pytest.raises(DataError, match="did you mean 'val'"):
        build_folder(tmp_path, "vall", csv="list.csv")


def test_csv_without_a_split_takes_fractions(tmp_path):
    write_csv(tmp_path, "mask,image\nmasks/1.png,images/1.png\n")
    assert names_of(build_folder(tmp_path, csv="list.csv", fractions={"train": 1})) == ["1"]


@pytest.mark.parametrize(
    ("text", "what", "line"),
    [
        ("picture,mask\n", "columns", 1),
        ("image,mask,split\nimages/0.png,masks/0.png\n", "lacks a value", 2),
        (
            "image,mask,split\nimages/0.png,masks/0.png,train\nimages/9.png,masks/0.png,train\n",
            "1 file of the CSV is missing",
            3,
        ),
        ("image,mask,split\n" + 2 * "images/0.png,masks/0.png,train\n", "twice", 3),
    ],
)
def test_wrong_csv_is_an_error_with_its_line(tmp_path, text, what, line):
    write_csv(tmp_path, text)
    with pytest.raises(DataError, match=what) as caught:
        build_folder(tmp_path, csv="list.csv")
    assert caught.value.where.endswith(f"list.csv:{line}")
