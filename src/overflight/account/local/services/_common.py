"""What the list and describe operations of the SageMaker services share: look-up, filters, order, pages, identity.

It does not know which resources exist nor what their answers look like; each service module maps its own shapes.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar

from botocore.utils import parse_to_aware_datetime

from overflight.account import shapes
from overflight.account.local.wire import AwsError

if TYPE_CHECKING:
    from overflight.account.local.store import Resource, Transaction

T = TypeVar("T")


def check_request(operation: str, request: Mapping[str, Any]) -> None:
    """Refuse what AWS's model of a request refuses and botocore lets through: enumerations, lengths, patterns of names.

    The wire has done so for calls of clients; this is for requests that are made inside the account.

    Raises:
        AwsError: ``ValidationException`` with all findings.
    """
    errors = [one for one in shapes.check_request("sagemaker", operation, request) if one.severity == "error"]
    if errors:
        text = "; ".join(f"{one.path}: {one.message}" for one in errors)
        count = f"{len(errors)} validation error{'s'[: len(errors) > 1]} detected"
        raise AwsError("ValidationException", f"{operation}: {count}: {text}")


def require(
    tx: Transaction, kind: str, name: str, message: str = "", *, code: str = "ValidationException", status: int = 400
) -> Resource:
    """The resource ``kind``/``name``.

    Raises:
        AwsError: it does not exist; ``code`` is ``ValidationException`` for SageMaker's older operations and
            ``ResourceNotFound`` for its newer ones.
    """
    resource = tx.get(kind, name)
    if resource is None:
        raise AwsError(code, message or f"{kind} {name} does not exist.", status)
    return resource


def selected(
    resources: Iterable[Resource], params: Mapping[str, Any], *, name: Callable[[Resource], str] = lambda r: r.name
) -> list[Resource]:
    """Apply the filters that most List operations share: NameContains (any case) and the four time bounds.

    The bounds themselves are included. ``name`` gives the name that a resource is listed under.
    """
    found = []
    for resource in resources:
        if params.get("NameContains", "").lower() not in name(resource).lower():
            continue
        if not within(resource.created_at, params.get("CreationTimeAfter"), params.get("CreationTimeBefore")):
            continue
        if not within(resource.modified_at, params.get("LastModifiedTimeAfter"), params.get("LastModifiedTimeBefore")):
            continue
        found.append(resource)
    return found


def ordered(
    resources: Iterable[Resource],
    params: Mapping[str, Any],
    *,
    default_by: str = "CreationTime",
    default_order: str = "Descending",
    name: Callable[[Resource], str] = lambda r: r.name,
) -> list[Resource]:
    """Sort by ``SortBy`` (Name, Status, CreationTime or LastModifiedTime) and ``SortOrder``; ties keep their order."""
    keys: dict[str, Callable[[Resource], Any]] = {
        "Name": name,
        "Status": lambda r: r.status,
        "CreationTime": lambda r: r.created_at,
        "LastModifiedTime": lambda r: r.modified_at,
    }
    by = params.get("SortBy", default_by)
    key = keys.get(by, keys["Name"] if by.endswith("Name") else keys["CreationTime"])
    items = sorted(resources, key=key)
    return items[::-1] if params.get("SortOrder", default_order) == "Descending" else items


def page(
    items: Sequence[T], params: Mapping[str, Any], *, key: Callable[[T], str], max_results_default: int = 10
) -> tuple[list[T], str | None]:
    """One page of ``items`` and the token of the next one (``None`` on the last page).

    The token remembers the last item handed out, not only its position, so that items created between two calls neither
    repeat nor hide others.

    Args:
        items: All items, filtered and sorted.
        params: The call's parameters; ``MaxResults`` and ``NextToken`` are read.
        key: A text that identifies an item, such as its ARN.
        max_results_default: Page length when ``MaxResults`` is absent.

    Raises:
        AwsError: ``NextToken`` was not made by this function.
    """
    length = int(params.get("MaxResults") or max_results_default)
    start = _start(items, params.get("NextToken"), key)
    end = start + length
    if end >= len(items):
        return list(items[start:]), None
    return list(items[start:end]), _token(key(items[end - 1]), end)


def without_none(values: Mapping[str, Any]) -> dict[str, Any]:
    """``values`` without those that are None: AWS leaves absent members out of its answers."""
    return {name: value for name, value in values.items() if value is not None}


def user_context(caller_arn: str) -> dict[str, Any]:
    """SageMaker's UserContext (``CreatedBy``, ``LastModifiedBy``) of a caller who is not a Studio user.

    ``PrincipalId`` has IAM's form ``<role>:<session name>``; the local account has no unique role ids, so the role's
    name stands in for one.
    """
    principal = ":".join(caller_arn.split("/")[1:]) or caller_arn
    return {"IamIdentity": {"Arn": caller_arn, "PrincipalId": principal}}


def within(moment: datetime, after: Any, before: Any) -> bool:
    """Whether a time lies between two bounds (included, None for no bound) in any form that botocore takes.

    These are datetimes, ISO texts and seconds since 1970; without a zone they are in UTC.
    """
    if after is not None and moment < parse_to_aware_datetime(after):
        return False
    return before is None or moment <= parse_to_aware_datetime(before)


def _token(key: str, position: int) -> str:
    return base64.urlsafe_b64encode(json.dumps([key, position]).encode()).decode()


def _start(items: Sequence[T], token: str | None, key: Callable[[T], str]) -> int:
    if not token:
        return 0
    try:
        last, position = json.loads(base64.urlsafe_b64decode(token.encode()))
        position = int(position)
    except (ValueError, TypeError) as error:
        raise AwsError("ValidationException", "The NextToken is not valid.") from error
    for index, item in enumerate(items):
        if key(item) == last:
            return index + 1
    return min(max(position - 1, 0), len(items))
