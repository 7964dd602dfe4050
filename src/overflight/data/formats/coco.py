"""COCO: one JSON file with ``images``, ``annotations`` and ``categories``; boxes ``x y w h`` in pixels from the corner.

Boxes are read by columns, so that a million takes seconds; an annotation that is not a plain box is then looked at by
itself (:mod:`overflight.data.formats.coco_entries`). ``iscrowd`` and the ``ignore`` that some tools write mark regions
that are not objects. ``area`` is never used, only compared with the box. It does not judge boxes and opens no
photograph. Format: cocodataset.org/#format-data.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from overflight.data.files import IMAGE_FOLDERS, SourceFiles
from overflight.data.findings import Finding
from overflight.data.formats.class_ids import Id, class_name, merged_classes
from overflight.data.formats.coco_entries import CocoFile, Columns, read_annotations, read_images
from overflight.data.formats.json_files import collector_paused, head_and_tail, read_document, shown
from overflight.data.formats.labels import LabelSet, PhotoLabels, RefusedBox
from overflight.data.formats.named_photos import NamedPhotos, Sizes
from overflight.data.formats.sniffed import Sniffed, Written
from overflight.data.formats.writing import Losses, oriented, written_names
from overflight.errors import InputError
from overflight.files import write_text

NAME = "coco"
LABEL_FILE = "annotations.json"
MAX_AREA_RATIO = 1.1
_LOOKED_AT = 32
_USUAL_NAME = re.compile("coco|instances|annotation", re.IGNORECASE)
_KEYS = re.compile(
    rb'"(images|annotations|categories|file_name|image_id|category_id|bbox|score|source-ref|shapes)"\s*:'
)


def sniff(files: SourceFiles) -> Sniffed | None:
    """COCO label files by the keys in their first and last 64 KiB; lists of results and other JSON are not."""
    found: list[str] = []
    results: list[str] = []
    first = ""
    for at, key in enumerate(_candidates(files)):
        if at >= _LOOKED_AT and not found:
            break  # thousands of JSON files about other things
        content, whole = head_and_tail(files, key)
        keys = [match.decode() for match in _KEYS.findall(content)]
        start = content.removeprefix(b"\xef\xbb\xbf").lstrip()[:1]
        if start == b"[" and {"image_id", "score"} <= set(keys):
            results.append(key)
        elif start == b"{" and _is_coco(set(keys)):
            found.append(key)
            if not first:
                least = "" if whole else "at least "
                names = ", ".join(f'"{name}"' for name in ("images", "annotations", "categories") if name in keys)
                first = f"{key} ({names}; {least}{keys.count('file_name')} images, {keys.count('bbox')} boxes)"
    if not found:
        return None
    evidence = f"{len(found)} JSON {'file' if len(found) == 1 else 'files'} in COCO's form, first: {first}"
    if results:
        evidence += f"; left out as predictions: {', '.join(results)}"
    return Sniffed(NAME, tuple(sorted(found)), evidence)


def _candidates(files: SourceFiles) -> list[str]:
    """JSON files to look at: first those that do not belong to one photograph, have a usual name, lie near the root."""
    stems = {photo.key.rsplit(".", 1)[0] for photo in files.photos}
    found = [key for key in files.others if key.lower().endswith(".json")]
    found.sort(key=lambda key: (key.rsplit(".", 1)[0] in stems, not _USUAL_NAME.search(key), key.count("/"), key))
    return found


def _is_coco(keys: set[str]) -> bool:
    if keys & {"source-ref", "shapes"}:
        return False
    lists = keys & {"images", "annotations", "categories"}
    return len(lists) >= 2 or bool(lists and keys & {"category_id", "image_id"})


def read(
    files: SourceFiles, sizes: Sizes, *, labels: tuple[str, ...], max_area_ratio: float = MAX_AREA_RATIO
) -> LabelSet:
    """All given COCO files together, e.g. one for training and one for validation.

    Args:
        files: Files of the source.
        sizes: Upright width and height by photo key.
        labels: Keys of the COCO files.
        max_area_ratio: ``area`` may be so many times that of the box before it is reported.

    Raises:
        InputError: no label file, or none of them names a category.
    """
    if not labels:
        raise InputError("no COCO file given", where=str(files.root), cure="Name the JSON file with the annotations")
    photos = NamedPhotos(files, sizes)
    findings: list[Finding] = []
    refused: list[RefusedBox] = []
    read_files: list[CocoFile] = []
    with collector_paused():
        for key in dict.fromkeys(labels):
            coco = _open(files, key, findings, refused)
            if coco is not None:
                read_files.append(coco)
        classes, contradictions = merged_classes([(coco.key, coco.categories) for coco in read_files])
        if not classes:
            raise _nothing(labels, findings)
        index = {name: class_id for class_id, name in enumerate(classes)}
        columns: list[Columns] = []
        for coco in read_files:
            read_images(coco, photos)
            columns.append(read_annotations(coco, index, max_area_ratio))
            coco.annotations.clear()
        placed = _by_photo(read_files, columns)
    unplaced = {key for coco in read_files for key in coco.unclear}
    unplaced |= {photo.key for coco in read_files for photo in coco.photos if photo.refusal}
    for column in columns:
        findings += column.findings
        refused += column.refused
    findings += [*contradictions, *photos.findings, *photos.missing_labels(unplaced | placed.keys())]
    return LabelSet(
        format=NAME,
        classes=classes,
        photos=placed,
        absent=frozenset(photos.absent & placed.keys()),
        refused=tuple(refused),
        findings=tuple(findings),
        losses=tuple(loss for column in columns for loss in column.losses),
    )


def _open(files: SourceFiles, key: str, findings: list[Finding], refused: list[RefusedBox]) -> CocoFile | None:
    document = read_document(files, key, expected=_expected)
    findings += document.findings
    value = document.value
    if document.damaged:
        return None
    if isinstance(value, list):
        scores = any(isinstance(entry, dict) and "score" in entry for entry in value[:100])
        what = "is a list of results with scores: predictions, not labels" if scores else "is a list, not a COCO object"
        finding = Finding("error", "damaged", key, what, "Give the file with images, annotations and categories")
        findings.append(finding)
        refused += [RefusedBox(finding, boxes=len(value), raw=shown(value))] if value else []
        return None
    if not isinstance(value, dict) or not {"images", "annotations"} & value.keys():
        what = f"is not a COCO file: it holds neither images nor annotations ({shown(value)})"
        findings.append(Finding("error", "damaged", key, what, "Give the file with images, annotations and categories"))
        return None
    lists: dict[str, list[Any]] = {}
    for name in ("images", "annotations", "categories"):
        lists[name] = value[name] if isinstance(value.get(name), list) else []
        if name in value and not isinstance(value[name], list):
            what = f"{name} is {shown(value[name])}, not a list"
            findings.append(Finding("error", "damaged", key, what, "Export the labels again"))
    if not isinstance(value.get("annotations"), list):
        what = "lists images and has no annotations: none of them counts as labelled"
        findings.append(Finding("error", "damaged", key, what, "Give the file that holds the annotations"))
        lists["images"] = []
    categories = _categories(key, lists["categories"], findings)
    if not categories and lists["annotations"]:
        what = f"has {len(lists['annotations'])} annotations and no list of categories"
        findings.append(Finding("error", "class-names", key, what, "Add `categories` with id and name of each class"))
    return CocoFile(key, lists["images"], lists["annotations"], categories)


def _expected(value: Any) -> dict[str, tuple[int, ...]]:
    """How often the keys that boxes are read from stand in a file where every entry has each of them once."""
    if not isinstance(value, dict):
        return {}
    length = {name: len(found) if isinstance(found, list) else 0 for name, found in value.items()}
    images, annotations = length.get("images", 0), length.get("annotations", 0)
    once = {name: (1,) for name in ("images", "annotations", "categories") if name in value}
    each = dict.fromkeys(("image_id", "category_id", "bbox"), (annotations,))
    some = dict.fromkeys(("iscrowd", "ignore"), (0, annotations))
    return {**once, **each, **some, "file_name": (images,), "id": (sum(length.values()),)}


def _categories(key: str, entries: list[Any], findings: list[Finding]) -> dict[Id, str]:
    names: dict[Id, str] = {}
    seen: set[str] = set()
    for position, entry in enumerate(entries, start=1):
        found = entry if isinstance(entry, dict) else {}
        number: Any = found.get("id")
        name = class_name(found.get("name"))
        problem = ""
        if type(number) not in {int, str} or name is None:
            problem = f"category {position} has no id or no name ({shown(entry)})"
        elif number in names:
            problem = f"category id {shown(number)} is given twice ({shown(names[number])} and {shown(name)})"
        elif name in seen:
            problem = f"category {shown(name)} is given twice, also with id {shown(number)}; they are one class here"
            names[number] = name
        else:
            names[number] = name
        seen |= {name} if name else set()
        if problem:
            findings.append(Finding("error", "class-names", key, problem, "Give each class one id and one name"))
    return names


def _nothing(labels: tuple[str, ...], findings: list[Finding]) -> InputError:
    worst = next((finding for finding in findings if finding.severity == "error"), None)
    if worst is None:
        return InputError("names no category", where=labels[0], cure="Add `categories` with id and name of each class")
    return InputError(worst.what, where=worst.where, cure=worst.cure)


def _by_photo(read_files: list[CocoFile], columns: list[Columns]) -> dict[str, PhotoLabels]:
    """Labels by photo key; those of a photograph that several entries or files name one after the other."""
    parts: dict[str, list[PhotoLabels]] = {}
    for coco, column in zip(read_files, columns, strict=True):
        for key, labels in _of_file(coco, column):
            parts.setdefault(key, []).append(labels)
    return {key: found[0] if len(found) == 1 else _joined(found) for key, found in parts.items()}


def _of_file(coco: CocoFile, column: Columns) -> Iterator[tuple[str, PhotoLabels]]:
    order = np.argsort(column.photo, kind="stable")
    bounds = np.searchsorted(column.photo[order], np.arange(len(coco.photos) + 1)).tolist()
    class_ids, boxes = column.class_ids[order], column.xyxy_px[order]
    numbers, ignored = column.numbers[order], column.ignored[order]
    some_ignored = bool(ignored.any())
    for position, photo in enumerate(coco.photos):
        if photo.refusal:
            continue
        part = slice(bounds[position], bounds[position + 1])
        own = ignored[part] if some_ignored and ignored[part].any() else None
        yield (
            photo.key,
            PhotoLabels(
                size_wh_px=photo.size_wh_px,
                class_ids=class_ids[part],
                xyxy_px=boxes[part],
                numbers=numbers[part],
                file=coco.key,
                unit="annotation",
                ignored=own,
            ),
        )


def _joined(parts: list[PhotoLabels]) -> PhotoLabels:
    masks = [np.zeros(len(part), np.bool_) if part.ignored is None else part.ignored for part in parts]
    return PhotoLabels(
        size_wh_px=parts[0].size_wh_px,
        class_ids=np.concatenate([part.class_ids for part in parts]),
        xyxy_px=np.concatenate([part.xyxy_px for part in parts]),
        numbers=np.concatenate([part.numbers for part in parts]),
        file=parts[0].file,
        unit=parts[0].unit,
        ignored=np.concatenate(masks) if any(part.ignored is not None for part in parts) else None,
    )


def write(labels: LabelSet, folder: Path, *, names: Mapping[str, str]) -> Written:
    """Write ``annotations.json``; photographs belong into ``images/``, and ``file_name`` is their path below it.

    Category, image and annotation ids start at 1, as in COCO itself: some tools take category 0 for the background,
    and pycocotools counts a match with annotation 0 as none. ``area`` is width times height.
    """
    losses = Losses()
    places = {key: f"images/{name}" for key, name in written_names(labels, names, losses).items()}
    images: list[str] = []
    annotations: list[str] = []
    for image_id, (key, place) in enumerate(places.items(), start=1):
        found = labels.photos[key]
        width, height = found.size_wh_px
        entry = {"id": image_id, "file_name": _file_name(place), "width": width, "height": height}
        images.append(json.dumps(entry))
        losses.oriented += int(oriented(found).sum())
        xywh = np.concatenate([found.xyxy_px[:, :2], found.xyxy_px[:, 2:] - found.xyxy_px[:, :2]], axis=1).round(6)
        crowds = [0] * len(found) if found.ignored is None else found.ignored.astype(int).tolist()
        for class_id, box, crowd in zip(found.class_ids.tolist(), xywh.tolist(), crowds, strict=True):
            annotation = {
                "id": len(annotations) + 1,
                "image_id": image_id,
                "category_id": class_id + 1,
                "bbox": box,
                "area": round(box[2] * box[3], 6),
                "iscrowd": crowd,
            }
            annotations.append(json.dumps(annotation))
    categories = [
        json.dumps({"id": class_id, "name": name, "supercategory": ""})
        for class_id, name in enumerate(labels.classes, start=1)
    ]
    parts = {"images": images, "annotations": annotations, "categories": categories}
    lists = ",\n".join(f'"{name}": [\n' + ",\n".join(entries) + "\n]" for name, entries in parts.items())
    write_text(folder / LABEL_FILE, "{\n" + lists + "\n}\n")
    return Written(places, losses.sentences())


def _file_name(place: str) -> str:
    """Path below ``images/``, as most tools expect; the path from the root where another folder has such a name."""
    inside = PurePosixPath(place).relative_to("images")
    return place if IMAGE_FOLDERS & set(inside.parts[:-1]) else str(inside)
