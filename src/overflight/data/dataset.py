"""From a stored survey to what training and evaluation read: tiles for train and val, untouched photographs for test.

Layout: see ``DATASET_FILE`` (written last), ``images/`` and ``labels/`` by part, ``test/photos`` with
``test/truth.json`` (COCO; boxes ``x y w h`` in pixels of the upright photograph, category ids are class indices from
0) and ``tiles.jsonl`` (where each tile comes from). The same survey and settings give the same bytes, by one job or by
several, in one run or in two because the first ended early. It trusts the survey's digests; the validate job checks
them.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from overflight.data.augment.dataset import Training, augment_dataset
from overflight.data.augment.settings import AugmentSettings
from overflight.data.dataset_tiles import (
    TILED_PARTS,
    TilePlans,
    TileTotals,
    notes_on,
    plan_tiles_of,
    require_complete,
    seam_counts,
    settle_files,
    write_tile_lines,
)
from overflight.data.duplicates import Seen
from overflight.data.findings import Finding, refuse
from overflight.data.formats.labels import PhotoLabels
from overflight.data.leaks import Side, measure_parts, traits_of_record
from overflight.data.manifest import PHOTOS_FOLDER, Survey, load_manifest
from overflight.data.split import PARTS, Split, SplitBy, split_photos, units_of
from overflight.data.split_balance import size_bands
from overflight.data.split_groups import near_across
from overflight.data.stored_labels import read_text
from overflight.data.tile import TileRules
from overflight.data.tile_run import Journals, Shard, cut_all
from overflight.errors import InputError
from overflight.files import canonical_json, explained_disk, require_disk, sha256_bytes, write_json
from overflight.imaging.boxes import clip

SCHEMA = "overflight.dataset/1"
DATASET_FILE, TILES_FILE, TRUTH_FILE = "dataset.json", "tiles.jsonl", "test/truth.json"

Progress = Callable[[int, int], None]
Labels = Mapping[str, PhotoLabels]
SeenPhotos = Mapping[str, Seen]

_PAIRS_LISTED = 100


@dataclass(frozen=True)
class DatasetRequest:
    """What to make of a survey.

    Attributes:
        split_by: See ``overflight.data.split``.
        seed: Chooses the split and the background tiles.
        rules: How photographs are cut.
        workers: Processes; None: as many as pay.
        augment: What may happen to copies of the training tiles.
        copies: Copies of each training tile.
    """

    split_by: SplitBy = "flight"
    seed: int = 0
    rules: TileRules = TileRules()  # noqa: RUF009 - frozen
    workers: int | None = None
    augment: AugmentSettings = AugmentSettings()  # noqa: RUF009 - frozen
    copies: int = 0


def build_dataset(
    survey_folder: Path,
    target: Path,
    *,
    request: DatasetRequest,
    seen: SeenPhotos | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Write the data set into ``target`` and return the content of ``dataset.json``.

    A run into a folder in which an earlier one ended early goes on where that one was.

    Args:
        survey_folder: A stored survey.
        target: Folder of the data set.
        request: What to make of it.
        seen: Decoded photographs by path: flights with almost equal pictures stay together, and what leaks between
            the parts is measured with pixels too.
        progress: Called with (photographs done, photographs in all).

    Raises:
        InputError: the survey cannot be read or split, nothing is left to train on, or a photograph cannot be read.
        ResourceError: not enough disk.
        JobError: a worker process was killed.
    """
    prepared = _prepare(survey_folder, target, request=request, seen=seen)
    _cut(prepared, shard=Shard(), progress=progress)
    return _finish(prepared, shards=1)


def cut_shard(
    survey_folder: Path,
    target: Path,
    *,
    request: DatasetRequest,
    shard: Shard,
    seen: SeenPhotos | None = None,
    progress: Progress | None = None,
) -> None:
    """One of several jobs' part of the photographs, chosen by their digests; :func:`finish_dataset` ends the work.

    The jobs may write into one folder or into one each, brought together afterwards: no file has two writers.

    Raises:
        InputError: as :func:`build_dataset`.
        ResourceError: not enough disk.
        JobError: a worker process was killed.
    """
    _cut(_prepare(survey_folder, target, request=request, seen=seen), shard=shard, progress=progress)


def finish_dataset(
    survey_folder: Path, target: Path, *, request: DatasetRequest, shards: int, seen: SeenPhotos | None = None
) -> dict[str, Any]:
    """Make of what ``shards`` jobs have cut into ``target`` the data set that one job would have made, byte by byte.

    Raises:
        InputError: photographs are not cut yet (says which jobs are missing), or files are missing.
        ResourceError: not enough disk.
    """
    return _finish(_prepare(survey_folder, target, request=request, seen=seen), shards=shards)


@dataclass(frozen=True)
class _Prepared:
    """What every job knows before it cuts."""

    folder: Path
    target: Path
    request: DatasetRequest
    survey: Survey
    labels: Labels
    split: Split
    plans: TilePlans
    seen: SeenPhotos | None


def _prepare(survey_folder: Path, target: Path, *, request: DatasetRequest, seen: SeenPhotos | None) -> _Prepared:
    survey = load_manifest(survey_folder)
    labels = read_labels(survey_folder, survey)
    counts = {path: np.bincount(found.class_ids, minlength=len(survey.classes)) for path, found in labels.items()}
    units = units_of(survey.photos, by=request.split_by)
    split = split_photos(
        survey.photos,
        counts,
        by=request.split_by,
        seed=request.seed,
        size_counts={path: size_bands(found.xyxy_px) for path, found in labels.items()},
        near=near_across(survey.photos, seen, units=units) if seen else (),
        classes=survey.classes,
    )
    parts = {part: split.photos(part) for part in TILED_PARTS}
    plans = plan_tiles_of(survey_folder, target, parts=parts, labels=labels, rules=request.rules, seed=request.seed)
    if not plans.boxes["train"]:
        cure = "Label some objects, or add a flight that shows some"
        raise InputError("no box is left to train on", where=str(survey_folder), cure=cure)
    return _Prepared(survey_folder, target, request, survey, labels, split, plans, seen)


