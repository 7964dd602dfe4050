"""Photographs and labels of any source, written in another label format for another tool.

What the other format cannot hold is said. It does not know how a format is written.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from overflight.data.formats.registry import FORMATS, write_with
from overflight.errors import UsageError
from overflight.files import explained_disk, require_disk
from overflight.lifecycle.context import Context
from overflight.lifecycle.progress import Progress
from overflight.lifecycle.source_reading import read_opened
from overflight.lifecycle.sources import open_source, require_out

_SPARE_BYTES = 20_000_000


def export_survey(
    context: Context,
    source: str,
    *,
    form: str,
    out: Path,
    progress: Progress,
    **reading: Any,
) -> dict[str, Any]:
    """Write ``source`` into the new folder ``out`` in the format ``form``, all or nothing.

    Args:
        context: Whose account, for ``s3://`` and stored surveys.
        source: As for :func:`overflight.lifecycle.sources.open_source`.
        form: Name of the format to be written.
        out: Folder that is not there yet, or empty.
        progress: Told the photographs placed.
        reading: ``form``, ``labels``, ``flights`` of the source, as for reading it.

    Returns:
        Counts of photos and boxes, the folder, and ``losses``: what the format cannot hold.

    Raises:
        UsageError: unknown format, or the folder is not empty or lies inside the source.
        InputError: the source cannot be read.
    """
    if form not in FORMATS:
        raise UsageError(f"there is no format {form!r}", where="--to", cure=f"Use one of: {', '.join(FORMATS)}")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError("is not empty", where=f"--out {out}", cure="Give the name of a new folder")
    opened = open_source(context, source, progress=progress)
    require_out(opened, out)
    read = read_opened(opened, progress=progress, decode=False, **reading)
    labels, files = read.subject.labels, read.subject.photos
    names = {key: _name(key) for key in labels.photos}
    require_disk(out, sum(facts.bytes for facts in files.values()) + _SPARE_BYTES)
    out.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=out.parent, prefix=f".{out.name}.", suffix=".tmp"))
    try:
        written = write_with(form, labels, temporary, names=names)
        places = {key: place for key, place in written.places.items() if key in files}
        with explained_disk(out):
            _place(opened.folder, temporary, places, progress=progress)
        temporary.chmod(0o755)
        temporary.rename(out)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    losses = [*read.subject.labels.losses, *written.losses]
    if labels.absent:
        losses.append(f"{len(labels.absent)} photos that the labels name are not there")
    left = len(files) - len(places)
    if left:
        losses.append(f"{left} photos without labels were left out")
    if labels.refused:
        losses.append(f"{sum(item.boxes for item in labels.refused)} entries of the labels are no boxes")
    # what is to be ignored is no box, whether the format keeps it or the losses say that it was left out
    regions = sum(int(found.ignored.sum()) for found in labels.photos.values() if found.ignored is not None)
    boxes = labels.boxes - regions
    return {"folder": str(out), "format": form, "photos": len(places), "boxes": boxes, "losses": losses}


def _name(key: str) -> str:
    """Path below the images' folder: without the folders that only say "here are pictures"."""
    *folders, file = key.split("/")
    return "/".join([*(folder for folder in folders if folder not in {"images", "JPEGImages", "photos"}), file])


def _place(source: Path, target: Path, places: Mapping[str, str], *, progress: Progress) -> None:
    for done, (key, place) in enumerate(places.items(), start=1):
        path = target / place
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source / key, path)  # no link: editing the copy must not change the source
        progress.update("photos placed", done, len(places))
