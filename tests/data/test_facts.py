"""Facts of photographs: figures with the right meaning, equal for equal bytes, and a fault instead of an exception."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pictures import SHARED, facts_of, jpeg, png, town

from overflight.data.facts import photo_facts, read_facts
from overflight.data.files import PhotoFile, SourceFiles, find_files
from overflight.data.pixel_facts import LONGER_SIDE_PX, measure

PHOTO = jpeg(town())


def fact(data, *, decode=True):
    return photo_facts(data, key="a.jpg", decode=decode)


def flat(level):
    return np.full((128, 128, 3), level, dtype=np.uint8)


def test_a_photograph_has_digest_size_header_and_pixels():
    facts = fact(PHOTO)
    assert (facts.bytes, len(facts.sha256), facts.size_wh_px, facts.fault) == (len(PHOTO), 64, (320, 240), "")
    assert facts.pixels is not None
    assert facts.pixels.thumb.shape == (32, 32)
    assert fact(PHOTO, decode=False).pixels is None


def test_equal_bytes_give_equal_figures():
    one, two = fact(PHOTO).pixels, fact(PHOTO).pixels
    assert repr(one) == repr(two)
    assert np.array_equal(one.thumb, two.thumb)


@pytest.mark.parametrize(
    ("name", "picture", "expected"),
    [
        ("mean_luma", flat(77), 77),
        ("contrast", flat(77), 0),
        ("contrast", np.where(np.arange(128)[:, None, None] < 64, flat(50), flat(150)), 50),
        ("p1_luma", flat(9), 9),
        ("p99_luma", flat(201), 201),
        ("dark_share", np.where(np.arange(128)[:, None, None] < 32, flat(3), flat(90)), 0.25),
        ("bright_share", np.where(np.arange(128)[:, None, None] < 96, flat(252), flat(90)), 0.75),
        ("entropy_bits", flat(77), 0),
        ("entropy_bits", np.tile((np.arange(128) * 2)[None, :, None].astype(np.uint8), (128, 1, 3)), 7),
        ("saturation", np.full((128, 128, 3), (0, 0, 200), dtype=np.uint8), 255),
        ("illumination", np.where(np.arange(128)[:, None, None] < 32, flat(204), flat(51)), 0.6),
        ("haze", flat(102), 0.4),
        ("sharpness", flat(77), 0),
        ("noise_sigma", flat(77), 0),
        ("focus", flat(77), 0),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_measure_of_a_picture_that_is_known(name, picture, expected):
    assert getattr(measure(picture.astype(np.uint8)), name) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("sigma", [4, 10, 25])
def test_noise_is_measured_beside_edges(sigma):
    noise = np.random.default_rng(1).normal(0, sigma, (768, 1024, 1))
    picture = np.clip(np.where(np.arange(1024)[None, :, None] < 500, 90, 160) + noise, 0, 255).astype(np.uint8)
    assert measure(np.repeat(picture, 3, axis=2)).noise_sigma == pytest.approx(sigma, rel=0.2)


def test_the_variance_of_the_laplacian_is_that_of_its_definition():
    luma = np.random.default_rng(2).integers(0, 255, (64, 64)).astype(np.uint8)
    around = np.pad(luma.astype(float), 1, mode="reflect")
    laplacian = around[:-2, 1:-1] + around[2:, 1:-1] + around[1:-1, :-2] + around[1:-1, 2:] - 4 * around[1:-1, 1:-1]
    assert measure(np.repeat(luma[:, :, None], 3, axis=2)).sharpness == pytest.approx(laplacian.var(), rel=1e-6)


def test_focus_falls_with_blur_and_not_with_contrast():
    sharp = town(3)
    soft = cv2.GaussianBlur(sharp, (0, 0), 2)
    faint = (sharp // 2 + 60).astype(np.uint8)
    assert measure(soft).focus < 0.1 * measure(sharp).focus
    assert measure(faint).focus == pytest.approx(measure(sharp).focus, rel=0.15)


@pytest.mark.parametrize("scale", [2, 4])
def test_a_large_photograph_has_the_figures_of_the_same_one_reduced(scale):
    picture = town(4, size_wh=(1024, 640))
    large = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_NEAREST)
    small, big = fact(jpeg(picture, 98)).pixels, fact(jpeg(large, 98)).pixels
    assert max(picture.shape) == LONGER_SIDE_PX
    for name in ("mean_luma", "contrast", "entropy_bits", "haze", "saturation", "illumination"):
        assert getattr(big, name) == pytest.approx(getattr(small, name), rel=0.05), name
    assert bin(small.phash ^ big.phash).count("1") <= 4
    assert np.abs(small.thumb.astype(int) - big.thumb).mean() < 2


def test_the_upright_picture_is_measured():
    turned = cv2.rotate(town(5), cv2.ROTATE_90_COUNTERCLOCKWISE)
    facts = fact(jpeg(turned, orientation=6))
    assert facts.header.orientation == 6
    assert facts.size_wh_px == (320, 240)
    assert np.abs(facts.pixels.thumb.astype(int) - fact(jpeg(town(5))).pixels.thumb).mean() < 3


@pytest.mark.parametrize("side_px", [1, 3, 15, 63, 65])
def test_pictures_of_few_pixels_have_figures(side_px):
    picture = np.random.default_rng(0).integers(0, 255, (side_px, 2 * side_px, 3)).astype(np.uint8)
    pixels = fact(png(picture)).pixels
    assert all(np.isfinite(value) for name, value in vars(pixels).items() if name != "thumb")


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (b"", "zero-bytes"),
        (PHOTO[: len(PHOTO) // 2], "truncated"),
        (PHOTO[:10], "truncated"),
        (png(town())[:-20], "truncated"),
        (b"not a picture at all", "unreadable"),
        (b"\x00" * 5000, "unreadable"),
        (np.random.default_rng(0).bytes(5000), "unreadable"),
    ],
    ids=["empty", "half", "in the header", "png", "text", "zeros", "random"],
)
def test_what_cannot_be_used_has_a_fault(data, fault):
    facts = fact(data)
    assert facts.fault == fault
    assert facts.pixels is None
    assert 0 < len(facts.fault_what) <= 200


TINY = town(1, size_wh=(48, 40))
WHOLE = {
    "jpeg": jpeg(TINY),
    "turned": jpeg(TINY, orientation=6),
    "png": png(TINY),
    "tiff": cv2.imencode(".tif", TINY)[1].tobytes(),
}


@pytest.mark.parametrize("kind", WHOLE)
@given(cut=st.integers(0, 4000), changes=st.lists(st.tuples(st.integers(0, 4000), st.binary(min_size=1, max_size=4))))
@settings(max_examples=60)
def test_damaged_files_never_raise(kind, cut, changes):
    data = bytearray(WHOLE[kind])
    for place, written in changes:
        start = place % len(data)
        data[start : start + len(written)] = written
    facts = fact(bytes(data[: len(data) - cut % len(data)] if cut % 3 == 0 else data))
    assert (facts.pixels is None) == bool(facts.fault)
    assert facts.fault in {"", "zero-bytes", "truncated", "unreadable"}


def test_damage_that_only_the_decoder_sees_is_a_fault(monkeypatch):
    monkeypatch.setattr("overflight.data.pixel_facts.cv2.imdecode", lambda *_: None)
    facts = fact(PHOTO)
    assert (facts.fault, facts.header.width_px) == ("unreadable", 320)


@pytest.mark.parametrize(("kept", "least"), [(0.3, 0.5), (0.6, 0.25), (0.9, 0.03)])
def test_rows_that_the_decoder_made_up_are_counted(kept, least):
    data = jpeg(town(6, size_wh=(640, 480)))
    cut = data[: int(len(data) * kept)].rstrip(b"\xff") + b"\xff\xd9"
    assert least < fact(cut).pixels.missing_share < 1 - kept + 0.2
    assert fact(data).pixels.missing_share == 0


def test_a_folder_is_read_in_order_whatever_the_number_of_threads(tmp_path):
    keys = [f"{number}.jpg" for number in (3, 1, 2, 7, 5)]
    for number, key in enumerate(keys):
        (tmp_path / key).write_bytes(jpeg(town(number, size_wh=(64, 48))))
    files, seen = find_files(tmp_path), []
    alone = read_facts(files, keys, decode=True, workers=1)
    many = read_facts(files, keys, decode=True, workers=4, progress=lambda done, of: seen.append((done, of)))
    assert list(many) == keys
    assert seen == [(done, 5) for done in range(1, 6)]
    assert [repr(facts) for facts in alone.values()] == [repr(facts) for facts in many.values()]
    assert read_facts(files, [], decode=True) == {}


def test_a_file_that_is_gone_or_closed_has_a_fault(tmp_path):
    (tmp_path / "folder.jpg").mkdir()
    files = SourceFiles(tmp_path, (PhotoFile("gone.jpg", "gone.jpg"), PhotoFile("folder.jpg", "folder.jpg")), ())
    found = read_facts(files, ["gone.jpg", "folder.jpg"], decode=True)
    assert {key: (facts.fault, facts.sha256) for key, facts in found.items()} == {
        "gone.jpg": ("unreadable", ""),
        "folder.jpg": ("unreadable", ""),
    }
    assert "cannot be opened" in found["gone.jpg"].fault_what


@pytest.mark.skipif(not SHARED.exists(), reason="the real photographs are not here")
def test_real_photographs_have_no_missing_rows_and_the_lens_cap_shows_nothing():
    folder = SHARED / "metadata/agung_dji_fc8482"
    found = facts_of(
        {path.name: path.read_bytes() for path in sorted(Path(folder).iterdir()) if path.suffix.lower() == ".jpg"}
    )
    caps = [facts.pixels for key, facts in found.items() if "LENS_CAP" in key]
    assert len(caps) == 2
    assert max(pixels.mean_luma for pixels in caps) < 5
    assert all(facts.pixels.missing_share == 0 for facts in found.values())
