import numpy as np
import pytest

from segsuite.datasets.audit import audit
from segsuite.datasets.camvid import CamVid
from segsuite.errors import ConfigError, DataError
from tests.datasets.trees import camvid_tree, ids_of, save


def test_lists_of_another_machine_are_matched_by_file_name_in_their_order(tmp_path):
    data = CamVid("train", root=camvid_tree(tmp_path))
    assert [data.sample_name(i) for i in range(3)] == ["0006R0_f00930", "0001TP_000030", "0001TP_000000"]


def test_windows_paths_with_spaces_in_lists_work_too(tmp_path):
    camvid_tree(tmp_path)
    (tmp_path / "train.txt").write_text(
        "C:\\my data\\train\\0001TP_000000.png C:\\my data\\trainannot\\0001TP_000000.png\n"
    )
    assert len(CamVid("train", root=tmp_path)) == 1


def test_without_a_list_the_sorted_folder_is_taken(tmp_path):
    data = CamVid("val", root=camvid_tree(tmp_path, "val", listed=False))
    assert [data.sample_name(i) for i in range(3)] == ["0001TP_000000", "0001TP_000030", "0006R0_f00930"]


def test_sequence_is_the_recording(tmp_path):
    data = CamVid("train", root=camvid_tree(tmp_path))
    assert {data.sequence(i) for i in range(3)} == {"0001TP", "0006R0"}


def test_raw_11_is_void_and_the_rest_stays(tmp_path):
    _, label = CamVid("train", root=camvid_tree(tmp_path)).read(0)
    np.testing.assert_array_equal(label, ids_of(*range(11), 255))


def test_other_raw_value_is_an_error_with_value_count_and_file(tmp_path):
    camvid_tree(tmp_path)
    mask = ids_of(0)
    mask[0, :3] = 12
    save(tmp_path / "trainannot" / "0001TP_000000.png", mask)
    with pytest.raises(DataError, match="value 12 in 3 pixels") as caught:
        CamVid("train", root=tmp_path).read(2)
    assert "0001TP_000000.png" in caught.value.where


def test_listed_file_that_is_missing_is_an_error_with_count_and_first(tmp_path):
    camvid_tree(tmp_path)
    for name in ("0001TP_000000.png", "0001TP_000030.png"):
        (tmp_path / "trainannot" / name).unlink()
    with pytest.raises(DataError, match=r"2 files .* trainannot/0001TP_000030.png"):
        CamVid("train", root=tmp_path)


def test_missing_split_is_an_error_only_when_built(tmp_path):
    camvid_tree(tmp_path)
    assert len(CamVid("train", root=tmp_path)) == 3
    with pytest.raises(DataError, match=r"lacks test/ and testannot/"):
        CamVid("test", root=tmp_path)


def test_wrong_root_says_what_was_looked_for_and_how_to_set_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match="there is no dataset folder absent") as caught:
        CamVid("train", root="absent")
    assert caught.value.where == str(tmp_path / "absent")
    assert "--set data.root=" in caught.value.advice
    assert "data/README.md" in caught.value.advice


def test_unknown_split_is_a_config_error(tmp_path):
    with pytest.raises(ConfigError, match="did you mean 'train'"):
        CamVid("trains", root=tmp_path)


def test_fingerprint_is_free_of_place_and_follows_the_masks(tmp_path):
    first, second = (CamVid("train", root=camvid_tree(tmp_path / name)) for name in "ab")
    assert first.fingerprint() == second.fingerprint()
    save(second.samples[0].mask, ids_of(3))
    assert first.fingerprint() != second.fingerprint()


@pytest.mark.parametrize(("split", "count"), [("train", 367), ("val", 101)])
def test_real_camvid_is_clean_and_whole(camvid_root, split, count):
    result = audit(CamVid(split, root=camvid_root))
    result.raise_if_bad()
    assert len(result.names) == count
    assert (result.sizes == (360, 480)).all()
    if split == "train":
        # Per cent of all pixels, counted with torchvision's decoder instead of PIL: sky to bicyclist.
        known = [16.8451, 23.2587, 0.9829, 31.6582, 4.4863, 9.7241, 1.1730, 1.1268, 5.8657, 0.6392, 0.2917]
        np.testing.assert_allclose(100 * result.shares, known, atol=1e-4)
    else:
        assert result.presence.all()
