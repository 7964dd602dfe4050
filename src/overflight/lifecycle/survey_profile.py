"""What a survey holds, as a person asks for it: tables, a report to read, pages to leaf through.

It does not measure, draw or serve anything itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from overflight.data.checks.catalogue import load_catalogue
from overflight.data.profile.browse import write_browser
from overflight.data.profile.measure import measure
from overflight.data.profile.page import write_page
from overflight.data.profile.parquet import write_profile
from overflight.data.profile.story import Remark, head, stands_out
from overflight.data.profile.tables import Profile
from overflight.data.reading import Read
from overflight.data.report import SurveyReport
from overflight.lifecycle.context import Context
from overflight.lifecycle.progress import Progress, Silent
from overflight.lifecycle.source_reading import check_opened, read_opened
from overflight.lifecycle.sources import OpenSource, open_source, require_out
from overflight.settings import load_settings


@dataclass(frozen=True)
class ReadOptions:
    """How to read a source.

    Attributes:
        form: Label format; None: as recognised.
        labels: Label file or folder to use, where there are several.
        flights: Table that names the flights.
    """

    form: str | None = None
    labels: str | None = None
    flights: Path | None = None


@dataclass(frozen=True)
class Profiled:
    """A survey as measured, and where the result lies.

    Attributes:
        title: What was measured, as the person called it.
        profile: The tables.
        out: Folder of the tables or of the pages, or the report's file.
        read: The survey as read.
    """

    title: str
    profile: Profile
    out: Path
    read: Read

    def facts(self) -> dict[str, str]:
        """Figures for people."""
        return head(self.profile)

    def remarks(self) -> list[Remark]:
        """What stands out."""
        return stands_out(self.profile)

    def classes(self) -> list[dict[str, Any]]:
        """One row per class."""
        return list(self.profile.summary["class_balance"])

    def flights(self) -> list[dict[str, Any]]:
        """One row per flight."""
        rows = []
        for name, group in self.profile.summary["groups"]["flight"].items():
            features = group["features"]
            row = {"flight": name, "photos": group["photos"], "boxes": group["boxes"]}
            for column in ("altitude_agl_m", "gsd_cm", "mean_luma", "focus"):
                row[column] = features[column]["quantiles"]["50"] if column in features else None
            rows.append(row)
        return rows

    def as_dict(self) -> dict[str, Any]:
        """For ``--json``: the summary and where the files are."""
        return {**self.profile.summary, "out": str(self.out), "stands_out": [item.text for item in self.remarks()]}


def profile_survey(
    context: Context, source: str, *, options: ReadOptions, out: Path | None, progress: Progress
) -> Profiled:
    """Measure ``source`` and write tables and ``profile.json`` into ``out`` (default: a folder below the home folder).

    Raises:
        OverflightError: the source cannot be read at all, ``out`` cannot be used, or pyarrow is missing.
    """
    opened = open_source(context, source, progress=progress)
    require_out(opened, out)
    read = read_opened(
        opened,
        progress=progress,
        form=options.form,
        labels=options.labels,
        flights=options.flights,
        incomplete=True,
    )
    profile = _measured(read, progress)
    folder = out or context.settings.home_path / "profiles" / opened.name
    write_profile(profile, folder)
    return Profiled(opened.title, profile, folder, read)


def report_survey(
    context: Context, source: str, *, options: ReadOptions, out: Path | None, progress: Progress
) -> Profiled:
    """Measure and check ``source`` and write one page to ``out`` (default: a file below the home folder).

    Raises:
        OverflightError: the source cannot be read at all, or ``out`` cannot be used.
    """
    opened = open_source(context, source, progress=progress)
    require_out(opened, out, folder=False)
    report, profile = _checked(opened, options, progress)
    path = out or context.settings.home_path / "reports" / f"{opened.name}.html"
    progress.update("writing the page")
    write_page(path, profile, report.read, findings=report.findings, catalogue=report.catalogue, title=_named(opened))
    return Profiled(opened.title, profile, path, report.read)


def browse_survey(
    context: Context, source: str, *, options: ReadOptions, out: Path | None, progress: Progress
) -> Profiled:
    """Measure and check ``source`` and write pages to leaf through into ``out`` (default: below the home folder).

    Raises:
        OverflightError: the source cannot be read at all, or ``out`` cannot be used.
    """
    opened = open_source(context, source, progress=progress)
    require_out(opened, out)
    report, profile = _checked(opened, options, progress)
    folder = out or context.settings.home_path / "browse" / opened.name
    write_browser(
        folder,
        profile,
        report.read,
        findings=report.findings,
        title=_named(opened),
        progress=lambda done, total: progress.update("thumbnails", done, total),
    )
    return Profiled(opened.title, profile, folder, report.read)


def explore(source: str | Path, *, context: Context | None = None) -> tuple[SurveyReport, Profile]:
    """A source checked and measured, for notebooks; see ``overflight.data.profile.tables`` and ``figures``.

    Args:
        source: A folder, ``s3://bucket/prefix``, or NAME or NAME@DIGEST of a stored survey.
        context: Whose account; by default as the environment says (``OVERFLIGHT_HOME`` and so on).

    Raises:
        OverflightError: the source cannot be read at all.
    """
    silent = Silent()
    opened = open_source(context or Context(load_settings()), str(source), progress=silent)
    return _checked(opened, ReadOptions(), silent)


def _checked(opened: OpenSource, options: ReadOptions, progress: Progress) -> tuple[SurveyReport, Profile]:
    """Photographs are decoded once, for the checks; the profile takes the same facts."""
    report = check_opened(
        opened,
        catalogue=load_catalogue(),
        progress=progress,
        form=options.form,
        labels=options.labels,
        flights=options.flights,
    )
    return report, _measured(report.read, progress)


def _measured(read: Read, progress: Progress) -> Profile:
    return measure(read, progress=lambda done, total: progress.update("photos measured", done, total))


def _named(opened: OpenSource) -> str:
    """A stored survey as a person called it, with its digest if given; of a folder its name."""
    return opened.title if opened.kind == "stored" and "/" not in opened.title else opened.name
