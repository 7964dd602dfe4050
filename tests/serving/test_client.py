"""Photos above the endpoint's limit: parts that fit, and the same boxes as from the whole photo."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from overflight.errors import InputError, JobError
from overflight.imaging.boxes import iou
from overflight.imaging.codecs import decode, encode_jpeg
from overflight.serving.client import Part, join_parts, split_for_limit
from overflight.serving.predictor import Predictor
from toy_model import painted_photo

SQUARES = [(160, 160, 64, "red"), (992, 480, 64, "blue"), (1440, 992, 64, "red"), (640, 736, 64, "blue")]


@pytest.fixture(scope="module")
def predictor(model_folder) -> Predictor:
    return Predictor(model_folder, threads=1)


@pytest.fixture(scope="module")
def photo() -> bytes:
    """2048x1536 with noise, so that it does not compress away."""
    rgb = painted_photo(2048, 1536, SQUARES)
    noise = np.random.default_rng(7).integers(-12, 12, rgb.shape)
    return encode_jpeg(np.clip(rgb + noise, 0, 255).astype(np.uint8))


def test_a_photo_within_the_limit_is_sent_as_it_is(photo):
    (part,) = split_for_limit(photo, max_bytes=len(photo), overlap_px=128)
    assert part.content is photo
    assert (part.x0, part.y0, part.width_px, part.height_px) == (0, 0, 2048, 1536)


@pytest.mark.parametrize("divisor", [1.2, 2, 3.5])
def test_parts_fit_cover_the_photo_and_find_what_the_whole_photo_shows(predictor, photo, divisor):
    limit = int(len(photo) / divisor)
    parts = split_for_limit(photo, max_bytes=limit, overlap_px=128)
    assert len(parts) > 1
    assert max(len(part.content) for part in parts) <= limit
    covered = np.zeros((1536, 2048), dtype=bool)
    for part in parts:
        assert decode(part.content).shape == (part.height_px, part.width_px, 3)
        covered[part.y0 : part.y0 + part.height_px, part.x0 : part.x0 + part.width_px] = True
    assert covered.all()

    joined = join_parts(parts, [predictor.predict(part.content) for part in parts])
    assert (joined.width_px, joined.height_px) == (2048, 1536)
    truth = np.array([(x, y, x + side, y + side) for x, y, side, _ in SQUARES], dtype=float)
    overlaps = iou(truth, joined.boxes_xyxy_px)
    assert (overlaps.max(axis=1) > 0.6).all()  # every square is found
    assert (overlaps.max(axis=0) > 0.3).all()  # and nothing else
    names = [joined.label(int(column)) for column in overlaps.argmax(axis=1)]
    assert names == [name for *_, name in SQUARES]


def test_an_object_on_a_seam_is_reported_once(predictor):
    parts = [Part(b"", x0, 0, 640, 640, 1152, 640) for x0 in (0, 512)]
    rgb = painted_photo(1152, 640, [(544, 320, 64, "red")])  # whole in both parts
    joined = join_parts(parts, [predictor.predict(np.ascontiguousarray(rgb[:, p.x0 : p.x0 + 640])) for p in parts])
    assert joined.boxes_xyxy_px.tolist() == [[544, 320, 608, 384]]


def test_a_real_still_above_the_limit_is_cut(still):
    content = still.read_bytes()
    parts = split_for_limit(content, max_bytes=len(content) // 3, overlap_px=256)
    assert 3 <= len(parts) <= 20
    assert all(len(part.content) <= len(content) // 3 for part in parts)


def test_a_large_png_may_fit_as_one_jpeg():
    rgb = painted_photo(800, 600, [])
    rgb[:] = np.random.default_rng(7).integers(100, 130, rgb.shape, dtype=np.uint8)
    png = cv2.imencode(".png", rgb)[1].tobytes()
    (part,) = split_for_limit(png, max_bytes=len(png) - 1, overlap_px=128)
    assert part.content[:2] == b"\xff\xd8"


@pytest.mark.parametrize(
    ("content", "max_bytes"), [(b"not a photo", 1000), (b"not a photo" * 1000, 1000), (None, 1024)]
)
def test_what_cannot_be_cut_is_explained(photo, content, max_bytes):
    with pytest.raises(InputError):
        split_for_limit(photo if content is None else content, max_bytes=max_bytes, overlap_px=128, where="a.jpg")


def test_answers_of_different_models_are_not_mixed(predictor, photo):
    parts = split_for_limit(photo, max_bytes=len(photo) // 2, overlap_px=128)
    answers = [predictor.predict(part.content) for part in parts]
    answers[0] = replace(answers[0], model_digest="another")
    with pytest.raises(JobError, match="different models"):
        join_parts(parts, answers)
