"""What writers of label formats have in common: safe places, numbers with enough digits, what gets lost.

It knows no format.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from overflight.data.formats.entries import sentences
from overflight.data.formats.json_files import shown
from overflight.data.formats.labels import LabelSet, PhotoLabels, upright_corners
from overflight.errors import InputError
from overflight.files import atomic_write, write_text

DECIMALS = 4
_SAME_PX = 1e-6


@dataclass
class Losses:
    """Counts what a format cannot hold.

    Attributes:
        oriented: Oriented boxes that became upright.
        ignored: Ignored regions that were left out, since they would become objects.
        nameless: Photographs that were given no name to write.
        more: Other sentences.
    """

    oriented: int = 0
    ignored: int = 0
    nameless: int = 0
    more: list[str] = field(default_factory=list)

    def sentences(self) -> tuple[str, ...]:
        """One sentence for each kind that happened."""
        return (
            *sentences(
                (self.oriented, "oriented box became upright", "oriented boxes became upright"),
                (self.ignored, "ignored region was left out", "ignored regions were left out"),
                (
                    self.nameless,
                    "photograph was left out: it has no place among the images",
                    "photographs were left out: they have no place among the images",
                ),
            ),
            *self.more,
        )


def written_names(labels: LabelSet, names: Mapping[str, str], losses: Losses) -> dict[str, str]:
    """Path below the images' folder of each photograph that gets written, by key, in the order of ``labels``.

    Raises:
        InputError: a path that leads out of the folder, or two photographs with one path.
    """
    found = {key: names[key] for key in labels.photos if key in names}
    losses.nameless += len(labels.photos) - len(found)
    taken: dict[str, str] = {}
    for key, name in found.items():
        path = PurePosixPath(name)
        if not name or path.is_absolute() or ".." in path.parts or "\\" in name or "\0" in name:
            raise InputError(
                f"{shown(name)} is no path below a folder", where=key, cure="Give it a plain name, such as north/1.jpg"
            )
        if taken.setdefault(str(path), key) != key:
            raise InputError(
                f"would have the same name as {taken[str(path)]} ({name})", where=key, cure="Rename one of the two"
            )
    return found


def oriented(labels: PhotoLabels) -> NDArray[np.bool_]:
    """(N,) True for boxes whose corners are not those of the upright box around them, whichever corner comes first."""
    if labels.corners_px is None or not len(labels):
        return np.zeros(len(labels), dtype=np.bool_)
    upright = upright_corners(labels.xyxy_px)
    turns = [np.roll(way, shift, axis=1) for way in (upright, upright[:, ::-1]) for shift in range(4)]
    same = [np.all(np.abs(labels.corners_px - turn) <= _SAME_PX, axis=(1, 2)) for turn in turns]
    return np.asarray(~np.any(same, axis=0))


def kept(labels: PhotoLabels, losses: Losses) -> PhotoLabels:
    """The boxes without ignored regions, for formats that have none; ``losses`` counts them."""
    if labels.ignored is None:
        return labels
    losses.ignored += int(labels.ignored.sum())
    return labels.select(~labels.ignored)


def number(value: float) -> str:
    """Pixels with up to 4 decimals and no needless zeros."""
    text = f"{value:.{DECIMALS}f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def write_small(path: Path, text: str) -> None:
    """Write one of many small files: whole or not at all, but not each one flushed to the disk (that takes minutes)."""
    with atomic_write(path, fsync=False) as handle:
        handle.write(text.encode())


def write_classes(labels: LabelSet, folder: Path) -> None:
    """Write ``classes.txt``, one name a line; nothing when there are no classes."""
    if labels.classes:
        write_text(folder / "classes.txt", "".join(f"{name}\n" for name in labels.classes))
