"""An opened source, raw or stored, as the domain reads and checks it: one way in for every command about surveys."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from overflight.data.checks.catalogue import Catalogue
from overflight.data.checks.run import by_catalogue
from overflight.data.reading import Read, read_source
from overflight.data.report import SurveyReport, check_source
from overflight.data.stored import check_survey, open_stored
from overflight.errors import UsageError
from overflight.lifecycle.progress import Progress
from overflight.lifecycle.sources import OpenSource


def read_opened(
    opened: OpenSource,
    *,
    progress: Progress,
    form: str | None = None,
    labels: str | None = None,
    flights: Path | None = None,
    decode: bool = False,
    photos: bool = True,
    incomplete: bool = False,
) -> Read:
    """Read a source; without ``photos`` only manifest and labels of a stored survey; ``incomplete`` allows no labels.

    Raises:
        UsageError: options for reading labels were given for a stored survey.
        InputError: it cannot be read at all.
    """
    if opened.kind == "stored":
        _refuse_options(opened, form=form, labels=labels, flights=flights)
        return open_stored(opened.folder, decode=decode, photos=photos, progress=_told(progress))
    return read_source(
        opened.folder,
        name=opened.name,
        format=form,
        labels=labels,
        flights=flights,
        decode=decode,
        progress=_told(progress),
        incomplete=incomplete,
    )


def check_opened(
    opened: OpenSource,
    *,
    catalogue: Catalogue,
    progress: Progress,
    form: str | None = None,
    labels: str | None = None,
    flights: Path | None = None,
    lists: Sequence[Path] = (),
    split_by: str = "flight",
    train_scale: float = 1.0,
    workers: int = 2,
) -> SurveyReport:
    """All checks over a source, decoded; raises as :func:`read_opened`."""
    if opened.kind == "stored":
        _refuse_options(opened, form=form, labels=labels, flights=flights, lists=lists)
        report = check_survey(
            opened.folder,
            catalogue=catalogue,
            split_by=split_by,
            train_scale=train_scale,
            workers=workers,
            progress=_told(progress),
        )
    else:
        report = check_source(
            opened.folder,
            name=opened.name,
            catalogue=catalogue,
            format=form,
            labels=labels,
            flights=flights,
            split_lists=lists,
            split_by=split_by,
            train_scale=train_scale,
            workers=workers,
            progress=_told(progress),
        )
    read = replace(report.read, notes=(*report.read.notes, *opened.notes))
    return replace(report, findings=(*by_catalogue(opened.findings, catalogue), *report.findings), read=read)


def _refuse_options(opened: OpenSource, **given: object) -> None:
    used = next((name for name, value in given.items() if value), None)
    if used is not None:
        option = {"form": "format", "lists": "split"}.get(used, used)
        what = f"--{option} is for folders as users keep them; this survey is stored already"
        raise UsageError(what, where=opened.title, cure=f"Leave --{option} out")


def _told(progress: Progress) -> Callable[[int, int], None]:
    return lambda done, total: progress.update("photos read", done, total)
