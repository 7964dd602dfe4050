"""Changed copies of a data set's training tiles, beside them; validation and test are never touched nor looked at.

It reads which tiles there are from ``tiles.jsonl`` and takes the lines of the part ``train`` only, photographs and
objects to be pasted included, so nothing leaks from the held-out parts. Provenance goes to ``augmented.jsonl``. The
same data set and settings give the same bytes, with any number of workers. It does not write ``dataset.json``.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from overflight.data.augment.copy_paste import (
    Donor,
    Origin,
    at_most,
    find_donors,
    rare_classes,
    with_pixels,
    yardsticks_px,
)
from overflight.data.augment.settings import AugmentSettings
from overflight.data.augment.tile import Augmented, Sample, augment_tile
from overflight.data.facts import in_order
from overflight.data.formats.labels import PhotoLabels
from overflight.data.formats.yolo import format_labels, fractions_from_xyxy_px
from overflight.data.profile.sites import sites_of
from overflight.data.records import PhotoRecord
from overflight.data.tile import TileRules
from overflight.data.tile_cut import painted_over
from overflight.errors import InputError
from overflight.files import canonical_json, explained_disk, sha256_bytes, write_text
from overflight.imaging.boxes import Boxes
from overflight.imaging.codecs import decode, encode_jpeg

AUGMENTED_FILE = "augmented.jsonl"
PART = "train"
DONORS_PER_CLASS = 200

_TILES_FILE = "tiles.jsonl"
Line = dict[str, Any]
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Training:
    """The training part of a data set.

    Attributes:
        target: Folder of the data set, tiles cut.
        survey_folder: Where its photographs are.
        records: Records by path.
        labels: Labels by path, in pixels.
    """

    target: Path
    survey_folder: Path
    records: Mapping[str, PhotoRecord]
    labels: Mapping[str, PhotoLabels]

    @cached_property
    def tiles(self) -> dict[str, list[Line]]:
        """Lines of ``tiles.jsonl`` of this part by photograph.

        Raises:
            InputError: the tiles are not cut yet.
        """
        path = self.target / _TILES_FILE
        if not path.is_file():
            raise InputError("the tiles are not cut yet", where=str(path), cure="Let the prepare job cut them first")
        found: dict[str, list[Line]] = {}
        with path.open(encoding="utf-8") as lines:
            for line in map(json.loads, lines):
                if line["part"] == PART:
                    found.setdefault(line["photo"], []).append(line)
        return found

    @cached_property
    def origins(self) -> dict[str, Origin]:
        """Where the photographs of this part were taken."""
        records = [self.records[path] for path in self.tiles]
        places = [
            np.array([np.nan if value is None else value for value in values], dtype=np.float64)
            for values in ([one.latitude_deg for one in records], [one.longitude_deg for one in records])
        ]
        sites = sites_of(*places)
        found = [(one.flight, self.labels[one.path].class_ids, self.labels[one.path].xyxy_px) for one in records]
        sticks = yardsticks_px(found)
        return {
            one.path: Origin(one.path, one.flight, str(site), one.gsd_m, sticks.get(one.flight))
            for one, site in zip(records, sites, strict=True)
        }

    def ignored_px(self, path: str) -> Boxes:
        """(M, 4) regions of a photograph that must not be learned."""
        return np.array(self.records[path].ignored_px, dtype=np.float64).reshape(-1, 4)

    def sample(self, path: str) -> Sample:
        """A photograph, decoded.

        Raises:
            InputError: it cannot be read.
        """
        labels = self.labels[path]
        file = self.survey_folder / path
        try:
            rgb = decode(file.read_bytes(), where=str(file))
        except OSError as error:
            raise InputError(f"the file cannot be read ({error.strerror})", where=str(file)) from error
        return Sample(
            rgb, labels.class_ids, labels.xyxy_px, labels.corners_px, self.ignored_px(path), self.origins[path]
        )


def augment_dataset(
    training: Training,
    *,
    settings: AugmentSettings,
    copies: int,
    seed: int,
    rules: TileRules = TileRules(),  # noqa: B008 - frozen
    workers: int | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Add ``copies`` of every training tile to ``images/train`` and ``labels/train``; figures for ``dataset.json``.

    To be called when the tiles are cut and before ``dataset.json`` is written.

    Args:
        training: The data set.
        settings: What may happen; nothing happens for those of the preset ``none``.
        copies: Of each tile.
        seed: Of the data set.
        rules: Those by which the tiles were cut: which boxes are kept, the quality of the JPEG.
        workers: Threads; None: one per processor, at most 8.
        progress: Called with (photographs done, photographs in all).

    Raises:
        InputError: tiles are not cut, or a photograph cannot be read.
        ResourceError: the disk is full, or Albumentations is not installed.
    """
    remove_copies(training.target)
    work = list(training.tiles) if copies and settings.changes_anything else []
    donors = read_donors(training, settings=settings, seed=seed) if work else []
    names = {PurePosixPath(line["tile"]).stem for lines in training.tiles.values() for line in lines}

    def copy_one(path: str) -> list[Line]:
        sample = training.sample(path)
        return [
            _write(
                training,
                line,
                sample,
                name=_free_name(line, copy, names),
                found=found,
                copy=copy,
                quality=rules.jpeg_quality,
            )
            for line in training.tiles[path]
            for copy in range(1, copies + 1)
            for found in [
                augment_tile(
                    sample,
                    settings=settings,
                    seed=seed,
                    epoch=copy,
                    name=PurePosixPath(line["tile"]).stem,
                    window_px=tuple(line["xyxy_px"]),
                    donors=donors,
                    rules=rules,
                )
            ]
        ]

    lines: list[Line] = []
    for done, found in enumerate(in_order(work, copy_one, workers=workers), start=1):
        lines += found
        if progress is not None:
            progress(done, len(work))
    text = "".join(f"{canonical_json(line)}\n" for line in lines)
    if lines:
        write_text(training.target / AUGMENTED_FILE, text)
    effects = Counter(_effect(said) for line in lines for said in line["applied"])
    return {
        "copies": copies if work else 0,
        "tiles": len(lines),
        "boxes": sum(line["boxes"] for line in lines),
        "pasted": sum(line["pasted"] for line in lines),
        "donors": len(donors),
        "effects": dict(sorted(effects.items())),
        "digest": sha256_bytes(text.encode()),
    }


