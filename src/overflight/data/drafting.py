"""From what was read to what a survey would hold: severities of the catalogue, checks, cures, records of the manifest.

It writes nothing.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from overflight.data.checks.all import CHECKS, READER_CODES
from overflight.data.checks.catalogue import Catalogue
from overflight.data.checks.cures import RemovedBox, cure
from overflight.data.checks.run import by_catalogue, run_checks
from overflight.data.checks.subject import Subject
from overflight.data.facts import PhotoFacts
from overflight.data.files import PhotoFile
from overflight.data.findings import Finding
from overflight.data.flights import FlightOf
from overflight.data.formats.labels import LabelSet, PhotoLabels, RefusedBox
from overflight.data.manifest import LABELS_FOLDER, PHOTOS_FOLDER
from overflight.data.metadata import PhotoMetadata
from overflight.data.reading import Read
from overflight.data.records import PhotoRecord
from overflight.data.stored_labels import no_labels, text_of
from overflight.files import sha256_bytes
from overflight.imaging.footprint import ground_footprint, ground_sample
from overflight.imaging.geo import CameraPose

_ALSO_WHEN_ADDING = frozenset({"leak"})
_CURED = {"overhang": "", "no-size": "without area removed", "duplicate-box": "repeating another one removed"}
_SPLIT_ONLY = frozenset({"split-list"})


@dataclass(frozen=True)
class Cured:
    """A subject after cures.

    Attributes:
        subject: With the changed labels.
        removed: Boxes taken away, with the reason.
        sentences: What was changed.
    """

    subject: Subject
    removed: tuple[RefusedBox, ...] = ()
    sentences: tuple[str, ...] = ()


def adding(catalogue: Catalogue) -> Catalogue:
    """The rules that decide what goes into a survey: about photographs and labels, and equal files in two flights.

    Whether a survey can be split, or has enough of each class, is asked when it is checked. What reading says about
    flights is kept.
    """
    return {
        code: rule
        for code, rule in catalogue.items()
        if rule.group in {"photo", "label"}
        or code in _ALSO_WHEN_ADDING
        or (rule.group == "survey" and code in READER_CODES)
    }


def judged(read: Read, subject: Subject, rules: Catalogue) -> tuple[Subject, tuple[Finding, ...]]:
    """All findings about ``subject`` by ``rules``, each once, and the subject with its readers' findings levelled.

    Without rules for splits the given split is not looked at.
    """
    splits = any(rule.group == "split" and code not in _ALSO_WHEN_ADDING for code, rule in rules.items())
    subject = replace(subject, labels=_levelled(subject.labels, rules), split=subject.split if splits else {})
    readers = [finding for finding in read.findings if splits or finding.code not in _SPLIT_ONLY]
    found = [*by_catalogue(readers, rules), *_unshowable(read), *run_checks(subject, rules, CHECKS)]
    return subject, tuple(dict.fromkeys(found))


def for_adding(subject: Subject, findings: Sequence[Finding], catalogue: Catalogue) -> tuple[Finding, ...]:
    """Those of ``findings`` (of all checks) that decide what goes into a survey, which has no given split."""
    rules = adding(catalogue)
    kept = [finding for finding in findings if finding.code in rules or finding.code not in catalogue]
    if subject.split:
        again = {code: rule for code, rule in rules.items() if code in _ALSO_WHEN_ADDING}
        kept = [finding for finding in kept if finding.code not in again]
        kept += run_checks(replace(subject, split={}), again, CHECKS)
    return tuple(kept)


def cured(subject: Subject, rules: Catalogue, *, fix: bool) -> Cured:
    """The subject with the safe cures applied to boxes of photographs that are there, if ``fix``."""
    if not fix:
        return Cured(subject)
    found = run_checks(subject, {code: rule for code, rule in rules.items() if code in _CURED}, CHECKS)
    result = cure(subject.labels, findings=found)
    counts = Counter(box.code for box in result.removed)
    said = [(result.clipped, "over the edge by at most 1 px clipped")]
    said += [(counts[code], words) for code, words in _CURED.items() if words]
    return Cured(
        replace(subject, labels=result.labels),
        tuple(_removed(box) for box in result.removed),
        tuple(f"{count:,} {'box' if count == 1 else 'boxes'} {words}" for count, words in said if count),
    )


def record_of(
    photo: PhotoFile, facts: PhotoFacts, *, flight: FlightOf, labels: PhotoLabels | None, label_path: str
) -> PhotoRecord:
    """The manifest's line of a readable photograph.

    Args:
        photo: Its key and name.
        facts: Of its file; the header must be there.
        flight: Its flight.
        labels: Its labels, None where it has none.
        label_path: Path of the label file below the labels' folder, without suffix.
    """
    header, metadata = facts.header, facts.metadata
    if header is None:
        raise ValueError(f"{photo.key} has no header")
    found = labels or no_labels((header.width_px, header.height_px), "")
    ignored = _ignored_px(found)
    gsd_m, footprint = _ground(metadata, width_px=header.width_px, height_px=header.height_px)
    return PhotoRecord(
        path=f"{PHOTOS_FOLDER}/{photo.name}",
        sha256=facts.sha256,
        bytes=facts.bytes,
        width_px=header.width_px,
        height_px=header.height_px,
        flight=flight.flight,
        flight_evidence=flight.evidence,
        captured_at=None if metadata.captured_at is None else metadata.captured_at.isoformat(),
        latitude_deg=metadata.latitude_deg,
        longitude_deg=metadata.longitude_deg,
        altitude_agl_m=metadata.altitude_agl_m,
        gimbal_pitch_deg=metadata.gimbal_pitch_deg,
        yaw_deg=metadata.yaw_deg,
        camera_make=metadata.camera_make,
        camera_model=metadata.camera_model,
        camera_serial=metadata.camera_serial,
        focal_length_35mm_mm=metadata.focal_length_35mm_mm,
        gsd_m=gsd_m,
        footprint_lonlat=footprint,
        format=header.format,
        orientation=header.orientation,
        labels=f"{LABELS_FOLDER}/{label_path}.txt",
        labels_sha256=sha256_bytes(text_of(found)),
        boxes=len(found) - len(ignored),
        ignored_px=ignored,
        label_source=found.file or None,
    )


def _removed(box: RemovedBox) -> RefusedBox:
    what, numbers = f"removed: {_CURED[box.code]}", " ".join(f"{value:.2f}" for value in box.xyxy_px)
    finding = Finding("warning", box.code, box.where, what, "Correct it in the source", box.photo)
    return RefusedBox(finding, raw=f"{box.class_name} {numbers} (px)")


def _levelled(labels: LabelSet, rules: Catalogue) -> LabelSet:
    """The set with the severities of the catalogue; refused entries stay, whatever their level."""
    return replace(
        labels,
        findings=tuple(by_catalogue(labels.findings, rules)),
        refused=tuple(
            replace(entry, finding=(by_catalogue([entry.finding], rules) or [entry.finding])[0])
            for entry in labels.refused
        ),
    )


def _unshowable(read: Read) -> list[Finding]:
    what = "the name holds characters that cannot be shown"
    return [
        Finding("error", "name", photo.key.encode("unicode_escape").decode(), what, "Rename it", photo.key)
        for photo in read.files.photos
        if not photo.key.isprintable()
    ]


def _ground(
    metadata: PhotoMetadata, *, width_px: int, height_px: int
) -> tuple[float | None, tuple[tuple[float, float], ...] | None]:
    """Ground sample distance at the centre (square root of the area of a pixel) and corners on the ground.

    Both None where the pose is not known, or a digital zoom makes the focal length uncertain.
    """
    zoomed = metadata.digital_zoom is not None and metadata.digital_zoom > 1
    if metadata.latitude_deg is None or metadata.longitude_deg is None or zoomed:
        return None, None
    pose = CameraPose(
        latitude_deg=metadata.latitude_deg,
        longitude_deg=metadata.longitude_deg,
        altitude_agl_m=metadata.altitude_agl_m,
        yaw_deg=metadata.yaw_deg,
        gimbal_pitch_deg=metadata.gimbal_pitch_deg,
        focal_length_35mm_mm=metadata.focal_length_35mm_mm,
        gimbal_roll_deg=metadata.gimbal_roll_deg,
    )
    sample = ground_sample(pose, width_px=width_px, height_px=height_px)
    corners = ground_footprint(pose, width_px=width_px, height_px=height_px)
    gsd_m = None if sample is None else round(math.sqrt(sample.across_m * sample.along_m), 5)
    if corners is None:
        return gsd_m, None
    return gsd_m, tuple((round(lon, 8), round(lat, 8)) for lon, lat in corners.tolist())


def _ignored_px(labels: PhotoLabels) -> tuple[tuple[float, float, float, float], ...]:
    """Ignored regions, cut at the border of the photograph, to 0.0001 px."""
    if labels.ignored is None:
        return ()
    width, height = labels.size_wh_px
    regions = np.clip(labels.xyxy_px[labels.ignored], 0, np.array([width, height, width, height])).round(4)
    return tuple((float(x1), float(y1), float(x2), float(y2)) for x1, y1, x2, y2 in regions)
