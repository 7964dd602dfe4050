"""From a user's folder to an immutable survey: read everything strictly, list every problem, write all or nothing.

Reading looks at files' headers, not at every pixel (``overflight.data.stored`` decodes them). Nothing of the user's
folder is changed, and nothing of it is lost without a word: what does not go into the survey is in its quarantine, and
the ledger shows that both together are everything. It does not know where surveys are stored (S3 or a folder).
"""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from overflight.data.checks.catalogue import Catalogue, load_catalogue
from overflight.data.checks.subject import Subject
from overflight.data.drafting import adding, cured, for_adding, judged, record_of
from overflight.data.files import PhotoFile
from overflight.data.findings import Finding, errors_of, refuse
from overflight.data.formats.labels import LabelSet, RefusedBox
from overflight.data.formats.pairing import label_paths
from overflight.data.ledger import Ledger
from overflight.data.manifest import (
    MANIFEST_FILE,
    QUARANTINE_FILE,
    SURVEY_FILE,
    Origin,
    PhotoRecord,
    Survey,
    load_manifest,
    make_survey,
    manifest_line,
)
from overflight.data.quarantine import NAMED, LeftOut, left_out_of, named_only, quarantine_lines
from overflight.data.reading import Read, read_source
from overflight.data.stored_labels import no_labels, text_of
from overflight.errors import InputError, UsageError
from overflight.files import atomic_write, explained_disk, require_disk, sha256_bytes, write_json, write_text

Progress = Callable[[int, int], None]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_SPARE_BYTES = 20_000_000
_WITH_A_PHOTO = NAMED | {"same-name", "damaged"}  # without a photograph of their own: what they concern is quarantined


@dataclass(frozen=True)
class DraftPhoto:
    """One photograph found: its record, or None when it is left out."""

    source: PhotoFile
    record: PhotoRecord | None


