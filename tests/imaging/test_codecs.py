"""Codecs: every photograph comes out upright, RGB, 8 bit; a damaged one is refused with a reason."""

import io
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageOps

from overflight.errors import InputError
from overflight.imaging.codecs import decode, encode_jpeg, to_8_bits
from overflight.imaging.header import ImageFault, read_header

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


def tiff(samples, *, compression=1, claimed=None, photometric=2, planar=1, extra=0, sample_format=1, tags=()):
    """A TIFF of one strip per plane, written by hand: bands and claims that no library writes."""
    height, width, bands = samples.shape
    planes = [samples] if planar == 1 else [samples[..., band] for band in range(bands)]
    raw = [np.ascontiguousarray(plane).astype(samples.dtype.newbyteorder("<")).tobytes() for plane in planes]
    claimed = claimed or (width, height)
    entries = {256: (4, [claimed[0]]), 257: (4, [claimed[1]]), 258: (3, [samples.dtype.itemsize * 8] * bands)}
    entries |= {259: (3, [compression]), 262: (3, [photometric]), 277: (3, [bands]), 278: (4, [claimed[1]])}
    entries |= {273: (4, [4096 + len(raw[0]) * at for at in range(len(raw))]), 279: (4, [len(r) for r in raw])}
    entries |= {284: (3, [planar]), 339: (3, [sample_format] * bands), **dict(tags)}
    if extra:
        entries[338] = (3, [extra] * max(1, bands - 3))
    values_at, directory, values = 8 + 2 + 12 * len(entries) + 4, b"", b""
    for tag, (kind, numbers) in sorted(entries.items()):
        packed = struct.pack(f"<{len(numbers)}{ {1: 'B', 3: 'H', 4: 'I', 12: 'd'}[kind] }", *numbers)
        field = packed.ljust(4, b"\0")
        if len(packed) > 4:
            field, values = struct.pack("<I", values_at + len(values)), values + packed + packed[:0]
        directory += struct.pack("<HHI", tag, kind, len(numbers)) + field
    head = struct.pack("<2sHIH", b"II", 42, 8, len(entries)) + directory + bytes(4) + values
    return head.ljust(4096, b"\0") + b"".join(raw)


def png_header(width, height):
    body = struct.pack(">II5B", width, height, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", body), (b"IEND", b"")]
    blocks = [struct.pack(">I", len(b)) + k + b + struct.pack(">I", zlib.crc32(k + b)) for k, b in chunks]
    return b"\x89PNG\r\n\x1a\n" + b"".join(blocks)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF"])
def test_the_orientation_is_applied_as_pillow_does(orientation, kind):
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"tiffinfo": {0x0112: orientation}} if kind == "TIFF" else {"exif": exif}
    data = saved(Image.fromarray(picture()), kind, **options)
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
        pytest.param(Image.fromarray(picture()).convert("L"), "TIFF", id="grey TIFF"),
        pytest.param(Image.fromarray(picture()).convert("P"), "TIFF", id="palette TIFF"),
        pytest.param(Image.fromarray(picture()).convert("CMYK"), "TIFF", id="CMYK TIFF"),
        pytest.param(Image.fromarray(picture()[..., 0].astype(np.uint16) * 257), "TIFF", id="16-bit TIFF"),
        pytest.param(Image.fromarray(picture()[..., 0] > 99), "TIFF", id="1-bit TIFF"),
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


@pytest.mark.parametrize("compression", ["raw", "tiff_lzw", "tiff_adobe_deflate", "packbits", "zstd", "lzma"])
@pytest.mark.parametrize("big", [False, True], ids=["classic", "BigTIFF"])
def test_tiff_compressions_are_read_exactly(compression, big):
    data = saved(Image.fromarray(picture()), "TIFF", compression=compression, big_tiff=big)
    assert np.array_equal(decode(data), picture())


@pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_adobe_deflate"])
def test_damage_in_a_compressed_tiff_is_found(compression):
    noise = np.random.default_rng(3).integers(0, 255, (200, 200, 3), dtype=np.uint8)
    data = saved(Image.fromarray(noise), "TIFF", compression=compression)
    half = len(data) // 2
    with pytest.raises(ImageFault, match="damaged"):
        decode(data[:half] + bytes(range(200)) + data[half + 200 :])


