"""A report as files: ``report.json`` (everything), ``report.html`` (to look at), ``quarantine.jsonl`` (left out).

With a model's disagreements also ``suspects.json``. Each file is complete or absent, ``report.json`` comes last.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from overflight.data.checks.gallery import Marked, write_gallery
from overflight.data.files import SourceFiles
from overflight.data.mislabels import Disagreement
from overflight.data.quarantine import quarantine_lines
from overflight.data.report import SurveyReport
from overflight.errors import InputError
from overflight.files import write_json, write_text

REPORT_FILE, PAGE_FILE, QUARANTINE_FILE, SUSPECTS_FILE = (
    "report.json",
    "report.html",
    "quarantine.jsonl",
    "suspects.json",
)

_SEEN = {
    "no-label": "{predicted} seen (score {score:.2f}), no label",
    "no-object": "labelled {label}, nothing seen",
    "wrong-class": "labelled {label}, {predicted} seen (score {score:.2f})",
    "badly-drawn": "{label} drawn elsewhere: overlap {iou:.2f} with what is seen (score {score:.2f})",
}


def write_report(folder: Path, report: SurveyReport, *, suspects: Sequence[Disagreement] | None = None) -> None:
    """Write ``report`` into ``folder``.

    Args:
        folder: Made if it is not there; files of an earlier report are replaced.
        report: Result of a check.
        suspects: Labels that a model disagrees with, worst first; None when no model was asked.
    """
    if report.left_out:
        write_text(folder / QUARANTINE_FILE, quarantine_lines(report.left_out))
    else:
        (folder / QUARANTINE_FILE).unlink(missing_ok=True)
    if suspects is not None:
        write_json(folder / SUSPECTS_FILE, [item.as_dict() for item in suspects])
    write_gallery(
        folder / PAGE_FILE,
        title=report.survey.name,
        facts=headline(report),
        findings=report.findings,
        catalogue=report.catalogue,
        labels=report.read.subject.labels.photos,
        read=_reader(report.read.files),
        suspects=[Marked(item.photo, item.xyxy_px, said(item)) for item in suspects or ()],
    )
    write_json(folder / REPORT_FILE, report.as_dict())


def _reader(files: SourceFiles) -> Callable[[str], bytes]:
    """Reads photographs by key: only those found, since findings also speak of pipes and of links out of the folder."""
    keys = {photo.key for photo in files.photos}

    def read(key: str) -> bytes:
        if key not in keys:
            raise InputError("is no photograph that was found", where=key, cure="See the finding about it")
        return files.path(key).read_bytes()

    return read


def headline(report: SurveyReport) -> dict[str, Any]:
    """The figures that a person wants first, by name."""
    subject, figures = report.read.subject, report.figures
    counts = figures["boxes_per_class"]
    facts: dict[str, Any] = {
        "format": report.read.sniffed.format,
        "photos": len(subject.photos),
        "flights": len(figures["per_flight"]),
        "boxes": sum(counts.values()),
        "classes": ", ".join(f"{name} {count:,}" for name, count in counts.items()) or "-",
    }
    if figures["box_side_px"]:
        sides = figures["box_side_px"]
        facts["box side (px)"] = f"{sides['p50']:.0f} (5 % below {sides['p5']:.0f}, 5 % above {sides['p95']:.0f})"
    absent = subject.labels.absent
    if absent:
        boxes = sum(len(subject.labels.photos[key]) for key in absent)
        facts["named by labels only"] = f"{len(absent):,} photos with {boxes:,} boxes"
    if report.left_out:
        facts["would be left out"] = f"{sum(1 for entry in report.left_out if entry.kind == 'photo')} photos"
    return facts


def said(item: Disagreement) -> str:
    """A disagreement as one line."""
    return f"{item.photo}: {_SEEN[item.kind].format(**item.__dict__)}"
