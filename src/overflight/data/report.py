"""What the checks found in a survey or source, with its figures: one report for both.

It computes nothing about single photographs: facts, labels and findings come from reading and from the checks.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from overflight.data.checks.catalogue import Catalogue, load_catalogue
from overflight.data.checks.subject import Subject
from overflight.data.drafting import judged
from overflight.data.findings import Finding, errors_of, warnings_of
from overflight.data.formats.labels import UNLABELLED
from overflight.data.ledger import Ledger, ledger_of
from overflight.data.manifest import Survey
from overflight.data.quarantine import LeftOut
from overflight.data.reading import Read, read_source
from overflight.data.survey import draft_from
from overflight.imaging.boxes import area

REPORT_SCHEMA = "overflight.survey-report/1"
_EXAMPLE_CHARACTERS = 160

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class SurveyReport:
    """Result of a check.

    Attributes:
        survey: The survey; of a source, the one that its good photographs would make.
        findings: All errors and warnings.
        figures: Counts per class and flight, sizes of boxes and photographs (JSON).
        catalogue: The rules that were applied.
        read: What was looked at.
        ledger: Of a source: photographs and boxes in and out; of a survey: as it was added, if it says so.
        left_out: Of a source: what ``--quarantine`` would leave out.
    """

    survey: Survey
    findings: tuple[Finding, ...]
    figures: dict[str, Any]
    catalogue: Catalogue = field(repr=False)
    read: Read = field(repr=False)
    ledger: Ledger | None = None
    left_out: tuple[LeftOut, ...] = field(default=(), repr=False)

    @property
    def errors(self) -> list[Finding]:
        """What stands in the way."""
        return errors_of(self.findings)

    @property
    def warnings(self) -> list[Finding]:
        """What does not."""
        return warnings_of(self.findings)

    def table(self) -> list[dict[str, Any]]:
        """One row per check that found something: errors first, then by the number of findings."""
        groups: dict[tuple[str, str], list[Finding]] = defaultdict(list)
        for finding in self.findings:
            groups[finding.severity, finding.code].append(finding)
        rows = [self._row(code, severity, found) for (severity, code), found in groups.items()]
        return sorted(rows, key=lambda row: (row["severity"] != "error", -row["findings"], row["check"]))

    def _row(self, code: str, severity: str, found: Sequence[Finding]) -> dict[str, Any]:
        worst = max(found, key=lambda finding: finding.score)
        rule = self.catalogue.get(code)
        return {
            "check": code,
            "number": rule.number if rule else None,
            "title": rule.title if rule else "",
            "severity": severity,
            "findings": len(found),
            "photos": len({finding.photo for finding in found if finding.photo}),
            "boxes": sum(len(finding.boxes) for finding in found),
            "example": f"{worst.where}: {worst.what}"[:_EXAMPLE_CHARACTERS],
        }

    def as_dict(self) -> dict[str, Any]:
        """Content of ``report.json``."""
        return {
            "schema": REPORT_SCHEMA,
            "survey": self.survey.as_dict(),
            **self.figures,
            "checks": self.table(),
            "ledger": None if self.ledger is None else self.ledger.as_dict(),
            "left_out": len(self.left_out),
            "notes": list(self.read.notes),
            "errors": [finding.as_dict() for finding in self.errors],
            "warnings": [finding.as_dict() for finding in self.warnings],
        }


def check_source(
    root: Path,
    *,
    name: str,
    catalogue: Catalogue | None = None,
    format: str | None = None,  # noqa: A002 - the option
    labels: str | None = None,
    flights: Path | None = None,
    split_lists: Sequence[Path] = (),
    split_by: str = "flight",
    train_scale: float = 1.0,
    decode: bool = True,
    workers: int | None = None,
    progress: Progress | None = None,
    now: datetime | None = None,
) -> SurveyReport:
    """Check a user's folder as it is, with what would be left out of a survey; see ``reading.read_source``.

    Photographs without labels, or labels without names of classes, are checked as far as they go.

    Raises:
        UsageError: the format, label file or split lists cannot be used.
        InputError: no folder, or no photographs.
    """
    read = read_source(
        root,
        name=name,
        format=format,
        labels=labels,
        flights=flights,
        split_lists=split_lists,
        decode=decode,
        workers=workers,
        progress=progress,
        train_scale=train_scale,
        split_by=split_by,
        now=now,
        incomplete=True,
    )
    return report_on(read, survey=None, catalogue=catalogue)


def report_on(read: Read, *, survey: Survey | None, catalogue: Catalogue | None = None) -> SurveyReport:
    """All checks over what was read.

    Args:
        read: A source or a stored survey.
        survey: The stored survey; None for a source.
        catalogue: Severities and limits; by default those of the product.
    """
    rules = load_catalogue() if catalogue is None else catalogue
    subject, findings = judged(read, read.subject, rules)
    figures = figures_of(subject)
    if survey is not None:
        ledger = None if survey.origin.ledger is None else ledger_of(survey.origin.ledger)
        return SurveyReport(survey, findings, figures, rules, read, ledger)
    draft = draft_from(read, subject, findings, rules)
    if subject.labels.format == UNLABELLED:  # no survey can be made of it, so nothing is stored or left out
        return SurveyReport(draft.survey(), findings, figures, rules, read)
    draft.ledger.check()
    return SurveyReport(draft.survey(), findings, figures, rules, read, draft.ledger, draft.left_out)


def figures_of(subject: Subject) -> dict[str, Any]:
    """Counts per class and flight, sizes of boxes (sqrt of the area inside the photograph) and of photographs."""
    classes, table = subject.labels.classes, subject.table
    there = np.array([key not in subject.labels.absent for key in table.keys], dtype=np.bool_)
    used = ~table.ignored & there[table.photo] if len(table.photo) else ~table.ignored
    counts = np.bincount(table.class_ids[used], minlength=len(classes)).tolist()
    sizes_wh = table.photo_wh_px[table.photo[used]]
    inside = np.clip(table.xyxy_px[used], 0, np.concatenate([sizes_wh, sizes_wh], axis=1))
    per_photo = np.bincount(table.photo[used], minlength=len(table.keys)).tolist()
    boxes_of = dict(zip(table.keys, per_photo, strict=True))
    per_flight: dict[str, dict[str, int]] = {}
    for key, flight in sorted(subject.flights.items(), key=lambda item: item[1].flight):
        entry = per_flight.setdefault(flight.flight, {"photos": 0, "boxes": 0})
        entry["photos"] += 1
        entry["boxes"] += boxes_of.get(key, 0)
    wh_px = [labels.size_wh_px for key, labels in subject.labels.photos.items() if key not in subject.labels.absent]
    photo_sizes = Counter(f"{width}x{height}" for width, height in wh_px)
    return {
        "boxes_per_class": dict(zip(classes, counts, strict=True)),
        "per_flight": per_flight,
        "photos_without_boxes": sum(1 for key in subject.flights if not boxes_of.get(key, 0)),
        "box_side_px": _percentiles(np.sqrt(area(inside))),
        "photo_sizes": dict(sorted(photo_sizes.items())),
    }


def _percentiles(values: NDArray[np.float64]) -> dict[str, float]:
    """5th, 50th and 95th percentile; empty without values."""
    if not len(values):
        return {}
    found: Sequence[float] = np.percentile(values, [5, 50, 95]).round(1).tolist()
    return dict(zip(("p5", "p50", "p95"), found, strict=True))
