"""The wire between boto3 clients and the local account: each call passes validate, authorise, do, trail, event.

botocore has validated the parameters when a call arrives here, and makes responses and ``ClientError`` of what leaves.
Knows no operation: these are functions marked with :func:`operation` in the modules of ``services``.
"""

from __future__ import annotations

import functools
import importlib
import io
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeVar, cast

from botocore.response import StreamingBody

from overflight.account.local import events, trail
from overflight.account.local.store import Transaction
from overflight.account.shapes import Rules, walk
from overflight.errors import NotImplementedInLocalAccountError

if TYPE_CHECKING:
    from botocore.hooks import BaseEventHooks
    from botocore.model import OperationModel

    from overflight.account.local.account import LocalAccount

SERVICE_MODULES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "events": ("events",),
        "logs": ("logs",),
        "s3": ("s3_buckets", "s3", "s3_listing", "s3_multipart"),
        "sagemaker": ("pipelines", "jobs", "registry", "models", "endpoints"),
        "sagemaker-runtime": ("runtime",),
        "sts": ("sts",),
    }
)
_SERVICES = "overflight.account.local.services"
_READ_ONLY = ("BatchGet", "Describe", "Filter", "Get", "Head", "List", "Lookup", "Search")
_CONTEXT_KEY = "overflight_params"
_MARK = "__overflight_operation__"


class AwsError(Exception):
    """An answer that is an error; botocore makes a ``ClientError`` of it.

    Args:
        code: AWS's error code, for example ``ValidationException``.
        message: What is wrong.
        status: HTTP status.

    Attributes:
        members: Further members of the answer, where the error's shape has some.
    """

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status
        self.members: dict[str, Any] = {}


# Services whose requests are held against botocore's model in full, and their code for a bad one.
_VALIDATED = {"sagemaker": "ValidationException", "sagemaker-runtime": "ValidationError"}


@dataclass(frozen=True)
class Caller:
    """Who calls: the ARN as STS gives it, and its parts."""

    arn: str
    account_id: str
    region: str
    role: str
    user: str


@dataclass(frozen=True)
class Emitted:
    """An event that a handler wants published when its call has succeeded."""

    source: str
    detail_type: str
    detail: dict[str, Any]
    resources: tuple[str, ...] = ()
    bus: str = events.DEFAULT_BUS


class NoTransaction(Transaction):
    """Stands in ``Call.transaction`` of operations that open their own transactions; any use is an error."""

    def __init__(self) -> None:
        """Deliberately without a connection."""

    def __getattribute__(self, name: str) -> Any:
        if name.startswith("__"):
            return super().__getattribute__(name)
        raise RuntimeError("this operation is not transactional: use call.account.store.write() or .read()")


@dataclass(frozen=True)
class Call:
    """One call on its way through the account.

    Attributes:
        service: botocore's name of the service.
        operation: AWS's name of the operation.
        params: The caller's parameters, validated by botocore; a copy (bodies excepted).
        caller: Who calls.
        account: The account that answers.
        transaction: The transaction around handler, trail and events.
        prepared: What the operation's ``prepare`` returned, else None.
        notes: Put into the trail instead of the parameters of the same name.
        emitted: Events to publish when the call succeeds.
        cleanups: Run after the commit; what a kill prevents must be harmless to leave.
        request_id: Identifies the call in response and trail.
        fault: What the service would refuse of the parameters although botocore sent them; empty when nothing.
    """

    service: str
    operation: str
    params: dict[str, Any]
    caller: Caller
    account: LocalAccount
    transaction: Transaction = field(default_factory=NoTransaction)
    prepared: Any = None
    notes: dict[str, Any] = field(default_factory=dict)
    emitted: list[Emitted] = field(default_factory=list)
    cleanups: list[Callable[[], object]] = field(default_factory=list)
    request_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    fault: str = ""

    def emit(self, *, source: str, detail_type: str, detail: dict[str, Any], resources: tuple[str, ...] = ()) -> None:
        """Publish an event with this call: in the same transaction as its change, and only if the call succeeds."""
        self.emitted.append(Emitted(source, detail_type, detail, resources))


Handler = Callable[[Call], dict[str, Any]]
HandlerT = TypeVar("HandlerT", bound=Handler)


@dataclass(frozen=True)
class Operation:
    """A handler and how it is run; see :func:`operation`."""

    service: str
    name: str
    handler: Handler
    transactional: bool
    starts_work: bool
    prepare: Callable[[Call], Any] | None

    @property
    def read_only(self) -> bool:
        """Whether its name says that it changes nothing."""
        return self.name.startswith(_READ_ONLY)


