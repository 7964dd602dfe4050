"""Decisions about model packages: approve, reject, revoke, and whether an approval still holds.

Reads the evidence at the moment of the decision, announces it as an event and writes it with one UpdateModelPackage.
The rules are ``governance.approvals``; who may make these calls at all is the account's business, and its refusal is
passed on.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from overflight.account.aws_errors import in_our_words
from overflight.errors import JobError, RefusedError
from overflight.governance import approvals as rules
from overflight.governance.approvals import Evidence, FourEyes, Parties, Verdict
from overflight.governance.evidence import gather, parties_of
from overflight.lifecycle.card_facts import card_for_decision
from overflight.lifecycle.context import Context
from overflight.lifecycle.endpoints import list_endpoints
from overflight.lifecycle.models import describe_package, package_facts
from overflight.settings import Settings


def four_eyes(settings: Settings) -> FourEyes:
    """Whether an approval asks for another person here."""
    return rules.four_eyes_mode(platform=settings.platform, asked=settings.four_eyes)


def approve(context: Context, arn: str, *, reason: str) -> dict[str, Any]:
    """Approve a package in the name of the context's role, on the evidence as it is now.

    Returns:
        What :func:`describe_package` says afterwards, with ``approval`` (see :func:`approval_of`).

    Raises:
        UsageError: the reason says nothing.
        RefusedError: four eyes, missing evidence, a gate that does not stand, the account, or it is approved already.
    """
    return _decide(context, arn, "approve", reason)


def reject(context: Context, arn: str, *, reason: str) -> dict[str, Any]:
    """Reject a package that is not approved.

    Raises:
        UsageError: the reason says nothing.
        RefusedError: the account refuses, the owner asks, or the package is approved or rejected already.
    """
    return _decide(context, arn, "reject", reason)


def revoke(context: Context, arn: str, *, reason: str) -> dict[str, Any]:
    """Take an approval back; ``still_serving`` of the result names the endpoints that go on with the model.

    Raises:
        UsageError: the reason says nothing.
        RefusedError: the account refuses, the owner asks, or the package is not approved.
    """
    facts = _decide(context, arn, "revoke", reason)
    return facts | {"still_serving": [row["endpoint"] for row in list_endpoints(context) if row["package"] == arn]}


def approval_of(context: Context, arn: str) -> dict[str, Any]:
    """The decision about a package with its evidence, and whether it holds now: the artefact is read and hashed.

    Returns:
        ``valid`` and ``reasons`` (why not), ``event``, ``approved_by``, ``people``, ``evidence`` (as it is now) and
        ``approved`` (the digests that were approved).
    """
    facts = package_facts(context, arn)
    record, decided_by = rules.record_of(facts), _last_modified_by(facts)
    evidence = gather(context.client("sagemaker"), context.client("s3"), facts)
    parties = _parties(context, facts, evidence, record.approved_by)
    reasons = rules.why_not_valid(
        status=facts["ModelApprovalStatus"],
        record=record,
        decided_by=decided_by,
        evidence=evidence,
        parties=parties,
        mode=four_eyes(context.settings),
    )
    return {
        "valid": not reasons,
        "reasons": reasons,
        "event": record.event,
        "approved_by": record.approved_by,
        "people": record.people,
        "approved": {
            "artefact_sha256": record.artefact_sha256,
            "container_sha256": record.container_sha256,
            "survey": record.survey,
            "metrics_sha256": record.metrics_sha256,
        },
        "evidence": evidence.as_dict(),
    }


def _decide(context: Context, arn: str, verdict: Verdict, reason: str) -> dict[str, Any]:
    text = rules.check_reason(reason)
    facts = package_facts(context, arn)
    package = f"{facts['ModelPackageGroupName']}/{facts['ModelPackageVersion']}"
    _require_open(context, facts, verdict, package)
    caller = context.client("sts").get_caller_identity()["Arn"]
    evidence = gather(context.client("sagemaker"), context.client("s3"), facts)
    parties = _parties(context, facts, evidence, caller)
    detail = _detail(package, arn, verdict, text, evidence=evidence, parties=parties)
    if problems := _problems(verdict, evidence, parties, four_eyes(context.settings)):
        _refuse(context, package, verdict, problems, detail)
    with _passed_on(package, verdict):
        event_id = _announce(context, rules.EVENT_DECISION, arn, detail)
        request = rules.update_request(
            verdict, package_arn=arn, reason=text, event_id=event_id, evidence=evidence, parties=parties
        )
        if card := card_for_decision(context, arn, verdict=verdict, reason=text, event=event_id):
            request["ModelCard"] = card
        context.client("sagemaker").update_model_package(**request)
    return describe_package(context, arn) | {"event": event_id, "people": rules.people_text(parties)}


def _problems(verdict: Verdict, evidence: Evidence, parties: Parties, mode: FourEyes) -> list[str]:
    if verdict == "approve":
        return rules.objections(parties, mode=mode) + rules.gaps(evidence) + rules.failed_gates(evidence)
    alone = Parties(parties.approver, registrant=None, trainers=())  # who trained a model may well give it up
    return rules.objections(alone, mode=mode)


def _require_open(context: Context, facts: Mapping[str, Any], verdict: Verdict, package: str) -> None:
    status = facts["ModelApprovalStatus"]
    said = facts.get("ApprovalDescription", "")
    if verdict == "revoke" and status != "Approved":
        raise RefusedError(
            f"it is {status}, there is no approval to take back", where=package, cure="See: overflight models list"
        )
    if verdict == "reject" and status != "PendingManualApproval":
        cure = f"Take the approval back: overflight --as approver models revoke {package} --reason ..."
        raise RefusedError(
            f"it is {status.lower()} already: {said}", where=package, cure=cure if status == "Approved" else ""
        )
    if verdict == "approve" and status == "Approved" and approval_of(context, facts["ModelPackageArn"])["valid"]:
        raise RefusedError(f"it is approved already: {said}", where=package)


def _refuse(context: Context, package: str, verdict: Verdict, problems: list[str], detail: Mapping[str, Any]) -> None:
    """Announce the attempt, as far as the account lets this caller, and raise the refusal."""
    words = "; ".join(problems)
    try:
        with in_our_words(package):
            _announce(context, rules.EVENT_REFUSED, str(detail["package_arn"]), {**detail, "objections": problems})
    except RefusedError as refusal:
        words += f"; the account refuses too: {refusal.what}"
    raise RefusedError(words, where=package, cure=_ask(package, verdict))


@contextmanager
def _passed_on(package: str, verdict: Verdict) -> Iterator[None]:
    """The account's refusal in its own words, with what helps."""
    try:
        with in_our_words(package):
            yield
    except RefusedError as refusal:
        raise RefusedError(refusal.what, where=package, cure=_ask(package, verdict)) from refusal


