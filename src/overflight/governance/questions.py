"""What people ask a trail: who did what, who approved a model on which evidence, what changed in access.

Pure functions over entries, oldest first, whichever account they come from. Reads nothing and knows no terminal.
"""

from __future__ import annotations

import fnmatch
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from overflight.account.trail_entry import Entry
from overflight.errors import UsageError
from overflight.governance import approvals

_SPAN = re.compile(r"^(\d+)([mhdw])$")
_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_APPROVER = "approver"
_DECISIONS = ("Approved", "Rejected")
_EVIDENCE = {
    "approval_artefact_sha256": "artefact_sha256",
    "approval_container_sha256": "container_sha256",
    "approval_survey": "survey",
    "approval_metrics_sha256": "metrics_sha256",
}
ACCESS_CHANGED = ("overflight", "AccessChanged")


@dataclass(frozen=True)
class Filter:
    """Which entries are asked for; an empty field asks for all.

    Attributes:
        user: Name of the person, exact.
        role: Short name of the role, exact.
        action: Pattern such as ``sagemaker:Update*``, any case.
        resource: Part of the resource's name or ARN, or of any parameter that names one.
        run: Id of a pipeline execution, or its beginning.
        denied: Only what was not allowed.
        since: Aware; the moment itself included.
        until: Aware; the moment itself included.
    """

    user: str = ""
    role: str = ""
    action: str = ""
    resource: str = ""
    run: str = ""
    denied: bool = False
    since: datetime | None = None
    until: datetime | None = None

    def fits(self, entry: Entry) -> bool:
        """Whether the entry is asked for."""
        return (
            (not self.user or self.user == entry.user)
            and (not self.role or self.role == entry.role)
            and (not self.denied or entry.denied)
            and (self.since is None or entry.time >= self.since)
            and (self.until is None or entry.time <= self.until)
            and (not self.action or _action_fits(self.action, entry))
            and (not self.resource or self.resource in _names(entry))
            and (not self.run or _run(entry).startswith(self.run) or self.run in _names(entry))
        )