def test_a_tiff_compressed_as_jpeg_is_read():
    data = saved(Image.fromarray(picture()), "TIFF", compression="jpeg")
    assert np.abs(decode(data).astype(int) - picture()).mean() < 3


def test_a_tiled_tiff_is_read():
    encoded = cv2.imencode(".tiff", np.tile(picture()[..., ::-1], (9, 9, 1)))[1].tobytes()
    assert np.array_equal(decode(encoded), np.tile(picture(), (9, 9, 1)))


@pytest.mark.parametrize("planar", [1, 2], ids=["pixel by pixel", "plane by plane"])
@pytest.mark.parametrize("extra", [0, 1, 2], ids=["unnamed", "associated alpha", "alpha"])
def test_a_fourth_band_of_a_tiff_is_dropped_whatever_it_is_called(planar, extra):
    bands = np.dstack([picture(), np.zeros((32, 48), np.uint8)])
    assert np.array_equal(decode(tiff(bands, planar=planar, extra=extra, tags={338: (3, [extra])})), picture())


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("count", [5, 6, 9])
def test_of_many_bands_the_first_three_are_shown(count, dtype):
    scale = 1 if dtype == np.uint8 else 257
    bands = np.zeros((32, 48, count), dtype)
    bands[..., :3] = picture().astype(dtype) * scale
    assert np.array_equal(decode(tiff(bands, extra=0)), picture())


