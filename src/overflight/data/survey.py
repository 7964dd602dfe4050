"""From a user's folder to an immutable survey: read everything strictly, list every problem, write all or nothing.

Reading looks at files' headers, not at every pixel (``overflight.data.stored`` decodes them). Nothing of the user's
folder is changed. It does not know where surveys are stored (S3 or a folder).
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from overflight.data.findings import Finding, errors_of, refuse
from overflight.data.flights import TABLES, FlightOf, FlightTable, assign_flights, check_table, read_table
from overflight.data.formats.yolo import read_class_names, read_labels
from overflight.data.manifest import (
    LABELS_FOLDER,
    MANIFEST_FILE,
    PHOTOS_FOLDER,
    QUARANTINE_FILE,
    SURVEY_FILE,
    PhotoRecord,
    Survey,
    load_manifest,
    make_survey,
    manifest_line,
)
from overflight.data.metadata import metadata_of
from overflight.data.sources import SourcePhoto, find_source
from overflight.errors import InputError, UsageError
from overflight.files import atomic_write, canonical_json, require_disk, sha256_bytes, write_json, write_text
from overflight.imaging.header import read_header

Progress = Callable[[int, int], None]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_SPARE_BYTES = 20_000_000


@dataclass(frozen=True)
class DraftPhoto:
    """One photograph read: its record, or None when it cannot be read at all."""

    source: SourcePhoto
    record: PhotoRecord | None
    boxes_per_class: Counter[int]
    findings: tuple[Finding, ...]


@dataclass(frozen=True)
class SurveyDraft:
    """A user's folder as read; nothing is written yet.

    Attributes:
        name: Name of the survey to be.
        root: The user's folder.
        classes: Class names by index.
        photos: Every photograph found, also faulty ones.
        findings: Everything wrong, in the order of the files.
    """

    name: str
    root: Path
    classes: tuple[str, ...]
    photos: tuple[DraftPhoto, ...]
    findings: tuple[Finding, ...]

    @property
    def faulty(self) -> dict[str, list[Finding]]:
        """Errors by photograph (path relative to the user's folder)."""
        by_photo: dict[str, list[Finding]] = defaultdict(list)
        for finding in errors_of(self.findings):
            if finding.photo:
                by_photo[finding.photo].append(finding)
        return dict(by_photo)

    @property
    def good(self) -> tuple[DraftPhoto, ...]:
        """Photographs without errors."""
        faulty = self.faulty
        return tuple(photo for photo in self.photos if photo.record is not None and photo.source.key not in faulty)

    def survey(self) -> Survey:
        """The survey that the good photographs make."""
        good = self.good
        counts = sum((photo.boxes_per_class for photo in good), Counter[int]())
        per_class = {name: counts[index] for index, name in enumerate(self.classes)}
        records = [photo.record for photo in good if photo.record is not None]
        return make_survey(self.name, classes=self.classes, photos=records, boxes_per_class=per_class)


def read_survey(
    path: Path,
    *,
    name: str,
    flights: Path | None = None,
    progress: Progress | None = None,
    workers: int | None = None,
) -> SurveyDraft:
    """Read a folder of photographs and YOLO labels.

    Args:
        path: The folder (see ``overflight.data.sources`` for the layouts).
        name: Name of the survey.
        flights: Table ``image,flight``; by default ``flights.csv`` or ``sequences.csv`` in the folder, if there is one.
        progress: Called with (photos done, photos in all).
        workers: Threads that read.

    Raises:
        UsageError: the name cannot be used.
        InputError: no folder, no photographs or no class names. All other problems are findings.
    """
    if _NAME.fullmatch(name) is None:
        raise UsageError(
            f"{name!r} cannot be the name of a survey",
            where="--name",
            cure="Use up to 63 letters, digits, dots, hyphens and underscores, starting with a letter or digit",
        )
    source = find_source(path)
    classes = read_class_names(source.root)
    table = _table(source.root, flights)
    names = [photo.name for photo in source.photos]
    assigned = assign_flights(names, table=table)
    photos: list[DraftPhoto] = []
    with ThreadPoolExecutor(workers or min(8, os.cpu_count() or 1)) as pool:
        pairs = zip(source.photos, assigned, strict=True)
        for done, photo in enumerate(pool.map(lambda pair: _read_photo(*pair, classes=len(classes)), pairs), start=1):
            photos.append(photo)
            if progress is not None:
                progress(done, len(names))
    findings = [*source.findings, *(finding for photo in photos for finding in photo.findings), *_repeated(photos)]
    if table is not None:
        findings += [*table.findings, *check_table(table, names)]
    return SurveyDraft(name, source.root, classes, tuple(photos), tuple(findings))


def write_survey(
    draft: SurveyDraft, target: Path, *, quarantine: bool = False, progress: Progress | None = None
) -> dict[str, Any]:
    """Write the survey into the new folder ``target``, all or nothing.

    Written under a temporary name beside it, ``survey.json`` last, then renamed. Writing the same survey again
    changes nothing.

    Args:
        draft: What :func:`read_survey` gave.
        target: Folder to be made.
        quarantine: Leave photographs with errors out and list them with their reasons in ``quarantine.jsonl``.
        progress: Called with (photos done, photos in all).

    Returns:
        Content of ``survey.json`` and ``quarantined``, the number of photographs left out.

    Raises:
        InputError: there are errors (with ``quarantine``: errors that concern the survey as a whole), no photograph is
            left, a file changed since it was read, or ``target`` holds something else.
        ResourceError: not enough disk.
    """
    cure = "Correct them, or leave the faulty photos out with --quarantine"
    refuse([f for f in draft.findings if not (quarantine and f.photo)], where=str(draft.root), cure=cure)
    good = draft.good
    if not good:
        raise InputError(
            "no photograph without errors is left", where=str(draft.root), cure="Correct the errors listed"
        )
    survey = draft.survey()
    facts = {**survey.as_dict(), "quarantined": len(draft.faulty)}
    if target.exists() and any(target.iterdir()):
        _require_same(survey, target)
        return facts
    require_disk(target, sum(photo.record.bytes for photo in good if photo.record) + _SPARE_BYTES)
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}.", suffix=".tmp"))
    try:
        _fill(temporary, draft, survey=survey, progress=progress)
        temporary.chmod(0o755)
        temporary.rename(target)  # replaces an empty folder, never one with content
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    return facts


