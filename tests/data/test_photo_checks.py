"""Checks of photographs: each finds its defect, and leaves the clean twin alone."""

import cv2
import numpy as np
import pytest
from pictures import SHARED, blank_facts, facts_of, jpeg, png, subject, town

from overflight.data.checks import photo_checks
from overflight.data.checks.catalogue import load_catalogue
from overflight.data.checks.run import run_checks
from overflight.data.facts import read_facts
from overflight.data.files import find_files
from overflight.data.metadata import PhotoMetadata

CATALOGUE = load_catalogue()
CHECKS = {
    "unreadable": photo_checks.unreadable,
    "truncated": photo_checks.truncated,
    "wrong-extension": photo_checks.wrong_extension,
    "zero-bytes": photo_checks.zero_bytes,
    "rotated": photo_checks.rotated,
    "odd-size": photo_checks.odd_size,
    "odd-aspect": photo_checks.odd_aspect,
    "mixed-pixels": photo_checks.mixed_pixels,
    "dark": photo_checks.dark,
    "bright": photo_checks.bright,
    "low-contrast": photo_checks.low_contrast,
    "blurry": photo_checks.blurry,
    "low-information": photo_checks.low_information,
    "noisy": photo_checks.noisy,
    "clipped": photo_checks.clipped,
    "uneven-light": photo_checks.uneven_light,
    "haze": photo_checks.haze,
    "resolution-outlier": photo_checks.resolution_outlier,
    "repeated": photo_checks.repeated,
    "no-position": photo_checks.no_position,
}
TOWN = town(0, size_wh=(480, 360))
PHOTO = jpeg(TOWN)
OTHERS = {f"other{seed}.jpg": jpeg(town(seed, size_wh=(480, 360))) for seed in (1, 2)}


def found(files, codes=None, **rest):
    checks = {code: check for code, check in CHECKS.items() if codes is None or code in codes}
    return run_checks(subject(facts_of(files), **rest), CATALOGUE, checks)


def places(findings):
    return [(finding.code, finding.photo) for finding in findings]


def noisy(picture, sigma):
    return np.clip(picture + np.random.default_rng(0).normal(0, sigma, picture.shape), 0, 255).astype(np.uint8)


def dimmed(picture, factor, offset=0.0):
    return np.clip(picture * factor + offset, 0, 255).astype(np.uint8)


def lit_from_the_left(picture):
    light = np.linspace(1.9, 0.05, picture.shape[1])[None, :, None]
    return np.clip(cv2.GaussianBlur(picture, (0, 0), 1) * light, 0, 255).astype(np.uint8)


