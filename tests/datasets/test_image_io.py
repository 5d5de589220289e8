import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFile

from segsuite.datasets.image_io import read_image, read_mask
from segsuite.errors import DataError
from tests.datasets.odd_files import chunk, tiff
from tests.datasets.trees import ids_of, image_of, save

GREY = np.arange(48, dtype=np.uint8).reshape(6, 8)
TURNED = b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"
"""EXIF that says orientation 6."""
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


def stored(folder: Path, kind: str, transparent: bool = False) -> Path:
    """One file of each kind, all showing GREY or, where coloured, image_of(0)."""
    rgb, alpha = image_of(0), np.full((6, 8, 1), 255, np.uint8)
    path = folder / f"{kind}.png"
    if kind == "palette":
        image = Image.fromarray(GREY, "L").convert("P")
        image.putdata(GREY.ravel().tolist())
        image.putpalette([255 - i // 3 for i in range(768)])
        image.save(path, **({"transparency": bytes([0, 128])} if transparent else {}))
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
    # What a palette shows of an index, if anything, is not what the index means.
    raw = read_mask(stored(tmp_path, kind, transparent=True))
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


@pytest.mark.parametrize("read", [read_image, read_mask])
@pytest.mark.parametrize("ending", ["png", "tif", "webp"])
def test_a_turned_image_or_mask_is_refused(tmp_path, read, ending):
    exif = Image.Exif()
    exif[274] = 6
    path = tmp_path / f"turned.{ending}"
    Image.fromarray(image_of()).save(path, exif=exif, **({"lossless": True} if ending == "webp" else {}))
    with pytest.raises(DataError, match="has EXIF orientation 6: viewers rotate or mirror it"):
        read(path)


def test_a_turn_that_a_png_tells_behind_its_pixels_is_found(tmp_path):
    content = encoded(Image.fromarray(GREY))
    exif = chunk(b"eXIf", TURNED)
    end = content.index(b"IEND") - 4
    (tmp_path / "late.png").write_bytes(content[:end] + exif + content[end:])
    with pytest.raises(DataError, match="has EXIF orientation 6"):
        read_image(tmp_path / "late.png")


@pytest.mark.parametrize("kind", ["la", "rgba"])
@pytest.mark.parametrize("read", [read_image, read_mask])
def test_transparency_is_refused_unless_all_is_opaque(tmp_path, read, kind):
    array = np.array(Image.open(stored(tmp_path, kind)))
    array[2, 3, -1] = 254
    with pytest.raises(DataError, match=r"a transparency \(alpha\) band with values 254 to 255"):
        read(save(tmp_path / "a.png", array))


def test_a_palette_with_transparent_colours_is_no_image(tmp_path):
    with pytest.raises(DataError, match="transparency"):
        read_image(stored(tmp_path, "palette", transparent=True))


def test_value_range_is_refused_where_it_does_not_apply(tmp_path):
    with pytest.raises(DataError, match=r"8 bits, to which value_range \[0, 4095\] does not apply"):
        read_image(stored(tmp_path, "rgb"), value_range=(0, 4095))


@pytest.mark.parametrize("largest", [15, 1000])
def test_a_netpbm_that_pil_would_stretch_is_refused(tmp_path, largest):
    width = 2 if largest > 255 else 1
    values = (np.arange(48) % largest).astype(f">u{width}")
    (tmp_path / "a.pgm").write_bytes(b"P5 8 6 %d\n" % largest + values.tobytes())
    for read in (read_image, read_mask):
        with pytest.raises(DataError, match="values of an unusual range"):
            read(tmp_path / "a.pgm")


def test_a_netpbm_of_8_bits_is_read(tmp_path):
    (tmp_path / "a.pgm").write_bytes(b"P5 8 6 255\n" + GREY.tobytes())
    np.testing.assert_array_equal(read_mask(tmp_path / "a.pgm"), GREY)


def test_a_mask_whose_0_is_white_is_refused(tmp_path):
    with pytest.raises(DataError, match="0 is white"):
        read_mask(tiff(tmp_path / "a.tif", GREY, photometric=[0]))


def test_pages_that_are_smaller_copies_do_not_count(tmp_path):
    first = Image.fromarray(image_of())
    small = first.resize((4, 3))
    small.encoderinfo = {"tiffinfo": {254: 1}}
    first.save(tmp_path / "a.tif", save_all=True, append_images=[small])
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif"), image_of())


def test_of_a_photo_with_previews_the_photo_is_read(tmp_path):
    photo = Image.new("RGB", (8, 6), (200, 0, 0))
    photo.save(tmp_path / "a.jpg", "MPO", save_all=True, append_images=[Image.new("RGB", (8, 6))])
    assert read_image(tmp_path / "a.jpg")[0, 0, 0] > 190


def test_a_format_that_is_not_known_is_refused_by_its_name(tmp_path):
    Image.fromarray(image_of()).save(tmp_path / "a.sgi")
    with pytest.raises(DataError, match="format SGI, which is not read"):
        read_image(tmp_path / "a.sgi")


NO_IMAGES = {
    "a.npy": (b"\x93NUMPY\x01\x00", "a NumPy array"),
    "a.mat": (b"MATLAB 5.0 MAT-file", "a MATLAB file"),
    "a.json": (b' \n{"shapes": []}', "JSON"),
    "a.zip": (b"PK\x03\x04....", "a zip archive"),
    "a.heic": (b"\0\0\0\x18ftypheic", "an HEIC photo"),
    "a.dcm": (b"\0" * 128 + b"DICM", "a DICOM file"),
    "a.png": (b"version https://git-lfs.github.com/spec/v1\n", "a pointer of Git LFS"),
}


@pytest.mark.parametrize("name", NO_IMAGES)
def test_what_is_no_image_is_called_by_its_name(tmp_path, name):
    content, kind = NO_IMAGES[name]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=f"image file is no image, but {kind}") as caught:
        read_mask(tmp_path / name)
    assert caught.value.advice


def test_12_bits_have_a_scale_of_their_own(tmp_path):
    packed = bytes([0xFF, 0xF0, 0x00, 0x80, 0x00, 0x00])  # 4095, 0, 2048, 0
    path = tmp_path / "a.tif"
    array = np.frombuffer(packed, np.uint8).reshape(1, 6)
    tiff(path, array, bits=[12], width=[4])
    np.testing.assert_allclose(read_image(path)[0, :, 0], [1, 0, 2048 / 4095, 0], atol=1e-6)


@pytest.mark.parametrize(
    ("ending", "options"),
    [
        ("bmp", {}),
        ("gif", {}),
        ("webp", {"lossless": True}),
        ("ppm", {}),
        ("tga", {}),
        ("jp2", {"irreversible": False}),
    ],
)
def test_every_format_that_is_read_is_read_exactly(tmp_path, ending, options):
    array = image_of() if ending != "gif" else np.dstack([GREY] * 3)
    Image.fromarray(array if ending != "gif" else GREY).save(tmp_path / f"a.{ending}", **options)
    np.testing.assert_array_equal(read_image(tmp_path / f"a.{ending}"), array)


def test_a_jpeg_2000_of_more_bits_which_pil_would_stretch_is_refused(tmp_path):
    Image.fromarray(WIDE).save(tmp_path / "a.jp2")
    with pytest.raises(DataError, match="values of an unusual range"):
        read_image(tmp_path / "a.jp2")