def _table(root: Path, given: Path | None) -> FlightTable | None:
    if given is not None:
        if not given.is_file():
            raise InputError(
                "there is no such file", where=str(given), cure="Give a table with the header `image,flight`"
            )
        return read_table(given)
    path = next((root / name for name in TABLES if (root / name).is_file()), None)
    return None if path is None else read_table(path)


def _read_photo(source: SourcePhoto, flight: FlightOf, *, classes: int) -> DraftPhoto:
    findings = _name_findings(source)
    label_data = b""
    if source.labels is None:
        cure = f"Add {source.labels_key}; an empty file means that there is nothing to see"
        findings.append(Finding("error", "missing-labels", source.key, "has no label file", cure, source.key))
    else:
        label_data = _bytes_of(source.labels, findings, where=source.labels_key, photo=source.key)
    labels = read_labels(label_data, classes=classes, where=source.labels_key, photo=source.key)
    findings += labels.findings
    data = _bytes_of(source.path, findings, where=source.key, photo=source.key)
    try:
        header = read_header(data, where=source.key)
    except InputError as error:
        if not any(finding.where == source.key and finding.code == "unreadable" for finding in findings):
            findings.append(Finding("error", "unreadable", source.key, error.what, error.cure, source.key))
        return DraftPhoto(source, None, Counter(), tuple(findings))
    facts = metadata_of(header)
    record = PhotoRecord(
        path=f"{PHOTOS_FOLDER}/{source.name}",
        sha256=sha256_bytes(data),
        bytes=len(data),
        width_px=header.width_px,
        height_px=header.height_px,
        flight=flight.flight,
        flight_evidence=flight.evidence,
        captured_at=None if facts.captured_at is None else facts.captured_at.isoformat(),
        latitude_deg=facts.latitude_deg,
        longitude_deg=facts.longitude_deg,
        altitude_agl_m=facts.altitude_agl_m,
        gimbal_pitch_deg=facts.gimbal_pitch_deg,
        yaw_deg=facts.yaw_deg,
        labels=f"{LABELS_FOLDER}/{source.name.with_suffix('.txt')}",
        labels_sha256=sha256_bytes(label_data),
        boxes=len(labels.rows),
    )
    counts = Counter(int(class_id) for class_id in labels.rows[:, 0])
    return DraftPhoto(source, record, counts, tuple(findings))


