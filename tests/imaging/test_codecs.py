"""Codecs: every photograph comes out upright, RGB, 8 bit; a damaged one is refused with a reason."""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from overflight.errors import InputError
from overflight.imaging.codecs import decode, encode_jpeg
from overflight.imaging.header import read_header

SHARED = Path(__file__).parents[2].parent / "shared/data"


def picture(width=48, height=32):
    """Red grows to the right, green downwards: every turn and flip can be told apart."""
    rgb = np.zeros((height, width, 3), np.uint8)
    rgb[..., 0] = np.linspace(0, 250, width)
    rgb[..., 1] = np.linspace(0, 250, height)[:, None]
    return rgb


def saved(image, kind="JPEG", **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def png_header(width, height):
    body = struct.pack(">II5B", width, height, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", body), (b"IEND", b"")]
    blocks = [struct.pack(">I", len(b)) + k + b + struct.pack(">I", zlib.crc32(k + b)) for k, b in chunks]
    return b"\x89PNG\r\n\x1a\n" + b"".join(blocks)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_the_orientation_is_applied_as_pillow_does(orientation, kind):
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = saved(Image.fromarray(picture()), kind, exif=exif)
    expected = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data))))
    found = decode(data)
    assert found.shape == expected.shape
    assert np.abs(found.astype(int) - expected).mean() < 2
    assert (read_header(data).height_px, read_header(data).width_px) == found.shape[:2]


@pytest.mark.parametrize(
    ("image", "kind"),
    [
        pytest.param(Image.fromarray(picture()).convert("L"), "JPEG", id="grey JPEG"),
        pytest.param(Image.fromarray(picture()).convert("CMYK"), "JPEG", id="CMYK JPEG"),
        pytest.param(Image.fromarray(picture()).convert("P"), "PNG", id="palette PNG"),
        pytest.param(Image.fromarray(picture()).convert("RGBA"), "PNG", id="PNG with alpha"),
        pytest.param(Image.fromarray(picture()).convert("LA"), "PNG", id="grey PNG with alpha"),
        pytest.param(Image.fromarray(picture()[..., 0].astype(np.uint16) * 257), "PNG", id="16-bit PNG"),
        pytest.param(Image.fromarray(picture()[..., 0] > 99), "PNG", id="1-bit PNG"),
    ],
)
def test_every_kind_becomes_rgb_of_8_bits(image, kind):
    found = decode(saved(image, kind))
    assert found.dtype == np.uint8
    assert found.shape == (32, 48, 3)
    assert found.max() - found.min() > 200


@pytest.mark.parametrize("options", [{"progressive": True}, {"quality": 30}, {"restart_marker_rows": 1}], ids=str)
def test_jpeg_variants_are_read(options):
    assert decode(saved(Image.fromarray(picture()), **options)).shape == (32, 48, 3)


JPEG = saved(Image.fromarray(picture(200, 200)))
PNG = saved(Image.fromarray(picture(200, 200)), "PNG")


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        pytest.param(b"", "the file is empty", id="empty"),
        pytest.param(b"GIF89a....", "neither JPEG nor PNG", id="another format"),
        pytest.param(JPEG[: len(JPEG) // 2], "cut off", id="JPEG cut in its data"),
        pytest.param(JPEG[:-2], "cut off", id="JPEG without its end"),
        pytest.param(JPEG[:100], "cut off", id="JPEG cut in its header"),
        pytest.param(b"\xff\xd8\xff", "cut off", id="three bytes"),
        pytest.param(b"\xff\xd8" + b"\x00" * 100, "no JPEG marker", id="JPEG full of zeros"),
        pytest.param(b"\xff\xd8\xff\xd9", "holds no picture", id="JPEG without a picture"),
        pytest.param(PNG[:-5], "cut off", id="PNG cut"),
        pytest.param(PNG[:60] + b"?" + PNG[61:], "checksum error", id="PNG with a wrong byte"),
        pytest.param(png_header(0, 5), "has no size", id="PNG of no width"),
        pytest.param(png_header(5, 5), "damaged", id="PNG without data"),
        pytest.param(png_header(40_000, 40_000), "more than the limit", id="decompression bomb"),
    ],
)
def test_a_damaged_picture_is_refused_with_a_reason(data, reason):
    with pytest.raises(InputError, match=reason) as caught:
        decode(data, where="photos/a.jpg")
    assert str(caught.value).startswith("photos/a.jpg: unreadable image: ")
    assert caught.value.cure


def test_equal_pixels_give_equal_bytes_near_the_original():
    first, second = encode_jpeg(picture()), encode_jpeg(picture().copy())
    assert first == second
    assert np.abs(decode(first).astype(int) - picture()).mean() < 2


@pytest.mark.parametrize("wrong", [np.zeros((4, 4)), np.zeros((4, 4, 3)), np.zeros((0, 4, 3), np.uint8)], ids=str)
def test_only_rgb_pictures_are_encoded(wrong):
    with pytest.raises(ValueError, match="RGB uint8"):
        encode_jpeg(wrong)


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        pytest.param("stills-4k/labelled_4k/images/DJI_0012.JPG", (2250, 4000, 3), id="MPO of a DJI camera"),
        pytest.param("formats/sahi_coco/terrain2.png", (682, 1024, 3), id="palette PNG"),
        pytest.param("metadata/thermal_rjpeg/FLIR_AX8.jpg", (480, 640, 3), id="radiometric JPEG"),
    ],
)
def test_real_photographs(name, shape):
    path = SHARED / name
    if not path.exists():
        pytest.skip("the real photographs are not here")
    assert decode(path.read_bytes()).shape == shape