def half_black(picture):
    picture = picture.copy()
    picture[:, : picture.shape[1] // 3] = 0
    return picture


CUT = PHOTO[: len(PHOTO) // 2]
PLANTED = [
    ("unreadable", "p.jpg", b"GIF89a and so on"),
    ("truncated", "p.jpg", CUT),
    ("truncated", "p.jpg", CUT.rstrip(b"\xff") + b"\xff\xd9"),
    ("wrong-extension", "p.png", PHOTO),
    ("wrong-extension", "p.JPG", png(TOWN)),
    ("zero-bytes", "p.jpg", b""),
    ("rotated", "p.jpg", jpeg(TOWN, orientation=6)),
    ("rotated", "p.jpg", jpeg(TOWN, orientation=3)),
    ("odd-size", "p.jpg", jpeg(TOWN[:200])),
    ("odd-aspect", "p.jpg", jpeg(town(3, size_wh=(1300, 300)))),
    ("mixed-pixels", "p.png", png(cv2.cvtColor(TOWN, cv2.COLOR_BGR2GRAY))),
    ("mixed-pixels", "p.png", png(TOWN.astype(np.uint16) * 256)),
    ("mixed-pixels", "p.png", png(cv2.cvtColor(TOWN, cv2.COLOR_BGR2BGRA))),
    ("dark", "p.jpg", jpeg(dimmed(TOWN, 0.25))),
    ("bright", "p.jpg", jpeg(dimmed(TOWN, 0.3, 190))),
    ("low-contrast", "p.jpg", jpeg(dimmed(TOWN, 0.15, 100))),
    ("blurry", "p.jpg", jpeg(cv2.GaussianBlur(TOWN, (0, 0), 3))),
    ("blurry", "p.jpg", jpeg(cv2.blur(TOWN, (13, 1)))),
    ("blurry", "p.jpg", jpeg(cv2.filter2D(TOWN, -1, np.eye(13) / 13))),
    ("low-information", "p.jpg", jpeg(dimmed(TOWN, 0.01, 3))),
    ("noisy", "p.jpg", jpeg(noisy(TOWN, 30))),
    ("clipped", "p.jpg", jpeg(half_black(TOWN))),
    ("uneven-light", "p.jpg", jpeg(lit_from_the_left(TOWN))),
    ("haze", "p.jpg", jpeg(dimmed(TOWN, 0.4, 125))),
    ("resolution-outlier", "p.jpg", jpeg(town(3, size_wh=(480, 300)))),
    ("repeated", "p.jpg", OTHERS["other1.jpg"]),
]


@pytest.mark.parametrize(
    ("code", "name", "data"), PLANTED, ids=[f"{code}-{index}" for index, (code, *_) in enumerate(PLANTED)]
)
def test_a_planted_defect_is_found_and_its_clean_twin_is_not(code, name, data):
    assert places(found(OTHERS | {name: data}, {code})) == [(code, name)]
    assert places(found(OTHERS | {"p.jpg": PHOTO}, {code})) == []


def test_good_photographs_have_no_finding_but_their_missing_position():
    findings = found(OTHERS | {"p.jpg": PHOTO})
    assert places(findings) == [("no-position", "")]
    assert findings[0].what == "of 3 photographs: 3 without a position, 3 without a height above ground"


@pytest.mark.parametrize(("code", "name", "data"), PLANTED, ids=lambda value: value if isinstance(value, str) else "")
def test_a_finding_says_what_why_and_what_to_do(code, name, data):
    (finding,) = found(OTHERS | {name: data}, {code})
    assert finding.what
    assert "\n" not in finding.what
    assert (finding.cure, finding.severity) == (CATALOGUE[code].cure, CATALOGUE[code].level)
    assert np.isfinite(finding.score)


def test_a_blank_picture_is_not_called_blurred_or_cut_off():
    blank = {"blank.png": png(np.full((300, 400, 3), 128, np.uint8))}
    assert places(found(blank, {"blurry", "truncated", "low-information"})) == [("low-information", "blank.png")]


def test_photographs_that_were_not_decoded_are_not_judged_by_their_pixels():
    dark = subject(facts_of({"p.jpg": jpeg(dimmed(TOWN, 0.1))}, decode=False))
    assert places(run_checks(dark, CATALOGUE, CHECKS)) == [("no-position", "")]


def test_worse_photographs_have_larger_scores():
    findings = found({f"{share}.jpg": jpeg(dimmed(TOWN, share)) for share in (0.05, 0.3, 0.15)}, {"dark"})
    assert [f.photo for f in sorted(findings, key=lambda f: -f.score)] == ["0.05.jpg", "0.15.jpg", "0.3.jpg"]


def test_portrait_and_landscape_are_one_size():
    files = OTHERS | {"p.jpg": jpeg(cv2.rotate(TOWN, cv2.ROTATE_90_CLOCKWISE))}
    assert places(found(files, {"resolution-outlier"})) == []


def test_a_flight_of_many_sizes_is_one_finding():
    files = {f"{side}.jpg": jpeg(town(3, size_wh=(side, 300))) for side in (300, 310, 320, 330, 340, 350)}
    (finding,) = found(files, {"resolution-outlier"})
    assert finding.photo == ""
    assert finding.what.startswith("the 6 photographs of flight a have no common kind: 1 300x300 px, ")
    assert finding.what.endswith(" and 2 more kinds")


def test_flights_may_differ_in_size():
    files = OTHERS | {"b1.jpg": jpeg(town(3)), "b2.jpg": jpeg(town(4))}
    flights = {"b1.jpg": "b", "b2.jpg": "b"}
    assert places(found(files, {"resolution-outlier"}, flights=flights)) == []


@pytest.mark.parametrize(
    ("rows", "differ"), [([(0, 1, 1, 5, 5)], False), ([(1, 1, 1, 5, 5)], True)], ids=["same", "different"]
)
def test_of_a_repeated_photograph_all_but_the_first_are_named_with_their_labels(rows, differ):
    files = {"a.jpg": PHOTO, "b.jpg": PHOTO, "c.jpg": PHOTO}
    labels = {key: [(0, 1, 1, 5, 5)] for key in files} | {"c.jpg": rows}
    findings = found(files, {"repeated"}, labels=labels)
    assert places(findings) == [("repeated", "b.jpg"), ("repeated", "c.jpg")]
    assert [finding.beside for finding in findings] == ["a.jpg", "a.jpg"]
    assert ["labels of the two differ" in finding.what for finding in findings] == [False, differ]


@pytest.mark.parametrize(
    "rest",
    [{"flights": {"b.jpg": "b"}}, {"split": {"train": ("a.jpg",), "test": ("b.jpg",)}}],
    ids=["flights", "parts"],
)
def test_a_copy_in_another_flight_or_part_is_a_leak_and_no_repetition(rest):
    assert places(found({"a.jpg": PHOTO, "b.jpg": PHOTO}, {"repeated"}, **rest)) == []


def test_every_position_known_is_no_finding():
    metadata = PhotoMetadata(latitude_deg=50.0, longitude_deg=8.0, altitude_agl_m=40.0)
    facts = {"p.jpg": blank_facts("p.jpg", metadata=metadata, header=facts_of({"p.jpg": PHOTO})["p.jpg"].header)}
    assert list(photo_checks.no_position(subject(facts), {})) == []


@pytest.mark.skipif(not SHARED.exists(), reason="the real photographs are not here")
@pytest.mark.parametrize(
    ("folder", "expected"),
    [
        (
            "metadata/agung_dji_fc8482",
            {
                "DJI_20251001132715_0396_D_POOR_SHARPNESS.JPG": {"blurry"},
                "DJI_20251001213509_0003_D_LENS_CAP.JPG": {"dark", "low-contrast", "low-information", "clipped"},
                "DJI_20251027143608_0008_D_LENS_CAP.JPG": {"dark", "low-contrast", "low-information", "clipped"},
            },
        ),
        ("metadata/seneca_canon_fixedwing", {}),
        ("stills-4k/caliterra_cc0", {}),
    ],
    ids=["deliberately bad", "near infrared", "good"],
)
def test_real_photographs(folder, expected):
    files = find_files(SHARED / folder)
    facts = read_facts(files, [photo.key for photo in files.photos], decode=True)
    by_photo = {}
    checks = {code: check for code, check in CHECKS.items() if code not in {"resolution-outlier", "no-position"}}
    for finding in run_checks(subject(facts), CATALOGUE, checks):
        by_photo.setdefault(finding.photo, set()).add(finding.code)
    assert by_photo == expected
