"""Parts of photographs: by rows or from the whole, the pixels are those of the codec."""

import io
from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from overflight.imaging.codecs import decode, encode_jpeg
from overflight.imaging.header import ImageFault, read_header
from overflight.imaging.jpeg import decode_plain, encode_bgr
from overflight.imaging.png_bands import png_bands, png_rows
from overflight.imaging.tiff_bands import tiff_bands
from overflight.imaging.tiles import Tile, plan_tiles
from overflight.imaging.windows import windows

SIZE_WH = (90, 170)


def picture(seed=0, size_wh=SIZE_WH, dtype=np.uint8, channels=3):
    """Structure and noise, so that every filter of PNG has its use."""
    random = np.random.default_rng(seed)
    top = np.iinfo(dtype).max
    width, height = size_wh
    slope = np.add.outer(np.arange(height), np.arange(width))[..., None] * (top / (height + width))
    noise = random.integers(0, top // 9, (height, width, channels))
    found = np.clip(slope * 0.8 + noise, 0, top).astype(dtype)
    return found if channels > 1 else found[..., 0]


def coded(suffix, pixels):
    written, data = cv2.imencode(suffix, pixels)
    assert written
    return data.tobytes()


def png(pixels):
    return coded(".png", pixels)


def pillow(pixels, kind, **options):
    file = io.BytesIO()
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    image.save(file, kind, **options)
    return file.getvalue()


def turned(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


def tiled_tiff(pixels):
    from PIL.TiffImagePlugin import ImageFileDirectory_v2

    fields = ImageFileDirectory_v2()
    fields[322] = fields[323] = 64
    return pillow(pixels, "TIFF", compression="tiff_adobe_deflate", tiffinfo=fields)


FILES = {
    "png": lambda: png(picture()),
    "png, no filters": lambda: pillow(picture(), "PNG", compress_level=0),
    "png grey": lambda: png(picture(channels=1)),
    "png with alpha": lambda: png(picture(channels=4)),
    "png 16 bits": lambda: png(picture(dtype=np.uint16)),
    "png 12 of 16 bits": lambda: png(picture(dtype=np.uint16) >> 4),
    "png grey 16 bits": lambda: png(picture(dtype=np.uint16, channels=1)),
    "png palette": lambda: pillow(Image.fromarray(picture()).quantize(200), "PNG"),
    "png palette of 4 bits": lambda: pillow(Image.fromarray(picture()).quantize(9), "PNG", bits=4),
    "png grey with alpha": lambda: pillow(Image.fromarray(picture()).convert("LA"), "PNG"),
    "png turned": lambda: pillow(picture(), "PNG", exif=turned(6)),
    "tiff in strips": lambda: pillow(picture(), "TIFF", strip_size=90 * 3 * 16, compression="tiff_lzw"),
    "tiff, predictor": lambda: pillow(
        picture(), "TIFF", strip_size=90 * 3 * 16, compression="tiff_adobe_deflate", tiffinfo={317: 2}
    ),
    "tiff, one strip, not compressed": lambda: pillow(picture(), "TIFF", strip_size=1 << 20),
    "tiff, one strip, compressed": lambda: pillow(picture(), "TIFF", strip_size=1 << 20, compression="tiff_lzw"),
    "tiff jpeg": lambda: pillow(picture(), "TIFF", strip_size=90 * 3 * 32, compression="jpeg"),
    "tiff 16 bits": lambda: coded(".tiff", picture(dtype=np.uint16)),
    "tiff turned": lambda: pillow(picture(), "TIFF", strip_size=90 * 3 * 16, exif=turned(8)),
    "tiff palette": lambda: pillow(Image.fromarray(picture()).quantize(200), "TIFF", strip_size=90 * 16),
    "bigtiff": lambda: pillow(picture(), "TIFF", strip_size=90 * 3 * 16, big_tiff=True),
    "jpeg": lambda: encode_jpeg(picture()),
}
WHOLE = {"png palette of 4 bits", "png grey with alpha", "tiff, one strip, compressed"}


@pytest.mark.parametrize("name", FILES)
def test_parts_are_the_codecs_pixels_by_rows_and_from_the_whole(name, monkeypatch):
    data = FILES[name]()
    whole = decode(data)
    height, width = whole.shape[:2]
    parts = plan_tiles(width, height, tile_px=48, overlap_px=16)
    assert len(parts) > 6
    monkeypatch.setattr("overflight.imaging.windows._BAND_PX", 90 * 16)
    for banded_from_px in (0, 10**9):
        found = {n: pixels.copy() for n, pixels in windows(data, parts, banded_from_px=banded_from_px)}
        assert sorted(found) == list(range(len(parts)))
        for number, part in enumerate(parts):
            expected = whole[part.y0 : part.y1, part.x0 : part.x1, ::-1]
            np.testing.assert_array_equal(found[number], expected, err_msg=str(part))


@pytest.mark.parametrize("name", [name for name in FILES if name != "jpeg"])
def test_what_can_be_divided_is(name):
    data = FILES[name]()
    divided = png_rows(data) if name.startswith("png") else tiff_bands(data, rows=16)
    assert (divided is None) == (name in WHOLE)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_parts_of_a_turned_photograph_are_upright(orientation):
    for kind in ("PNG", "JPEG", "TIFF"):
        data = pillow(picture(), kind, exif=turned(orientation))
        whole = decode(data)
        parts = [Tile(0, 0, 20, 30), Tile(40, 60, whole.shape[1], whole.shape[0])]
        for number, pixels in windows(data, parts, banded_from_px=0):
            part = parts[number]
            np.testing.assert_array_equal(pixels[..., ::-1], whole[part.y0 : part.y1, part.x0 : part.x1])


@settings(max_examples=40)
@given(st.integers(0, 2**32 - 1), st.integers(1, 70), st.integers(1, 70), st.integers(1, 80))
def test_bands_of_a_png_are_the_picture(seed, width, height, rows):
    pixels = picture(seed, (width, height))
    data = png(pixels)
    found = png_rows(data)
    bands = list(png_bands(data, found, rows=rows))
    assert [len(band) for band in bands[:-1]] == [rows] * (len(bands) - 1)
    np.testing.assert_array_equal(np.concatenate(bands), pixels)


@pytest.mark.parametrize("name", ["png", "tiff in strips", "jpeg"])
@pytest.mark.parametrize("banded_from_px", [0, 10**9])
def test_damage_is_said_whichever_way_it_is_read(name, banded_from_px):
    data = bytearray(FILES[name]())
    if name == "png":
        start, end = png_rows(bytes(data)).places[0]
        data[start:end] = bytes(end - start)
        import struct
        import zlib

        data[end : end + 4] = struct.pack(">I", zlib.crc32(data[start - 4 : end]))
    elif name == "jpeg":
        del data[len(data) // 2 :]
    else:
        data[400:5000] = b"\xff" * 4600
    with pytest.raises(ImageFault, match=r"p: unreadable image"):
        list(windows(bytes(data), [Tile(0, 0, 90, 170)], where="p", banded_from_px=banded_from_px))


def test_a_png_that_holds_more_than_its_picture_ends_with_it():
    import zlib

    data = FILES["png"]()
    found = png_rows(data)
    packed = zlib.compress(zlib.decompress(b"".join(data[a:b] for a, b in found.places)) + bytes(10_000_000))
    longer = replace(found, places=((0, len(packed)),))
    assert [len(band) for band in png_bands(packed, longer, rows=17)] == [17] * 10
    assert [len(band) for band in png_bands(packed, longer, rows=40)] == [40, 40, 40, 40, 10]


def test_a_part_outside_is_refused():
    with pytest.raises(ValueError, match="outside of 90x170 px"):
        list(windows(FILES["png"](), [Tile(0, 0, 91, 20)]))


@settings(max_examples=30)
@given(
    seed=st.integers(0, 2**32 - 1),
    size=st.tuples(st.integers(1, 90), st.integers(1, 90)),
    quality=st.integers(1, 100),
    subsampling=st.sampled_from([0, 1, 2]),
    progressive=st.booleans(),
    grey=st.booleans(),
)
def test_plain_jpeg_gives_the_pixels_of_opencv(*, seed, size, quality, subsampling, progressive, grey):
    image = Image.fromarray(picture(seed, size, channels=1 if grey else 3))
    data = pillow(image, "JPEG", quality=quality, subsampling=subsampling, progressive=progressive)
    header = read_header(data)
    expected = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    found = decode_plain(data, header, order="BGR", buffer=np.empty(size[0] * size[1] * 3, np.uint8))
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(decode_plain(data, header, buffer=np.empty(1, np.uint8))[..., ::-1], expected)


def test_what_is_not_plain_is_left_to_opencv():
    cmyk = pillow(Image.fromarray(picture()).convert("CMYK"), "JPEG")
    assert decode_plain(cmyk, read_header(cmyk)) is None
    data = FILES["png"]()
    assert decode_plain(data, read_header(data)) is None
    assert decode(cmyk).shape == (170, 90, 3)


@settings(max_examples=20)
@given(st.integers(0, 2**32 - 1), st.integers(1, 100))
def test_a_part_is_encoded_where_it_lies_as_its_copy_would_be(seed, quality):
    rgb = picture(seed)
    part = rgb[20:100, 30:77]
    bgr = np.ascontiguousarray(rgb[..., ::-1])[20:100, 30:77]
    assert encode_bgr(bgr, quality) == encode_jpeg(part, quality)
