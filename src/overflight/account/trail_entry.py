"""One call in a trail, whichever account it was made in, and its forms: CloudTrail's record and back.

Pure: no file, no AWS, no SQLAlchemy. Source of the record's members: AWS CloudTrail user guide, "CloudTrail record
contents for management, data, and network activity events".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

_HOSTS = {"sagemaker-runtime": "sagemaker"}  # services whose events carry another service's name
_DATA = {("s3", None), ("sagemaker-runtime", None)}  # data events; all others are management events
_FREE = frozenset({"HyperParameters", "Environment", "CustomerMetadataProperties", "Metadata", "Tags"})
_ASSUMED = re.compile(r":assumed-role/(?P<role>[^/]+)/(?P<user>.+)$")
DENIED = re.compile(r"^(Client\.)?(AccessDenied|UnauthorizedOperation|403$)")


@dataclass(frozen=True)
class Entry:
    """One call in the trail.

    Attributes:
        sequence: 1, 2, 3 ... without gaps; 0 for an event of CloudTrail, which numbers none.
        time: Aware, UTC.
        caller: ARN.
        service: botocore's name, for example ``sagemaker``.
        operation: For example ``CreateModelPackage``.
        read_only: Whether the operation cannot change anything.
        request_id: The one in the response's metadata.
        parameters: What was asked, without bodies and secrets.
        error: AWS error code, or "" when it was done.
        message: The error's message, or "".
        prev_hash: Hash of the entry before, 64 hex digits; zeros for the first.
        hash: SHA-256 over the canonical JSON of all fields but itself; ``details`` and ``event_id`` only when they are
            not empty, so that entries from before these fields existed keep their hashes.
        details: Who and why beyond the call: role, user, host, process, decision, run; empty in old entries.
        event_id: UUID of version 7 (RFC 9562), made from the account's clock; "" in old entries.
    """

    sequence: int
    time: datetime
    caller: str
    service: str
    operation: str
    read_only: bool
    request_id: str
    parameters: dict[str, Any]
    error: str
    message: str
    prev_hash: str
    hash: str
    details: dict[str, Any] = field(default_factory=dict)
    event_id: str = ""

    @property
    def role(self) -> str:
        """Role without Overflight's prefix, ``approver``; "" when the caller is no role."""
        return str(self.details.get("role") or role_and_user(self.caller)[0].removeprefix("overflight-"))

    @property
    def user(self) -> str:
        """Name of the role session: the person, or what acted for one."""
        return str(self.details.get("user") or role_and_user(self.caller)[1])

    @property
    def denied(self) -> bool:
        """Whether it was not allowed."""
        return bool(DENIED.match(self.error)) or str(self.decision.get("outcome", "allow")) != "allow"

    @property
    def decision(self) -> Mapping[str, Any]:
        """What the authoriser said: outcome, layer, policy, sid, action, resource; empty where it was not recorded."""
        found = self.details.get("decision")
        return found if isinstance(found, dict) else {}

    @property
    def action(self) -> str:
        """``service:operation`` as policies name it, for example ``sagemaker:InvokeEndpoint``."""
        return f"{_HOSTS.get(self.service, self.service)}:{self.operation}"


def role_and_user(arn: str) -> tuple[str, str]:
    """Role's full name and session's name of the ARN of an assumed role; of another ARN "" and its last part."""
    found = _ASSUMED.search(arn)
    return (found["role"], found["user"]) if found else ("", arn.rsplit("/", 1)[-1].rsplit(":", 1)[-1])


def to_record(entry: Entry, *, account_id: str, region: str) -> dict[str, Any]:
    """The entry as CloudTrail writes events; what CloudTrail does not know is in ``additionalEventData``."""
    role, user = role_and_user(entry.caller)
    issuer = {
        "type": "Role",
        "principalId": role,
        "arn": f"arn:aws:iam::{account_id}:role/{role}",
        "accountId": account_id,
        "userName": role,
    }
    identity: dict[str, Any] = {
        "type": "AssumedRole" if role else "Unknown",
        "arn": entry.caller,
        "accountId": account_id,
    }
    if role:
        identity |= {"principalId": f"{role}:{user}", "sessionContext": {"sessionIssuer": issuer, "attributes": {}}}
    data = (entry.service, None) in _DATA
    record = {
        "eventVersion": "1.11",
        "userIdentity": identity,
        "eventTime": entry.time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "eventSource": f"{_HOSTS.get(entry.service, entry.service)}.amazonaws.com",
        "eventName": entry.operation,
        "awsRegion": region,
        "sourceIPAddress": str(entry.details.get("host") or "localhost"),
        "userAgent": "overflight",
        "requestParameters": _recased(entry.parameters, str.lower) or None,
        "responseElements": None,
        "additionalEventData": {
            "sequence": entry.sequence,
            "hash": entry.hash,
            "previousHash": entry.prev_hash,
            "time": entry.time.astimezone(UTC).isoformat(timespec="microseconds"),
            "details": entry.details,
        },
        "requestID": entry.request_id,
        "eventID": entry.event_id or entry.request_id,
        "readOnly": entry.read_only,
        "eventType": "AwsApiCall",
        "managementEvent": not data,
        "recipientAccountId": account_id,
        "eventCategory": "Data" if data else "Management",
    }
    if entry.error:
        record |= {"errorCode": entry.error, "errorMessage": entry.message}
    return record


def from_record(record: Mapping[str, Any]) -> Entry:
    """An event of CloudTrail as an entry; it has no hashes, these are in CloudTrail's own digest files.

    Raises:
        KeyError, ValueError: it is no event.
    """
    source, extra = str(record["eventSource"]).split(".")[0], _object(record.get("additionalEventData"))
    given, identity = extra.get("details"), _object(record.get("userIdentity"))
    host = record.get("sourceIPAddress")
    return Entry(
        sequence=extra["sequence"] if type(extra.get("sequence")) is int else 0,
        time=datetime.fromisoformat(str(record["eventTime"])).astimezone(UTC),
        caller=str(identity.get("arn") or identity.get("invokedBy") or ""),
        service=source,
        operation=str(record["eventName"]),
        read_only=str(record.get("readOnly")).lower() == "true",
        request_id=str(record.get("requestID") or ""),
        parameters=_recased(_object(record.get("requestParameters")), str.upper),
        error=str(record.get("errorCode") or ""),
        message=str(record.get("errorMessage") or ""),
        prev_hash=str(extra.get("previousHash") or ""),
        hash=str(extra.get("hash") or ""),
        details=given if isinstance(given, dict) else ({"host": host} if host else {}),
        event_id=str(record.get("eventID") or ""),
    )


def _object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _recased(value: Any, case: Any) -> Any:
    """Members with their first letter in the other case; names that people choose (tags, parameters) stay."""
    if isinstance(value, Mapping):
        made = {}
        for key, item in value.items():
            name = case(key[:1]) + key[1:]
            free = key in _FREE or name in _FREE
            made[name] = item if free else _recased(item, case)
        return made
    if isinstance(value, list | tuple):
        return [_recased(item, case) for item in value]
    return value
