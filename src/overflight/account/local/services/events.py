"""EventBridge: putting events on the bus."""

from __future__ import annotations

import json
from typing import Any

from botocore.utils import parse_to_aware_datetime

from overflight.account.local.events import DEFAULT_BUS, publish
from overflight.account.local.wire import AwsError, Call, operation

_MOST_ENTRIES = 10
_LARGEST_BYTES = 256 * 1024


@operation("events", "PutEvents")
def put_events(call: Call) -> dict[str, Any]:
    """Publish up to ten events; each that cannot be published is answered with its error, the others go out."""
    entries = call.params["Entries"]
    if not 1 <= len(entries) <= _MOST_ENTRIES:
        raise AwsError("ValidationException", f"Member must have length between 1 and {_MOST_ENTRIES}: entries")
    if sum(_size_bytes(entry) for entry in entries) > _LARGEST_BYTES:
        raise AwsError(
            "ValidationException", f"Total size of the entries in the request is over {_LARGEST_BYTES} bytes"
        )
    answers = [_put(call, entry) for entry in entries]
    call.notes["EventIds"] = [
        answer.get("EventId", "") for answer in answers
    ]  # the trail knows then who announced what
    return {"FailedEntryCount": sum("ErrorCode" in answer for answer in answers), "Entries": answers}


def _put(call: Call, entry: dict[str, Any]) -> dict[str, str]:
    for name in ("Source", "DetailType", "Detail"):
        if not entry.get(name):
            return _error("InvalidArgument", f"Parameter {name} is not valid. Reason: {name} is a required argument.")
    if entry["Source"].startswith("aws."):
        return _error("NotAuthorizedForSourceException", "Not authorized for the source.")
    if entry.get("EventBusName", DEFAULT_BUS) != DEFAULT_BUS:
        return _error("ResourceNotFoundException", f"Event bus {entry['EventBusName']} does not exist.")
    try:
        detail = json.loads(entry["Detail"], parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        detail = None
    if not isinstance(detail, dict):
        return _error("MalformedDetail", "Detail is malformed.")
    event_id = publish(
        call.transaction,
        time=parse_to_aware_datetime(entry["Time"]) if "Time" in entry else call.account.clock(),
        source=entry["Source"],
        detail_type=entry["DetailType"],
        detail=detail,
        resources=entry.get("Resources", []),
    )
    return {"EventId": event_id}


def _size_bytes(entry: dict[str, Any]) -> int:
    """AWS's sum: 14 bytes for a given time, and the UTF-8 of source, type, detail and resources."""
    texts = [entry.get(name, "") for name in ("Source", "DetailType", "Detail")] + list(entry.get("Resources", []))
    return (14 if "Time" in entry else 0) + sum(len(text.encode()) for text in texts)


def _error(code: str, message: str) -> dict[str, str]:
    return {"ErrorCode": code, "ErrorMessage": message}


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")
