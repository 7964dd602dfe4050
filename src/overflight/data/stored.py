"""Is a stored survey what it says? Every photograph is read, every label file parsed, every digest compared.

What was changed, lost or added since it was stored becomes a finding; the rest is the work of
``overflight.data.checks``, which look at a stored survey as at any source. It changes nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from overflight.data.checks.catalogue import Catalogue
from overflight.data.checks.subject import Subject
from overflight.data.facts import PhotoFacts, read_facts
from overflight.data.files import PhotoFile, SourceFiles
from overflight.data.findings import Finding
from overflight.data.flights import FlightOf
from overflight.data.formats.labels import LabelSet, PhotoLabels, RefusedBox
from overflight.data.formats.sniffed import Sniffed
from overflight.data.manifest import LABELS_FOLDER, MANIFEST_FILE, PHOTOS_FOLDER, SURVEY_FILE, Survey, load_manifest
from overflight.data.metadata import PhotoMetadata
from overflight.data.reading import Read
from overflight.data.records import PhotoRecord
from overflight.data.report import SurveyReport, check_source, report_on
from overflight.data.stored_labels import no_labels, read_text
from overflight.files import sha256_bytes

__all__ = ["SurveyReport", "check_source", "check_survey", "labels_of", "open_stored"]

FORMAT = "overflight"
_AGAIN = "Add the survey again"
_DAMAGED = "It was changed or damaged: add the survey again"

Progress = Callable[[int, int], None]


def check_survey(
    folder: Path,
    *,
    catalogue: Catalogue | None = None,
    split_by: str = "flight",
    train_scale: float = 1.0,
    decode: bool = True,
    workers: int = 2,
    progress: Progress | None = None,
) -> SurveyReport:
    """Check the survey stored in ``folder``.

    Args:
        folder: See ``overflight.data.manifest``.
        catalogue: Severities and limits; by default those of the product.
        split_by: How it is going to be split: one flight cannot be split by flight.
        train_scale: Size of objects at training / in the photograph.
        decode: Also decode the photographs and judge their pixels.
        workers: Threads that read.
        progress: Called with (photos done, photos in all).

    Raises:
        InputError: there is no manifest that could be read.
    """
    read = open_stored(
        folder, decode=decode, workers=workers, progress=progress, train_scale=train_scale, split_by=split_by
    )
    return report_on(read, survey=load_manifest(folder), catalogue=catalogue)


def open_stored(
    folder: Path,
    *,
    decode: bool = False,
    photos: bool = True,
    workers: int | None = None,
    progress: Progress | None = None,
    train_scale: float = 1.0,
    split_by: str = "flight",
) -> Read:
    """Read a stored survey like a source; keys are paths below ``folder``.

    Args:
        folder: See ``overflight.data.manifest``.
        decode: Also decode the photographs and measure their pixels.
        photos: Off: only manifest and labels are read, and the photographs need not be there.
        workers: Threads that read.
        progress: Called with (photos done, photos in all).
        train_scale: See :class:`Subject`.
        split_by: See :class:`Subject`.

    Raises:
        InputError: there is no manifest that could be read, or a line of it is damaged.
    """
    survey = load_manifest(folder)
    root = folder.resolve()
    listed = [(record.path, record.labels) for record in survey.photos]
    there = {path for path, _ in listed if not photos or (root / path).is_file()}
    files = SourceFiles(
        root,
        tuple(PhotoFile(path, path.partition("/")[2]) for path, _ in listed if path in there),
        tuple(labels for _, labels in listed),
    )
    facts: dict[str, PhotoFacts] = {}
    if photos:
        keys = [photo.key for photo in files.photos]
        facts = read_facts(files, keys, decode=decode, workers=workers, progress=progress)
    opened = _Opened(root, classes=len(survey.classes))
    flights = {}
    for record in survey.photos:
        flights[record.path] = FlightOf(record.flight, record.flight_evidence)
        if not photos:
            facts[record.path] = PhotoFacts(record.path, record.bytes, record.sha256, None, PhotoMetadata())
        elif record.path in there:
            opened.compare(record, facts[record.path])
        else:
            opened.note("missing", record.path, "is missing", record.path, _AGAIN)
        opened.take_labels(record)
    labels = LabelSet(
        format=FORMAT,
        classes=survey.classes,
        photos=opened.labels,
        absent=frozenset(opened.labels.keys() - there),
        refused=tuple(opened.refused),
        losses=survey.origin.losses,
    )
    subject = Subject(
        name=survey.name,
        root=root,
        photos=facts,
        labels=labels,
        flights=flights,
        train_scale=train_scale,
        split_by=split_by,
    )
    opened.findings += _unlisted(root, listed, photos=photos) + _summary(survey, subject, opened.findings)
    sniffed = Sniffed(FORMAT, files.others, f"a survey stored by Overflight, digest {survey.digest[:12]}")
    refused = (entry.finding for entry in opened.refused)
    return Read(subject, files, (*opened.findings, *refused), sniffed, survey.origin.losses)


def labels_of(record: PhotoRecord, data: bytes, *, classes: int) -> tuple[PhotoLabels, tuple[RefusedBox, ...]]:
    """Boxes of a stored label file, followed by the ignored regions of its record."""
    size = (record.width_px, record.height_px)
    labels, refused = read_text(data, size_wh_px=size, classes=classes, where=record.labels, photo=record.path)
    if record.ignored_px:
        regions = np.array(record.ignored_px, dtype=np.float64).reshape(-1, 4)
        count = len(labels)
        labels = replace(
            labels,
            class_ids=np.concatenate([labels.class_ids, np.zeros(len(regions), dtype=np.int64)]),
            xyxy_px=np.concatenate([labels.xyxy_px, regions]),
            numbers=np.concatenate([labels.numbers, np.arange(1, len(regions) + 1)]),
            ignored=np.arange(count + len(regions)) >= count,
        )
    return labels, refused


@dataclass
class _Opened:
    """What is found while the records are walked."""

    root: Path
    classes: int
    labels: dict[str, PhotoLabels] = field(default_factory=dict)
    refused: list[RefusedBox] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)

    def note(self, code: str, where: str, what: str, photo: str, cure: str) -> None:
        self.findings.append(Finding("error", code, where, what, cure, photo))

    def compare(self, record: PhotoRecord, facts: PhotoFacts) -> None:
        """The photograph's file with its record."""
        if facts.sha256 != record.sha256:
            self.note("digest", record.path, "does not match its digest in the manifest", record.path, _DAMAGED)
        elif (size := facts.size_wh_px) is not None and size != (record.width_px, record.height_px):
            what = f"is {size[0]}x{size[1]} px, the manifest says {record.width_px}x{record.height_px}"
            self.note("size", record.path, what, record.path, _AGAIN)

    def take_labels(self, record: PhotoRecord) -> None:
        """The label file, if it is as it was written."""
        self.labels[record.path] = no_labels((record.width_px, record.height_px), record.labels)
        try:
            data = (self.root / record.labels).read_bytes()
        except FileNotFoundError:
            self.note("missing", record.labels, "is missing", record.path, _AGAIN)
            return
        except OSError as error:
            what = f"cannot be opened ({error.strerror})"
            self.note("unreadable", record.labels, what, record.path, "Make it readable")
            return
        if sha256_bytes(data) != record.labels_sha256:
            self.note("digest", record.labels, "does not match its digest in the manifest", record.path, _DAMAGED)
            return
        labels, refused = labels_of(record, data, classes=self.classes)
        self.labels[record.path] = labels
        self.refused += refused
        boxes = len(labels) - len(record.ignored_px)
        if boxes != record.boxes and not refused:
            what = f"holds {boxes} boxes, the manifest says {record.boxes}"
            self.note("boxes", record.labels, what, record.path, _AGAIN)


