"""Tags of SageMaker resources: AddTags, ListTags, DeleteTags, and what resources do when they come and go.

Tags live in their own rows, by ARN, so that every kind of resource has them without knowing how.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from overflight.account.local.requests import ambiguous_tags
from overflight.account.local.services._common import page, without_none
from overflight.account.local.store import Transaction
from overflight.account.local.wire import AwsError, Call, operation

_KIND = "tags"
_MAX_TAGS = 50
# Kind of resource by the type in its ARN, where the two words differ.
_KINDS = {"hyper-parameter-tuning-job": "tuning-job"}


def keep_tags(tx: Transaction, arn: str, tags: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """Add ``tags`` (``[{"Key", "Value"}]``) to those of ``arn``; returns all of them.

    Raises:
        AwsError: ``ValidationException`` for a reserved key, a key that differs from a present one in case only
            (policies could not tell them apart), or more than 50 tags.
    """
    for tag in tags:
        if tag["Key"].lower().startswith("aws:"):
            raise AwsError("ValidationException", f"Tag keys starting with aws: are reserved: {tag['Key']}")
    merged = {**tags_of(tx, arn), **{tag["Key"]: tag["Value"] for tag in tags}}
    fault = ambiguous_tags({"TagKeys": [*merged]})
    if fault:
        raise AwsError("ValidationException", fault)
    if len(merged) > _MAX_TAGS:
        raise AwsError("ValidationException", f"{len(merged)} tags: a resource has at most {_MAX_TAGS}")
    _write(tx, arn, merged)
    return merged


def tags_of(tx: Transaction, arn: str) -> dict[str, str]:
    """Tags of ``arn`` in the order in which they were added."""
    known = tx.get(_KIND, arn)
    return dict(known.body["tags"]) if known else {}


def forget_tags(tx: Transaction, arn: str) -> None:
    """Remove all tags with their resource."""
    tx.delete(_KIND, arn)


@operation("sagemaker", "AddTags")
def add_tags(call: Call) -> dict[str, Any]:
    """Add or overwrite tags; answers with all of them."""
    arn = _existing(call)
    return {"Tags": _as_list(keep_tags(call.transaction, arn, call.params["Tags"]))}


@operation("sagemaker", "ListTags")
def list_tags(call: Call) -> dict[str, Any]:
    """Tags of a resource."""
    tags = _as_list(tags_of(call.transaction, _existing(call)))
    items, token = page(tags, call.params, key=lambda tag: tag["Key"], max_results_default=50)
    return without_none({"Tags": items, "NextToken": token})


@operation("sagemaker", "DeleteTags")
def delete_tags(call: Call) -> dict[str, Any]:
    """Remove tags by key; keys that are not there are no error."""
    arn = _existing(call)
    removed = set(call.params["TagKeys"])
    kept = {key: value for key, value in tags_of(call.transaction, arn).items() if key not in removed}
    _write(call.transaction, arn, kept)
    return {}


def _existing(call: Call) -> str:
    """The ARN of the call, which must be that of an existing resource.

    ARNs of some kinds are written in lower case whatever the name is, so names are compared without case.
    """
    arn = str(call.params["ResourceArn"])
    prefix, _, resource = arn.partition(f":{call.account.account_id}:")
    family, _, name = resource.partition("/")
    kind = _KINDS.get(family, family)
    wanted = arn if kind == "model-package" else name
    if prefix and name and call.transaction.get(kind, wanted) is not None:
        return arn
    if prefix and name and any(known.name.lower() == wanted.lower() for known in call.transaction.list(kind)):
        return arn
    raise AwsError("ValidationException", f"Could not find resource {arn}.")


def _write(tx: Transaction, arn: str, tags: Mapping[str, str]) -> None:
    if not tags:
        tx.delete(_KIND, arn)
    elif tx.get(_KIND, arn) is None:
        tx.insert(_KIND, arn, body={"tags": dict(tags)})
    else:
        tx.put(_KIND, arn, body={"tags": dict(tags)})


def _as_list(tags: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in tags.items()]