def _effect(said: str) -> str:
    return "pasted" if said.endswith("pasted") else said.split(maxsplit=1)[0]


def remove_copies(target: Path) -> None:
    """Remove the copies of an earlier run, as listed in its ``augmented.jsonl``."""
    listed = target / AUGMENTED_FILE
    if not listed.is_file():
        return
    for line in map(json.loads, listed.read_text(encoding="utf-8").splitlines()):
        name = PurePosixPath(line["tile"]).stem
        (target / "images" / PART / f"{name}.jpg").unlink(missing_ok=True)
        (target / "labels" / PART / f"{name}.txt").unlink(missing_ok=True)
    listed.unlink()


def read_donors(training: Training, *, settings: AugmentSettings, seed: int) -> list[Donor]:
    """Objects of rare classes of the training photographs, with their pixels.

    Raises:
        InputError: a photograph cannot be read.
    """
    if not settings.copy_paste.probability:
        return []
    ids = [training.labels[path].class_ids for path in training.tiles]
    counts = np.bincount(np.concatenate([np.zeros(0, dtype=np.int64), *ids]))
    rare = rare_classes(counts, below=settings.copy_paste.rare_below)
    found = [donor for path in training.tiles for donor in _donors_of(training, path, rare, settings)]
    chosen = at_most(found, per_class=DONORS_PER_CLASS, seed=seed)
    return list(_with_pixels(training, chosen))


def _donors_of(training: Training, path: str, rare: Sequence[int], settings: AugmentSettings) -> list[Donor]:
    record, labels = training.records[path], training.labels[path]
    return find_donors(
        training.origins[path],
        size_wh=(record.width_px, record.height_px),
        class_ids=labels.class_ids,
        boxes_px=labels.xyxy_px,
        ignored_px=training.ignored_px(path),
        rare=rare,
        settings=settings.copy_paste,
    )


def _with_pixels(training: Training, donors: Sequence[Donor]) -> Iterator[Donor]:
    """One photograph is decoded after the other, each once."""
    by_photo: dict[str, list[Donor]] = {}
    for donor in donors:
        by_photo.setdefault(donor.origin.photo, []).append(donor)
    for path, wanted in by_photo.items():
        rgb = training.sample(path).rgb
        yield from (with_pixels(donor, rgb) for donor in wanted)


def _free_name(line: Line, copy: int, names: set[str]) -> str:
    name = f"{PurePosixPath(line['tile']).stem}__aug{copy}"
    while name in names:
        name += "_"
    return name


def _write(
    training: Training, line: Line, sample: Sample, *, name: str, found: Augmented, copy: int, quality: int
) -> Line:
    """Write a copy and its labels; its line of provenance."""
    rgb = painted_over(found.rgb, found.ignored_px, keep=found.boxes_px) if len(found.ignored_px) else found.rgb
    data = encode_jpeg(rgb, quality)
    height, width = rgb.shape[:2]
    text = format_labels(found.class_ids, fractions_from_xyxy_px(found.boxes_px, width_px=width, height_px=height))
    image = training.target / "images" / PART / f"{name}.jpg"
    with explained_disk(image):
        image.write_bytes(data)
        (training.target / "labels" / PART / f"{name}.txt").write_text(text)
    return {
        "tile": f"images/{PART}/{name}.jpg",
        "sha256": sha256_bytes(data),
        "labels_sha256": sha256_bytes(text.encode()),
        "part": PART,
        "photo": sample.origin.photo,
        "photo_sha256": line["photo_sha256"],
        "flight": sample.origin.flight,
        "of": line["tile"],
        "copy": copy,
        "xyxy_px": line["xyxy_px"],
        "boxes": len(found.class_ids),
        "cut": found.cut,
        "ignored": len(found.ignored_px),
        "dropped": found.dropped,
        "pasted": found.pasted,
        "applied": list(found.applied),
    }