def _cut(prepared: _Prepared, *, shard: Shard, progress: Progress | None) -> None:
    target = prepared.target
    (target / DATASET_FILE).unlink(missing_ok=True)  # of an earlier run: while it is there, the data set is complete
    mine = [planned for planned in prepared.plans.photos if shard.has(planned.record.sha256)]
    known = Journals(target)
    require_disk(target, 3 * sum(planned.record.bytes for planned in mine if planned.task.key not in known))
    tasks = [planned.task for planned in mine]
    cut_all(tasks, target / shard.journal, workers=prepared.request.workers, progress=progress)
    for photo in prepared.split.photos("test"):
        if shard.has(photo.sha256):
            _place(prepared.folder / photo.path, target / "test" / photo.path)


def _finish(prepared: _Prepared, *, shards: int) -> dict[str, Any]:
    target, plans = prepared.target, prepared.plans
    journals = Journals(target)
    require_complete(plans, journals, where=str(target), shards=shards)
    settle_files(target, plans, journals)
    _settle_test(target / "test", [photo.path for photo in prepared.split.photos("test")])
    totals = write_tile_lines(target / TILES_FILE, plans, journals)
    truth = _truth(prepared.split, prepared.survey, labels=prepared.labels)
    write_json(target / TRUTH_FILE, truth)
    copies = _augment(prepared)
    document = _document(prepared, totals=totals, truth=truth, copies=copies)
    write_json(target / DATASET_FILE, document)
    for path in journals.paths:
        path.unlink()
    return document


def _augment(prepared: _Prepared) -> dict[str, Any]:
    request = prepared.request
    records = {photo.path: photo for photo in prepared.split.photos("train")}
    training = Training(prepared.target, prepared.folder, records, prepared.labels)
    return augment_dataset(
        training,
        settings=request.augment,
        copies=request.copies,
        seed=request.seed,
        rules=request.rules,
        workers=request.workers,
    )


def _leaks(prepared: _Prepared) -> dict[str, Any]:
    """What each part shares with those before it, ``val of train`` and so on; pairs are cut at 100."""
    seen = prepared.seen or {}
    sides = []
    for part in PARTS:
        photos = prepared.split.photos(part)
        looks = {photo.path: one.pixels if (one := seen.get(photo.path)) else None for photo in photos}
        sides.append(Side(part, {photo.path: traits_of_record(photo, pixels=looks[photo.path]) for photo in photos}))
    reports = {f"{report.b} of {report.a}": report.as_dict() for report in measure_parts(sides)}
    return {name: {**report, "pairs": report["pairs"][:_PAIRS_LISTED]} for name, report in reports.items()}


def _settle_test(folder: Path, wanted: Sequence[str]) -> None:
    """Held-out photographs of an earlier run with other settings must not be taken for ones of this."""
    present = {path.relative_to(folder).as_posix() for path in (folder / PHOTOS_FOLDER).rglob("*") if path.is_file()}
    missing = set(wanted) - present
    if missing:
        cure = "Bring what all jobs wrote together in this folder, then run again"
        raise InputError("a held-out photograph is missing", where=str(folder / min(missing)), cure=cure)
    for name in present - set(wanted):
        (folder / name).unlink()


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
    prepared: _Prepared, *, totals: TileTotals, truth: Mapping[str, Any], copies: Mapping[str, Any]
) -> dict[str, Any]:
    survey, split, request = prepared.survey, prepared.split, prepared.request
    held_out = [photo.sha256 for photo in split.photos("test")]
    content = [list(survey.classes), split.names(), totals.sha256, truth, held_out]
    if copies["tiles"]:
        content.append(copies["digest"])
    digest = sha256_bytes(canonical_json(content).encode())
    return {
        "schema": SCHEMA,
        "survey_digest": survey.digest,
        "classes": list(survey.classes),
        "tile_px": request.rules.tile_px,
        "overlap_px": request.rules.overlap_px,
        "rules": asdict(request.rules),
        "seed": request.seed,
        "split_by": request.split_by,
        "split": split.names(),
        "photos": {part: len(split.photos(part)) for part in PARTS},
        "boxes": {part: sum(photo.boxes for photo in split.photos(part)) for part in PARTS},
        "tiles": totals.tiles,
        "tile_boxes": totals.boxes,
        "ignored_regions": totals.ignored,
        "seams": seam_counts(prepared.plans),
        "augmented": {"settings": request.augment.model_dump(mode="json") if copies["tiles"] else None, **copies},
        "joined": [str(pair) for pair in split.joins],
        "balance": None if split.balance is None else split.balance.as_dict(survey.classes),
        "leaks": _leaks(prepared),
        "left_out": sorted(photo.path for photo in split.left_out),
        "notes": [*split.notes, *notes_on(prepared.plans, request.rules)],
        "digest": digest,
    }


def _place(source: Path, target: Path) -> None:
    """Hard link where the file system allows it, else a copy; what an earlier run left there is replaced."""
    with explained_disk(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        target.unlink(missing_ok=True)
        try:
            os.link(source.resolve(), target)
        except OSError:
            shutil.copyfile(source, target)
