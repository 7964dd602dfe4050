"""From a stored survey to what training and evaluation read: tiles for train and val, untouched photographs for test.

Layout: see ``DATASET_FILE`` (written last), ``images/`` and ``labels/`` by part, ``test/photos`` with
``test/truth.json`` (COCO; boxes ``x y w h`` in pixels of the upright photograph, category ids are class indices from
0) and ``tiles.jsonl`` (where each tile comes from). The same survey and settings give the same bytes. It trusts the
survey's digests; the validate job checks them.
"""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from overflight.data.findings import Finding, refuse
from overflight.data.formats.labels import PhotoLabels
from overflight.data.manifest import PHOTOS_FOLDER, PhotoRecord, Survey, load_manifest
from overflight.data.split import PARTS, Split, SplitBy, split_photos
from overflight.data.stored_labels import read_text
from overflight.data.tile import CutTask, TilePlan, TileRules, cut_all, limit_background, plan_photo
from overflight.errors import InputError
from overflight.files import canonical_json, explained_disk, require_disk, sha256_bytes, write_json, write_text
from overflight.imaging.boxes import clip

SCHEMA = "overflight.dataset/1"
DATASET_FILE, TILES_FILE, TRUTH_FILE = "dataset.json", "tiles.jsonl", "test/truth.json"

Progress = Callable[[int, int], None]
Labels = Mapping[str, PhotoLabels]


@dataclass(frozen=True)
class DatasetRequest:
    """What to make of a survey.

    Attributes:
        split_by: See ``overflight.data.split``.
        seed: Chooses the split and the background tiles.
        rules: How photographs are cut.
        workers: Processes; None: as many as pay.
    """

    split_by: SplitBy = "flight"
    seed: int = 0
    rules: TileRules = TileRules()  # noqa: RUF009 - frozen
    workers: int | None = None


def build_dataset(
    survey_folder: Path, target: Path, *, request: DatasetRequest, progress: Progress | None = None
) -> dict[str, Any]:
    """Write the data set into ``target`` and return the content of ``dataset.json``.

    Raises:
        InputError: the survey cannot be read or split, or nothing is left to train on.
        ResourceError: not enough disk.
        JobError: a worker process was killed.
    """
    survey = load_manifest(survey_folder)
    labels = read_labels(survey_folder, survey)
    counts = {path: np.bincount(found.class_ids, minlength=len(survey.classes)) for path, found in labels.items()}
    split = split_photos(survey.photos, counts, by=request.split_by, seed=request.seed)
    plans = _plan(split, labels, request=request)
    if not any(len(plan.class_ids) for _, tiles in plans["train"] for plan in tiles):
        cure = "Label some objects, or add a flight that shows some"
        raise InputError("no box is left to train on", where=str(survey_folder), cure=cure)
    require_disk(target, 3 * sum(photo.bytes for photo in survey.photos))
    tiles = _cut(survey_folder, target, plans=plans, request=request, progress=progress)
    write_text(target / TILES_FILE, "".join(f"{canonical_json(line)}\n" for line in tiles))
    truth = _truth(split, survey, labels=labels)
    for photo in split.photos("test"):
        _place(survey_folder / photo.path, target / "test" / photo.path)
    write_json(target / TRUTH_FILE, truth)
    document = _document(survey, split, request=request, tiles=tiles, truth=truth)
    write_json(target / DATASET_FILE, document)
    return document


def read_labels(folder: Path, survey: Survey) -> dict[str, PhotoLabels]:
    """Labels by photo path, cut at the photographs' borders, read strictly; ignored regions are in the records.

    Raises:
        InputError: a label file is missing or faulty; all problems are listed.
    """
    found, findings = {}, list[Finding]()
    for photo in survey.photos:
        path = folder / photo.labels
        if not path.is_file():
            findings.append(Finding("error", "missing-labels", photo.labels, "is missing", "Add the survey again"))
            continue
        width, height = photo.width_px, photo.height_px
        labels, refused = read_text(
            path.read_bytes(),
            size_wh_px=(width, height),
            classes=len(survey.classes),
            where=photo.labels,
            photo=photo.path,
        )
        findings += [entry.finding for entry in refused]
        found[photo.path] = replace(labels, xyxy_px=clip(labels.xyxy_px, width_px=width, height_px=height))
    refuse(findings, where=str(folder), cure="Correct the labels and add the survey again")
    return found


def _plan(
    split: Split, labels: Labels, *, request: DatasetRequest
) -> dict[str, list[tuple[PhotoRecord, list[TilePlan]]]]:
    """Tiles of train and val by photograph, backgrounds limited."""
    photos = {part: split.photos(part) for part in ("train", "val")}
    stems = _stems([photo for found in photos.values() for photo in found])
    plans = {}
    for part, found in photos.items():
        planned = {
            photo.path: _plan_one(photo, labels[photo.path], stem=stems[photo.path], rules=request.rules)
            for photo in found
        }
        every = [plan for tiles in planned.values() for plan in tiles]
        kept = {plan.name for plan in limit_background(every, share=request.rules.background_share, seed=request.seed)}
        if not kept:  # a part without any box is still a part
            kept = {plan.name for plan in every}
        plans[part] = [(photo, [plan for plan in planned[photo.path] if plan.name in kept]) for photo in found]
    return plans


