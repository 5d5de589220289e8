import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFile

from segsuite.datasets.image_io import read_image, read_mask
from segsuite.errors import DataError
from tests.datasets.trees import ids_of, image_of, save

GREY = np.arange(48, dtype=np.uint8).reshape(6, 8)
WIDE = (GREY.astype(np.uint16) * 1000) + 7


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def flipped(content: bytes) -> bytes:
    place = content.index(b"IDAT") + 200
    return content[:place] + bytes([content[place] ^ 0x10]) + content[place + 1 :]


PNG = encoded(Image.fromarray(image_of(1, (64, 96))))
JPEG = encoded(Image.fromarray(image_of(1, (64, 96))), "JPEG")
BAD = {
    "flipped.png": flipped(PNG),
    "truncated.png": PNG[: len(PNG) // 2],
    "truncated.jpg": JPEG[: len(JPEG) // 4],
    "empty.png": b"",
    "page.png": b"<!DOCTYPE html><html>404</html>",
}


@pytest.mark.parametrize("read", [read_image, read_mask])
@pytest.mark.parametrize("name", BAD)
def test_damaged_file_is_an_error_with_its_name(tmp_path, name, read):
    (tmp_path / name).write_bytes(BAD[name])
    with pytest.raises(DataError) as caught:
        read(tmp_path / name)
    assert name in caught.value.where


def test_every_flipped_bit_of_png_data_is_noticed(tmp_path):
    content = encoded(Image.fromarray(ids_of(*range(12))))
    start, end = content.index(b"IDAT") + 4, content.index(b"IEND") - 8
    for place in range(start, end):
        path = tmp_path / "mask.png"
        path.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        with pytest.raises(DataError):
            read_mask(path)


def test_truncation_is_an_error_even_if_another_package_allowed_it(tmp_path, monkeypatch):
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    (tmp_path / "cut.jpg").write_bytes(BAD["truncated.jpg"])
    with pytest.raises(DataError, match="damaged"):
        read_image(tmp_path / "cut.jpg")


def test_missing_file_and_folder_are_errors_with_their_name(tmp_path):
    for path in (tmp_path / "absent.png", tmp_path):
        with pytest.raises(DataError) as caught:
            read_image(path)
        assert str(path) in caught.value.where


def stored(folder: Path, kind: str) -> Path:
    """One file of each kind, all showing GREY or, where coloured, image_of(0)."""
    rgb, alpha = image_of(0), np.full((6, 8, 1), 9, np.uint8)
    path = folder / f"{kind}.png"
    if kind == "palette":
        image = Image.fromarray(GREY, "L").convert("P")
        image.putdata(GREY.ravel().tolist())
        image.putpalette([255 - i // 3 for i in range(768)])
        image.save(path, transparency=bytes([0, 128]))
    elif kind == "1-bit":
        Image.fromarray(GREY % 2 > 0).save(path)
    elif kind == "la":
        save(path, np.dstack([GREY, alpha]))
    elif kind == "rgba":
        save(path, np.dstack([rgb, alpha]))
    else:
        save(path, {"grey": GREY, "16-bit": WIDE, "rgb": rgb}[kind])
    return path


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("grey", GREY),
        ("palette", GREY),
        ("1-bit", GREY % 2),
        ("la", GREY),
        ("16-bit", WIDE),
        ("rgb", image_of(0)),
        ("rgba", image_of(0)),
    ],
)
def test_mask_values_come_raw(tmp_path, kind, expected):
    raw = read_mask(stored(tmp_path, kind))
    np.testing.assert_array_equal(raw, expected)
    assert raw.dtype == (np.uint16 if kind == "16-bit" else np.uint8)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("grey", GREY),
        ("palette", 255 - GREY),
        ("1-bit", GREY % 2 * 255),
        ("la", GREY),
        ("rgb", image_of(0)),
        ("rgba", image_of(0)),
    ],
)
def test_images_come_as_rgb(tmp_path, kind, expected):
    image = read_image(stored(tmp_path, kind))
    assert image.dtype == np.uint8
    np.testing.assert_array_equal(image, expected if expected.ndim == 3 else np.dstack([expected] * 3))


def test_16_bit_image_becomes_float_of_its_full_range(tmp_path):
    image = read_image(stored(tmp_path, "16-bit"))
    assert image.dtype == np.float32
    np.testing.assert_allclose(image[:, :, 1], WIDE / 65535, rtol=1e-6)


def test_value_range_stretches_and_clips(tmp_path):
    image = read_image(stored(tmp_path, "16-bit"), value_range=(1007, 11007))
    np.testing.assert_allclose(image[0, :3, 0], [0.0, 0.0, 0.1], atol=1e-6)
    assert image.max() == 1.0


def test_32_bit_image_with_a_range_becomes_float(tmp_path):
    path = save(tmp_path / "wide.tif", WIDE.astype(np.int32) * 100)
    np.testing.assert_allclose(read_image(path, (0, 1e6))[:, :, 2], (WIDE / 1e4).clip(max=1), rtol=1e-6)


@pytest.mark.parametrize("values", [GREY.astype(np.float32), GREY.astype(np.int32) - 5])
def test_image_of_unknown_range_asks_for_it(tmp_path, values):
    with pytest.raises(DataError, match="range is unknown"):
        read_image(save(tmp_path / "image.tif", values))


def test_cmyk_image_becomes_rgb_and_is_no_mask(tmp_path):
    Image.new("CMYK", (8, 6), (0, 255, 255, 0)).save(tmp_path / "a.tif")
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif")[0, 0], [255, 0, 0])
    with pytest.raises(DataError, match="CMYK"):
        read_mask(tmp_path / "a.tif")


def test_mask_saved_as_jpeg_is_refused(tmp_path):
    with pytest.raises(DataError, match="JPEG"):
        read_mask(save(tmp_path / "mask.jpg", GREY))


def test_exif_orientation_is_applied_to_neither(tmp_path):
    exif = Image.Exif()
    exif[274] = 6
    path = tmp_path / "turned.png"
    Image.fromarray(GREY).save(path, exif=exif)
    np.testing.assert_array_equal(read_mask(path), GREY)
    assert read_image(path).shape == (6, 8, 3)
