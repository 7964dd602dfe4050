"""Output manifest of SageMaker Ground Truth (object detection): one JSON object a line, one line a photograph.

``source-ref`` names the photograph in S3; it is never fetched, only compared with the photographs found, first by the
longest end of its path, then by its file name. The label attribute may have any name: it is found by its ``-metadata``
of type ``groundtruth/object-detection``. Where a line has several (a job that adjusts the labels of another), the last
one counts. It does not judge boxes. Format: docs.aws.amazon.com/sagemaker/latest/dg/sms-data-output.html.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from overflight.data.files import PhotoFile, SourceFiles
from overflight.data.findings import Finding
from overflight.data.formats.class_ids import Id, class_name, merged_classes
from overflight.data.formats.json_files import (
    RefusedValueError,
    head_and_tail,
    number,
    read_lines,
    shown,
    size_of,
)
from overflight.data.formats.labels import LabelSet, PhotoLabels, PhotoLabelsBuilder, RefusedBox
from overflight.data.formats.named_photos import NamedPhoto, NamedPhotos, Sizes
from overflight.data.formats.sniffed import Sniffed, Written
from overflight.data.formats.writing import Losses, kept, oriented, written_names
from overflight.errors import InputError
from overflight.files import write_text

NAME = "groundtruth"
LABEL_FILE = "output.manifest"
TYPE = "groundtruth/object-detection"
ATTRIBUTE = "labels"
CREATED = "1970-01-01T00:00:00"
_SUFFIXES = (".manifest", ".jsonl", ".json")
_METADATA = "-metadata"
_LOOKED_AT = 32
_PATH_PARTS_TRIED = 16
_LOSSES_TOLD = 20
_CURES = {
    "unknown-class": "Add the class to `class-map` or correct the line",
    "missing-photo": "Add the photograph, or give `image_size`",
    "unreadable-photo": "Replace the photograph, or give `image_size`",
    "no-box": "Write class_id, left, top, width and height",
}
_OTHER_CURE = "Write a finite number in pixels, without quotation marks"


def sniff(files: SourceFiles) -> Sniffed | None:
    """Manifests by ``source-ref`` and the type of their metadata in the first line."""
    candidates = [key for key in files.others if key.lower().endswith(_SUFFIXES)]
    candidates.sort(key=lambda key: (_SUFFIXES.index("." + key.lower().rsplit(".", 1)[1]), key.count("/"), key))
    found: list[str] = []
    for at, key in enumerate(candidates):
        if at >= _LOOKED_AT and not found:
            break  # thousands of JSON files about other things
        content, _ = head_and_tail(files, key)
        if b'"source-ref"' in content and (TYPE.encode() in content or b'"class-map"' in content):
            found.append(key)
    if not found:
        return None
    count = f"{len(found)} {'file' if len(found) == 1 else 'files'}"
    return Sniffed(NAME, tuple(sorted(found)), f'{count} of lines with "source-ref" and {TYPE}, first: {found[0]}')


@dataclass
class _Line:
    """One line that names a photograph and holds labels."""

    where: str
    file: str
    number: int
    photo: NamedPhoto
    names: dict[Id, str]
    entries: list[Any]


@dataclass
class _State:
    photos: NamedPhotos
    findings: list[Finding] = field(default_factory=list)
    refused: list[RefusedBox] = field(default_factory=list)
    lines: list[_Line] = field(default_factory=list)
    class_lists: dict[tuple[tuple[Id, str], ...], dict[Id, str]] = field(default_factory=dict)
    mentioned: set[str] = field(default_factory=set)
    kept_out: Counter[str] = field(default_factory=Counter)


def read(files: SourceFiles, sizes: Sizes, *, labels: tuple[str, ...]) -> LabelSet:
    """All given manifests together.

    Raises:
        InputError: no manifest, or none of their lines has a ``class-map``.
    """
    if not labels:
        raise InputError("no manifest given", where=str(files.root), cure="Name the output manifest of the job")
    state = _State(NamedPhotos(files, sizes))
    for key in dict.fromkeys(labels):
        try:
            for line_number, document in read_lines(files, key):
                state.findings += document.findings
                if not document.damaged:
                    _take_line(state, document.value, file=key, line=line_number)
        except InputError as error:
            state.findings.append(Finding("error", "damaged", key, error.what, error.cure))
    classes, _ = merged_classes([("", names) for names in state.class_lists.values()])
    if not classes:
        worst = next(iter(state.findings), None)
        what = "no line has labels with a class-map" if worst is None else worst.what
        raise InputError(what, where=labels[0] if worst is None else worst.where, cure="Give an output manifest")
    placed = _placed(state, {name: class_id for class_id, name in enumerate(classes)})
    findings = [*state.findings, *state.photos.findings, *state.photos.missing_labels(state.mentioned | set(placed))]
    return LabelSet(
        format=NAME,
        classes=classes,
        photos=placed,
        absent=frozenset(state.photos.absent & placed.keys()),
        refused=tuple(state.refused),
        findings=tuple(findings),
        losses=tuple(f"{count} {what}" for what, count in state.kept_out.items() if count),
    )


def _take_line(state: _State, value: Any, *, file: str, line: int) -> None:
    """Note what a line says: its classes, its photograph and its entries, or why it has none."""
    where = f"{file}:{line}"
    if not isinstance(value, dict):
        what = f"{shown(value)} is not an object with source-ref"
        state.findings.append(Finding("error", "damaged", where, what, "Write one object a line"))
        return
    attribute, content, metadata = _labels_of(state, value)
    entries = content.get("annotations")
    names = _names(metadata.get("class-map"))
    state.class_lists[tuple(names.items())] = names
    name = value.get("source-ref")
    if not isinstance(name, str) or not name.strip():
        what = "holds text (`source`), no photograph" if "source" in value else "has no source-ref"
        finding = Finding("error", "missing-photo", where, what, "Name the photograph as source-ref")
        state.findings.append(finding)
        if isinstance(entries, list) and entries:
            state.refused.append(RefusedBox(finding, boxes=len(entries), raw=shown(value)))
        return
    size = content.get("image_size")
    first = size[0] if isinstance(size, list) and size and isinstance(size[0], dict) else {}
    photo = state.photos.take(
        name,
        label_file=file,
        where=where,
        declared_wh=size_of(first.get("width"), first.get("height")),
        file=_resolve(state.photos.files, name, beside=file),
    )
    fault = _no_labels(attribute, entries, metadata)
    state.mentioned.add(photo.key)
    if fault or not isinstance(entries, list):
        key = "" if photo.key in state.photos.absent else photo.key
        finding = Finding("error", "missing-labels", where, fault, "Label it again or take it out", key)
        state.findings.append(finding)
        if isinstance(entries, list) and entries:
            state.refused.append(RefusedBox(finding, boxes=len(entries), raw=shown(value)))
        return
    state.kept_out["confidences of boxes are not kept"] += _unsure(metadata.get("objects"))
    state.lines.append(_Line(where, file, line, photo, names, entries))


def _labels_of(state: _State, value: dict[str, Any]) -> tuple[str, dict[str, Any], dict[str, Any]]:
    """Name, content and metadata of the label attribute that counts; an empty name when the line has none."""
    found: list[tuple[str, Any, dict[str, Any]]] = []
    for key, metadata in value.items():
        attribute = key.removesuffix(_METADATA)
        if attribute == key or not isinstance(metadata, dict):
            continue
        content = value.get(attribute)
        looks_so = isinstance(content, dict) and "annotations" in content
        if metadata.get("type") == TYPE or ("type" not in metadata and looks_so):
            found.append((attribute, content, metadata))
        else:
            _lose(state, f"labels of the kind {shown(metadata.get('type'))} are not kept")
    if len(found) > 1:
        names = " and ".join(shown(name) for name, _, _ in found[:-1][:3])
        _lose(state, f"lines have several label attributes: {shown(found[-1][0])} counts, not {names}")
    if not found:
        return "", {}, {}
    attribute, content, metadata = found[-1]
    return attribute, content if isinstance(content, dict) else {}, metadata


def _lose(state: _State, what: str) -> None:
    full = len(state.kept_out) >= _LOSSES_TOLD and what not in state.kept_out
    state.kept_out["other labels are not kept" if full else what] += 1


def _no_labels(attribute: str, entries: Any, metadata: dict[str, Any]) -> str:
    if not attribute:
        return f"has no labels of the type {TYPE}"
    if metadata.get("failure-reason"):
        return f"the labelling job failed: {shown(metadata['failure-reason'])}"
    return "" if isinstance(entries, list) else f"{shown(attribute)} has no list of annotations"


def _unsure(objects: Any) -> int:
    """How many confidences say something: 0 and 1 stand for a single worker's box."""
    entries = objects if isinstance(objects, list) else []
    found = [entry.get("confidence") for entry in entries if isinstance(entry, dict)]
    return sum(1 for value in found if type(value) in {int, float} and value not in {0, 1})