def operation(
    service: str,
    name: str,
    *,
    transactional: bool = True,
    starts_work: bool = False,
    prepare: Callable[[Call], Any] | None = None,
) -> Callable[[HandlerT], HandlerT]:
    """Mark a function as the answer to one operation.

    Args:
        service: botocore's name, for example ``sagemaker``.
        name: For example ``CreatePipeline``.
        transactional: Run inside one write transaction together with trail entry and events. Otherwise the handler
            opens its own (slow operations), and the trail entry follows in another.
        starts_work: The supervisor is started after the commit when none runs.
        prepare: Slow part that runs before the transaction, for example receiving a body; gives ``call.prepared``.
    """

    def mark(handler: HandlerT) -> HandlerT:
        setattr(handler, _MARK, Operation(service, name, handler, transactional, starts_work, prepare))
        return handler

    return mark


@functools.cache
def operations_of(service: str) -> Mapping[str, Operation]:
    """Name -> operation of one service; its modules are loaded at the first call."""
    found: dict[str, Operation] = {}
    for name in SERVICE_MODULES.get(service, ()):
        for value in vars(importlib.import_module(f"{_SERVICES}.{name}")).values():
            marked = getattr(value, _MARK, None)
            if not isinstance(marked, Operation) or marked.service != service:
                continue
            if found.setdefault(marked.name, marked) is not marked:
                raise RuntimeError(f"two handlers for {service}:{marked.name}")
    return MappingProxyType(found)


def perform(call: Call) -> dict[str, Any]:
    """Take one validated call through authorise, do, trail and event; the response without its metadata.

    Errors of the machine (full disk, damaged state) pass as they are and leave nothing, not even a record.

    Raises:
        AwsError: the answer is an error; it is in the trail.
        NotImplementedInLocalAccountError: there is no such operation here.
    """
    known = operations_of(call.service).get(call.operation)
    if known is None:
        raise NotImplementedInLocalAccountError(call.service, call.operation)
    try:
        if call.fault:
            raise AwsError(_VALIDATED[call.service], call.fault)
        decision = call.account.authoriser.decide(call)
        if not decision.allowed:
            raise _denied(call, f"{decision.reason}. {decision.cure}")
        response = _do(known, call)
    except AwsError as error:
        with call.account.store.write() as transaction:
            _record(transaction, call, known, error=error.code, message=error.message)
        raise
    for cleanup in call.cleanups:
        cleanup()
    if known.starts_work:
        start_supervisor(call.account)
    return response


def _do(known: Operation, call: Call) -> dict[str, Any]:
    if known.prepare is not None:
        call = _with(call, prepared=known.prepare(call))
    if known.transactional:
        with call.account.store.write() as transaction:
            response = known.handler(_with(call, transaction=transaction))
            _record(transaction, call, known)
        return response
    response = known.handler(call)
    with call.account.store.write() as transaction:
        _record(transaction, call, known)
    return response


def _with(call: Call, **changes: Any) -> Call:
    return Call(**{**vars(call), **changes})


def _record(transaction: Transaction, call: Call, known: Operation, *, error: str = "", message: str = "") -> None:
    now = call.account.clock()
    trail.append(
        transaction,
        time=now,
        caller=call.caller.arn,
        service=call.service,
        operation=call.operation,
        read_only=known.read_only,
        request_id=call.request_id,
        parameters=trail.recordable({**call.params, **call.notes}),
        error=error,
        message=message,
    )
    if error:
        return
    for event in call.emitted:
        events.publish(transaction, time=now, **vars(event))


def _denied(call: Call, why: str) -> AwsError:
    code = "AccessDeniedException" if call.service in {"sagemaker", "logs", "events"} else "AccessDenied"
    action = f"{call.service.removesuffix('-runtime')}:{call.operation}"
    return AwsError(code, f"User: {call.caller.arn} is not authorized to perform: {action}: {why}", 403)


def start_supervisor(account: LocalAccount) -> None:
    """Start the account's supervisor unless one runs."""
    from overflight.account.local import supervisor

    supervisor.ensure_supervisor(account)


def keep_going(call: Call) -> None:
    """For calls that look at unfinished work: bring a supervisor back that was killed, once the call is done."""
    call.cleanups.append(lambda: start_supervisor(call.account))


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

    def _remember(self, params: dict[str, Any], context: dict[str, Any], **_: Any) -> None:
        """Keep the parameters as the caller gave them: botocore's own handlers rewrite them for HTTP afterwards."""
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
    """Enums, patterns and upper limits, which botocore leaves to the service; in the service's words."""
    if model.service_model.service_name not in _VALIDATED or model.input_shape is None:
        return ""
    findings = walk(model.input_shape, params, path="", rules=Rules())
    errors = [finding for finding in findings if finding.severity == "error"]
    if not errors:
        return ""
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
