"""Surveys as a person handles them: make a synthetic one, add a folder, list, show.

Does not know label formats or how photographs are read: ``overflight.data`` does.
"""

from __future__ import annotations

import re
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from overflight.account.objects import list_keys, list_prefixes, read_json, upload_folder
from overflight.data.findings import warnings_of
from overflight.data.scenes.settings import SceneSettings
from overflight.data.scenes.survey import synthesise
from overflight.data.survey import read_survey, write_survey
from overflight.errors import NotFoundError, UsageError
from overflight.lifecycle.context import Context
from overflight.lifecycle.progress import Progress

PREFIX = "surveys/"


@dataclass(frozen=True)
class SurveyVersion:
    """One immutable version of a survey in the account.

    Attributes:
        name: Name given by a person.
        digest: SHA-256 over manifest and classes, 64 hex digits.
        uri: ``s3://`` prefix of the version, without a slash at the end.
        facts: Content of ``survey.json``.
        quarantined: Photos left out when it was added.
        warnings: What the reader noticed when it was added and what does not stand in the way, one sentence each.
    """

    name: str
    digest: str
    uri: str
    facts: dict[str, Any]
    quarantined: int = 0
    warnings: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """For ``--json``."""
        return {
            "name": self.name,
            "digest": self.digest,
            "uri": self.uri,
            "quarantined": self.quarantined,
            "warnings": list(self.warnings),
            **self.facts,
        }


def add_survey(
    context: Context, source: Path, *, name: str, progress: Progress, quarantine: bool = False
) -> SurveyVersion:
    """Read ``source`` strictly and store it as a version of survey ``name``; the source is only read.

    Adding the same content again gives the same version and uploads nothing.

    Raises:
        UsageError: the name cannot be used.
        InputError: photographs or labels cannot be used and ``quarantine`` is off; the message lists them.
    """
    draft = read_survey(source, name=name, progress=lambda done, total: progress.update("photos read", done, total))
    s3 = context.client("s3")
    bucket = context.names.bucket
    with tempfile.TemporaryDirectory(prefix="overflight-survey-") as scratch:
        folder = Path(scratch) / "survey"
        facts = write_survey(draft, folder, quarantine=quarantine)
        prefix = f"{PREFIX}{name}/{facts['digest'][:12]}"
        if not list(list_keys(s3, bucket, f"{prefix}/survey.json")):
            upload_folder(
                s3,
                folder,
                bucket,
                prefix,
                last=("survey.json",),
                progress=lambda done, total: progress.update("files stored", done, total),
            )
    quarantined = int(facts.pop("quarantined"))
    warnings = tuple(str(finding) for finding in warnings_of(draft.findings))
    return SurveyVersion(name, facts["digest"], f"s3://{bucket}/{prefix}", facts, quarantined, warnings)


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


def list_surveys(context: Context) -> list[SurveyVersion]:
    """All complete survey versions in the account, by name and then by digest."""
    s3, bucket = context.client("s3"), context.names.bucket
    versions = [version for named in list_prefixes(s3, bucket, PREFIX) for version in list_prefixes(s3, bucket, named)]
    complete = [version for version in versions if list(list_keys(s3, bucket, f"{version}survey.json"))]
    return [_read_version(context, version.rstrip("/")) for version in complete]


def show_survey(context: Context, name: str) -> SurveyVersion:
    """The newest version called ``name``, or ``name@digest`` for a certain one (the first digits are enough).

    Raises:
        NotFoundError: no such survey; the message names those there are.
    """
    wanted, _, digest = name.partition("@")
    s3, bucket = context.client("s3"), context.names.bucket
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=f"{PREFIX}{wanted}/{digest}")
    versions = [item for page in pages for item in page.get("Contents", []) if item["Key"].endswith("/survey.json")]
    if not versions:
        known = sorted({version.name for version in list_surveys(context)})
        raise NotFoundError(
            "there is no such survey",
            where=name,
            cure=f"Known: {', '.join(known)}" if known else "Add one: overflight survey add FOLDER --name NAME",
        )
    newest = max(versions, key=lambda item: item["LastModified"])
    return _read_version(context, newest["Key"].removesuffix("/survey.json"))


def _read_version(context: Context, prefix: str) -> SurveyVersion:
    bucket = context.names.bucket
    facts = read_json(context.client("s3"), bucket, f"{prefix}/survey.json")
    return SurveyVersion(facts["name"], facts["digest"], f"s3://{bucket}/{prefix}", facts)
