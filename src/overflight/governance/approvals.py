"""Rules of an approval: who may decide, on which evidence, how the decision is recorded and when it expires.

Pure: facts in, sentences out. Knows neither accounts nor how the facts are found (``governance.evidence``), and not
what the account itself allows; these rules say what no policy language can. Limits of the texts are those of
SageMaker's ``UpdateModelPackage`` (API reference: CustomerMetadataProperties, ApprovalDescription, ModelLifeCycle).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import Any, Literal

from overflight.errors import UsageError
from overflight.settings import PREFIX

FourEyes = Literal["persons", "roles"]
Verdict = Literal["approve", "reject", "revoke"]

OWNER = "administrator"
EXECUTION_ROLES = frozenset({"prepare", "experiment", "train", "evaluate", "register", "deploy", "serve", "watch"})
EVENT_SOURCE = "overflight.governance"
EVENT_DECISION = "Model Approval Decision"
EVENT_REFUSED = "Model Approval Refused"
ONE_PERSON = "one person in several roles"
BY_HAND = "what was registered by hand cannot be approved: train and register it with `overflight run train`"
LEAST_REASON_CHARS = 10  # "ok" and "fine" tell nobody later what was looked at
MOST_REASON_CHARS = 960  # with the event's id in a description of 1024
_METADATA_CHARS = 256
_NOT_IN_METADATA = re.compile(r"[^\w .:/=+\-@]")
_DIGITS = 12  # of a digest in a sentence
# Where only jobs of the training pipeline write, by their roles and by the bucket's policy (infra/templates).
_TRAINED = re.compile(r"s3://[^/]+/runs/[^/]+/train/.+")
_MEASURED = re.compile(r"s3://[^/]+/runs/[^/]+/evaluate/.+")

# Status of the package, stage and stage status for each verdict; the words are those of AWS's stage templates.
_STATES: Mapping[Verdict, tuple[str, str, str]] = MappingProxyType(
    {
        "approve": ("Approved", "Production", "Approved"),
        "reject": ("Rejected", "Development", "Rejected"),
        "revoke": ("Rejected", "Archived", "Retired"),
    }
)


@dataclass(frozen=True)
class Person:
    """Somebody who called: ``role`` is the short name (``approver``), "" for a user without one; ``user`` the human."""

    arn: str
    role: str
    user: str

    @property
    def is_service(self) -> bool:
        """Whether a job or pipeline acted, in a session that names nobody."""
        return self.role in EXECUTION_ROLES

    def __str__(self) -> str:
        """``data-scientist/anna``."""
        return f"{self.role}/{self.user}" if self.role else self.user


@dataclass(frozen=True)
class Parties:
    """Who did what with one package.

    ``deployer`` is known only when it is deployed; ``unknown_runs`` are runs that made it and nobody is known to have
    started.
    """

    approver: Person
    registrant: Person | None
    trainers: tuple[Person, ...]
    deployer: Person | None = None
    unknown_runs: tuple[str, ...] = ()

    def others(self) -> list[tuple[str, Person]]:
        """Everybody but the approver, with what they did."""
        found = [("trained", one) for one in self.trainers]
        found += [("registered", self.registrant)] if self.registrant else []
        return found + ([("deploys", self.deployer)] if self.deployer else [])


@dataclass(frozen=True)
class Evidence:
    """What a decision rests on; a part that could not be found is "".

    Attributes:
        artefact_uri: ``model.tar.gz`` of the package.
        artefact_sha256: SHA-256 of its bytes.
        model_sha256: SHA-256 of ``model.json`` in it, which names every file of the model.
        image: Image of the package's container.
        container_sha256: SHA-256 of everything in the package that decides what is served (``governance.containers``).
        survey_uri: Survey version that the run was started with.
        survey_digest: Digest of that survey, computed anew from its manifest and classes.
        metrics_uri: ``evaluation.json`` that the package points to.
        metrics_sha256: SHA-256 of its bytes.
        measured_sha256: The model that was measured, as the evaluation names it.
        evaluation_uri: Folder of the evaluation.
        execution_arn: Execution that the package names.
        definition_sha256: SHA-256 of the definition that the execution ran.
        reused_from: Executions whose artefact or metrics it took over.
        unexplained: What of the package that execution does not answer for, in sentences.
        map50: Measured mAP50 (0..1), None when there is no figure.
        min_map50: mAP50 that the gate of the run asked for, None when it asked for none.
        gate: What the gate decided, None when it left no decision.
    """

    artefact_uri: str = ""
    artefact_sha256: str = ""
    model_sha256: str = ""
    image: str = ""
    container_sha256: str = ""
    survey_uri: str = ""
    survey_digest: str = ""
    metrics_uri: str = ""
    metrics_sha256: str = ""
    measured_sha256: str = ""
    evaluation_uri: str = ""
    execution_arn: str = ""
    definition_sha256: str = ""
    reused_from: tuple[str, ...] = ()
    unexplained: tuple[str, ...] = ()
    map50: float | None = None
    min_map50: float | None = None
    gate: bool | None = None

    @property
    def survey(self) -> str:
        """``<address>@<digest>`` of the survey, as it is recorded."""
        return f"{self.survey_uri}@{self.survey_digest}" if self.survey_digest else ""

    def as_dict(self) -> dict[str, Any]:
        """For events and ``--json``."""
        return asdict(self)


@dataclass(frozen=True)
class Record:
    """An approval as it stands in the package's metadata; a missing entry is ""."""

    event: str = ""
    approved_by: str = ""
    artefact_sha256: str = ""
    survey: str = ""
    metrics_sha256: str = ""
    people: str = ""
    container_sha256: str = ""