def moment(text: str, *, now: datetime) -> datetime:
    """``2d``, ``12h`` (before now) or a date or time in ISO 8601 as an aware moment; without a zone it is UTC.

    Raises:
        UsageError: it is none of these.
    """
    span = _SPAN.match(text)
    try:
        if span:
            return now - timedelta(**{_UNITS[span[2]]: int(span[1])})
        given = datetime.fromisoformat(text)
        return (given if given.tzinfo else given.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise UsageError(
            "is no time", where=text, cure="Give a span (30m, 12h, 2d, 1w) or a date (2026-03-01, 2026-03-01T12:00)"
        ) from error


def rows(entries: Iterable[Entry], wanted: Filter) -> Iterator[dict[str, Any]]:
    """One plain row for each entry that is asked for."""
    for entry in entries:
        if wanted.fits(entry):
            yield row(entry)


def row(entry: Entry) -> dict[str, Any]:
    """What people look at first: number, time, who, what, on what, outcome and the statement behind it."""
    return {
        "sequence": entry.sequence,
        "time": entry.time,
        "user": entry.user,
        "role": entry.role,
        "action": entry.action,
        "resource": resource(entry),
        "outcome": outcome(entry),
        "statement": statement(entry),
        "run": _run(entry),
        "read_only": entry.read_only,
        "event_id": entry.event_id,
        "request_id": entry.request_id,
        "message": entry.message,
    }


def outcome(entry: Entry) -> str:
    """``done``, ``denied`` or the error's code."""
    return "denied" if entry.denied else entry.error or "done"


def statement(entry: Entry) -> str:
    """Layer, policy and statement that decided (``identity overflight-approver/Decide``), or that none allows it."""
    decision = entry.decision
    if decision.get("outcome") == "implicit-deny":
        return f"no {decision.get('layer', '')} policy allows it"
    name = "/".join(str(decision[key]) for key in ("policy", "sid") if decision.get(key))
    return " ".join(part for part in (str(decision.get("layer", "")), name) if part)


def resource(entry: Entry) -> str:
    """What it was done to: the decision's resource, else the parameter that names it."""
    decided = str(entry.decision.get("resource", ""))
    if decided and decided != "*":
        return decided
    parameters = entry.parameters
    if "Bucket" in parameters or "BucketName" in parameters:
        bucket = parameters.get("Bucket") or parameters.get("BucketName")
        return f"s3://{bucket}/{parameters.get('Key') or parameters.get('Prefix') or ''}"
    named = [
        str(value) for key, value in parameters.items() if key.endswith(("Arn", "Name")) and isinstance(value, str)
    ]
    own = [value for value in named if ":role/" not in value]
    return own[0] if own else decided


def who_approved(entries: Iterable[Entry], package_arn: str, *, run: str = "") -> dict[str, Any]:
    """Every decision about a model package, the one that holds, and refused attempts at one.

    What was announced with a decision is believed only of the event that the decision names, when the trail shows that
    the deciding session itself has published it before, as the approver; times that an event claims are not looked at.

    Args:
        entries: The trail.
        package_arn: ARN of the package; its account and region are not compared, its group and version are.
        run: Id of the pipeline execution that registered it, where known: a step's call is found by it.
    """
    name = package_arn.rsplit(":", 1)[-1]
    decisions, attempts, registered = [], [], None
    told: dict[str, _Announced] = {}
    for entry in entries:
        if (entry.service, entry.operation) == ("events", "PutEvents"):
            for event_id, kind, detail in _announcements(entry, name):
                if entry.error or kind == approvals.EVENT_REFUSED:
                    attempts.append(_attempt(entry, name, detail))
                elif kind == approvals.EVENT_DECISION and event_id:
                    told[event_id] = _Announced(entry, detail)
        elif entry.service != "sagemaker":
            continue
        elif entry.operation == "CreateModelPackage":
            registered = row(entry) if _registers(entry, name, run) else registered
        elif not _decides(entry, name):
            continue
        elif entry.error:
            attempts.append(row(entry))
        else:
            decisions.append(_decision(entry, told))
    approved = [number for number, one in enumerate(decisions) if one["decision"] == "Approved"]
    last = approved[-1] if approved else None
    return {
        "package": name.removeprefix("model-package/"),
        "holds": decisions[-1]["decision"] if decisions else "",
        "approval": None if last is None else decisions[last],
        "later": [] if last is None else decisions[last + 1 :],
        "earlier": decisions if last is None else decisions[:last],
        "refused": attempts,
        "registered": registered,
    }


def people(approval: Mapping[str, Any] | None, registrant_arn: str, trainer_arn: str) -> dict[str, Any]:
    """Whether the persons behind a model are different ones; sessions of jobs and pipelines name nobody."""
    approver = str(approval["user"]) if approval else ""
    others = {"registrant": registrant_arn, "trainer": trainer_arn}
    named = {
        deed: who.user
        for deed, who in ((deed, approvals.person_of(arn)) for deed, arn in others.items() if arn)
        if not who.is_service
    }
    same = [deed for deed, name in named.items() if name.casefold() == approver.casefold()]
    count = len({name.casefold() for name in (approver, *named.values())})
    if not approver:
        verdict = "not approved"
    elif same:
        verdict = f"{approvals.ONE_PERSON}: {approver} is also {' and '.join(same)}"
    else:
        verdict = f"{count} persons" if named else "nobody but the approver is known"
    return {"approver": approver, **named, "verdict": verdict}


def activity(entries: Iterable[Entry], user: str) -> dict[str, Any]:
    """What a person did by day and session (role and machine): reads counted, changes and denials listed."""
    days: dict[str, dict[tuple[str, str], dict[str, Any]]] = {}
    for entry in entries:
        if entry.user != user:
            continue
        key = (entry.role, str(entry.details.get("host", "")))
        sessions = days.setdefault(entry.time.astimezone(UTC).date().isoformat(), {})
        session = sessions.setdefault(key, _session(*key, entry))
        session["last"] = max(session["last"], entry.time)
        session["processes"].update({str(entry.details["pid"])} if "pid" in entry.details else ())
        if entry.denied:
            session["denied"].append(row(entry))
        elif entry.read_only:
            session["reads"][entry.action] += 1
        else:
            session["changes"].append(row(entry))
    every = [session for sessions in days.values() for session in sessions.values()]
    return {
        "user": user,
        "days": [
            {"day": day, "sessions": [_counted(one) for one in sessions.values()]} for day, sessions in days.items()
        ],
        "reads": sum(sum(session["reads"].values()) for session in every),
        "changes": sum(len(session["changes"]) for session in every),
        "denied": sum(len(session["denied"]) for session in every),
    }


def access_changes(entries: Iterable[Entry]) -> list[dict[str, Any]]:
    """Every change of access that was recorded, with what was added, removed or changed for which role."""
    return [
        {
            "sequence": entry.sequence,
            "time": entry.time,
            "seen_with": entry.details.get("seen_with", ""),
            "host": entry.details.get("host", ""),
            "old": str(entry.parameters.get("Old") or ""),
            "new": str(entry.parameters.get("New") or ""),
            "first": not entry.parameters.get("Old"),
            "roles": [str(role) for role in _list(entry.parameters.get("Roles"))],
            "changes": [one for one in _list(entry.parameters.get("Changes")) if isinstance(one, dict)],
        }
        for entry in entries
        if (entry.service, entry.operation) == ACCESS_CHANGED
    ]


def _registers(entry: Entry, name: str, run: str) -> bool:
    """Whether the call made this version: by its answer, or as the step of the run that did."""
    if entry.error:
        return False
    made = str(entry.parameters.get("ModelPackageArn", ""))
    group = str(entry.parameters.get("ModelPackageGroupName", "")).rsplit("/", 1)[-1]
    return made.endswith(f":{name}") or bool(run and _run(entry) == run and name.split("/")[1:2] == [group])


def _decides(entry: Entry, name: str) -> bool:
    """Whether the call decides about this package, or tries to."""
    asked = entry.parameters
    return (
        entry.operation == "UpdateModelPackage"
        and str(asked.get("ModelPackageArn", "")).endswith(f":{name}")
        and asked.get("ModelApprovalStatus") in _DECISIONS
    )


@dataclass(frozen=True)
class _Announced:
    """A published decision: the call that published it, and what it says."""

    entry: Entry
    detail: Mapping[str, Any]

    def belongs_to(self, decision: Entry) -> bool:
        """Whether the session that decided has announced it, before it did, as the approver."""
        own = self.entry.caller == decision.caller and self.entry.role == _APPROVER
        return own and self.entry.time <= decision.time


def _announcements(entry: Entry, name: str) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """Id, kind and content of each event about a decision on this package that the call publishes."""
    ids = _list(entry.parameters.get("EventIds"))
    for number, event in enumerate(_list(entry.parameters.get("Entries"))):
        if not isinstance(event, dict) or event.get("Source") != approvals.EVENT_SOURCE:
            continue
        if any(str(arn).endswith(f":{name}") for arn in _list(event.get("Resources"))):
            try:
                detail = json.loads(event.get("Detail", ""))
            except (TypeError, ValueError, RecursionError):  # so long that the trail keeps its digest only, or hostile
                detail = {}
            event_id = str(ids[number]) if number < len(ids) else ""
            yield event_id, str(event.get("DetailType", "")), _mapping(detail)


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _attempt(entry: Entry, name: str, detail: Mapping[str, Any]) -> dict[str, Any]:
    """An attempt that the rules of approvals refused before the account was asked."""
    objections = [str(one) for one in _list(detail.get("objections"))]
    return {
        **row(entry),
        "action": f"models {detail.get('decision', 'decide')}",
        "resource": name,
        "outcome": "denied" if entry.denied else "refused",
        "statement": "; ".join(objections) or statement(entry),
    }


def _decision(entry: Entry, told: dict[str, _Announced]) -> dict[str, Any]:
    parameters = entry.parameters
    metadata = _mapping(parameters.get("CustomerMetadataProperties"))
    stage = _mapping(parameters.get("ModelLifeCycle"))
    found = told.pop(str(metadata.get("approval_event", "")), None)  # an event is of one decision
    believed = found is not None and found.belongs_to(entry)
    announced: Mapping[str, Any] = found.detail if found is not None and believed else {}
    kept = {name: metadata[key] for key, name in _EVIDENCE.items() if key in metadata}
    return {
        "decision": parameters["ModelApprovalStatus"],
        "user": entry.user,
        "role": entry.role,
        "caller": entry.caller,
        "time": entry.time,
        "reason": parameters.get("ApprovalDescription", ""),
        "stage": "/".join(str(stage[key]) for key in ("Stage", "StageStatus") if key in stage),
        "approval_event": metadata.get("approval_event", ""),
        "announced": _announced_words(found, believed=believed),
        "evidence": {**_mapping(announced.get("evidence")), **kept},
        "gates": _mapping(announced.get("gates")),
        "people": metadata.get("approval_people", ""),
        "statement": statement(entry),
        "sequence": entry.sequence,
        "event_id": entry.event_id,
        "request_id": entry.request_id,
        "hash": entry.hash,
    }


def _announced_words(found: _Announced | None, *, believed: bool) -> str:
    if found is None:
        return "no such event is in the trail"
    if not believed:
        return (
            f"entry {found.entry.sequence} by {found.entry.caller.rsplit(':', 1)[-1]}: not by who decided, not believed"
        )
    return f"entry {found.entry.sequence}"


def _session(role: str, host: str, entry: Entry) -> dict[str, Any]:
    return {
        "role": role,
        "host": host,
        "first": entry.time,
        "last": entry.time,
        "processes": set(),
        "reads": Counter(),
        "changes": [],
        "denied": [],
    }


def _counted(session: dict[str, Any]) -> dict[str, Any]:
    return {**session, "reads": dict(session["reads"].most_common()), "processes": len(session["processes"])}


def _action_fits(pattern: str, entry: Entry) -> bool:
    """The operation's own name or the action that was decided: policies call ListObjectsV2 ``s3:ListBucket``."""
    wanted = pattern.lower() if ":" in pattern else f"*:{pattern.lower()}"
    names = (entry.action, str(entry.decision.get("action", "")))
    return any(fnmatch.fnmatchcase(name.lower(), wanted) for name in names if name)


def _names(entry: Entry) -> str:
    return f"{resource(entry)} {json.dumps(entry.parameters, ensure_ascii=False, default=str)}"


def _run(entry: Entry) -> str:
    return str(entry.details.get("run", "")).rsplit("/", 1)[-1]