def _names(class_map: Any) -> dict[Id, str]:
    """Class names by id; keys that are no whole numbers and names that are no text are left out."""
    if not isinstance(class_map, dict):
        return {}
    found: dict[Id, str] = {}
    for key, value in class_map.items():
        name = class_name(value)
        if name is not None and key.isascii() and key.isdigit() and len(key) < 19:
            found[int(key)] = name
    return found


def _resolve(files: SourceFiles, name: str, *, beside: str) -> PhotoFile | None:
    """The photograph whose key is the longest end of the path, else the only one of that file name."""
    scheme, found, path = name.partition("://")
    if not found:
        return files.resolve(name, beside=beside)
    parts = path.split("/")[1:] if scheme.lower() == "s3" else path.split("/")
    for start in range(max(len(parts) - _PATH_PARTS_TRIED, 0), len(parts)):
        photo = files.resolve("/".join(parts[start:]), beside=beside)
        if photo is not None:
            return photo
    return None


def _placed(state: _State, index: dict[str, int]) -> dict[str, PhotoLabels]:
    builders: dict[str, PhotoLabelsBuilder] = {}
    for line in state.lines:
        photo = line.photo
        builder = PhotoLabelsBuilder(photo.size_wh_px, line.file, "line")
        if photo.refusal:
            _note_no_size(state, line)
        else:
            builder = builders.setdefault(photo.key, builder)
        for position, entry in enumerate(line.entries, start=1):
            try:
                if photo.refusal:
                    raise RefusedValueError(photo.refusal, "the size of its photograph is not known")
                class_id, xyxy = _box(entry, line.names, index)
            except RefusedValueError as error:
                cure = _CURES.get(error.code, _OTHER_CURE)
                key = "" if photo.key in state.photos.absent else photo.key
                what = f"annotation {position}: {error.what}"
                finding = Finding("error", error.code, line.where, what, cure, key)
                state.refused.append(RefusedBox(finding, raw=shown(entry)))
            else:
                builder.add(class_id, xyxy, number=line.number)
    return {key: builder.build() for key, builder in builders.items()}


