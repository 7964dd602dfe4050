"""Surveys as a person makes them: a synthetic one, one from photographs, a corrected one.

Does not know label formats or how photographs are read: ``overflight.data`` does.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from overflight.data.checks.catalogue import Catalogue, load_catalogue
from overflight.data.checks.run import by_catalogue
from overflight.data.findings import Finding, refuse, warnings_of
from overflight.data.scenes.settings import SceneSettings
from overflight.data.scenes.survey import synthesise
from overflight.data.survey import check_name, draft_of
from overflight.errors import UsageError
from overflight.lifecycle.context import Context
from overflight.lifecycle.progress import Progress
from overflight.lifecycle.source_reading import read_opened
from overflight.lifecycle.sources import open_source
from overflight.lifecycle.survey_versions import SurveyVersion, store_draft


def add_survey(
    context: Context,
    source: Path | str,
    *,
    name: str,
    progress: Progress,
    quarantine: bool = False,
    fix: bool = False,
    catalogue: Catalogue | None = None,
    **reading: Any,
) -> SurveyVersion:
    """Read ``source`` strictly and store it as a version of survey ``name``; the source is only read.

    Adding the same content again gives the same version and uploads nothing.

    Args:
        context: Whose account.
        source: A folder, ``s3://bucket/prefix``, or a stored survey (to store it again, cured or under another name).
        name: Name of the survey.
        progress: Told what is read and stored.
        quarantine: Leave photographs with errors out and list them with their reasons.
        fix: Apply the safe cures to the labels.
        catalogue: Severities and limits of the checks.
        reading: ``form``, ``labels``, ``flights``: see :func:`overflight.lifecycle.source_reading.read_opened`.

    Raises:
        UsageError: the name cannot be used.
        InputError: photographs or labels cannot be used and ``quarantine`` is off; the message lists them.
    """
    check_name(name)
    opened = open_source(context, str(source), progress=progress)
    rules = catalogue or load_catalogue()
    fetched = by_catalogue(opened.findings, rules)
    _refuse_unfetched(fetched, where=opened.title)
    read = read_opened(opened, progress=progress, **reading)
    draft = draft_of(read, name=name, catalogue=rules, fix=fix)
    version = store_draft(context, draft, progress=progress, quarantine=quarantine)
    warnings = (*map(str, warnings_of(fetched)), *version.warnings)
    return replace(version, warnings=warnings, sentences=(*version.sentences, *opened.notes))


def _refuse_unfetched(findings: Iterable[Finding], *, where: str) -> None:
    """Objects that could not become files are in no quarantine, so nothing is stored without them."""
    refuse(findings, where=where, cure="Copy them to other keys, or give a smaller prefix")


def synthesise_survey(target: Path, *, progress: Progress, **knobs: Any) -> dict[str, Any]:
    """Draw a synthetic survey into the new folder ``target``; knobs that are None keep their defaults.

    Raises:
        UsageError: a knob is out of range, or the folder is not empty.
    """
    given = {name: value for name, value in knobs.items() if value is not None}
    try:
        settings = SceneSettings(**given)
    except ValidationError as error:
        first = error.errors()[0]
        knob = str(first["loc"][0]) if first["loc"] else "altitude_m"  # the only rule about several values
        raise UsageError(
            first["msg"].removeprefix("Value error, "),
            where=f"--{re.sub('_(px|m)$', '', knob).replace('_', '-')}",
            cure="See: overflight survey synth --help",
        ) from error
    summary = synthesise(settings, target, progress=lambda done, total: progress.update("photos drawn", done, total))
    return {"folder": str(target), **asdict(summary)}
