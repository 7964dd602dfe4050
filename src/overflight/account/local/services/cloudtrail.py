"""CloudTrail: looking up what was called; the local account's trail in CloudTrail's form."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from overflight.account.local import tables, trail
from overflight.account.local.store import time_text
from overflight.account.local.wire import AwsError, Call, operation
from overflight.account.trail_entry import Entry, to_record

_PAGE = 50
_TOKEN_DIGITS = 19  # fewer fit the numbers of SQLite
_COLUMNS = {
    "EventId": tables.trail.c.event_id,
    "EventName": tables.trail.c.operation,
}


@operation("cloudtrail", "LookupEvents")
def lookup_events(call: Call) -> dict[str, Any]:
    """Newest first; at most one attribute, as CloudTrail has it. Events are there as long as the account is."""
    params, table = call.params, tables.trail
    size = params.get("MaxResults", _PAGE)
    if not 1 <= size <= _PAGE:
        raise AwsError("InvalidMaxResultsException", f"MaxResults must be from 1 to {_PAGE}.")
    attributes = params.get("LookupAttributes") or []
    if len(attributes) > 1:
        raise AwsError("InvalidLookupAttributesException", "Only one lookup attribute can be given.")
    found = sa.select(table.c.sequence).order_by(table.c.sequence.desc())
    for attribute in attributes:
        found = _where(found, attribute["AttributeKey"], attribute["AttributeValue"])
    if "StartTime" in params:
        found = found.where(table.c.time >= _time(params["StartTime"]))
    if "EndTime" in params:
        found = found.where(table.c.time <= _time(params["EndTime"]))
    if params.get("NextToken"):
        found = found.where(table.c.sequence < _token(params["NextToken"]))
    numbers = [row[0] for row in call.transaction.connection.execute(found.limit(size + 1))]
    entries = [trail.entries(call.transaction, after=number - 1, limit=1)[0] for number in numbers[:size]]
    answer: dict[str, Any] = {"Events": [_event(call, entry) for entry in entries]}
    if len(numbers) > size:
        answer["NextToken"] = str(numbers[size - 1])
    return answer


def _where(found: sa.Select[Any], key: str, value: str) -> sa.Select[Any]:
    table = tables.trail
    if key in _COLUMNS:
        return found.where(_COLUMNS[key] == value)
    if key == "ReadOnly":
        return found.where(table.c.read_only.is_(value == "true"))
    if key == "EventSource":
        return found.where(table.c.service == value.removesuffix(".amazonaws.com"))
    if key == "Username":
        return found.where(table.c.caller.endswith(f"/{value}", autoescape=True))
    if key == "ResourceName":
        return found.where(table.c.parameters.contains(value, autoescape=True))
    raise AwsError("InvalidLookupAttributesException", f"The local account does not look up by {key}.")


def _event(call: Call, entry: Entry) -> dict[str, Any]:
    record = to_record(entry, account_id=call.account.account_id, region=call.account.region)
    return {
        "EventId": record["eventID"],
        "EventName": entry.operation,
        "ReadOnly": str(entry.read_only).lower(),
        "EventTime": entry.time,
        "EventSource": record["eventSource"],
        "Username": entry.user,
        "Resources": [],
        "CloudTrailEvent": json.dumps(record, ensure_ascii=False),
    }


def _token(text: str) -> int:
    """The number of the last entry of the page before."""
    if text.isascii() and text.isdigit() and len(text) < _TOKEN_DIGITS:
        return int(text)
    raise AwsError("InvalidNextTokenException", "The NextToken is not one that was given out.")


def _time(moment: datetime) -> str:
    try:
        return time_text(moment)
    except (OverflowError, ValueError) as error:
        raise AwsError("InvalidTimeRangeException", "The time is outside of what can be looked up.") from error
