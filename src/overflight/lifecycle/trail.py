"""The trail as an auditor uses it: verify, query, export, checkpoints, and answers to whole questions.

Locally the account's own trail is read; on AWS it is CloudTrail, whose last 90 days LookupEvents shows (CloudTrail user
guide, "Working with CloudTrail event history"). Who may read it is the account's decision: every question begins with a
call of ``cloudtrail:LookupEvents``, which is in the trail itself.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from overflight.account.session import local_account
from overflight.account.trail_entry import Entry, from_record
from overflight.errors import NotFoundError, RefusedError, StoreError, UsageError
from overflight.governance import questions
from overflight.governance.questions import Filter
from overflight.lifecycle.context import Context
from overflight.lifecycle.models import describe_package, find_package
from overflight.settings import PREFIX

_EVENTS_LOG = f"/{PREFIX}/events"
# EventBridge user guide, "Logging Amazon EventBridge API calls": PutEvents is a data event, which the history has not.
_OF_CLOUDTRAIL = (
    "CloudTrail's event history has the calls of the last 90 days, without events:PutEvents: evidence that decisions "
    f"announced, and attempts that were refused before the call, are in the log group {_EVENTS_LOG}; older calls are "
    "in the trail's bucket."
)

if TYPE_CHECKING:
    from overflight.account.local.account import LocalAccount
    from overflight.account.local.checkpoints import Checkpointer
    from overflight.account.local.verification import Verification

_READERS = ("auditor", "administrator")
_DECIDING = ("CreateModelPackage", "UpdateModelPackage")  # what CloudTrail has of an approval: management events


def verify(context: Context, *, public_key: Path | None = None, chain_only: bool = False) -> dict[str, Any]:
    """Whether trail and checkpoints of the local account are intact; see :class:`Verification`.

    Args:
        context: The account and the role.
        public_key: PEM file of the only key to trust.
        chain_only: Leave the checkpoints out: a cut-off end or a trail that was written anew is then not found.

    Raises:
        UsageError: the account is AWS's, where CloudTrail's own command does it.
        RefusedError: the role may not read the trail.
        InputError: ``public_key`` is no ed25519 key.
    """
    from overflight.account.local import verification
    from overflight.account.local.checkpoint_keys import read_public

    account = _opened(context)
    keys = None if public_key is None else [read_public(public_key)]
    ledger = None if chain_only else _checkpointer(account).ledger
    return _facts(verification.verify(account.store, ledger, public_keys=keys), chain_only=chain_only)


def verify_file(path: Path, *, public_key: Path | None = None, chain_only: bool = False) -> dict[str, Any]:
    """The same for a file that ``export`` wrote; needs no account.

    Raises:
        InputError: it is no export, or ``public_key`` is no ed25519 key.
    """
    from overflight.account.local import trail_file
    from overflight.account.local.checkpoint_keys import read_public

    keys = None if public_key is None else [read_public(public_key)]
    return _facts(trail_file.verify_file(path, public_keys=keys, chain_only=chain_only), chain_only=chain_only)


def checkpoint(context: Context, *, kms_key: str = "", begin: str = "") -> dict[str, Any]:
    """Cover everything up to the newest entry with a checkpoint now.

    Args:
        context: The account and the role.
        kms_key: Id, ARN or alias of an ed25519 key in the KMS of the AWS account of the settings; "" signs with the
            key file.
        begin: Reason to begin a new trail in this place, after its folder was deleted or moved on purpose.

    Raises:
        RefusedError: the role may not read the trail.
        StoreError: the folder of the checkpoints cannot be written, or they are of another trail.
    """
    from overflight.account.local import trail
    from overflight.account.local.checkpoint_keys import FileSigner, KmsSigner, Signer

    account = _opened(context)
    with account.store.read() as transaction:
        (head,) = trail.entries(transaction, limit=1, newest_first=True)

    def signer(folder: Path) -> Signer:
        return KmsSigner(_kms(context), kms_key) if kms_key else FileSigner(folder)

    writer = _checkpointer(account)
    reason, place = begin or "asked for", str(writer.ledger.path)
    try:
        made, new = writer.write(head.sequence, head.hash, reason=reason, signer=signer, begins=bool(begin))
    except OSError as error:
        raise StoreError(
            f"the checkpoint cannot be written ({error.strerror or error})",
            where=place,
            cure="Set OVERFLIGHT_TRAIL_KEYS to a folder that can be written",
        ) from error
    if not new and _hash_of(account, made.sequence) != made.hash:
        raise StoreError(
            f"checkpoint {made.number} is of entry {made.sequence} as this trail does not have it",
            where=place,
            cure="See: overflight trail verify. If the account's folder was deleted or moved on purpose: "
            'overflight trail checkpoint --begin "REASON"',
        )
    return {**asdict(made), "new": new, "sha256": made.digest, "file": str(writer.ledger.path)}


def export(context: Context, out: Path, *, form: str = "jsonl") -> dict[str, Any]:
    """Write the trail to a file: ``jsonl`` (can be verified) or ``cloudtrail`` (for other tools).

    Raises:
        RefusedError: the role may not read the trail.
        UsageError: the account is AWS's, where the trail's files lie in its bucket.
    """
    from overflight.account.local import trail_file

    account = _opened(context)
    if form == "cloudtrail":
        entries = trail_file.export_cloudtrail(account.store, out, account_id=account.account_id, region=account.region)
        return {"entries": entries, "file": str(out), "format": form}
    made = checkpoint(context)
    entries = trail_file.export_lines(
        account.store,
        _checkpointer(account).ledger,
        out,
        account_id=account.account_id,
        time=account.clock(),
        by=f"{context.settings.role}/{context.settings.user}",
    )
    return {"entries": entries, "file": str(out), "format": form, "covered": made["sequence"], "key": made["key"]}


def query(context: Context, wanted: Filter, *, limit: int = 200) -> list[dict[str, Any]]:
    """The newest ``limit`` entries that are asked for, newest first.

    Raises:
        RefusedError: the role may not read the trail.
    """
    if context.is_local:
        newest = itertools.islice(questions.rows(_entries(context, wanted, newest_first=True), wanted), limit)
        return list(newest)
    return list(itertools.islice(questions.rows(_events(context, wanted), wanted), limit))


def who_approved(context: Context, package: str) -> dict[str, Any]:
    """Who approved a package, when, why, on which evidence, and what proves that this is in the trail.

    Args:
        context: The account and the role.
        package: ARN, GROUP/VERSION, GROUP or ``latest``; a package that was deleted is found by ARN or GROUP/VERSION.

    Raises:
        NotFoundError: neither the registry nor the trail knows it.
        RefusedError: the role may not read the trail.
    """
    facts = _package(context, package)
    name = facts["arn"] if facts else f":model-package/{package.removeprefix('model-package/')}"
    entries = (entry for entry in _about_packages(context) if not entry.read_only)
    answer = questions.who_approved(entries, name, run=str((facts or {}).get("run", "")))
    if not facts and not (answer["holds"] or answer["refused"]):
        raise NotFoundError(
            "neither the registry nor the trail knows this package", where=package, cure="See: overflight models list"
        )
    if not context.is_local:
        for decided in filter(None, (answer["approval"], *answer["later"], *answer["earlier"])):
            decided["announced"] = f"not in CloudTrail's event history; see the log group {_EVENTS_LOG}"
    trained, registered = (str((facts or {}).get(name) or "") for name in ("trained_by", "registered_by"))
    return {
        **answer,
        "status_now": facts["status"] if facts else "deleted",
        "trained_by": trained,
        "registered_by": registered,
        "people": questions.people(answer["approval"], registered, trained),
        "metrics_now": (facts or {}).get("metrics", {}),
        "run": (facts or {}).get("run", ""),
        "survey": (facts or {}).get("survey", ""),
        "proof": _proof(context, answer["approval"]),
        "note": "" if context.is_local else _OF_CLOUDTRAIL,
    }


def user_activity(context: Context, user: str, *, since: datetime | None = None) -> dict[str, Any]:
    """Everything a person did; see :func:`questions.activity`.

    Raises:
        RefusedError: the role may not read the trail.
    """
    return questions.activity(_ordered(context, Filter(user=user, since=since)), user)


def access_changes(context: Context, *, since: datetime | None = None) -> list[dict[str, Any]]:
    """What changed in access; on AWS the changes of IAM as CloudTrail has them.

    Raises:
        RefusedError: the role may not read the trail.
    """
    if context.is_local:
        return questions.access_changes(_ordered(context, Filter(since=since)))
    wanted = Filter(action="iam:*", since=since)
    return [row for row in questions.rows(_ordered(context, wanted), wanted) if not row["read_only"]]


# -- where entries come from -----------------------------------------------------------------------------------------


def _opened(context: Context) -> LocalAccount:
    """The local account, when the role may read its trail; the call that asks is in the trail."""
    if not context.is_local:
        settings = context.settings
        trail_arn = f"arn:aws:cloudtrail:{settings.region}:{settings.account_number}:trail/{PREFIX}-trail"
        raise UsageError(
            "the trail of an AWS account is CloudTrail's, which signs it itself",
            cure=f"aws cloudtrail validate-logs --trail-arn {trail_arn} --start-time 2026-01-01T00:00:00Z --verbose "
            f"--region {settings.region} --profile {settings.profile}",
        )
    _ask(context)
    return local_account(context.settings, clock=context.clock)


def _ask(context: Context) -> None:
    """Ask the account for one event: refused like any call, recorded like any call.

    Raises:
        RefusedError: the role is none that reads trails.
    """
    context.client("cloudtrail").lookup_events(MaxResults=1)
    role = context.settings.role
    if role not in _READERS:
        raise RefusedError(
            f"the role {role!r} may not read the trail",
            where="cloudtrail:LookupEvents",
            cure="Ask as the auditor: overflight --as auditor trail ...",
        )


def _ordered(context: Context, wanted: Filter) -> Iterator[Entry]:
    """Entries of the time asked for, oldest first."""
    if context.is_local:
        return _entries(context, wanted)
    return iter(sorted(_events(context, wanted), key=lambda entry: entry.time))


def _about_packages(context: Context) -> Iterator[Entry]:
    """Entries that tell of approvals, oldest first; of CloudTrail's history only the calls that are needed."""
    if context.is_local:
        return _entries(context, Filter())
    found = (entry for name in _DECIDING for entry in _events(context, Filter(action=f"sagemaker:{name}")))
    return iter(sorted(found, key=lambda entry: entry.time))