@dataclass(frozen=True)
class SurveyDraft:
    """A user's folder as read and checked; nothing is written yet.

    Attributes:
        name: Name of the survey to be.
        read: What was read.
        labels: The labels after cures, with the severities of the catalogue.
        findings: Everything wrong, with the severities of the catalogue.
        removed: Boxes that cures took away.
        cures: What cures changed, one sentence each.
    """

    name: str
    read: Read
    labels: LabelSet
    findings: tuple[Finding, ...]
    removed: tuple[RefusedBox, ...] = ()
    cures: tuple[str, ...] = ()

    @property
    def root(self) -> Path:
        """The user's folder."""
        return self.read.files.root

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names by index."""
        return self.labels.classes

    @cached_property
    def faulty(self) -> dict[str, list[Finding]]:
        """Reasons by photograph (path relative to the user's folder), for all that are left out."""
        by_photo: dict[str, list[Finding]] = {}
        for finding in errors_of(self.findings):
            if finding.photo and finding.photo not in self.labels.absent:
                by_photo.setdefault(finding.photo, []).append(finding)
        for key, facts in self.read.subject.photos.items():
            if facts.header is None and key not in by_photo:  # whatever the catalogue says: there is no picture
                what = facts.fault_what or "cannot be read"
                by_photo[key] = [Finding("error", facts.fault or "unreadable", key, what, "Remove it", key)]
        return by_photo

    @cached_property
    def photos(self) -> tuple[DraftPhoto, ...]:
        """Every photograph found, sorted by path."""
        good = {photo.key: photo.name for photo in self.read.files.photos if photo.key not in self.faulty}
        paths = label_paths(good)
        return tuple(
            DraftPhoto(photo, self._record(photo, paths[photo.key]) if photo.key in good else None)
            for photo in self.read.files.photos
        )

    @property
    def good(self) -> tuple[DraftPhoto, ...]:
        """Photographs that go into the survey."""
        return tuple(photo for photo in self.photos if photo.record is not None)

    @cached_property
    def left_out(self) -> tuple[LeftOut, ...]:
        """Everything that does not go into the survey."""
        return left_out_of(self.labels, faulty=self.faulty, removed=self.removed)

    @cached_property
    def ledger(self) -> Ledger:
        """What came in, counted from what was read, and what became of it, counted from records and quarantine."""
        found = {photo.key for photo in self.read.files.photos}
        found |= {finding.photo for finding in self.read.files.findings if finding.photo}
        absent = named_only(self.labels)
        records = [photo.record for photo in self.photos if photo.record is not None]
        return Ledger(
            photos_in=len(found) + absent,
            photos_absent=absent,
            photos_stored=len(records),
            photos_quarantined=sum(1 for entry in self.left_out if entry.kind == "photo"),
            boxes_in=self.read.subject.labels.boxes_in,
            boxes_stored=sum(record.boxes for record in records),
            boxes_ignored=sum(len(record.ignored_px) for record in records),
            boxes_quarantined=sum(entry.boxes for entry in self.left_out if not entry.cured),
            boxes_removed=sum(entry.boxes for entry in self.left_out if entry.cured),
        )

    @cached_property
    def losses(self) -> tuple[str, ...]:
        """What the source says and a survey cannot hold, one sentence each."""
        kept = [found for photo in self.good if (found := self.labels.photos.get(photo.source.key)) is not None]
        oriented = sum(len(found) for found in kept if found.corners_px is not None)
        turned = (f"{oriented:,} oriented boxes became the upright boxes around them",) if oriented else ()
        return (*self.labels.losses, *turned)

    def survey(self, *, created_at: str = "") -> Survey:
        """The survey that the good photographs make."""
        counts = np.zeros(len(self.classes), dtype=np.int64)
        for photo in self.good:
            found = self.labels.photos.get(photo.source.key)
            if found is not None:
                kept = found.class_ids if found.ignored is None else found.class_ids[~found.ignored]
                counts += np.bincount(kept, minlength=len(self.classes))
        return make_survey(
            self.name,
            classes=self.classes,
            photos=[photo.record for photo in self.good if photo.record is not None],
            boxes_per_class=dict(zip(self.classes, counts.tolist(), strict=True)),
            origin=Origin(self.labels.format, created_at, self.ledger.as_dict(), self.losses, self.cures),
        )

    def _record(self, photo: PhotoFile, label_path: str) -> PhotoRecord:
        subject = self.read.subject
        return record_of(
            photo,
            subject.photos[photo.key],
            flight=subject.flights[photo.key],
            labels=self.labels.photos.get(photo.key),
            label_path=label_path,
        )


def read_survey(
    path: Path,
    *,
    name: str,
    flights: Path | None = None,
    progress: Progress | None = None,
    workers: int | None = None,
    format: str | None = None,  # noqa: A002 - the option
    labels: str | None = None,
    catalogue: Catalogue | None = None,
    fix: bool = False,
    now: datetime | None = None,
) -> SurveyDraft:
    """Read a folder of photographs and labels and check what needs no pixels: names, headers, labels, equal files.

    Args:
        path: The folder.
        name: Name of the survey.
        flights: Table ``image,flight``; by default ``flights.csv`` or ``sequences.csv`` in the folder, if there is one.
        progress: Called with (photos done, photos in all).
        workers: Threads that read.
        format: Name of the label format; None: as recognised.
        labels: Label file or folder, where there are several.
        catalogue: Severities and limits of the checks.
        fix: Apply the safe cures.
        now: Present time: photographs cannot be taken later. None: that is not judged.

    Raises:
        UsageError: the name, format or label file cannot be used.
        InputError: no folder, no photographs or no class names. All other problems are findings.
    """
    check_name(name)
    read = read_source(
        path, name=name, format=format, labels=labels, flights=flights, workers=workers, progress=progress, now=now
    )
    rules = load_catalogue() if catalogue is None else catalogue
    return draft_of(read, catalogue=rules, fix=fix)


def check_name(name: str, *, option: str = "--name") -> None:
    """Refuse what cannot name a survey.

    Raises:
        UsageError: it is empty, too long or holds other characters.
    """
    if _NAME.fullmatch(name) is None:
        raise UsageError(
            f"{name!r} cannot be the name of a survey",
            where=option,
            cure="Use up to 63 letters, digits, dots, hyphens and underscores, starting with a letter or digit",
        )


def draft_of(read: Read, *, catalogue: Catalogue, fix: bool = False, name: str | None = None) -> SurveyDraft:
    """The survey that a source makes, judged by the checks that need no pixels and no split."""
    rules = adding(catalogue)
    cure = cured(read.subject, rules, fix=fix)
    subject, findings = judged(read, cure.subject, rules)
    return SurveyDraft(name or read.subject.name, read, subject.labels, findings, cure.removed, cure.sentences)


def draft_from(read: Read, subject: Subject, findings: Sequence[Finding], catalogue: Catalogue) -> SurveyDraft:
    """The same from a source that was judged by all checks already; ``subject`` as judged."""
    kept = for_adding(subject, findings, catalogue)
    return SurveyDraft(read.subject.name, read, subject.labels, kept)


def write_survey(
    draft: SurveyDraft,
    target: Path,
    *,
    quarantine: bool = False,
    progress: Progress | None = None,
    created_at: str = "",
) -> dict[str, Any]:
    """Write the survey into the new folder ``target``, all or nothing.

    Written under a temporary name beside it, ``survey.json`` last, then renamed. Writing the same survey again
    changes nothing.

    Args:
        draft: What :func:`read_survey` gave.
        target: Folder to be made.
        quarantine: Leave photographs with errors out; without it any error refuses the survey.
        progress: Called with (photos done, photos in all).
        created_at: ISO 8601, for ``survey.json``; not part of the digest.

    Returns:
        Content of ``survey.json`` and ``quarantined``, the number of photographs (found, not only named) left out.

    Raises:
        InputError: there are errors (with ``quarantine``: errors that concern the survey as a whole), no photograph is
            left, a file changed since it was read, or ``target`` holds something else.
        ResourceError: not enough disk.
        OverflightError: the ledger does not balance.
    """
    cure = "Correct them, or leave the faulty photos out with --quarantine"
    refuse([f for f in draft.findings if not (quarantine and _belongs(f))], where=str(draft.root), cure=cure)
    if not draft.good:
        raise InputError(
            "no photograph without errors is left", where=str(draft.root), cure="Correct the errors listed"
        )
    draft.ledger.check()
    survey = draft.survey(created_at=created_at)
    facts = {**survey.as_dict(), "quarantined": draft.ledger.photos_quarantined}
    if target.exists() and any(target.iterdir()):
        _require_same(survey, target)
        return facts
    require_disk(target, sum(photo.bytes for photo in survey.photos) + _SPARE_BYTES)
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


def _belongs(finding: Finding) -> bool:
    """Concerns a photograph (found or only named) and not the survey as a whole."""
    return bool(finding.photo) or finding.code in _WITH_A_PHOTO


def _require_same(survey: Survey, target: Path) -> None:
    if not (target / SURVEY_FILE).exists() or load_manifest(target).digest != survey.digest:
        raise InputError("the folder is not empty", where=str(target), cure="Give the name of a new folder")


def _fill(folder: Path, draft: SurveyDraft, *, survey: Survey, progress: Progress | None) -> None:
    sources = {photo.record.path: photo.source.key for photo in draft.good if photo.record is not None}
    for done, record in enumerate(survey.photos, start=1):
        key = sources[record.path]
        data = draft.read.files.path(key).read_bytes()
        if sha256_bytes(data) != record.sha256:
            raise InputError("changed while it was read", where=key, cure="Run the same command again")
        _write(folder / record.path, data)
        found = draft.labels.photos.get(key)
        _write(folder / record.labels, text_of(found or no_labels((record.width_px, record.height_px), "")))
        if progress is not None:
            progress(done, len(survey.photos))
    if draft.left_out:
        write_text(folder / QUARANTINE_FILE, quarantine_lines(draft.left_out))
    _write_manifest(folder / MANIFEST_FILE, survey)
    write_json(folder / SURVEY_FILE, survey.as_dict())


def _write_manifest(path: Path, survey: Survey) -> None:
    with atomic_write(path) as handle:
        for record in survey.photos:
            handle.write(f"{manifest_line(record)}\n".encode())


def _write(path: Path, data: bytes) -> None:
    """Not atomic: the folder gets its name when all is written."""
    with explained_disk(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