def _plan_one(photo: PhotoRecord, labels: PhotoLabels, *, stem: str, rules: TileRules) -> list[TilePlan]:
    return plan_photo(
        stem,
        size_wh=(photo.width_px, photo.height_px),
        class_ids=labels.class_ids,
        boxes_px=labels.xyxy_px,
        ignored_px=np.array(photo.ignored_px, dtype=np.float64).reshape(-1, 4),
        rules=rules,
    )


def _stems(photos: Sequence[PhotoRecord]) -> dict[str, str]:
    """A file name without suffix for each photograph: its path in one piece; with a digest where two would collide."""
    flat = {photo.path: "__".join(PurePosixPath(photo.path).with_suffix("").parts[1:]) for photo in photos}
    uses = Counter(stem.lower() for stem in flat.values())
    return {
        path: stem if uses[stem.lower()] == 1 else f"{stem}_{sha256_bytes(path.encode())[:8]}"
        for path, stem in flat.items()
    }


def _cut(
    folder: Path,
    target: Path,
    *,
    plans: Mapping[str, list[tuple[PhotoRecord, list[TilePlan]]]],
    request: DatasetRequest,
    progress: Progress | None,
) -> list[dict[str, Any]]:
    """Cut train and val and return one line of provenance per tile."""
    work = [(part, photo, tiles) for part, found in plans.items() for photo, tiles in found if tiles]
    tasks = [
        CutTask(
            folder / photo.path,
            tuple(tiles),
            target / "images" / part,
            target / "labels" / part,
            request.rules.jpeg_quality,
        )
        for part, photo, tiles in work
    ]
    pixels = sum(photo.width_px * photo.height_px for _, photo, _ in work)
    digests = cut_all(tasks, pixels=pixels, workers=request.workers, progress=progress)
    return [
        _provenance(part, photo, plan=plan, sha256=sha256)
        for (part, photo, tiles), found in zip(work, digests, strict=True)
        for plan, sha256 in zip(tiles, found, strict=True)
    ]


def _provenance(part: str, photo: PhotoRecord, *, plan: TilePlan, sha256: str) -> dict[str, Any]:
    return {
        "tile": f"images/{part}/{plan.name}.jpg",
        "sha256": sha256,
        "part": part,
        "photo": photo.path,
        "photo_sha256": photo.sha256,
        "flight": photo.flight,
        "xyxy_px": [plan.tile.x0, plan.tile.y0, plan.tile.x1, plan.tile.y1],
        "boxes": len(plan.class_ids),
        "cut": plan.cut,
        "ignored": len(plan.ignored_px),
        "dropped": plan.dropped,
    }


def _truth(split: Split, survey: Survey, *, labels: Labels) -> dict[str, Any]:
    """COCO document of the test part; image ids and annotation ids start at 1, category ids at 0.

    A region to be ignored is one crowd annotation per class: no detection in it counts, of whatever class.
    """
    unit_of = {photo.path: unit.name for unit in split.test for photo in unit.photos}
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []

    def add(class_id: int, xyxy_px: Sequence[float], *, crowd: bool) -> None:
        x0, y0, x1, y1 = xyxy_px
        width, height = x1 - x0, y1 - y0
        annotations.append(
            {
                "id": len(annotations) + 1,
                "image_id": len(images),
                "category_id": class_id,
                "bbox": [round(value, 4) for value in (x0, y0, width, height)],
                "area": round(width * height, 4),
                "iscrowd": int(crowd),
            }
        )

    for image_id, photo in enumerate(split.photos("test"), start=1):
        size = {"width": photo.width_px, "height": photo.height_px}
        name = photo.path.removeprefix(f"{PHOTOS_FOLDER}/")
        images.append({"id": image_id, "file_name": name, **size, "flight": unit_of[photo.path]})
        found = labels[photo.path]
        for class_id, box in zip(found.class_ids.tolist(), found.xyxy_px.tolist(), strict=True):
            add(class_id, box, crowd=False)
        for region in photo.ignored_px:
            for class_id in range(len(survey.classes)):
                add(class_id, region, crowd=True)
    categories = [{"id": index, "name": name} for index, name in enumerate(survey.classes)]
    return {"images": images, "annotations": annotations, "categories": categories}


def _document(
    survey: Survey,
    split: Split,
    *,
    request: DatasetRequest,
    tiles: Sequence[Mapping[str, Any]],
    truth: Mapping[str, Any],
) -> dict[str, Any]:
    digest = sha256_bytes(canonical_json([list(survey.classes), split.names(), tiles, truth]).encode())
    by_part = {part: [line for line in tiles if line["part"] == part] for part in ("train", "val")}
    return {
        "schema": SCHEMA,
        "survey_digest": survey.digest,
        "classes": list(survey.classes),
        "tile_px": request.rules.tile_px,
        "overlap_px": request.rules.overlap_px,
        "seed": request.seed,
        "split_by": request.split_by,
        "split": split.names(),
        "photos": {part: len(split.photos(part)) for part in PARTS},
        "boxes": {part: sum(photo.boxes for photo in split.photos(part)) for part in PARTS},
        "tiles": {part: len(lines) for part, lines in by_part.items()},
        "tile_boxes": {part: sum(line["boxes"] for line in lines) for part, lines in by_part.items()},
        "ignored_regions": sum(line["ignored"] for line in tiles),
        "left_out": sorted(photo.path for photo in split.left_out),
        "notes": list(split.notes),
        "digest": digest,
    }


def _place(source: Path, target: Path) -> None:
    """Hard link where the file system allows it, else a copy."""
    with explained_disk(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(source.resolve(), target)
        except OSError:
            shutil.copyfile(source, target)