def _entries(context: Context, wanted: Filter, *, newest_first: bool = False) -> Iterator[Entry]:
    from overflight.account.local import trail

    account = _opened(context)
    return trail.stream(account.store, since=wanted.since, until=wanted.until, newest_first=newest_first)


def _events(context: Context, wanted: Filter) -> Iterator[Entry]:
    """Events of CloudTrail, newest first; of the conditions it takes one, the others are applied to what comes back."""
    asked: dict[str, Any] = {}
    if wanted.user:
        asked["LookupAttributes"] = [{"AttributeKey": "Username", "AttributeValue": wanted.user}]
    elif wanted.action and not set("*?[") & set(wanted.action):
        name = wanted.action.rsplit(":", 1)[-1]
        asked["LookupAttributes"] = [{"AttributeKey": "EventName", "AttributeValue": name}]
    elif wanted.action.endswith(":*") and not set("*?[") & set(wanted.action[:-2]):
        source = f"{wanted.action[:-2].lower()}.amazonaws.com"
        asked["LookupAttributes"] = [{"AttributeKey": "EventSource", "AttributeValue": source}]
    if wanted.since:
        asked["StartTime"] = wanted.since
    if wanted.until:
        asked["EndTime"] = wanted.until
    for page in context.client("cloudtrail").get_paginator("lookup_events").paginate(**asked):
        for event in page["Events"]:
            yield from_record(json.loads(event["CloudTrailEvent"]))