def _unlisted(root: Path, listed: Sequence[tuple[str, str]], *, photos: bool) -> list[Finding]:
    known = {name for names in listed for name in names}
    present = {
        path.relative_to(root).as_posix()
        for part in ((PHOTOS_FOLDER, LABELS_FOLDER) if photos else (LABELS_FOLDER,))
        for path in (root / part).rglob("*")
        if path.is_file()
    }
    what, cure = "is not in the manifest", f"Surveys are not changed: add it again ({SURVEY_FILE}, {MANIFEST_FILE})"
    return [Finding("error", "unlisted", name, what, cure) for name in sorted(present - known)]


def _summary(survey: Survey, subject: Subject, findings: list[Finding]) -> list[Finding]:
    """Whether ``survey.json`` says what records and labels say; not asked when labels are already known as wrong."""
    flights = dict(sorted(Counter(flight.flight for flight in subject.flights.values()).items()))
    found = []
    if flights != dict(sorted(survey.flights.items())):
        found.append("the flights")
    if not findings and not subject.labels.refused:
        table = subject.table
        counts = np.bincount(table.class_ids[~table.ignored], minlength=len(survey.classes)).tolist()
        if dict(zip(survey.classes, counts, strict=True)) != survey.boxes_per_class:
            found.append("the boxes per class")
    ledger = survey.origin.ledger
    if ledger is not None and (ledger.get("photos_stored"), ledger.get("boxes_stored")) != (
        len(survey.photos),
        survey.boxes,
    ):
        found.append("the stored photographs and boxes of the ledger")
    what = "of survey.json are not those of the manifest and the labels"
    return [Finding("error", "summary", SURVEY_FILE, f"{part} {what}", _AGAIN) for part in found]
