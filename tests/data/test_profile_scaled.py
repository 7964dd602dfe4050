"""How far figures of reduced JPEG are from those of the whole picture, on real photographs and made ones."""

import cv2
import numpy as np
import pytest
from pictures import SHARED, jpeg, town

from overflight.data.pixel_facts import pixel_facts
from overflight.imaging.header import read_header

# Limits: absolute and relative; one of them must hold. WHOLE: 4000 px become 1000 by a whole number. TWICE: pictures
# of other sizes are reduced by the decoder and once more, and so smoothed twice.
LIGHT = {
    "mean_luma": (0.5, 0.0),
    "contrast": (0.5, 0.01),
    "p1_luma": (1, 0.0),
    "p99_luma": (1, 0.01),
    "dark_share": (0.001, 0.0),
    "bright_share": (0.001, 0.0),
    "entropy_bits": (0.06, 0.01),
    "illumination": (0.01, 0.0),
    "haze": (0.01, 0.0),
    "colourfulness": (0.5, 0.02),
    "saturation": (1.0, 0.03),
}
WHOLE = LIGHT | {"sharpness": (1.5, 0.02), "focus": (0.02, 0.02), "noise_sigma": (0.06, 0.03)}
TWICE = LIGHT | {
    "contrast": (0.5, 0.02),
    "p99_luma": (2, 0.0),
    "sharpness": (1.5, 0.35),
    "focus": (0.02, 0.25),
    "noise_sigma": (0.06, 0.25),
}
REAL = [
    ("stills-4k/caliterra_cc0/IMG_9424.jpg", WHOLE),
    ("metadata/brighton_dji_fc300s/DJI_0019.JPG", WHOLE),
    ("stills-4k/labelled_4k/images/DJI_0030.JPG", WHOLE),
    ("metadata/seneca_canon_fixedwing", TWICE),
]


def differences(data):
    header = read_header(data)
    exact, scaled = pixel_facts(data, header, scaled=False), pixel_facts(data, header)
    assert bin(exact.phash ^ scaled.phash).count("1") <= 4
    return {name: (getattr(exact, name), getattr(scaled, name)) for name in WHOLE}


def assert_close(found, limits):
    for name, (exact, scaled) in found.items():
        absolute, relative = limits[name]
        assert abs(exact - scaled) <= max(absolute, relative * abs(exact)), (name, exact, scaled)


@pytest.mark.skipif(not SHARED.exists(), reason="the real photographs are not here")
@pytest.mark.parametrize(("name", "limits"), REAL, ids=[name.rpartition("/")[2] for name, _ in REAL])
def test_real_photographs(name, limits):
    path = SHARED / name
    if path.is_dir():
        path = sorted(path.glob("*.[jJ][pP][gG]"))[0]
    assert_close(differences(path.read_bytes()), limits)


@pytest.mark.parametrize(("size_wh", "limits"), [((2048, 1500), WHOLE), ((2000, 1124), WHOLE), ((2736, 1824), TWICE)])
def test_made_photographs(size_wh, limits):
    picture = cv2.GaussianBlur(town(2, size_wh=size_wh), (0, 0), 1.0)
    picture = np.clip(picture + np.random.default_rng(0).normal(0, 4, picture.shape), 0, 255).astype(np.uint8)
    assert_close(differences(jpeg(picture)), limits)


def test_small_photographs_are_decoded_whole():
    for exact, scaled in differences(jpeg(town(1))).values():
        assert exact == scaled


def test_a_blurred_photograph_is_less_sharp_either_way():
    clear = town(4, size_wh=(2048, 1200))
    blurred = cv2.GaussianBlur(clear, (0, 0), 6.0)
    for scaled in (True, False):
        found = [pixel_facts(data, read_header(data), scaled=scaled) for data in (jpeg(clear), jpeg(blurred))]
        assert found[0].focus > 3 * found[1].focus
        assert found[0].sharpness > 3 * found[1].sharpness