def _note_no_size(state: _State, line: _Line) -> None:
    if line.photo.refusal == "unreadable-photo" and not line.entries:
        what = "the photograph cannot be used, so its labels cannot either"
        finding = Finding("error", line.photo.refusal, line.where, what, _CURES[line.photo.refusal], line.photo.key)
        state.findings.append(finding)


def _box(entry: Any, names: dict[Id, str], index: dict[str, int]) -> tuple[int, tuple[float, float, float, float]]:
    if not isinstance(entry, dict):
        raise RefusedValueError("no-box", f"{shown(entry)} is no annotation")
    missing = [name for name in ("class_id", "left", "top", "width", "height") if entry.get(name) is None]
    if missing:
        raise RefusedValueError("no-box", f"has no {' and no '.join(missing)}")
    class_id = entry["class_id"]
    if type(class_id) is not int or class_id not in names:
        raise RefusedValueError("unknown-class", f"class_id {shown(class_id)} is not in the class-map of its line")
    left, top = number(entry["left"], "left"), number(entry["top"], "top")
    right, bottom = left + number(entry["width"], "width"), top + number(entry["height"], "height")
    return index[names[class_id]], (left, top, number(right, "left + width"), number(bottom, "top + height"))


def write(
    labels: LabelSet, folder: Path, *, names: Mapping[str, str], prefix: str = "", created: str = CREATED
) -> Written:
    """Write ``output.manifest``; photographs belong into ``images/``.

    ``source-ref`` is the path of the photograph relative to the manifest, so that the folder is complete by itself. A
    job on SageMaker needs it in S3: give ``prefix`` for a copy that is uploaded. The class-map on every line names all
    classes, so that unused ones stay known.

    Args:
        labels: What to write.
        folder: Where.
        names: Path below ``images/`` by photo key.
        prefix: Put before each path, e.g. ``s3://bucket/survey/``.
        created: ``creation-date`` of the labels, ISO 8601; a constant so that equal labels give equal files.
    """
    losses = Losses()
    places = {key: f"images/{name}" for key, name in written_names(labels, names, losses).items()}
    class_map = {str(class_id): name for class_id, name in enumerate(labels.classes)}
    lines = []
    for key, place in places.items():
        found = kept(labels.photos[key], losses)
        losses.oriented += int(oriented(found).sum())
        annotations = [
            {
                "class_id": class_id,
                "left": round(x1, 6),
                "top": round(y1, 6),
                "width": round(x2 - x1, 6),
                "height": round(y2 - y1, 6),
            }
            for class_id, (x1, y1, x2, y2) in zip(found.class_ids.tolist(), found.xyxy_px.tolist(), strict=True)
        ]
        width, height = found.size_wh_px
        size = {"width": width, "height": height, "depth": 3}
        metadata = {
            "objects": [{"confidence": 1} for _ in annotations],
            "class-map": class_map,
            "type": TYPE,
            "human-annotated": "yes",
            "creation-date": created,
            "job-name": "labeling-job/overflight",
        }
        line = {
            "source-ref": prefix + place,
            ATTRIBUTE: {"image_size": [size], "annotations": annotations},
            ATTRIBUTE + _METADATA: metadata,
        }
        lines.append(json.dumps(line) + "\n")
    write_text(folder / LABEL_FILE, "".join(lines))
    return Written(places, losses.sentences())
