"""Label text of stored surveys: ``class cx cy w h`` with 8 decimals, one line per box, written by us and read back.

Whatever format a source had, a survey holds this text, so reading it needs no guessing; a line that is not as written
becomes a refused entry. Fractions are of the upright photograph; boxes are neither cut nor sorted. Ignored regions are
not in the text but in the manifest. It does not know files.
"""

from __future__ import annotations

import numpy as np

from overflight.data.findings import Finding
from overflight.data.formats.labels import PhotoLabels, RefusedBox
from overflight.data.formats.yolo import format_labels, fractions_from_xyxy_px
from overflight.data.formats.yolo_text import parse, xyxy_px

_CURE = "It was changed or damaged: add the survey again"


def text_of(labels: PhotoLabels) -> bytes:
    """Label text of a photograph's boxes, ignored regions left out; oriented boxes as the upright ones around them."""
    kept = labels if labels.ignored is None else labels.select(~labels.ignored)
    width, height = kept.size_wh_px
    fractions = fractions_from_xyxy_px(kept.xyxy_px, width_px=width, height_px=height)
    return format_labels(kept.class_ids, np.round(fractions, 8) + 0.0).encode()  # + 0.0: no -0


def read_text(
    data: bytes, *, size_wh_px: tuple[int, int], classes: int, where: str, photo: str
) -> tuple[PhotoLabels, tuple[RefusedBox, ...]]:
    """Boxes of a label text, and the lines that are not as written.

    Args:
        data: The file's bytes.
        size_wh_px: Of the upright photograph.
        classes: Number of classes.
        where: Name of the label file.
        photo: Photograph that findings belong to.
    """
    try:
        lines = parse(data, kind="detect", classes=classes)
    except UnicodeDecodeError:
        finding = Finding("error", "damaged", where, "is not UTF-8 text", _CURE, photo)
        return no_labels(size_wh_px, where), (RefusedBox(finding),)
    labels = PhotoLabels(
        size_wh_px=size_wh_px,
        class_ids=lines.class_ids,
        xyxy_px=xyxy_px(lines.values, kind="detect", size_wh_px=size_wh_px),
        numbers=lines.numbers,
        file=where,
    )
    refused = [
        RefusedBox(Finding("error", line.code, f"{where}:{line.number}", line.what, _CURE, photo), raw=line.raw)
        for line in lines.refused
    ]
    return labels, tuple(refused)


def no_labels(size_wh_px: tuple[int, int], file: str) -> PhotoLabels:
    """Labels without a box."""
    nothing = np.zeros(0, dtype=np.int64)
    return PhotoLabels(size_wh_px, nothing, np.zeros((0, 4)), nothing, file)