def test_a_geotiff_says_so_and_prints_nothing(capfd):
    geo = {33550: (12, [0.1, 0.1, 0.0]), 33922: (12, [0.0, 0.0, 0.0, 404211.9, 3285142.9, 0.0])}
    data = tiff(picture(), tags=geo)
    assert read_header(data).is_geotiff
    assert not read_header(tiff(picture())).is_geotiff
    decode(data)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("largest", "shift"), [(255, 0), (256, 2), (1023, 2), (1024, 4), (4095, 4), (4096, 6), (16383, 6), (16384, 8)]
)
@pytest.mark.parametrize("kind", [".png", ".tiff"])
def test_16_bits_become_8_by_the_depth_of_the_camera(largest, shift, kind):
    """A picture of 12 bits divided by 256 would be black."""
    deep = np.linspace(0, largest, 48 * 32).reshape(32, 48).astype(np.uint16)
    rgb = decode(cv2.imencode(kind, np.dstack([deep // 2, deep, deep]))[1].tobytes())
    assert np.array_equal(rgb, np.dstack([deep, deep, deep // 2]) >> shift)
    assert np.array_equal(decode(cv2.imencode(kind, deep)[1].tobytes())[..., 0], deep >> shift)


def test_8_bits_stay_as_they_are():
    assert np.array_equal(to_8_bits(picture()), picture())


JPEG = saved(Image.fromarray(picture(200, 200)))
PNG = saved(Image.fromarray(picture(200, 200)), "PNG")
TIFF = saved(Image.fromarray(picture()), "TIFF")
TAGGED = saved(
    Image.fromarray(picture()),
    "TIFF",
    tiffinfo={271: "DJI", 0x8769: {0x920A: 4.3}, 0x8825: {1: "N", 2: (1.0, 2.0, 3.0)}},
)
SMALL = np.zeros((8, 8, 3), np.uint8)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        pytest.param(b"", "the file is empty", id="empty"),
        pytest.param(b"GIF89a....", "neither JPEG, PNG nor TIFF", id="another format"),
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
        pytest.param(png_header(14_000, 14_000), "holds only 0 bytes", id="bomb below the limit"),
        pytest.param(bytes(5000), "nothing but 5,000 zero bytes", id="zeros"),
        pytest.param(TIFF[:-5], "cut off", id="TIFF cut"),
        pytest.param(TIFF[:30], "cut off", id="TIFF cut in its directory"),
        pytest.param(b"II*\0", "cut off", id="four bytes"),
        pytest.param(tiff(SMALL, claimed=(40_000, 40_000)), "more than the limit", id="TIFF bomb"),
        pytest.param(tiff(SMALL, claimed=(14_000, 14_000)), "holds only", id="TIFF bomb below the limit"),
        pytest.param(tiff(SMALL, claimed=(14_000, 14_000), compression=8), "holds only", id="deflated TIFF bomb"),
        pytest.param(tiff(SMALL, claimed=(0, 5)), "has no size", id="TIFF of no width"),
        pytest.param(tiff(SMALL.astype(np.float32), sample_format=3), "32-bit float", id="floats"),
        pytest.param(tiff(SMALL.astype(np.uint32)), "32-bit integer", id="32 bits"),
        pytest.param(tiff(np.zeros((4, 4, 9), np.uint8), planar=2), "9 bands", id="nine planes"),
        pytest.param(tiff(SMALL, compression=34712), "compression 34712 is not supported", id="unknown compression"),
    ],
)
def test_a_damaged_picture_is_refused_with_a_reason(data, reason):
    with pytest.raises(InputError, match=reason) as caught:
        decode(data, where="photos/a.jpg")
    assert str(caught.value).startswith("photos/a.jpg: unreadable image: ")
    assert caught.value.cure


@pytest.mark.parametrize(
    ("data", "code"),
    [
        pytest.param(b"", "zero-bytes", id="empty"),
        pytest.param(JPEG[: len(JPEG) // 2], "truncated", id="JPEG cut in its data"),
        pytest.param(JPEG[:100], "truncated", id="JPEG cut in its header"),
        pytest.param(PNG[:-5], "truncated", id="PNG cut"),
        pytest.param(TIFF[:-5], "truncated", id="TIFF cut"),
        pytest.param(b"GIF89a....", "unreadable", id="another format"),
        pytest.param(PNG[:60] + b"?" + PNG[61:], "unreadable", id="wrong byte"),
        pytest.param(png_header(5, 5), "unreadable", id="without data"),
        pytest.param(png_header(40_000, 40_000), "too-large", id="bomb"),
        pytest.param(tiff(SMALL, claimed=(40_000, 40_000)), "too-large", id="TIFF bomb"),
    ],
)
def test_the_kind_of_fault_is_told(data, code):
    with pytest.raises(ImageFault) as caught:
        decode(data)
    assert caught.value.code == code


def restarted():
    return saved(Image.fromarray(picture(200, 200)), restart_marker_blocks=7)


def marker_at(data, number):
    return [at for at in range(len(data) - 1) if data[at] == 0xFF and 0xD0 <= data[at + 1] <= 0xD7][number]


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda data: data[: marker_at(data, 3)] + data[marker_at(data, 4) :], id="a piece is missing"),
        pytest.param(lambda data: data[: marker_at(data, 5)] + b"\xff\xd9", id="only the beginning"),
        pytest.param(
            lambda data: data[: marker_at(data, 2)] + b"\xff\xc3" + data[marker_at(data, 2) + 2 :], id="marker"
        ),
    ],
)
def test_damage_that_breaks_the_order_of_markers_is_found(damage):
    assert decode(restarted()).shape == (200, 200, 3)
    with pytest.raises(ImageFault, match="compressed data is damaged"):
        decode(damage(restarted()))


@pytest.mark.parametrize("options", [{}, {"subsampling": 0}, {"subsampling": 1}], ids=str)
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_grey_in_place_of_missing_data_is_found(options, mode):
    """What tools leave that put an end marker behind half a file."""
    data = saved(Image.fromarray(picture(320, 200)).convert(mode), **options)
    for part in (0.6, 0.7, 0.8):
        with pytest.raises(ImageFault, match="% of the picture is missing") as caught:
            decode(data[: int(len(data) * part)] + b"\xff\xd9")
        assert caught.value.code == "truncated"


@pytest.mark.parametrize(
    ("top", "bottom"), [(0, 60), (40, 60), (200, 200)], ids=["an edge below", "edges above and below", "all grey"]
)
def test_grey_that_was_drawn_is_none_of_that(top, bottom):
    rgb = picture(320, 200)
    rgb[:top] = rgb[200 - bottom :] = 128
    assert decode(saved(Image.fromarray(rgb), quality=95)).shape == (200, 320, 3)


@given(st.binary(max_size=60), st.integers(0, 4200), st.sampled_from([JPEG, PNG, TIFF, TAGGED]))
def test_no_bytes_make_it_fail_otherwise(junk, at, whole):
    for data in (whole[:at] + junk + whole[at + len(junk) :], whole[:4] + junk):
        try:
            assert decode(data, max_pixels=1_000_000).dtype == np.uint8
        except ImageFault as fault:
            assert fault.code in {"zero-bytes", "truncated", "unreadable", "too-large"}  # noqa: PT017


def test_formats_can_be_narrowed():
    with pytest.raises(ImageFault, match="TIFF is not accepted here"):
        decode(TIFF, formats=("jpeg", "png"))


@pytest.mark.parametrize(
    ("data", "facts"),
    [
        pytest.param(JPEG, ("jpeg", 3, 8, False), id="JPEG"),
        pytest.param(saved(Image.fromarray(picture()).convert("L")), ("jpeg", 1, 8, False), id="grey JPEG"),
        pytest.param(saved(Image.fromarray(picture()).convert("P"), "PNG"), ("png", 3, 8, True), id="palette"),
        pytest.param(saved(Image.fromarray(picture()).convert("RGBA"), "PNG"), ("png", 4, 8, False), id="alpha"),
        pytest.param(saved(Image.fromarray(SMALL[..., 0].astype(np.uint16)), "PNG"), ("png", 1, 16, False), id="deep"),
        pytest.param(tiff(np.zeros((8, 8, 5), np.uint16)), ("tiff", 5, 16, False), id="five bands"),
        pytest.param(saved(Image.fromarray(picture()).convert("P"), "TIFF"), ("tiff", 3, 8, True), id="TIFF palette"),
    ],
)
def test_what_the_header_says(data, facts):
    header = read_header(data)
    assert (header.format, header.channels, header.bits, header.is_palette) == facts
    assert not header.is_mpo


def test_an_mpo_is_a_jpeg_with_more_behind_it():
    first, second = Image.fromarray(picture()), Image.fromarray(picture()[::-1])
    data = saved(first, "MPO", save_all=True, append_images=[second])
    assert (read_header(data).format, read_header(data).is_mpo) == ("jpeg", True)
    assert np.abs(decode(data).astype(int) - picture()).mean() < 3


def test_equal_pixels_give_equal_bytes_near_the_original():
    first, second = encode_jpeg(picture()), encode_jpeg(picture().copy())
    assert first == second
    assert np.abs(decode(first).astype(int) - picture()).mean() < 2


@pytest.mark.parametrize("wrong", [np.zeros((4, 4)), np.zeros((4, 4, 3)), np.zeros((0, 4, 3), np.uint8)], ids=str)
def test_only_rgb_pictures_are_encoded(wrong):
    with pytest.raises(ValueError, match="RGB uint8"):
        encode_jpeg(wrong)


@pytest.mark.parametrize(
    ("name", "shape", "facts"),
    [
        pytest.param(
            "stills-4k/labelled_4k/images/DJI_0012.JPG", (2250, 4000, 3), ("jpeg", 3, 8, False, True), id="MPO"
        ),
        pytest.param("formats/sahi_coco/terrain2.png", (682, 1024, 3), ("png", 3, 8, True, False), id="palette PNG"),
        pytest.param(
            "metadata/thermal_rjpeg/FLIR_AX8.jpg", (480, 640, 3), ("jpeg", 3, 8, False, False), id="radiometric JPEG"
        ),
        pytest.param("formats/deepforest/OSBS_029.tif", (400, 400, 3), ("tiff", 3, 8, False, False), id="GeoTIFF"),
    ],
)
def test_real_photographs(name, shape, facts):
    path = SHARED / name
    if not path.exists():
        pytest.skip("the real photographs are not here")
    header = read_header(path.read_bytes())
    assert (header.format, header.channels, header.bits, header.is_palette, header.is_mpo) == facts
    assert header.is_geotiff == (header.format == "tiff")
    assert decode(path.read_bytes()).shape == shape


def test_the_geotiff_shows_what_the_png_of_the_same_place_shows():
    folder = SHARED / "formats/deepforest"
    if not folder.exists():
        pytest.skip("the real photographs are not here")
    tif, png = decode((folder / "OSBS_029.tif").read_bytes()), decode((folder / "OSBS_029.png").read_bytes())
    assert np.abs(tif.astype(int) - png).mean() < 1


def test_broken_exif_in_a_tiff_keeps_nobody_from_its_picture():
    """Pillow would warn, and here warnings are errors."""
    at = TAGGED.index(struct.pack("<HHI", 0x8769, 4, 1)) + 8
    broken = TAGGED[:at] + struct.pack("<I", len(TAGGED) - 3) + TAGGED[at + 4 :]
    assert np.array_equal(decode(broken), picture())
    assert read_header(broken).exif
