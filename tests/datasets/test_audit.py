import json

import numpy as np
import pytest

from segsuite.datasets.audit import audit, audit_cached
from segsuite.datasets.folder import Folder
from segsuite.errors import DataError
from tests.datasets.trees import folder_tree, ids_of, image_of, save

NAMES = [f"s{i:02d}" for i in range(14)]


@pytest.fixture
def data(tmp_path):
    root = folder_tree(tmp_path / "train", NAMES, lambda i: ids_of(*([0, 1, 255] if i % 2 else [0])))
    return Folder(
        "train", root=root.parent, classes=["a", "b", "c"], images="{split}/images/*", masks="{split}/masks/*"
    )


def test_counts_match_what_was_written(data):
    result = audit(data)
    assert result.pixels.tolist() == [7 * 48 + 7 * 16, 7 * 16, 0]
    assert result.void_pixels == 7 * 16
    assert result.presence.sum(0).tolist() == [14, 7, 0]
    assert (result.sizes == (6, 8)).all()
    assert result.shares.sum() + result.void_pixels / (14 * 48) == pytest.approx(1)


def test_progress_is_told_after_each_sample(data):
    calls = []
    audit(data, lambda done, total: calls.append((done, total)))
    assert calls == [(i + 1, 14) for i in range(14)]


def damage(data):
    data.samples[0].image.write_bytes(b"")
    save(data.samples[1].mask, ids_of(7))
    save(data.samples[2].image, image_of(0, (5, 5)))
    data.samples[3].mask.write_bytes(data.samples[3].mask.read_bytes()[:50])


def test_one_run_finds_every_bad_file(data):
    damage(data)
    result = audit(data)
    assert len(result.problems) == 4
    with pytest.raises(DataError, match="4 of 14 samples") as caught:
        result.raise_if_bad()
    for i in range(4):
        assert data.sample_name(i) in caught.value.what


def test_long_lists_of_problems_are_cut_and_counted(data):
    for sample in data.samples:
        sample.mask.write_bytes(b"")
    with pytest.raises(DataError, match="and 4 more"):
        audit(data).raise_if_bad()


def test_good_audit_raises_nothing_and_is_read_back(data, tmp_path, monkeypatch):
    first = audit_cached(data, tmp_path / "cache")
    first.raise_if_bad()
    monkeypatch.setattr(Folder, "read", lambda *_: pytest.fail("decoded again"))
    second = audit_cached(data, tmp_path / "cache")
    for name in ("pixels", "presence", "sizes"):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))
    assert (first.names, first.void_pixels, first.classes) == (
        second.names,
        second.void_pixels,
        second.classes,
    )


def test_changed_mask_is_audited_again(data, tmp_path):
    audit_cached(data, tmp_path / "cache")
    save(data.samples[0].mask, ids_of(2))
    assert audit_cached(data, tmp_path / "cache").pixels[2] == 48


def test_bad_audit_is_not_kept(data, tmp_path):
    damage(data)
    assert len(audit_cached(data, tmp_path / "cache").problems) == 4
    assert not list(tmp_path.glob("cache/*"))


@pytest.mark.parametrize("content", ["", "{", "[]", json.dumps({"names": []})])
def test_damaged_cache_is_made_anew(data, tmp_path, content):
    audit_cached(data, tmp_path / "cache")
    (path,) = tmp_path.glob("cache/*.json")
    path.write_text(content)
    assert audit_cached(data, tmp_path / "cache").pixels.sum() > 0
    assert json.loads(path.read_text())["names"] == NAMES
