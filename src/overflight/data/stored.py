"""Is a stored survey what it says, and can it be trained on?

Every photograph is decoded, every label read, every digest compared. Errors stand in the way of training; warnings do
not. It changes nothing and does not judge whether the labels are *right*.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from overflight.data.findings import Finding, errors_of, warnings_of
from overflight.data.formats.yolo import read_labels, xyxy_px_from_rows
from overflight.data.manifest import (
    LABELS_FOLDER,
    MANIFEST_FILE,
    PHOTOS_FOLDER,
    SURVEY_FILE,
    PhotoRecord,
    Survey,
    load_manifest,
)
from overflight.data.split import SplitBy
from overflight.errors import InputError
from overflight.files import sha256_bytes
from overflight.imaging.boxes import area
from overflight.imaging.codecs import decode

REPORT_SCHEMA = "overflight.survey-report/1"
FEW_BOXES = 20
FEW_PHOTOS = 10

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class SurveyReport:
    """Result of a check.

    Attributes:
        survey: The survey.
        findings: All errors and warnings.
        figures: Counts per class and flight, sizes of boxes and photographs (JSON).
    """

    survey: Survey
    findings: tuple[Finding, ...]
    figures: dict[str, Any]

    @property
    def errors(self) -> list[Finding]:
        """What stands in the way."""
        return errors_of(self.findings)

    @property
    def warnings(self) -> list[Finding]:
        """What does not."""
        return warnings_of(self.findings)

    def as_dict(self) -> dict[str, Any]:
        """Content of ``report.json``."""
        return {
            "schema": REPORT_SCHEMA,
            "survey": self.survey.as_dict(),
            **self.figures,
            "errors": [finding.as_dict() for finding in self.errors],
            "warnings": [finding.as_dict() for finding in self.warnings],
        }


def check_survey(
    folder: Path, *, split_by: SplitBy = "flight", workers: int = 2, progress: Progress | None = None
) -> SurveyReport:
    """Check the survey stored in ``folder``.

    Args:
        folder: See ``overflight.data.manifest``.
        split_by: How it is going to be split: one flight cannot be split by flight.
        workers: Threads that decode.
        progress: Called with (photos done, photos in all).

    Raises:
        InputError: there is no manifest that could be read.
    """
    survey = load_manifest(folder)
    findings: list[Finding] = []
    rows: dict[str, NDArray[np.float64]] = {}
    with ThreadPoolExecutor(workers) as pool:
        checked = pool.map(lambda photo: _check_photo(folder, photo, classes=len(survey.classes)), survey.photos)
        for done, (photo, (found, photo_findings)) in enumerate(zip(survey.photos, checked, strict=True), start=1):
            rows[photo.path] = found
            findings += photo_findings
            if progress is not None:
                progress(done, len(survey.photos))
    findings += _unlisted(folder, survey)
    findings += _of_the_whole(survey, rows, split_by=split_by)
    return SurveyReport(survey, tuple(findings), _figures(survey, rows))


def _check_photo(folder: Path, photo: PhotoRecord, *, classes: int) -> tuple[NDArray[np.float64], list[Finding]]:
    findings: list[Finding] = []
    data = _intact(folder, photo.path, sha256=photo.sha256, photo=photo.path, findings=findings)
    if data is not None:
        try:
            height, width = decode(data, where=photo.path).shape[:2]
        except InputError as error:
            findings.append(Finding("error", "unreadable", photo.path, error.what, error.cure, photo.path))
        else:
            if (width, height) != (photo.width_px, photo.height_px):
                what = f"is {width}x{height} px, the manifest says {photo.width_px}x{photo.height_px}"
                findings.append(Finding("error", "size", photo.path, what, "Add the survey again", photo.path))
    label_data = _intact(folder, photo.labels, sha256=photo.labels_sha256, photo=photo.path, findings=findings)
    if label_data is None:
        return np.zeros((0, 5)), findings
    labels = read_labels(label_data, classes=classes, where=photo.labels, photo=photo.path)
    if len(labels.rows) != photo.boxes:
        what = f"holds {len(labels.rows)} boxes, the manifest says {photo.boxes}"
        findings.append(Finding("error", "boxes", photo.labels, what, "Add the survey again", photo.path))
    return labels.rows, [*findings, *labels.findings]


def _intact(folder: Path, name: str, *, sha256: str, photo: str, findings: list[Finding]) -> bytes | None:
    path = folder / name
    if not path.is_file():
        findings.append(Finding("error", "missing", name, "is missing", "Add the survey again", photo))
        return None
    data = path.read_bytes()
    if sha256_bytes(data) != sha256:
        what = "does not match its digest in the manifest"
        findings.append(
            Finding("error", "digest", name, what, "It was changed or damaged: add the survey again", photo)
        )
        return None
    return data


def _unlisted(folder: Path, survey: Survey) -> list[Finding]:
    listed = {name for photo in survey.photos for name in (photo.path, photo.labels)}
    present = {
        path.relative_to(folder).as_posix()
        for part in (PHOTOS_FOLDER, LABELS_FOLDER)
        for path in (folder / part).rglob("*")
        if path.is_file()
    }
    what, cure = "is not in the manifest", f"Surveys are not changed: add it again ({SURVEY_FILE}, {MANIFEST_FILE})"
    return [Finding("error", "unlisted", name, what, cure) for name in sorted(present - listed)]


def _of_the_whole(survey: Survey, rows: dict[str, NDArray[np.float64]], *, split_by: SplitBy) -> list[Finding]:
    findings = []
    counts = _count_classes(survey, rows)
    flights = survey.flights
    if not sum(counts.values()):
        cure = "Label some objects and add the survey again"
        findings.append(Finding("error", "no-boxes", survey.name, "holds no boxes at all", cure))
    if len(flights) == 1 and split_by == "flight":
        what = f"all photos belong to one flight ({next(iter(flights))}), so no other flight can be held out"
        cure = "Add another flight, name the flights in flights.csv, or cut this one with --split-by time-gap"
        findings.append(Finding("error", "one-flight", survey.name, what, cure))
    named = [photo for photo in survey.photos if photo.flight_evidence == "name"]
    alone = sum(1 for photo in named if flights[photo.flight] == 1)
    if len(named) >= FEW_PHOTOS and alone > len(named) / 2 and split_by == "flight":
        what = f"{alone} of {len(named)} photos would be flights of their own: their names do not tell flights apart"
        cure = "Name the flights in flights.csv (image,flight), or give each flight a folder"
        findings.append(Finding("error", "lone-photos", survey.name, what, cure))
    if len(flights) == 2 and split_by == "flight":
        what = "has two flights: one is held out, the other is cut in two for training and val"
        findings.append(Finding("warning", "two-flights", survey.name, what, "Add another flight"))
    for name, count in counts.items():
        if count < FEW_BOXES:
            what = f"class {name!r} has {count} boxes" if count else f"class {name!r} is declared and never used"
            findings.append(Finding("warning", "few-boxes", survey.name, what, "Label more, or do without the class"))
    return findings


def _count_classes(survey: Survey, rows: dict[str, NDArray[np.float64]]) -> dict[str, int]:
    counts: Counter[int] = Counter(int(class_id) for found in rows.values() for class_id in found[:, 0])
    return {name: counts[index] for index, name in enumerate(survey.classes)}


def _figures(survey: Survey, rows: dict[str, NDArray[np.float64]]) -> dict[str, Any]:
    sides = [
        np.sqrt(area(xyxy_px_from_rows(rows[photo.path], width_px=photo.width_px, height_px=photo.height_px)))
        for photo in survey.photos
    ]
    per_flight = {flight: {"photos": photos, "boxes": 0} for flight, photos in survey.flights.items()}
    for photo in survey.photos:
        per_flight[photo.flight]["boxes"] += len(rows[photo.path])
    sizes = Counter(f"{photo.width_px}x{photo.height_px}" for photo in survey.photos)
    return {
        "boxes_per_class": _count_classes(survey, rows),
        "per_flight": per_flight,
        "photos_without_boxes": sum(1 for found in rows.values() if not len(found)),
        "box_side_px": _percentiles(np.concatenate(sides)) if sides else {},
        "photo_sizes": dict(sorted(sizes.items())),
    }


def _percentiles(values: NDArray[np.float64]) -> dict[str, float]:
    """5th, 50th and 95th percentile of sqrt(area); empty without boxes."""
    if not len(values):
        return {}
    found: Sequence[float] = np.percentile(values, [5, 50, 95]).round(1).tolist()
    return dict(zip(("p5", "p50", "p95"), found, strict=True))