def four_eyes_mode(*, platform: str, asked: FourEyes | None) -> FourEyes:
    """Whether an approval asks for another person; on AWS always, on one machine only when it is asked for."""
    return "persons" if platform == "aws" else asked or "roles"


def person_of(arn: str) -> Person:
    """Role and human of an ARN as STS or SageMaker's UserContext gives it; the account's root user is its owner."""
    resource = arn.rsplit(":", 1)[-1]
    kind, *rest = resource.split("/")
    if kind == "root":
        return Person(arn, OWNER, "root")
    role = rest[-2 if len(rest) > 1 else 0] if kind in {"assumed-role", "role"} and rest else ""
    return Person(arn, role.removeprefix(f"{PREFIX}-"), rest[-1] if rest else resource)


def objections(parties: Parties, *, mode: FourEyes) -> list[str]:
    """Why this approver may not approve (or may not have approved) this package; empty when nothing speaks against it.

    In mode ``roles`` the same human may have played several roles, in ``persons`` nobody may be met twice.
    """
    approver = parties.approver
    if approver.role == OWNER:
        return ["the owner of the account (administrator) never decides about models"]
    if approver.is_service:
        return [f"the role {approver.role!r} belongs to jobs and decides about no model"]
    if parties.unknown_runs:
        return [f"it is not known who started the run {run}, which made it" for run in parties.unknown_runs]
    met = [(deed, who) for deed, who in parties.others() if who.arn and _same(approver, who, mode)]
    if mode == "roles":
        return [f"the role {who.role or who.user!r} {deed} it and may not approve it" for deed, who in met]
    return [f"{who.user!r} {deed} it (as {who.role or 'a user'}) and may not approve it" for deed, who in met]


def one_person(parties: Parties) -> bool:
    """Whether the approver is, under another role, also somebody who trained, registered or deploys it."""
    return any(_same(parties.approver, who, "persons") for _, who in parties.others() if who.arn)


def people_text(parties: Parties) -> str:
    """Everybody in one line for metadata: ``trained=data-scientist/anna approved=approver/ben``."""
    named = [f"{deed}={who}" for deed, who in parties.others() if who.arn]
    return metadata_text(" ".join([*named, f"approved={parties.approver}"] + [ONE_PERSON] * one_person(parties)))


def gaps(evidence: Evidence) -> list[str]:
    """What an approval would need to rest on and what is not there.

    Addresses are what whoever registered the package wrote: evidence counts only where nobody but the pipeline's jobs
    can have put it, the gate's decision only beside the evaluation it decided on, and all of it only for the package
    that the run itself registered.
    """
    needed = (
        (evidence.artefact_sha256, "the artefact cannot be read"),
        (evidence.container_sha256, "it has no container"),
        (evidence.survey_digest, "the survey it was trained on cannot be read"),
        (evidence.metrics_sha256, "there is no evaluation.json"),
        (evidence.execution_arn, f"no run of the training pipeline made it; {BY_HAND}"),
    )
    found = [sentence for value, sentence in needed if not value]
    if evidence.artefact_sha256 and not _TRAINED.fullmatch(evidence.artefact_uri):
        found.append(f"the artefact lies where trainings of the pipeline do not write ({evidence.artefact_uri})")
    if evidence.metrics_sha256 and not _MEASURED.fullmatch(evidence.metrics_uri):
        found.append(f"the metrics lie where evaluations of the pipeline do not write ({evidence.metrics_uri})")
    if evidence.metrics_sha256 and evidence.evaluation_uri.rstrip("/") != evidence.metrics_uri.rpartition("/")[0]:
        found.append("the gate's decision is taken from another evaluation than the metrics")
    return found + list(evidence.unexplained)


def failed_gates(evidence: Evidence) -> list[str]:
    """Gates that do not stand: of accuracy, and that the model that was measured is the one in the artefact."""
    found = []
    if evidence.map50 is None:
        found.append("the evaluation has no mAP50")
    elif evidence.min_map50 is not None and evidence.map50 < evidence.min_map50:
        found.append(f"mAP50 {evidence.map50:.3f} is below the required {evidence.min_map50:g}")
    if not evidence.gate:
        found.append("the gate of the evaluation " + ("left no decision" if evidence.gate is None else "refused it"))
    if evidence.artefact_sha256 and evidence.measured_sha256 != evidence.model_sha256:
        found.append("the evaluation measured another model than the one in the artefact")
    return found


