"""The dataset folder that the prepare job wrote, as the training job reads it: strictly, and without writing into it.

Knows the schema ``overflight.dataset/1`` and YOLO label text; it knows neither torch nor how tiles were cut.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from overflight.errors import InputError

SCHEMA = "overflight.dataset/1"
SUFFIXES = frozenset({".jpg", ".jpeg", ".png"})
_CURE = "Run the prepare step again"


@dataclass(frozen=True)
class TileFolder:
    """A prepared dataset.

    Attributes:
        root: Its folder.
        classes: Class names; the index is the class id.
        tile_px: Side of the tiles that were cut.
        overlap_px: Pixels that neighbouring tiles share.
        digest: Of the dataset.
        document: The whole of ``dataset.json``.
    """

    root: Path
    classes: tuple[str, ...]
    tile_px: int
    overlap_px: int
    digest: str
    document: dict[str, Any]

    def images(self, split: str) -> list[Path]:
        """Tiles of ``split`` (``train`` or ``val``), sorted by name.

        Raises:
            InputError: there are none.
        """
        folder = self.root / "images" / split
        found = sorted(path for path in folder.glob("*") if path.suffix.lower() in SUFFIXES)
        if not found:
            raise InputError(
                f"there are no tiles to use as {split!r}",
                where=str(folder),
                cure="Add photographs or flights: training needs at least one tile to learn from and one to check with",
            )
        return found

    def labels(self, image: Path) -> NDArray[np.float32]:
        """Boxes (N, 5) of one tile: class id, centre x, centre y, width, height in 0..1.

        Raises:
            InputError: the label file is missing or a line cannot be used; says which.
        """
        path = self.root / "labels" / image.parent.name / f"{image.stem}.txt"
        return read_labels(path, classes=len(self.classes))


def open_tiles(root: Path) -> TileFolder:
    """The dataset below ``root``.

    Raises:
        InputError: ``dataset.json`` is missing, of another schema or incomplete.
    """
    path = root / "dataset.json"
    try:
        document: dict[str, Any] = json.loads(path.read_text())
        if document.get("schema") != SCHEMA:
            raise InputError(f"is not a dataset of schema {SCHEMA}", where=str(path), cure=_CURE)
        return TileFolder(
            root=root,
            classes=tuple(str(name) for name in document["classes"]),
            tile_px=int(document["tile_px"]),
            overlap_px=int(document["overlap_px"]),
            digest=str(document["digest"]),
            document=document,
        )
    except FileNotFoundError as error:
        raise InputError("there is no dataset.json", where=str(root), cure=_CURE) from error
    except KeyError as error:
        raise InputError(f"{error} is missing", where=str(path), cure=_CURE) from error
    except (AttributeError, TypeError, ValueError) as error:
        raise InputError(f"is not a valid dataset description ({error})", where=str(path), cure=_CURE) from error


def read_labels(path: Path, *, classes: int) -> NDArray[np.float32]:
    """Rows (N, 5) of a YOLO label file; an empty file is a tile without objects.

    Raises:
        InputError: the file is missing, or a line has another number of columns, no finite number, an unknown class or
            a box that is not inside the tile.
    """
    try:
        lines = path.read_text().splitlines()
    except FileNotFoundError as error:
        raise InputError("there is no label file for this tile", where=str(path), cure=_CURE) from error
    rows = np.zeros((len(lines), 5), dtype=np.float32)
    for number, line in enumerate(lines, start=1):
        fault = _parse(line, rows[number - 1], classes=classes)
        if fault:
            raise InputError(fault, where=f"{path}:{number}", cure=_CURE)
    return rows


def _parse(line: str, row: NDArray[np.float32], *, classes: int) -> str:
    """Fill ``row`` from ``line``; the fault in words, or an empty string."""
    columns = line.split()
    if len(columns) != 5:
        return f"{len(columns)} columns instead of 5"
    try:
        values = np.array([float(column) for column in columns])
    except ValueError:
        return f"not a number in {line!r}"
    if not np.isfinite(values).all():
        return f"not a finite number in {line!r}"
    if values[0] != int(values[0]) or not 0 <= values[0] < classes:
        return f"class {columns[0]} is not one of 0..{classes - 1}"
    if (values[1:] < 0).any() or (values[1:] > 1).any() or (values[3:] == 0).any():
        return f"a box outside 0..1 or without area in {line!r}"
    row[:] = values
    return ""
