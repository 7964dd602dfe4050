"""The wire between boto3 clients and the local account: calls leave botocore and come back as its responses.

botocore has validated the parameters when a call arrives here, and makes responses and ``ClientError`` of what leaves.
What happens to a call is ``wire``'s.
"""

from __future__ import annotations

import io
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from botocore.response import StreamingBody

from overflight.account.local.requests import ambiguous_tags
from overflight.account.local.wire import VALIDATED, AwsError, Call, Caller, perform
from overflight.account.shapes import Rules, walk

if TYPE_CHECKING:
    from botocore.hooks import BaseEventHooks
    from botocore.model import OperationModel

    from overflight.account.local.account import LocalAccount

_CONTEXT_KEY = "overflight_params"


@dataclass(frozen=True)
class _Http:
    """The little of an HTTP response that botocore looks at."""

    status_code: int
    headers: dict[str, str] = field(default_factory=dict)
    content: bytes = b""
    raw: None = None


class Wire:
    """Answers the clients of one session from a local account.

    Args:
        account: The account.
        caller_of: Caller for the access key id, secret and session token that a client was made with.
    """

    def __init__(self, account: LocalAccount, caller_of: Callable[[Any], Caller]) -> None:
        self._account = account
        self._caller_of = caller_of

    def attach(self, emitter: BaseEventHooks) -> None:
        """Answer the calls of every client made with this emitter from now on."""
        emitter.register_first("provide-client-params", self._remember, unique_id="overflight-remember")
        answer: Callable[..., Any] = self._answer  # what it returns is the response, which the stubs do not know
        emitter.register_first("before-call", answer, unique_id="overflight-answer")

    def _remember(self, params: dict[str, Any], model: OperationModel, context: dict[str, Any], **_: Any) -> None:
        """Keep the parameters as the caller gave them: botocore's own handlers rewrite them for HTTP afterwards.

        Idempotency tokens that are missing are filled in here: botocore does it only in the next step, where it leaves
        alone what is there.
        """
        for name in model.idempotent_members:
            params.setdefault(name, str(uuid.uuid4()))
        context[_CONTEXT_KEY] = _copy(params)

    def _answer(
        self, model: OperationModel, context: dict[str, Any], request_signer: Any, **_: Any
    ) -> tuple[_Http, dict[str, Any]]:
        request_id = str(uuid.uuid4())
        try:
            call = Call(
                service=model.service_model.service_name,
                operation=model.name,
                params=context[_CONTEXT_KEY],
                caller=self._caller_of(request_signer),
                account=self._account,
                request_id=request_id,
                fault=_fault(model, context[_CONTEXT_KEY]),
            )
            parsed = perform(call)
        except AwsError as error:
            failed = {**error.members, "Error": {"Code": error.code, "Message": error.message}}
            return _Http(error.status), {**failed, "ResponseMetadata": _response_metadata(request_id, error.status)}
        own = parsed.get("ResponseMetadata", {})
        status = int(own.get("HTTPStatusCode", model.http.get("responseCode", 200)))
        if model.has_streaming_output:
            parsed = _stream(parsed, model)
        return _Http(status), {**parsed, "ResponseMetadata": _response_metadata(request_id, status)}


def _fault(model: OperationModel, params: dict[str, Any]) -> str:
    """Enums, patterns, upper limits and tags, which botocore leaves to the service; in the service's words."""
    if model.service_model.service_name not in VALIDATED or model.input_shape is None:
        return ""
    findings = walk(model.input_shape, params, path="", rules=Rules())
    errors = [finding for finding in findings if finding.severity == "error"]
    if not errors:
        return ambiguous_tags(params)
    values = "; ".join(
        f"Value at '{finding.path}' failed to satisfy constraint: {finding.message}" for finding in errors
    )
    return f"{len(errors)} validation error{'s' if len(errors) > 1 else ''} detected: {values}"


def _response_metadata(request_id: str, status: int) -> dict[str, Any]:
    return {"RequestId": request_id, "HTTPStatusCode": status, "HTTPHeaders": {}, "RetryAttempts": 0}


def _stream(parsed: dict[str, Any], model: OperationModel) -> dict[str, Any]:
    name = cast("str", cast("Any", model.output_shape).serialization["payload"])
    body = parsed.get(name)
    if isinstance(body, bytes):
        return {**parsed, name: StreamingBody(cast("Any", io.BytesIO(body)), len(body))}
    return parsed


def _copy(value: Any) -> Any:
    """Copies of the containers; what they hold (bodies, streams) stays itself."""
    if isinstance(value, dict):
        return {key: _copy(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_copy(item) for item in value]
    return value
