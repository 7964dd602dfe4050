"""CloudWatch Logs: what jobs and endpoints wrote, read from the files they write to.

A group is a kind of thing, a stream one of them: ``/aws/sagemaker/TrainingJobs``, ``<job>/algo-1``. Nothing is
copied: events are the lines of ``log.txt``, numbered by their place. Times come from the line where it begins with one,
else from the line before, else from the file.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any

from overflight.account.local.account import LocalAccount
from overflight.account.local.store import Resource
from overflight.account.local.wire import AwsError, Call, operation

_FOLDERS = MappingProxyType(
    {
        "/aws/sagemaker/ProcessingJobs": ("jobs", "processing-job"),
        "/aws/sagemaker/TrainingJobs": ("jobs", "training-job"),
        "/aws/sagemaker/Endpoints": ("endpoints", "endpoint"),
    }
)
_HOST = "algo-1"
_ENDED = ("Completed", "Failed", "Stopped")
_TIME = re.compile(r"^(\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d{1,6})?(?:Z|[+-]\d\d:?\d\d)?)")
_MOST_EVENTS = 10_000
_LARGEST_ANSWER_BYTES = 1024 * 1024


@dataclass(frozen=True)
class _Stream:
    group: str
    name: str
    path: Path
    created_ms: int
    ended: bool

    def modified_ms(self) -> int:
        """Time of the last write in milliseconds since 1970."""
        return self.path.stat().st_mtime_ns // 1_000_000


@dataclass(frozen=True)
class _Line:
    """One event: its place in the stream (0, 1, ...), time in milliseconds since 1970, text without line end."""

    number: int
    time_ms: int
    text: str


@operation("logs", "DescribeLogGroups", transactional=False)
def describe_log_groups(call: Call) -> dict[str, Any]:
    """The groups there are."""
    prefix = call.params.get("logGroupNamePrefix", "")
    groups = [name for name in sorted(_FOLDERS) if name.startswith(prefix)]
    return {"logGroups": [{"logGroupName": name, "arn": _arn(call, name)} for name in groups]}


@operation("logs", "DescribeLogStreams", transactional=False)
def describe_log_streams(call: Call) -> dict[str, Any]:
    """Streams of a group by name or by last event, in pages."""
    params = call.params
    prefix = params.get("logStreamNamePrefix", "")
    streams = [stream for stream in _streams(call) if stream.name.startswith(prefix)]
    if params.get("orderBy") == "LastEventTime":
        if prefix:
            raise AwsError("InvalidParameterException", "Cannot order by LastEventTime with a logStreamNamePrefix.")
        streams.sort(key=lambda stream: (stream.modified_ms(), stream.name))
    if params.get("descending"):
        streams.reverse()
    start, limit = _offset(params.get("nextToken")), params.get("limit", 50)
    page = streams[start : start + limit]
    response: dict[str, Any] = {"logStreams": [_described(call, stream) for stream in page]}
    if start + limit < len(streams):
        response["nextToken"] = _token("s", start + limit)
    return response


@operation("logs", "GetLogEvents", transactional=False)
def get_log_events(call: Call) -> dict[str, Any]:
    """Lines of one stream. At the end (or begin) the token that was given comes back, as in AWS."""
    stream = _stream(call, call.params["logStreamName"])
    lines = list(_within(call, _lines(stream)))
    limit = min(call.params.get("limit", _MOST_EVENTS), _MOST_EVENTS)
    token = call.params.get("nextToken")
    if token is None:
        first = 0 if call.params.get("startFromHead") else max(0, len(lines) - limit)
        chosen = _fitting(lines[first : first + limit])
    elif token.startswith("f"):
        first = min(_offset(token), len(lines))
        chosen = _fitting(lines[first : first + limit])
    else:
        end = min(_offset(token), len(lines))
        first = max(0, end - limit)
        chosen = lines[first:end]
    now_ms = int(call.account.clock().timestamp() * 1000)
    return {
        "events": [{"timestamp": line.time_ms, "message": line.text, "ingestionTime": now_ms} for line in chosen],
        "nextForwardToken": _token("f", first + len(chosen)),
        "nextBackwardToken": _token("b", first),
    }


@operation("logs", "FilterLogEvents", transactional=False)
def filter_log_events(call: Call) -> dict[str, Any]:
    """Lines of some or all streams of a group that contain every word of the pattern, by time."""
    params = call.params
    names, prefix = params.get("logStreamNames"), params.get("logStreamNamePrefix", "")
    if names and prefix:
        raise AwsError("InvalidParameterException", "logStreamNames and logStreamNamePrefix exclude one another.")
    if names:
        streams = [_stream(call, name) for name in names]
    else:
        streams = [stream for stream in _streams(call) if stream.name.startswith(prefix)]
    matches = _matcher(params.get("filterPattern", ""))
    found = [
        (line.time_ms, stream.name, line.number, line.text)
        for stream in streams
        for line in _within(call, _lines(stream))
        if matches(line.text)
    ]
    found.sort()
    start, limit = _offset(params.get("nextToken")), min(params.get("limit", _MOST_EVENTS), _MOST_EVENTS)
    now_ms = int(call.account.clock().timestamp() * 1000)
    response: dict[str, Any] = {
        "events": [
            {
                "logStreamName": name,
                "timestamp": time_ms,
                "message": text,
                "ingestionTime": now_ms,
                "eventId": f"{time_ms:015d}-{name}-{number}",
            }
            for time_ms, name, number, text in found[start : start + limit]
        ],
        "searchedLogStreams": [],
    }
    if start + limit < len(found):
        response["nextToken"] = _token("e", start + limit)
    return response


def _group(call: Call) -> str:
    name = call.params.get("logGroupName") or call.params.get("logGroupIdentifier", "").partition(":log-group:")[2]
    if name not in _FOLDERS:
        raise AwsError("ResourceNotFoundException", f"The specified log group does not exist: {name}")
    return str(name)


def _streams(call: Call) -> list[_Stream]:
    """Streams of the group of the call, by name."""
    group = _group(call)
    _, kind = _FOLDERS[group]
    with call.account.store.read() as transaction:
        resources = transaction.list(kind)
    streams = [
        _made(call.account, group, resource)
        for resource in resources
        if _log_path(call.account, group, resource.name).is_file()
    ]
    return sorted(streams, key=lambda stream: stream.name)


def _stream(call: Call, name: str) -> _Stream:
    group = _group(call)
    resource_name, _, host = name.rpartition("/")
    with call.account.store.read() as transaction:
        resource = transaction.get(_FOLDERS[group][1], resource_name)
    if resource is None or host != _HOST:
        raise AwsError("ResourceNotFoundException", f"The specified log stream does not exist: {name}")
    if not _log_path(call.account, group, resource.name).is_file():
        raise AwsError("ResourceNotFoundException", f"The specified log stream does not exist yet: {name}")
    return _made(call.account, group, resource)


def _made(account: LocalAccount, group: str, resource: Resource) -> _Stream:
    return _Stream(
        group=group,
        name=f"{resource.name}/{_HOST}",
        path=_log_path(account, group, resource.name),
        created_ms=int(resource.created_at.timestamp() * 1000),
        ended=resource.status in _ENDED,
    )


def _log_path(account: LocalAccount, group: str, name: str) -> Path:
    return account.home / _FOLDERS[group][0] / name / "log.txt"


def _lines(stream: _Stream) -> Iterator[_Line]:
    """The lines of the file; while its writer lives, a last line without end waits, so that no event changes later.

    Of a line that was overwritten with carriage returns (a progress bar) the last state is kept.
    """
    time_ms = stream.modified_ms()
    with stream.path.open("rb") as handle:
        for number, raw in enumerate(handle):
            if not raw.endswith(b"\n") and not stream.ended:
                return
            text = raw.decode("utf-8", "replace").rstrip("\r\n").rpartition("\r")[2]
            time_ms = _time_ms(text) or time_ms
            yield _Line(number, time_ms, text)


def _time_ms(text: str) -> int | None:
    match = _TIME.match(text)
    if match is None:
        return None
    try:
        moment = datetime.fromisoformat(match[1].replace(",", "."))
    except ValueError:
        return None
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)


def _within(call: Call, lines: Iterator[_Line]) -> Iterator[_Line]:
    start, end = call.params.get("startTime", 0), call.params.get("endTime")
    return (line for line in lines if line.time_ms >= start and (end is None or line.time_ms < end))


def _fitting(lines: list[_Line]) -> list[_Line]:
    """As many lines from the first as one answer holds (1 MiB), at least one."""
    total = 0
    for count, line in enumerate(lines):
        total += len(line.text.encode()) + 26
        if total > _LARGEST_ANSWER_BYTES and count:
            return lines[:count]
    return lines


def _matcher(pattern: str) -> Any:
    """Terms of CloudWatch's plain filter: all words, quoted phrases, ``?a ?b`` any of, ``-a`` none of."""
    if pattern.lstrip().startswith(("{", "[", "%")):
        raise AwsError("InvalidParameterException", "Only plain terms are supported in filterPattern (local account).")
    terms = [(sign, phrase or word) for sign, phrase, word in re.findall(r'([?-]?)(?:"([^"]*)"|(\S+))', pattern)]
    every = [term for sign, term in terms if not sign]
    some = [term for sign, term in terms if sign == "?"]
    none = [term for sign, term in terms if sign == "-"]

    def matches(text: str) -> bool:
        if any(term in text for term in none) or not all(term in text for term in every):
            return False
        return not some or bool(every) or any(term in text for term in some)

    return matches


def _described(call: Call, stream: _Stream) -> dict[str, Any]:
    lines = list(_lines(stream))
    times = {"firstEventTimestamp": lines[0].time_ms, "lastEventTimestamp": lines[-1].time_ms} if lines else {}
    return {
        "logStreamName": stream.name,
        "creationTime": stream.created_ms,
        "lastIngestionTime": stream.modified_ms(),
        "arn": f"{_arn(call, stream.group)}:log-stream:{stream.name}",
        **times,
    }


def _arn(call: Call, group: str) -> str:
    return call.account.arn("logs", f"log-group:{group}")


def _token(kind: str, offset: int) -> str:
    return f"{kind}/{base64.urlsafe_b64encode(str(offset).encode()).decode()}"


def _offset(token: str | None) -> int:
    if token is None:
        return 0
    try:
        return int(base64.urlsafe_b64decode(token[2:]))
    except ValueError as error:
        raise AwsError("InvalidParameterException", "The specified nextToken is invalid.") from error
