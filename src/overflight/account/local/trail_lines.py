"""Lines of an exported trail as rows, whatever is in them.

Two ways: a line as ``overflight trail export`` writes it is cut where its members are, without parsing them; any other
line is parsed. Cutting decides nothing: the hash of an entry fits only when each piece is what was sealed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import IO, Any

from overflight.account.local import trail
from overflight.account.local.chain import COLUMNS, Row
from overflight.files import canonical_json

JSON_COLUMNS = ("parameters", "details")
_LONGEST_LINE_BYTES = 16 * 1024 * 1024  # longer texts than 16 KiB are never in an entry, only their digests
_TEXT = r'("[^"\\\x00-\x1f]*+(?:\\.[^"\\\x00-\x1f]*+)*+")'
_HASH = '"([0-9a-f]{64})"'
_HEAD = re.compile(rf'\{{"caller":{_TEXT},(?:"details":(?=\{{))?')
_MIDDLE = re.compile(
    rf'"error":{_TEXT},(?:"event_id":{_TEXT},)?"hash":{_HASH},"message":{_TEXT},"operation":{_TEXT},"parameters":(?=\{{)'
)
_TAIL = re.compile(
    rf',"prev_hash":{_HASH},"read_only":(true|false),"request_id":{_TEXT},"sequence":([1-9][0-9]{{0,17}}),'
    rf'"service":{_TEXT},"time":{_TEXT}\}}'
)
_AFTER_DETAILS, _AFTER_PARAMETERS = '},"error":"', '},"prev_hash":"'
_NOTHING: Row = (None,) * len(COLUMNS)


def file_rows(handle: IO[bytes]) -> Iterator[Row]:
    """One row for each line; of a line that is no entry, a row of nothing. Holds one line, of a bounded length."""
    while line := handle.readline(_LONGEST_LINE_BYTES):
        if len(line) == _LONGEST_LINE_BYTES and not line.endswith(b"\n"):
            while line and not line.endswith(b"\n"):
                line = handle.readline(_LONGEST_LINE_BYTES)
            yield _NOTHING
            continue
        text = line.decode(errors="surrogateescape").removesuffix("\n")
        yield cut(text) or parsed(text)


def cut(line: str) -> Row | None:
    """The row of a line that is written like ours; None when it is not, or not for certain."""
    head = _HEAD.match(line)
    if head is None or line.count('"parameters":{') != 1:
        return None
    begin = end = head.end()
    if line[begin] == "{":
        end = line.find(_AFTER_DETAILS, begin) + 1
        if end == 0:
            return None
    middle = _MIDDLE.match(line, end + 1 if end > begin else begin)
    stop = line.rfind(_AFTER_PARAMETERS) + 1
    tail = _TAIL.fullmatch(line, stop)
    if middle is None or tail is None or stop <= middle.end():
        return None
    caller, (error, event_id, hash_, message, operation) = head[1], middle.groups()
    prev_hash, read_only, request_id, sequence, service, time = tail.groups()
    try:
        return (
            int(sequence),
            _plain(time),
            _plain(caller),
            _plain(service),
            _plain(operation),
            read_only == "true",
            _plain(request_id),
            line[middle.end() : stop],
            _plain(error),
            _plain(message),
            line[begin:end],
            _plain(event_id) if event_id else "",
            prev_hash,
            hash_,
        )
    except ValueError:
        return None


def parsed(line: str) -> Row:
    """The row of any line."""
    try:
        entry = json.loads(line, object_pairs_hook=_object)
        if not entry.keys() <= set(COLUMNS) or type(entry["read_only"]) is not bool:
            return _NOTHING
        for name in JSON_COLUMNS:
            if isinstance(entry.get(name), dict):
                entry[name] = canonical_json(entry[name])
        return tuple(entry.get(name, "" if name in trail.LATER else None) for name in COLUMNS)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):  # no entry any more: no hash fits it
        return _NOTHING


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        raise ValueError("a member is there twice: each reader could take another one")
    return made


def _plain(literal: str) -> str:
    return str(json.loads(literal)) if "\\" in literal else literal[1:-1]