def expired(record: Record, evidence: Evidence) -> list[str]:
    """What is not any more what was approved; empty while the approval holds."""
    if not record.event or not record.approved_by:
        return ["there is no record of the approval: no event, or nobody who approved"]
    pairs = (
        ("artefact", record.artefact_sha256, evidence.artefact_sha256),
        ("container", record.container_sha256, evidence.container_sha256),
        ("survey", record.survey, metadata_text(evidence.survey)),
        ("metrics file", record.metrics_sha256, evidence.metrics_sha256),
    )
    return [
        f"the {name} is not the one approved ({_short(approved)} approved, {_short(now)} now)"
        for name, approved, now in pairs
        if not approved or approved != now
    ]


def why_not_valid(
    *, status: str, record: Record, decided_by: str, evidence: Evidence, parties: Parties, mode: FourEyes
) -> list[str]:
    """Everything that keeps an approval from holding now; empty while the package may be deployed.

    Args:
        status: ModelApprovalStatus.
        record: The record in the package's metadata.
        decided_by: ARN of whoever changed the package last, as the account says.
        evidence: As it is now.
        parties: With the approver whom the record names.
        mode: Whether other persons or only other roles are asked for.
    """
    if status != "Approved":
        return [f"it is {status}, not Approved"]
    found = [f"the approval has expired: {reason}" for reason in expired(record, evidence)]
    if record.approved_by and metadata_text(decided_by) != record.approved_by:
        found.append(f"the record names {record.approved_by}, but {decided_by or 'nobody'} changed the package last")
    return found + objections(parties, mode=mode) + gaps(evidence) + failed_gates(evidence)


def check_reason(reason: str) -> str:
    """The reason on one line.

    Raises:
        UsageError: it is empty, too short to say anything, or too long for the record.
    """
    text = " ".join(reason.split())
    if not LEAST_REASON_CHARS <= len(text) <= MOST_REASON_CHARS:
        raise UsageError(
            "a decision needs a reason" if not text else f"a reason of {len(text)} characters cannot be recorded",
            where="--reason",
            cure=f"Say in {LEAST_REASON_CHARS} to {MOST_REASON_CHARS} characters what you looked at and found",
        )
    return text


def record_of(facts: Mapping[str, Any]) -> Record:
    """The record in the answer of DescribeModelPackage."""
    kept = facts.get("CustomerMetadataProperties") or {}
    return Record(
        event=kept.get("approval_event", ""),
        approved_by=kept.get("approved_by", ""),
        artefact_sha256=kept.get("approval_artefact_sha256", ""),
        survey=kept.get("approval_survey", ""),
        metrics_sha256=kept.get("approval_metrics_sha256", ""),
        people=kept.get("approval_people", ""),
        container_sha256=kept.get("approval_container_sha256", ""),
    )


def update_request(
    verdict: Verdict, *, package_arn: str, reason: str, event_id: str, evidence: Evidence, parties: Parties
) -> dict[str, Any]:
    """The UpdateModelPackage request that carries a decision: status, stage, description and record at once."""
    status, stage, stage_status = _STATES[verdict]
    metadata = {
        "approval_event": event_id,
        "approved_by": parties.approver.arn if verdict == "approve" else "",
        "approval_artefact_sha256": evidence.artefact_sha256,
        "approval_container_sha256": evidence.container_sha256,
        "approval_survey": evidence.survey,
        "approval_metrics_sha256": evidence.metrics_sha256,
        "approval_people": people_text(parties),
    }
    request: dict[str, Any] = {
        "ModelPackageArn": package_arn,
        "ModelApprovalStatus": status,
        "ApprovalDescription": f"{reason} [event {event_id}]",
        "ModelLifeCycle": {"Stage": stage, "StageStatus": stage_status, "StageDescription": reason},
        "CustomerMetadataProperties": {key: metadata_text(value) for key, value in metadata.items() if value},
    }
    if empty := sorted(key for key, value in metadata.items() if not value):
        request["CustomerMetadataPropertiesToRemove"] = empty
    return request


def status_after(verdict: Verdict) -> str:
    """ModelApprovalStatus that a verdict leads to."""
    return _STATES[verdict][0]


def metadata_text(value: str) -> str:
    """``value`` as SageMaker's metadata takes it: at most 256 characters, others than its alphabet replaced."""
    return _NOT_IN_METADATA.sub("_", value)[:_METADATA_CHARS]


def _same(one: Person, other: Person, mode: FourEyes) -> bool:
    if other.is_service:
        return one.arn == other.arn
    if mode == "roles" and one.role and other.role:
        return one.role == other.role
    return one.user.casefold() == other.user.casefold()


def _short(value: str) -> str:
    """What distinguishes two digests or addresses with digests, short enough for a sentence."""
    address, at, digest = value.rpartition("@")
    name = f"{address.rsplit('/', 2)[-2]}@" if at and address.count("/") > 1 else ""
    return f"{name}{digest[:_DIGITS]}" if value else "nothing"