def _ask(package: str, verdict: Verdict) -> str:
    return f"Ask an approver: overflight --as approver models {verdict} {package} --reason ..."


def _announce(context: Context, kind: str, arn: str, detail: Mapping[str, Any]) -> str:
    """Put the event on the bus; returns its id."""
    entry = {
        "Source": rules.EVENT_SOURCE,
        "DetailType": kind,
        "Detail": json.dumps(detail, allow_nan=False),
        "Resources": [arn],
    }
    answer = context.client("events").put_events(Entries=[entry])
    (told,) = answer["Entries"]
    if answer["FailedEntryCount"]:
        raise JobError(
            f"the decision could not be announced ({told.get('ErrorCode')}: {told.get('ErrorMessage')})",
            where=arn,
            cure="Nothing was decided; try again",
        )
    return str(told["EventId"])


def _detail(
    package: str, arn: str, verdict: Verdict, reason: str, *, evidence: Evidence, parties: Parties
) -> dict[str, Any]:
    others = parties.others()
    return {
        "package": package,
        "package_arn": arn,
        "decision": verdict,
        "status": rules.status_after(verdict),
        "reason": reason,
        "evidence": evidence.as_dict(),
        "gates": {"map50": evidence.map50, "min_map50": evidence.min_map50, "passed": evidence.gate},
        "people": {
            "decided": parties.approver.arn,
            "trained": [who.arn for deed, who in others if deed == "trained"],
            "registered": [who.arn for deed, who in others if deed == "registered"],
            "note": rules.ONE_PERSON if rules.one_person(parties) else "",
        },
    }


def _parties(context: Context, facts: Mapping[str, Any], evidence: Evidence, approver_arn: str) -> Parties:
    return parties_of(context.client("sagemaker"), facts, evidence, approver=rules.person_of(approver_arn))


def _last_modified_by(facts: Mapping[str, Any]) -> str:
    return str((facts.get("LastModifiedBy") or {}).get("IamIdentity", {}).get("Arn", ""))
