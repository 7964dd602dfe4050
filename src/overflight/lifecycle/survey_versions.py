"""Survey versions in the account: list them, find one, store a new one.

A version lies below ``surveys/<name>/<first 12 digits of its digest>/`` and is complete when its ``survey.json`` is
there. It does not know how a survey is read.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from overflight.account.objects import list_keys, list_prefixes, read_json, upload_folder
from overflight.data.findings import warnings_of
from overflight.data.survey import SurveyDraft, write_survey
from overflight.errors import NotFoundError
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
        quarantined: Photos left out when it was added, those that only labels name included, as in its ledger.
        warnings: What the reader noticed when it was added and what does not stand in the way, one sentence each.
        sentences: Where every photograph and box went, and what a survey cannot hold.
    """

    name: str
    digest: str
    uri: str
    facts: dict[str, Any]
    quarantined: int = 0
    warnings: tuple[str, ...] = ()
    sentences: tuple[str, ...] = ()

    @property
    def cures(self) -> tuple[str, ...]:
        """What safe cures changed, one sentence each."""
        return tuple(self.facts.get("cures", ()))

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


def store_draft(context: Context, draft: SurveyDraft, *, progress: Progress, quarantine: bool = False) -> SurveyVersion:
    """Store what was read as a version of its survey; the same content again is the same version, sent only once.

    Raises:
        InputError: there are errors (see ``write_survey``).
    """
    s3, bucket = context.client("s3"), context.names.bucket
    with tempfile.TemporaryDirectory(prefix="overflight-survey-") as scratch:
        folder = Path(scratch) / "survey"
        facts = write_survey(draft, folder, quarantine=quarantine, created_at=context.clock().isoformat())
        quarantined = int(facts.pop("quarantined"))
        prefix = f"{PREFIX}{draft.name}/{facts['digest'][:12]}"
        if list(list_keys(s3, bucket, f"{prefix}/survey.json")):
            facts = read_json(s3, bucket, f"{prefix}/survey.json")
        else:
            upload_folder(
                s3,
                folder,
                bucket,
                prefix,
                last=("survey.json",),
                progress=lambda done, total: progress.update("files stored", done, total),
            )
    return SurveyVersion(
        draft.name,
        facts["digest"],
        f"s3://{bucket}/{prefix}",
        facts,
        quarantined,
        tuple(str(finding) for finding in warnings_of(draft.findings)),
        (*draft.read.notes[:1], *draft.ledger.sentences(), *draft.losses),
    )


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
    quarantined = int(facts.get("ledger", {}).get("photos_quarantined", 0))
    return SurveyVersion(facts["name"], facts["digest"], f"s3://{bucket}/{prefix}", facts, quarantined)
