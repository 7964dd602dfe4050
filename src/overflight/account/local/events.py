"""The fifth stage of a call: state-change events on the bus, as rows that targets are served from.

Knows how to write and read events in EventBridge's form; not which rules or targets there are.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from overflight.account.local import tables
from overflight.account.local.store import Transaction, time_text, to_json

DEFAULT_BUS = "default"


@dataclass(frozen=True)
class Event:
    """One event on the bus; ``sequence`` grows in the order of commits, ``time`` is aware UTC."""

    sequence: int
    event_id: str
    time: datetime
    bus: str
    source: str
    detail_type: str
    resources: list[str]
    detail: dict[str, Any]


def publish(
    transaction: Transaction,
    *,
    time: datetime,
    source: str,
    detail_type: str,
    detail: dict[str, Any],
    resources: Sequence[str] = (),
    bus: str = DEFAULT_BUS,
) -> str:
    """Put an event on the bus in the transaction of the change it reports; returns its id."""
    event_id = str(uuid.uuid4())
    row = {
        "event_id": event_id,
        "time": time_text(time),
        "bus": bus,
        "source": source,
        "detail_type": detail_type,
        "resources": to_json(list(resources)),
        "detail": to_json(detail),
    }
    transaction.connection.execute(_PUBLISH, row)
    return event_id


def after(transaction: Transaction, sequence: int, *, limit: int = 100) -> list[Event]:
    """Events with a sequence number above ``sequence``, oldest first."""
    table = tables.events
    found = sa.select(table).where(table.c.sequence > sequence).order_by(table.c.sequence).limit(limit)
    return [
        Event(
            **{
                **row._mapping,
                "time": datetime.fromisoformat(row.time),
                "resources": json.loads(row.resources),
                "detail": json.loads(row.detail),
            }
        )
        for row in transaction.connection.execute(found)
    ]


_PUBLISH = sa.insert(tables.events)
