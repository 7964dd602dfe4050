"""Small pictures with known properties, and subjects around them, for tests of facts, duplicates and checks."""

from pathlib import Path

import cv2
import numpy as np

from overflight.data.checks.subject import Subject
from overflight.data.facts import PhotoFacts, photo_facts
from overflight.data.flights import FlightOf
from overflight.data.formats.labels import LabelSet, PhotoLabels

SHARED = Path(__file__).parents[2].parent / "shared/data"


def town(seed=0, *, size_wh=(320, 240), shift_px=0):
    """BGR picture of roofs and streets: sharp edges, a spread of brightness, almost no noise."""
    random = np.random.default_rng(seed)
    width, height = size_wh
    picture = np.full((height, width + 64, 3), 110, dtype=np.uint8)
    for _ in range(width * height // 600):
        x, y = random.integers(0, width + 64), random.integers(0, height)
        w, h = random.integers(6, 40, 2)
        colour = [int(value) for value in random.integers(20, 235) + random.integers(-15, 15, 3)]
        cv2.rectangle(picture, (int(x), int(y)), (int(x + w), int(y + h)), colour, -1)
    return np.ascontiguousarray(picture[:, shift_px : shift_px + width])


def jpeg(picture, quality=92, *, orientation=1):
    data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()
    return data if orientation == 1 else data[:2] + _exif_orientation(orientation) + data[2:]


def png(picture):
    return cv2.imencode(".png", picture)[1].tobytes()


def facts_of(files, *, decode=True):
    """Facts by key of ``files`` (bytes by key)."""
    return {key: photo_facts(data, key=key, decode=decode) for key, data in files.items()}


def subject(photos, *, labels=None, classes=("car", "bus"), flights=None, **rest):
    """A subject of facts by key; labels by key (rows of class, x1, y1, x2, y2), flight by key."""
    rows = {key: (labels or {}).get(key, []) for key in photos}
    found = {key: _labels(of_photo, photos[key]) for key, of_photo in rows.items()}
    return Subject(
        name="here",
        root=Path(),
        photos=photos,
        labels=LabelSet("yolo", tuple(classes), found),
        flights={key: FlightOf((flights or {}).get(key, "a"), "folder") for key in photos},
        **rest,
    )


def blank_facts(key, **values):
    """Facts of a photograph of which only a few things are known."""
    from overflight.data.metadata import PhotoMetadata

    return PhotoFacts(**{"key": key, "bytes": 1, "sha256": key, "header": None, "metadata": PhotoMetadata()} | values)


def _labels(rows, facts):
    table = np.array(rows, dtype=np.float64).reshape(-1, 5)
    size = facts.size_wh_px or (100, 100)
    return PhotoLabels(size, table[:, 0].astype(np.int64), table[:, 1:], np.arange(1, len(table) + 1), "labels.txt")


def _exif_orientation(value):
    tiff = b"II*\x00\x08\x00\x00\x00\x01\x00\x12\x01\x03\x00\x01\x00\x00\x00" + bytes([value, 0, 0, 0]) + b"\x00" * 4
    body = b"Exif\x00\x00" + tiff
    return b"\xff\xe1" + (len(body) + 2).to_bytes(2, "big") + body
