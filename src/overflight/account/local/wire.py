"""The way of a call through the local account: validate, authorise, do, trail, event.

Calls come from boto3 clients (see ``clients``) and from the services themselves. Knows no operation: these are
functions marked with :func:`operation` in the modules of ``services``.
"""

from __future__ import annotations

import errno
import functools
import importlib
import logging
import os
import socket
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeVar

from overflight.account.aws_errors import HINT
from overflight.account.local import events, trail
from overflight.account.local.access_record import note_access
from overflight.account.local.store import Transaction
from overflight.errors import NotImplementedInLocalAccountError, ResourceError, StoreError

if TYPE_CHECKING:
    from overflight.account.local.account import LocalAccount
    from overflight.account.local.authorise import Decision

SERVICE_MODULES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "cloudtrail": ("cloudtrail",),
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
_NOT_HERE, _FAILED = "NotImplementedInLocalAccount", "InternalFailure"
log = logging.getLogger(__name__)
_MARK = "__overflight_operation__"


class AwsError(Exception):
    """An answer that is an error; botocore makes a ``ClientError`` of it.

    Args:
        code: AWS's error code, for example ``ValidationException``.
        message: What is wrong.
        status: HTTP status.

    Attributes:
        members: Further members of the answer, where the error's shape has some.
        decision: The authoriser's, where it is the reason.
    """

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status
        self.members: dict[str, Any] = {}
        self.decision: Decision | None = None


_JSON_SERVICES = frozenset({"sagemaker", "sagemaker-runtime", "logs", "events"})
# Services whose requests are held against botocore's model in full, and their code for a bad one.
VALIDATED = {"sagemaker": "ValidationException", "sagemaker-runtime": "ValidationError"}


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
        decision: What the authoriser said; None before it was asked.
        run: Id of the pipeline execution that the call belongs to, or "".
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
    decision: Decision | None = None
    run: str = ""

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

    Errors of the machine (full disk, damaged state) pass as they are and leave nothing, not even a record. Any other
    error of ours passes as it is too, and the call is in the trail as ``InternalFailure``.

    Raises:
        AwsError: the answer is an error; it is in the trail.
        NotImplementedInLocalAccountError: there is no such operation here; that it was asked for is in the trail.
    """
    known = operations_of(call.service).get(call.operation)
    if known is None:
        missing = NotImplementedInLocalAccountError(call.service, call.operation)
        with call.account.store.write() as transaction:
            record(
                transaction,
                call,
                read_only=call.operation.startswith(_READ_ONLY),
                error=_NOT_HERE,
                message=missing.what,
            )
        raise missing
    try:
        if call.fault:
            raise AwsError(VALIDATED[call.service], call.fault)
        call = authorised(call)
        response = _do(known, call)
    except AwsError as error:
        decided = _with(call, decision=error.decision) if error.decision is not None else call
        with call.account.store.write() as transaction:
            record(transaction, decided, read_only=known.read_only, error=error.code, message=error.message)
        raise
    except Exception as error:
        if not _of_the_machine(error):
            _record_failure(call, error, read_only=known.read_only)
        raise
    for cleanup in call.cleanups:
        cleanup()
    if known.starts_work:
        start_supervisor(call.account)
    return response


def _of_the_machine(error: Exception) -> bool:
    full = isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT}
    return full or isinstance(error, StoreError | ResourceError | MemoryError)


def _record_failure(call: Call, error: Exception, *, read_only: bool) -> None:
    """Record a call that failed unexpectedly; never hides why it did."""
    try:
        with call.account.store.write() as transaction:
            record(transaction, call, read_only=read_only, error=_FAILED, message=f"{type(error).__name__}: {error}")
    except Exception:
        log.exception("the failed call %s:%s is not in the trail", call.service, call.operation)


def _do(known: Operation, call: Call) -> dict[str, Any]:
    if known.prepare is not None:
        call = _with(call, prepared=known.prepare(call))
    if known.transactional:
        with call.account.store.write() as transaction:
            response = known.handler(_with(call, transaction=transaction))
            record(transaction, call, read_only=known.read_only)
        return response
    response = known.handler(call)
    with call.account.store.write() as transaction:
        record(transaction, call, read_only=known.read_only)
    return response


def _with(call: Call, **changes: Any) -> Call:
    return Call(**{**vars(call), **changes})


def authorised(call: Call) -> Call:
    """The call with its decision, when it may be done.

    Raises:
        AwsError: it may not, or the service cannot use a role that it hands over.
    """
    authoriser = call.account.authoriser
    decision = authoriser.decide(call)
    if not decision.allowed:
        raise denied(call, decision)
    fault = authoriser.fault(call)
    if fault:
        error = AwsError("ValidationException", fault)
        error.decision = decision
        raise error
    return _with(call, decision=decision)


def require_role(call: Call, role_arn: str, source_arn: str) -> None:
    """Refuse what SageMaker could not do because the role does not let it in.

    Raises:
        AwsError: ``ValidationException``.
    """
    fault = call.account.authoriser.role_fault(role_arn, source_arn)
    if fault:
        raise AwsError("ValidationException", fault)


def record(transaction: Transaction, call: Call, *, read_only: bool, error: str = "", message: str = "") -> None:
    """Write the call into the trail, and publish its events unless it failed."""
    now = call.account.clock()
    note_access(transaction, call.account, user=call.caller.user)
    details = {"role": call.caller.role, "user": call.caller.user, "host": _host(), "pid": os.getpid()}
    if call.decision is not None:
        details["decision"] = dict(call.decision.record)
    run = call.run or str(call.params.get("PipelineExecutionArn") or "").rpartition("/")[2]
    if run:
        details["run"] = run
    trail.append(
        transaction,
        time=now,
        caller=call.caller.arn,
        service=call.service,
        operation=call.operation,
        read_only=read_only,
        request_id=call.request_id,
        parameters=trail.recordable({**call.params, **call.notes}),
        error=error,
        message=message,
        details=details,
    )
    if error:
        return
    for event in call.emitted:
        events.publish(transaction, time=now, **vars(event))


def denied(call: Call, decision: Decision) -> AwsError:
    """The answer to a call that may not be done; S3 answers HEAD requests with a bare 403."""
    code = "AccessDeniedException" if call.service in _JSON_SERVICES else "AccessDenied"
    if call.service == "s3" and call.operation.startswith("Head"):
        code = "403"
    error = AwsError(code, decision.message, 403)
    error.decision = decision
    error.members[HINT] = {
        "Missing": decision.record.get("action", ""),
        "Resource": decision.record.get("resource", ""),
        "Personas": list(decision.personas),
        "Services": list(decision.services),
    }
    return error


@functools.cache
def _host() -> str:
    return socket.gethostname()


def start_supervisor(account: LocalAccount) -> None:
    """Start the account's supervisor unless one runs."""
    from overflight.account.local import supervisor

    supervisor.ensure_supervisor(account)


def keep_going(call: Call) -> None:
    """For calls that look at unfinished work: bring a supervisor back that was killed, once the call is done."""
    call.cleanups.append(lambda: start_supervisor(call.account))