# -- details ---------------------------------------------------------------------------------------------------------


def _checkpointer(account: LocalAccount) -> Checkpointer:
    from overflight.account.local.checkpoints import Checkpointer

    listener = account.store.listener
    if not isinstance(listener, Checkpointer):
        raise UsageError("this account keeps no checkpoints", cure="Open it with the settings' trail_keys")
    return listener


def _hash_of(account: LocalAccount, sequence: int) -> str:
    from overflight.account.local import trail

    with account.store.read() as transaction:
        found = trail.entries(transaction, after=sequence - 1, before=sequence + 1)
    return found[0].hash if found else ""


def _facts(found: Verification, *, chain_only: bool) -> dict[str, Any]:
    return {"intact": found.intact, "without_checkpoints": chain_only, **asdict(found)}


def _package(context: Context, package: str) -> dict[str, Any] | None:
    try:
        return describe_package(context, find_package(context, package))
    except NotFoundError:
        if package.startswith("arn:") or "/" in package:
            return None
        raise


def _proof(context: Context, approval: dict[str, Any] | None) -> dict[str, Any] | None:
    """Hash of the entry, the checkpoint that covers it, and whether the trail is intact."""
    if approval is None or not context.is_local:
        return None
    from overflight.account.local import verification
    from overflight.account.local.checkpoints import parse

    account = local_account(context.settings, clock=context.clock)
    ledger = _checkpointer(account).ledger
    found = verification.verify(account.store, ledger)
    points: Sequence[Any] = [] if found.findings else [parse(line, str(ledger.path)) for line in ledger.lines()]
    covering = next((point for point in points if point.sequence >= approval["sequence"]), None)
    return {
        "hash": approval["hash"],
        "trail_intact": found.intact,
        "findings": [asdict(finding) for finding in found.findings],
        "checkpoint": None if covering is None else covering.number,
        "checkpoint_time": None if covering is None else covering.time,
        "key": None if covering is None else covering.key,
    }


def _kms(context: Context) -> Any:
    """Client of the AWS account's KMS, also when the trail is a local account's."""
    from overflight.account.session import open_session

    return open_session(context.settings.model_copy(update={"platform": "aws"}), clock=context.clock).client("kms")
