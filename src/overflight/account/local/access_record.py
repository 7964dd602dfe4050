"""Changes of access in the trail: whenever the resolved policies are not those that were recorded last.

Knows the documents as documents; what they allow is the evaluator's business.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from overflight.account.local import trail
from overflight.account.local.store import Transaction
from overflight.files import canonical_json

if TYPE_CHECKING:
    from overflight.account.local.account import LocalAccount
    from overflight.iam.access import Access
    from overflight.iam.core import Policy

KIND, _CURRENT = "access-snapshot", "current"
SERVICE, OPERATION = "overflight", "AccessChanged"


def note_access(transaction: Transaction, account: LocalAccount, *, user: str) -> None:
    """Record the access that the account's authoriser has begun to decide by, once in a process, with the call at hand.

    It is loaded lazily, in the middle of a call, so this is the first moment at which it can be written.
    """
    newly_loaded = getattr(account.authoriser, "newly_loaded", None)
    access = None if newly_loaded is None else newly_loaded()
    if access is not None:
        _record(transaction, account, access, user=user)


def _record(transaction: Transaction, account: LocalAccount, access: Access, *, user: str) -> None:
    """Record the access that holds from now on, unless it is recorded.

    The trail gets an entry ``overflight:AccessChanged`` with both digests and what was added, removed and changed for
    each role; the documents themselves are kept as a resource of the kind ``access-snapshot``.
    """
    known = transaction.get(KIND, _CURRENT)
    old = "" if known is None else known.status
    if old == access.digest:
        return
    document = access_document(access)
    before = None if known is None else transaction.get(KIND, old)
    changes = [] if before is None else difference(before.body, document)
    if transaction.get(KIND, access.digest) is None:  # else access went back to what it was before
        transaction.insert(KIND, access.digest, body=document, status="Kept")
    if known is None:
        transaction.insert(KIND, _CURRENT, body={}, status=access.digest)
    else:
        transaction.put(KIND, _CURRENT, status=access.digest)
    trail.append(
        transaction,
        time=account.clock(),
        caller=account.arn("iam", f"service/{SERVICE}"),
        service=SERVICE,
        operation=OPERATION,
        read_only=False,
        request_id="",
        parameters={"Old": old, "New": access.digest, "Roles": sorted(access.roles), "Changes": changes},
        details={"seen_with": user, "host": socket.gethostname(), "pid": os.getpid()},
    )


def access_document(access: Access) -> dict[str, Any]:
    """All documents that decide access, as JSON."""
    roles = {
        key: {
            "policies": {policy.name: _plain(policy) for policy in role.policies},
            "boundary": {} if role.boundary is None else {role.boundary.name: _plain(role.boundary)},
            "trust": {role.trust.name: _plain(role.trust)},
            "tags": dict(role.tags),
        }
        for key, role in access.roles.items()
    }
    resources = {arn: _plain(policy) for arn, policy in access.resource_policies.items()}
    organisation = {f"{number} {policy.name}": _plain(policy) for number, policy in enumerate(access.organisation)}
    return {"roles": roles, "resource_policies": resources, "organisation": organisation}


def difference(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[dict[str, str]]:
    """What was added, removed or changed between two documents of :func:`access_document`.

    Each has ``role`` (or the resource's ARN), ``change`` (``added``, ``removed`` or ``changed``), ``what`` (``role``,
    ``policy``, ``boundary``, ``trust``, ``tag``, ``statement``), ``name``, and ``before`` and ``after`` where known.
    """
    found = list(_roles(old.get("roles", {}), new.get("roles", {})))
    for group in ("resource_policies", "organisation"):
        before, after = old.get(group, {}), new.get(group, {})
        for name in sorted({*before, *after}):
            found += _policies(name, "policy", _one(name, before), _one(name, after))
    return found


def _roles(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[dict[str, str]]:
    for key in sorted({*old, *new}):
        if key not in new or key not in old:
            yield _change(key, "added" if key in new else "removed", "role", key)
            continue
        for part, what in (("policies", "policy"), ("boundary", "boundary"), ("trust", "trust")):
            yield from _policies(key, what, old[key].get(part, {}), new[key].get(part, {}))
        before, after = old[key].get("tags", {}), new[key].get("tags", {})
        for name in sorted({*before, *after}):
            if before.get(name) != after.get(name):
                yield _change(
                    key,
                    _word(name in before, name in after),
                    "tag",
                    name,
                    before=before.get(name),
                    after=after.get(name),
                )


def _policies(role: str, what: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[dict[str, str]]:
    for name in sorted({*old, *new}):
        if name not in old or name not in new:
            yield _change(role, _word(name in old, name in new), what, name)
            continue
        before, after = _statements(old[name]), _statements(new[name])
        for sid in [*before, *(sid for sid in after if sid not in before)]:
            if before.get(sid) != after.get(sid):
                words = _word(sid in before, sid in after)
                yield _change(role, words, "statement", f"{name} {sid}", before=before.get(sid), after=after.get(sid))


def _statements(document: Mapping[str, Any]) -> dict[str, str]:
    """Sid -> canonical text; a statement without a Sid goes by its place."""
    statements = document.get("Statement", [])
    listed = statements if isinstance(statements, list) else [statements]
    return {str(one.get("Sid") or f"#{number}"): canonical_json(one) for number, one in enumerate(listed, start=1)}


def _change(role: str, change: str, what: str, name: str, **values: Any) -> dict[str, str]:
    known = {key: str(value) for key, value in values.items() if value is not None}
    return {"role": role, "change": change, "what": what, "name": name, **known}


def _word(before: bool, after: bool) -> str:
    return "changed" if before and after else "added" if after else "removed"


def _one(name: str, documents: Mapping[str, Any]) -> dict[str, Any]:
    return {name: documents[name]} if name in documents else {}


def _plain(policy: Policy) -> dict[str, Any]:
    """A copy as JSON: templates may hold mappings and tuples of other kinds."""
    return dict(_json(policy.document))


def _json(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_json(item) for item in value]
    return value
