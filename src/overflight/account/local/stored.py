"""What the store says about resources that a call names, for the condition keys of its request.

Reads inside the call's transaction where it has one. Knows the rows of tags, packages and executions.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from overflight.account.local.executions import EXECUTION
from overflight.account.local.services._tags import tags_of
from overflight.account.local.store import Transaction
from overflight.account.local.wire import NoTransaction

if TYPE_CHECKING:
    from overflight.account.local.wire import Call

_PACKAGE, _GROUP = "model-package", "model-package-group"


class StoredFacts:
    """See ``requests.Stored``."""

    def __init__(self, call: Call) -> None:
        self._call = call

    def tags(self, arn: str) -> Mapping[str, str]:
        """Tags of a resource; a version in the registry carries those of its group (CreateModelPackage, ``Tags``)."""
        with self._reading() as tx:
            own = tags_of(tx, arn)
            prefix, found, rest = arn.partition(f":{_PACKAGE}/")
            group = f"{prefix}:{_GROUP}/{rest.rpartition('/')[0]}" if found and "/" in rest else ""
            return {**tags_of(tx, group), **own} if group else own

    def package(self, arn: str) -> Mapping[str, Any]:
        """Members of a model package."""
        with self._reading() as tx:
            known = tx.get(_PACKAGE, arn)
            return known.body if known else {}

    def execution_arn(self, name: str) -> str:
        """ARN of a pipeline execution given by its id."""
        with self._reading() as tx:
            known = tx.get(EXECUTION, name)
            return str(known.body["arn"]) if known else ""

    @contextlib.contextmanager
    def _reading(self) -> Iterator[Transaction]:
        if isinstance(self._call.transaction, NoTransaction):
            with self._call.account.store.read() as tx:
                yield tx
        else:
            yield self._call.transaction
