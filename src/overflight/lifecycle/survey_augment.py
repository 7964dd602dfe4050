"""A preview of augmentation as a person asks for it, wherever the survey is.

Does not know what is done to a tile (``overflight.data.augment``) or how a source is brought here.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2

from overflight.data.augment.preview import Preview, preview
from overflight.data.augment.settings import load_settings
from overflight.data.augment.sheet import draw_sheet
from overflight.data.tile import TileRules
from overflight.errors import UsageError
from overflight.files import write_bytes, write_json
from overflight.lifecycle.context import Context
from overflight.lifecycle.progress import Progress
from overflight.lifecycle.source_reading import read_opened
from overflight.lifecycle.sources import open_source, require_out

SHEET_FILE, FACTS_FILE = "augmentation.png", "augmentation.json"
_LARGEST_SIDE_PX = 20_000


@dataclass(frozen=True)
class PreviewOptions:
    """What to show.

    Attributes:
        preset: A preset's name or a YAML file.
        photos: How many photographs, at most.
        copies: Of each.
        seed: As of a data set.
        tile_px: Side of the tiles.
        form: Label format; None: as recognised.
        labels: Label file or folder to use, where there are several.
        flights: Table that names the flights.
    """

    preset: str = "nadir"
    photos: int = 6
    copies: int = 4
    seed: int = 0
    tile_px: int = 640
    form: str | None = None
    labels: str | None = None
    flights: Path | None = None


@dataclass(frozen=True)
class Previewed:
    """A preview and its files."""

    title: str
    preset: str
    found: Preview
    sheet: Path

    def as_dict(self) -> dict[str, Any]:
        """For ``--json``."""
        return {
            "source": self.title,
            "preset": self.preset,
            "sheet": str(self.sheet),
            "rows": [row.as_dict() for row in self.found.rows],
            "notes": list(self.found.notes),
        }


def preview_augmentation(
    context: Context, source: str, *, options: PreviewOptions, out: Path | None, progress: Progress
) -> Previewed:
    """Draw the contact sheet of ``source`` into ``out`` (default: a folder of its name below the home folder).

    Raises:
        OverflightError: the source cannot be read at all, or an option cannot be used.
    """
    settings = load_settings(options.preset)
    rows_px = options.photos * 560
    if rows_px > _LARGEST_SIDE_PX:
        raise UsageError("is too many for one sheet", where=f"--photos {options.photos}", cure="Give 35 at most")
    opened = open_source(context, source, progress=progress)
    require_out(opened, out)
    read = read_opened(opened, progress=progress, form=options.form, labels=options.labels, flights=options.flights)
    found = preview(
        read,
        settings=settings,
        photos=options.photos,
        copies=options.copies,
        seed=options.seed,
        rules=TileRules(tile_px=options.tile_px),
        progress=lambda done, total: progress.update("photos changed", done, total),
    )
    folder = out or context.settings.home_path / "augment" / opened.name
    subtitle = f"{opened.title}: tiles of {options.tile_px} px as they are, and {options.copies} copies of each"
    picture = draw_sheet(found, title=f"Augmentation: {Path(options.preset).name}", subtitle=subtitle)
    written, data = cv2.imencode(".png", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    if not written:
        raise UsageError("the sheet is too large for a PNG file", where="--photos", cure="Show fewer photographs")
    previewed = Previewed(opened.title, options.preset, found, folder / SHEET_FILE)
    write_bytes(previewed.sheet, data.tobytes())
    write_json(folder / FACTS_FILE, previewed.as_dict())
    return previewed
