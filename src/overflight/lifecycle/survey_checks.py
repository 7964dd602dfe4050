"""Checks, cures and comparisons of surveys as a person asks for them, wherever the survey is.

Does not know what is checked (``overflight.data.checks``) or how a source is brought here (``lifecycle.sources``).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from overflight.data.checks.catalogue import Catalogue, load_catalogue, load_changes_file
from overflight.data.diff import Side, SidePhoto, SurveyDiff, diff_surveys
from overflight.data.formats.labels import PhotoLabels
from overflight.data.mislabels import Disagreement
from overflight.data.reading import Read
from overflight.data.report import SurveyReport
from overflight.data.report_files import headline, said, write_report
from overflight.data.stored_labels import text_of
from overflight.files import sha256_bytes
from overflight.imaging.boxes import Boxes
from overflight.lifecycle.context import Context
from overflight.lifecycle.mislabels import find_disagreements
from overflight.lifecycle.progress import Progress
from overflight.lifecycle.source_reading import check_opened, read_opened
from overflight.lifecycle.sources import open_source, require_out

_SUSPECTS_SHOWN = 10


@dataclass(frozen=True)
class CheckOptions:
    """How to read and judge a source.

    Attributes:
        form: Label format; None: as recognised.
        labels: Label file or folder to use, where there are several.
        flights: Table that names the flights.
        lists: Lists of photographs, one per part of a split.
        changes: Changes of severities and limits, ``dark=off``.
        changes_file: YAML file with such changes; ``changes`` go before it.
        split_by: How the survey is going to be split.
        imgsz: Side of the network's input (px).
        tile_px: Side of the tiles that become such inputs (px).
        model: Model package whose disagreement with the labels is ranked; None: no model is asked.
    """

    form: str | None = None
    labels: str | None = None
    flights: Path | None = None
    lists: tuple[Path, ...] = ()
    changes: tuple[str, ...] = ()
    changes_file: Path | None = None
    split_by: str = "flight"
    imgsz: int = 640
    tile_px: int = 640
    model: str | None = None

    def catalogue(self) -> Catalogue:
        """The rules with the changes asked for.

        Raises:
            UsageError: a change cannot be used.
            InputError: the file cannot be read.
        """
        return catalogue_of(self.changes, self.changes_file)


@dataclass(frozen=True)
class Checked:
    """Outcome of a check.

    Attributes:
        title: What was checked, as the person called it.
        report: Findings and figures.
        folder: Where report, page, quarantine list and suspects lie.
        model: Package that was asked about the labels, "" for none.
        suspects: Labels that it disagrees with, worst first; None when no model was asked.
    """

    title: str
    report: SurveyReport
    folder: Path
    model: str = ""
    suspects: tuple[Disagreement, ...] | None = None

    def facts(self) -> dict[str, Any]:
        """Figures for people."""
        report = self.report
        counts = {"errors": len(report.errors), "warnings": len(report.warnings)}
        return {**headline(report), **counts}

    def sentences(self) -> list[str]:
        """What else a person should read: how the source was understood, where everything went, the model's doubts."""
        lines = [f"note: {note}" for note in self.report.read.notes]
        if self.report.ledger is not None:
            lines += self.report.ledger.sentences()
        if self.suspects is not None:
            lines.append(f"\n{self.model} disagrees with {len(self.suspects)} labels; the most suspicious:")
            lines += [f"  {item.suspicion:.2f}  {said(item)}" for item in self.suspects[:_SUSPECTS_SHOWN]]
        return lines

    def as_dict(self) -> dict[str, Any]:
        """For ``--json``."""
        suspects = None if self.suspects is None else [item.as_dict() for item in self.suspects]
        return {**self.report.as_dict(), "folder": str(self.folder), "model": self.model, "suspects": suspects}


def catalogue_of(changes: tuple[str, ...], changes_file: Path | None) -> Catalogue:
    """The rules with the changes of a file and, stronger, single ones; raises as ``load_catalogue``."""
    return load_catalogue([*([] if changes_file is None else load_changes_file(changes_file)), *changes])


def check_survey(
    context: Context, source: str, *, options: CheckOptions, out: Path | None, progress: Progress
) -> Checked:
    """Check ``source`` and write the report into ``out`` (default: a folder of its name below the home folder).

    Raises:
        OverflightError: the source cannot be read at all, or an option cannot be used. Findings are no exception.
    """
    catalogue = options.catalogue()
    opened = open_source(context, source, progress=progress)
    require_out(opened, out)
    report = check_opened(
        opened,
        catalogue=catalogue,
        progress=progress,
        form=options.form,
        labels=options.labels,
        flights=options.flights,
        lists=options.lists,
        split_by=options.split_by,
        train_scale=options.imgsz / options.tile_px,
    )
    model, suspects = "", None
    if options.model:
        model, found = find_disagreements(context, options.model, report.read.subject, progress=progress)
        suspects = tuple(found)
    folder = out or context.settings.home_path / "checks" / opened.name
    write_report(folder, report, suspects=suspects)
    return Checked(opened.title, report, folder, model, suspects)


def compare_surveys(context: Context, first: str, second: str, *, progress: Progress) -> SurveyDiff:
    """What changed from ``first`` to ``second``; each as :func:`open_source` takes it.

    Raises:
        OverflightError: one of the two cannot be read.
    """
    sides = []
    for source in (first, second):
        opened = open_source(context, source, progress=progress, photos=False)
        sides.append(_side(source, read_opened(opened, progress=progress, photos=False)))
    return diff_surveys(*sides)


def _side(title: str, read: Read) -> Side:
    """Photographs by the name that they have, or would have, in a survey."""
    subject = read.subject
    photos = {}
    for photo in read.files.photos:
        labels = subject.labels.photos.get(photo.key)
        photos[photo.name] = SidePhoto(
            sha256=subject.photos[photo.key].sha256,
            flight=subject.flights[photo.key].flight,
            labels_digest="" if labels is None else _digest(labels),
            load=_loader(labels),
            load_ignored=_regions_loader(labels),
        )
    return Side(title, subject.labels.classes, photos)


def _digest(labels: PhotoLabels) -> str:
    """Of objects and ignored regions; the stored text of labels holds only objects."""
    regions = labels.select(np.zeros(0, np.int64) if labels.ignored is None else labels.ignored)
    return sha256_bytes(text_of(labels) + b"ignored\n" + text_of(replace(regions, ignored=None)))


def _loader(labels: PhotoLabels | None) -> Callable[[], tuple[NDArray[np.int64], Boxes]]:
    if labels is None:
        return lambda: (np.zeros(0, dtype=np.int64), np.zeros((0, 4)))
    objects = labels if labels.ignored is None else labels.select(~labels.ignored)
    return lambda: (objects.class_ids, objects.xyxy_px)


def _regions_loader(labels: PhotoLabels | None) -> Callable[[], Boxes]:
    if labels is None or labels.ignored is None:
        return lambda: np.zeros((0, 4))
    regions = labels.xyxy_px[labels.ignored]
    return lambda: regions
