"""Folders with labels for tests: photographs are files of one byte, their sizes are given beside them."""

from pathlib import Path

import numpy as np

from overflight.data.files import find_files
from overflight.data.formats.labels import LabelSet, PhotoLabels, xyxy_of_corners

SHARED = Path(__file__).parents[1].parent / "shared/data"


def place(root, contents):
    """Write ``contents`` (text or bytes by path) below ``root``; None is a photograph of one byte."""
    for name, content in contents.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        data = "x" if content is None else content
        path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return find_files(root)


def read_source(module, root, contents, *, sizes=None, size_wh=(100, 80)):
    """What ``module`` recognises and reads; every photograph found has ``size_wh`` unless ``sizes`` are given."""
    files = place(root, contents)
    if sizes is None:
        sizes = {photo.key: size_wh for photo in files.photos}
    sniffed = module.sniff(files)
    assert sniffed is not None, "not recognised"
    assert sniffed.format == module.NAME
    return module.read(files, sizes, labels=sniffed.labels)


def photo_labels(boxes, *, size_wh=(100, 80), class_ids=None, corners=None, ignored=None, file="a.txt"):
    """Labels of one photograph from plain lists."""
    xyxy = np.array(boxes, dtype=np.float64).reshape(-1, 4)
    if corners is not None:
        corners = np.array(corners, dtype=np.float64).reshape(-1, 4, 2)
        xyxy = xyxy_of_corners(corners)
    count = len(xyxy)
    return PhotoLabels(
        size_wh_px=size_wh,
        class_ids=np.array([0] * count if class_ids is None else class_ids, dtype=np.int64),
        xyxy_px=xyxy,
        numbers=np.arange(1, count + 1),
        file=file,
        corners_px=corners,
        ignored=None if ignored is None else np.array(ignored, dtype=np.bool_),
    )


def label_set(photos, classes=("car",)):
    """A label set of ``photos`` (labels by name)."""
    return LabelSet("test", tuple(classes), photos)


def write_and_read(module, labels, root, names=None):
    """``labels`` written with ``module``, photographs of one byte put where it says, everything read again."""
    names = names or {key: key for key in labels.photos}
    written = module.write(labels, root, names=names)
    files = place(root, dict.fromkeys(written.places.values()))
    sizes = {written.places[key]: found.size_wh_px for key, found in labels.photos.items() if key in written.places}
    sniffed = module.sniff(files)
    assert sniffed is not None, sorted(files.others)
    again = module.read(files, sizes, labels=sniffed.labels)
    return written, {key: again.photos[place] for key, place in written.places.items()}, again


def codes(labels):
    """Codes of all findings and refusals, sorted."""
    return sorted([f.code for f in labels.findings] + [r.finding.code for r in labels.refused])