def _bytes_of(path: Path, findings: list[Finding], *, where: str, photo: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        what = f"cannot be opened ({error.strerror})"
        findings.append(Finding("error", "unreadable", where, what, "Make it readable or remove it", photo))
        return b""


def _name_findings(source: SourcePhoto) -> list[Finding]:
    if source.key.isprintable():
        return []
    shown = source.key.encode("unicode_escape").decode()
    return [Finding("error", "name", shown, "the name holds characters that cannot be shown", "Rename it", source.key)]


def _repeated(photos: Sequence[DraftPhoto]) -> list[Finding]:
    """The same file twice: harmless within a flight, a leak between two."""
    first: dict[str, DraftPhoto] = {}
    findings = []
    for photo in photos:
        if photo.record is None:
            continue
        other = first.setdefault(photo.record.sha256, photo)
        if other is photo or other.record is None:
            continue
        key, what = photo.source.key, f"is the same file as {other.source.key}"
        if other.record.flight == photo.record.flight:
            findings.append(Finding("warning", "repeated", key, what, "Remove one of the two", key))
        else:
            what += f", which belongs to another flight ({other.record.flight})"
            findings.append(Finding("error", "leak", key, what, "Remove one of the two", key))
    return findings


def _require_same(survey: Survey, target: Path) -> None:
    if not (target / SURVEY_FILE).exists() or load_manifest(target).digest != survey.digest:
        raise InputError("the folder is not empty", where=str(target), cure="Give the name of a new folder")


def _fill(folder: Path, draft: SurveyDraft, *, survey: Survey, progress: Progress | None) -> None:
    records = {photo.path: photo for photo in survey.photos}
    sources = {f"{PHOTOS_FOLDER}/{photo.source.name}": photo.source for photo in draft.good}
    for done, (path, record) in enumerate(records.items(), start=1):
        source = sources[path]
        _copy(source.path, folder / record.path, sha256=record.sha256)
        if source.labels is not None:
            _copy(source.labels, folder / record.labels, sha256=record.labels_sha256)
        if progress is not None:
            progress(done, len(records))
    faulty = draft.faulty
    if faulty:
        lines = (
            canonical_json({"path": path, "reasons": [finding.as_dict() for finding in findings]})
            for path, findings in sorted(faulty.items())
        )
        write_text(folder / QUARANTINE_FILE, "".join(f"{line}\n" for line in lines))
    write_text(folder / MANIFEST_FILE, "".join(f"{manifest_line(record)}\n" for record in survey.photos))
    write_json(folder / SURVEY_FILE, survey.as_dict())


def _copy(source: Path, target: Path, *, sha256: str) -> None:
    data = source.read_bytes()
    if sha256_bytes(data) != sha256:
        raise InputError("changed while it was read", where=str(source), cure="Run the same command again")
    with atomic_write(target, fsync=False) as handle:  # the folder gets its name when all is written
        handle.write(data)
