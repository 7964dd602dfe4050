"""Writes YOLO labels: ``labels/`` and, last, ``data.yaml``; ``images/`` is filled by the caller."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Literal

import numpy as np
import yaml
from numpy.typing import NDArray

from overflight.data.formats.labels import LabelSet, PhotoLabels, upright_corners
from overflight.data.formats.sniffed import Written
from overflight.data.formats.yolo_layout import places
from overflight.data.formats.yolo_names import is_class_file
from overflight.errors import InputError
from overflight.files import atomic_write, write_text
from overflight.imaging.boxes import Boxes, cxcywh_from_xyxy

DECIMALS = 8
UPRIGHT_WITHIN_PX = 0.01


def format_labels(class_ids: NDArray[np.integer], fractions: NDArray[np.float64]) -> str:
    """Label text of N boxes: class ids (N,) and fractions (N, K), 8 decimals (0.001 px in 100,000)."""
    pairs = zip(class_ids.tolist(), fractions.tolist(), strict=True)
    return "".join(f"{index} " + " ".join(f"{value:.{DECIMALS}f}" for value in box) + "\n" for index, box in pairs)


def fractions_from_xyxy_px(xyxy_px: Boxes, *, width_px: int, height_px: int) -> Boxes:
    """Fractions ``cx cy w h`` (N, 4) from corners (N, 4) in pixels."""
    return cxcywh_from_xyxy(xyxy_px / np.array([width_px, height_px, width_px, height_px], dtype=np.float64))


def write(labels: LabelSet, folder: Path, *, names: Mapping[str, str]) -> Written:
    """Write ``class cx cy w h``.

    Args:
        labels: What to write.
        folder: Where ``labels/`` and ``data.yaml`` go.
        names: Path of each photograph below ``images/``, by key.

    Raises:
        InputError: a name leads out of the folder.
        ResourceError: the disk is full.
    """
    return _write(labels, folder, names=names, kind="detect")


def write_obb(labels: LabelSet, folder: Path, *, names: Mapping[str, str]) -> Written:
    """Write ``class`` with four corners; upright boxes get theirs. Otherwise as :func:`write`."""
    return _write(labels, folder, names=names, kind="obb")


def _write(labels: LabelSet, folder: Path, *, names: Mapping[str, str], kind: Literal["detect", "obb"]) -> Written:
    placed: dict[str, str] = {}
    used: set[str] = set()
    ignored = turned = renamed = 0
    for key, found in labels.photos.items():
        place, is_new = _place(names.get(key, key), used)
        renamed += is_new
        kept = found if found.ignored is None else found.select(~found.ignored)
        ignored += len(found) - len(kept)
        if kind == "detect":
            turned += _oriented(kept)
        text = format_labels(kept.class_ids, _fractions(kept, kind))
        with atomic_write(folder / f"{places(place)[0]}.txt", fsync=False) as handle:
            handle.write(text.encode())
        placed[key] = place
    (folder / "labels").mkdir(parents=True, exist_ok=True)
    document = {"path": ".", "train": "images", "val": "images", "names": dict(enumerate(labels.classes))}
    write_text(folder / "data.yaml", yaml.safe_dump(document, sort_keys=False, allow_unicode=True))
    losses = [
        f"{turned} oriented {'box' if turned == 1 else 'boxes'} became upright" if turned else "",
        f"{ignored} ignored {'region was' if ignored == 1 else 'regions were'} left out" if ignored else "",
        f"{renamed} photos got another name: their label files would have had that of another" if renamed else "",
    ]
    return Written(placed, tuple(loss for loss in losses if loss))


def _fractions(labels: PhotoLabels, kind: Literal["detect", "obb"]) -> NDArray[np.float64]:
    width, height = labels.size_wh_px
    if kind == "detect":
        return fractions_from_xyxy_px(labels.xyxy_px, width_px=width, height_px=height)
    corners = upright_corners(labels.xyxy_px) if labels.corners_px is None else labels.corners_px
    return np.asarray((corners / np.array([width, height], dtype=np.float64)).reshape(-1, 8))


def _oriented(labels: PhotoLabels) -> int:
    """Boxes that are not upright: some corner is none of the box around."""
    if labels.corners_px is None or not len(labels):
        return 0
    off_px = np.abs(labels.corners_px[:, :, None, :] - upright_corners(labels.xyxy_px)[:, None, :, :]).max(axis=3)
    return int((off_px.min(axis=2).max(axis=1) > UPRIGHT_WITHIN_PX).sum())


def _place(name: str, used: set[str]) -> tuple[str, bool]:
    """Path of a photograph whose label file is not yet taken, and whether it had to be changed."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or not path.suffix or "\0" in name:
        raise InputError("cannot be the name of a photo", where=repr(name[:200]), cure="Rename the photo")
    place, number = PurePosixPath("images") / path, 1
    while (stem := places(place.as_posix())[0]) in used or is_class_file(f"{stem}.txt"):
        number += 1
        place = PurePosixPath("images") / path.with_stem(f"{path.stem}-{number}")
    used.add(stem)
    return place.as_posix(), number > 1
