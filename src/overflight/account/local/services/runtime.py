"""SageMaker Runtime's InvokeEndpoint: the request goes over HTTP to the endpoint's server, its answer comes back.

Knows the limits and errors of the service, nothing of photos or models. Sources: the service model of
``sagemaker-runtime`` and the developer guide's page on InvokeEndpoint.
"""

from __future__ import annotations

import hashlib
import http.client
from dataclasses import dataclass
from typing import Any

from overflight.account.local import endpoint_records as records
from overflight.account.local.endpoint_servers import HOST
from overflight.account.local.wire import AwsError, Call, operation, start_supervisor

BODY_LIMIT_BYTES = 6_291_456
ANSWER_LIMIT_S = 60.0
_ATTRIBUTES = "X-Amzn-SageMaker-Custom-Attributes"
_DOCUMENTATION = "See the endpoint's log for more information"


class ModelError(AwsError):
    """The container answered with an error; ``members`` are the further members of AWS's answer."""

    def __init__(self, message: str, *, original_status: int, original_message: str, log_stream_arn: str) -> None:
        super().__init__("ModelError", message, 424)
        self.members = {
            "OriginalStatusCode": original_status,
            "OriginalMessage": original_message,
            "LogStreamArn": log_stream_arn,
        }


@dataclass(frozen=True)
class _Answer:
    status: int
    body: bytes
    content_type: str
    attributes: str


@operation("sagemaker-runtime", "InvokeEndpoint", transactional=False)
def _invoke_endpoint(call: Call) -> dict[str, Any]:
    body = _body(call.params["Body"])
    call.notes["Body"] = {"bytes": len(body), "sha256": hashlib.sha256(body).hexdigest()}
    if len(body) > BODY_LIMIT_BYTES:
        raise AwsError(
            "ValidationError",
            "1 validation error detected: Value at 'body' failed to satisfy constraint: Member must have length "
            f"less than or equal to {BODY_LIMIT_BYTES}",
        )
    name = call.params["EndpointName"]
    with call.account.store.read() as transaction:
        endpoint = transaction.get(records.KIND, name)
    if endpoint is None or endpoint.status == "Deleting":
        raise AwsError("ValidationError", f"Endpoint {name} of account {call.account.account_id} not found.")
    server = endpoint.body["server"]
    if endpoint.status not in {"InService", "Updating"} or endpoint.body["live"] is None:
        reason = endpoint.body["failure_reason"]
        raise AwsError(
            "ValidationError",
            f"Endpoint {name} of account {call.account.account_id} is not in service: its status is {endpoint.status}."
            + (f" {reason}" if reason else ""),
        )
    if server is None:
        start_supervisor(call.account)
        raise AwsError("ServiceUnavailable", f"The server of endpoint {name} is starting again; try again.", 503)
    variant = endpoint.body["live"]["config"]["request"]["ProductionVariants"][0]["VariantName"]
    answer = _post(call, server["port"], body, log_stream_arn=_log_arn(call, name))
    if not 200 <= answer.status < 300:
        raise _model_error(call, name, variant, answer)
    response = {"Body": answer.body, "ContentType": answer.content_type, "InvokedProductionVariant": variant}
    return {**response, "CustomAttributes": answer.attributes} if answer.attributes else response


def _body(given: Any) -> bytes:
    """The body in bytes: botocore lets bytes, text and file objects through."""
    if hasattr(given, "read"):
        given = given.read(BODY_LIMIT_BYTES + 1)
    return given.encode() if isinstance(given, str) else bytes(given)


def _post(call: Call, port: int, body: bytes, *, log_stream_arn: str) -> _Answer:
    headers = {"Content-Type": call.params.get("ContentType", "application/octet-stream")}
    if call.params.get("Accept"):
        headers["Accept"] = call.params["Accept"]
    if call.params.get("CustomAttributes"):
        headers[_ATTRIBUTES] = call.params["CustomAttributes"]
    if call.params.get("InferenceId"):
        headers["X-Amzn-SageMaker-Inference-Id"] = call.params["InferenceId"]
    connection = http.client.HTTPConnection(HOST, port, timeout=ANSWER_LIMIT_S)
    try:
        connection.request("POST", "/invocations", body=body, headers=headers)
        response = connection.getresponse()
        return _Answer(
            status=response.status,
            body=response.read(),
            content_type=response.getheader("Content-Type", ""),
            attributes=response.getheader(_ATTRIBUTES, ""),
        )
    except TimeoutError as error:
        raise ModelError(
            "Your invocation timed out while waiting for a response from container primary. Review the latency metrics "
            "for each container and try again.",
            original_status=0,
            original_message="Timed out",
            log_stream_arn=log_stream_arn,
        ) from error
    except (OSError, http.client.HTTPException) as error:
        start_supervisor(call.account)  # after a kill or a restart of the machine nobody would start the server again
        name = call.params["EndpointName"]
        message = f"The server of endpoint {name} does not answer ({error}); it is started again, try again."
        raise AwsError("ServiceUnavailable", message, 503) from error
    finally:
        connection.close()


def _model_error(call: Call, name: str, variant: str, answer: _Answer) -> ModelError:
    kind = "server" if answer.status >= 500 else "client"
    said = answer.body.decode(errors="replace")
    return ModelError(
        f'Received {kind} error ({answer.status}) from {variant} with message "{said}". {_DOCUMENTATION}: '
        f"{call.account.home}/endpoints/{name}/log.txt",
        original_status=answer.status,
        original_message=said,
        log_stream_arn=_log_arn(call, name),
    )


def _log_arn(call: Call, name: str) -> str:
    return call.account.arn("logs", f"log-group:/aws/sagemaker/Endpoints/{name}")
