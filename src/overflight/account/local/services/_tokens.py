"""Idempotency: the same ClientRequestToken gives the same answer, to the same person about the same pipeline.

A token belongs to the operation, the pipeline and the caller that used it: nobody gets the answer to another's call by
guessing or reusing a token. Knows nothing of what the operations do. Source: SageMaker API reference,
StartPipelineExecution (``ClientRequestToken``).
"""

from __future__ import annotations

import json
from typing import Any

from overflight.account.local.store import to_json
from overflight.account.local.wire import AwsError, Call
from overflight.files import canonical_json, sha256_bytes

_KIND, _TOKEN = "request-token", "ClientRequestToken"


def known_answer(call: Call, pipeline: str) -> dict[str, Any] | None:
    """What the caller was answered when the token was used before; None for a new one.

    Raises:
        AwsError: ``ConflictException`` when it was used with other parameters.
    """
    known = call.transaction.get(_KIND, _key(call, pipeline))
    if known is None:
        return None
    if known.body["asked"] != _asked(call):
        message = f"The {_TOKEN} was used for another {call.operation} with other parameters; take a new one."
        raise AwsError("ConflictException", message)
    return dict(known.body["answer"])


def remember(call: Call, pipeline: str, answer: dict[str, Any]) -> dict[str, Any]:
    """Keep the answer for the next call with the token of this one; gives it back."""
    call.transaction.insert(_KIND, _key(call, pipeline), body={"asked": _asked(call), "answer": answer})
    return answer


def _key(call: Call, pipeline: str) -> str:
    """Pipelines whose names differ in case only are the same."""
    parts = [call.operation, pipeline.lower(), call.caller.arn, str(call.params[_TOKEN])]
    return "/".join([call.operation, sha256_bytes(canonical_json(parts).encode())])


def _asked(call: Call) -> str:
    given = {name: value for name, value in call.params.items() if name not in {_TOKEN, "PipelineName"}}
    return sha256_bytes(canonical_json(json.loads(to_json(given))).encode())
