"""SageMaker's calls about pipelines and their executions.

Knows requests and answers; definitions are read by ``graph`` and ``expressions``, executions are advanced by the
engine, which follows the store.
"""

from __future__ import annotations

import json
from typing import Any

from overflight.account.local import executions
from overflight.account.local.executions import DEFINITION, EXECUTION, OPEN, STEP, WAITING, NewExecution, moment
from overflight.account.local.expressions import ExpressionError, as_text, bind_parameters
from overflight.account.local.graph import GraphError, read_steps
from overflight.account.local.services._common import ordered, page, require, user_context, within, without_none
from overflight.account.local.services._tags import forget_tags, keep_tags
from overflight.account.local.services._tokens import known_answer, remember
from overflight.account.local.store import Resource, Transaction
from overflight.account.local.wire import AwsError, Call, keep_going, operation, require_role
from overflight.errors import NotFoundError

_SERVICE, _PIPELINE = "sagemaker", "pipeline"
_VERSION = "2020-12-01"


@operation(_SERVICE, "CreatePipeline")
def create_pipeline(call: Call) -> dict[str, Any]:
    """Create a pipeline; a definition that cannot be executed is refused."""
    name, tx = call.params["PipelineName"], call.transaction
    known = known_answer(call, name)
    if known is not None:
        return known
    if _find(tx, name) is not None:
        message = "Pipeline names must be unique within an AWS account and region."
        raise AwsError("ValidationException", f"{message} Pipeline with name ({name}) already exists.")
    body = {
        "arn": executions.pipeline_arn(call.account, name),
        "definition": _definition(call),
        "created_by": call.caller.arn,
        "modified_by": call.caller.arn,
        "version": 1,
        **_given(call),
    }
    tx.insert(_PIPELINE, name, body=body, status="Active")
    keep_tags(tx, body["arn"], call.params.get("Tags") or [])
    return remember(call, name, {"PipelineArn": body["arn"]})


@operation(_SERVICE, "UpdatePipeline")
def update_pipeline(call: Call) -> dict[str, Any]:
    """Change a pipeline; executions that were started keep the definition they were started with."""
    pipeline = _pipeline(call)
    body = {**pipeline.body, **_given(call), "modified_by": call.caller.arn}
    if "PipelineDefinition" in call.params or "PipelineDefinitionS3Location" in call.params:
        body["definition"] = _definition(call)
        body["version"] = int(body["version"]) + 1
    call.transaction.put(_PIPELINE, pipeline.name, body=body)
    return {"PipelineArn": body["arn"], "PipelineVersionId": body["version"]}


@operation(_SERVICE, "DescribePipeline")
def describe_pipeline(call: Call) -> dict[str, Any]:
    """One pipeline with its definition."""
    pipeline = _pipeline(call)
    body = pipeline.body
    return without_none(
        {
            **_summary(call.transaction, pipeline, last="LastRunTime"),
            "PipelineDefinition": body["definition"],
            "PipelineStatus": pipeline.status,
            "CreatedBy": user_context(body["created_by"]),
            "LastModifiedBy": user_context(body["modified_by"]),
            "ParallelismConfiguration": body.get("parallelism"),
        }
    )


@operation(_SERVICE, "ListPipelines")
def list_pipelines(call: Call) -> dict[str, Any]:
    """Pipelines, newest first unless asked otherwise."""
    prefix = call.params.get("PipelineNamePrefix", "")
    found = [one for one in call.transaction.list(_PIPELINE) if one.name.startswith(prefix)]
    found = [
        one
        for one in found
        if within(one.created_at, call.params.get("CreatedAfter"), call.params.get("CreatedBefore"))
    ]
    items, token = page(ordered(found, call.params), call.params, key=lambda one: one.name)
    summaries = [_summary(call.transaction, one, last="LastExecutionTime") for one in items]
    return without_none({"PipelineSummaries": summaries, "NextToken": token})


@operation(_SERVICE, "DeletePipeline")
def delete_pipeline(call: Call) -> dict[str, Any]:
    """Delete a pipeline that nothing executes; its past executions stay listed by their ARNs."""
    pipeline = _pipeline(call)
    busy = call.transaction.list(EXECUTION, parent=pipeline.name, statuses=OPEN)
    if busy:
        message = f"Pipeline {pipeline.name} has {len(busy)} running execution(s); stop them first."
        raise AwsError("ConflictException", message)
    call.transaction.delete(_PIPELINE, pipeline.name)
    forget_tags(call.transaction, pipeline.body["arn"])
    return {"PipelineArn": pipeline.body["arn"]}


@operation(_SERVICE, "StartPipelineExecution", starts_work=True)
def start_pipeline_execution(call: Call) -> dict[str, Any]:
    """Start an execution; the same ClientRequestToken gives the same execution."""
    known = known_answer(call, _name(call.params["PipelineName"]))
    if known is not None:
        return known
    if "SelectiveExecutionConfig" in call.params:
        raise AwsError(
            "ValidationException", "The local account executes whole pipelines: no SelectiveExecutionConfig."
        )
    pipeline = _pipeline(call)
    overrides = {one["Name"]: one["Value"] for one in call.params.get("PipelineParameters") or ()}
    document = json.loads(pipeline.body["definition"])
    try:
        values = bind_parameters(document.get("Parameters") or [], overrides)
    except ExpressionError as error:
        raise AwsError("ValidationException", str(error)) from error
    require_role(call, pipeline.body["role_arn"], pipeline.body["arn"])
    parallelism = call.params.get("ParallelismConfiguration") or pipeline.body.get("parallelism") or {}
    new = NewExecution(
        pipeline=pipeline.name,
        definition=pipeline.body["definition"],
        values=values,
        caller_arn=call.caller.arn,
        role_arn=pipeline.body["role_arn"],
        max_parallel=parallelism.get("MaxParallelExecutionSteps"),
        display_name=call.params.get("PipelineExecutionDisplayName", ""),
        description=call.params.get("PipelineExecutionDescription", ""),
    )
    execution = executions.create_execution(call.transaction, call.account, new)
    return remember(call, pipeline.name, {"PipelineExecutionArn": execution.body["arn"]})


@operation(_SERVICE, "DescribePipelineExecution")
def describe_pipeline_execution(call: Call) -> dict[str, Any]:
    """One execution; looking at an open one brings a supervisor back that was killed."""
    execution = _execution(call)
    if execution.status in OPEN:
        keep_going(call)
    body = execution.body
    return without_none(
        {
            "PipelineArn": body["pipeline_arn"],
            "PipelineExecutionArn": body["arn"],
            "PipelineExecutionDisplayName": body["display_name"],
            "PipelineExecutionStatus": execution.status,
            "PipelineExecutionDescription": body["description"] or None,
            "FailureReason": body["failure_reason"] or None,
            "CreationTime": execution.created_at,
            "LastModifiedTime": execution.modified_at,
            "CreatedBy": user_context(body["caller"]),
            "LastModifiedBy": user_context(body.get("modified_by") or body["caller"]),
            "ParallelismConfiguration": _parallelism(body["max_parallel"]),
            "RoleArn": body["role_arn"],
        }
    )


@operation(_SERVICE, "DescribePipelineDefinitionForExecution")
def describe_definition_for_execution(call: Call) -> dict[str, Any]:
    """The definition that an execution was started with."""
    execution = _execution(call)
    kept = require(call.transaction, DEFINITION, execution.name)
    return {"PipelineDefinition": kept.body["definition"], "CreationTime": kept.created_at}


@operation(_SERVICE, "ListPipelineExecutions")
def list_pipeline_executions(call: Call) -> dict[str, Any]:
    """Executions of one pipeline, newest first unless asked otherwise."""
    name = _name(call.params["PipelineName"])
    found = call.transaction.list(EXECUTION, parent=name)
    if not found:
        found = call.transaction.list(EXECUTION, parent=_pipeline(call).name)
    found = [
        one
        for one in found
        if within(one.created_at, call.params.get("CreatedAfter"), call.params.get("CreatedBefore"))
    ]
    items, token = page(ordered(found, call.params), call.params, key=lambda one: one.name)
    summaries = [
        without_none(
            {
                "PipelineExecutionArn": one.body["arn"],
                "StartTime": one.created_at,
                "PipelineExecutionStatus": one.status,
                "PipelineExecutionDescription": one.body["description"] or None,
                "PipelineExecutionDisplayName": one.body["display_name"],
                "PipelineExecutionFailureReason": one.body["failure_reason"] or None,
            }
        )
        for one in items
    ]
    return without_none({"PipelineExecutionSummaries": summaries, "NextToken": token})


@operation(_SERVICE, "ListPipelineExecutionSteps")
def list_pipeline_execution_steps(call: Call) -> dict[str, Any]:
    """Steps that were started; those of untaken branches do not appear, as in AWS."""
    if "PipelineExecutionArn" not in call.params:
        raise AwsError("ValidationException", "PipelineExecutionArn is required.")
    execution = _execution(call)
    steps = [one for one in call.transaction.list(STEP, parent=execution.name) if one.status != WAITING]
    if call.params.get("SortOrder", "Descending") == "Descending":
        steps.reverse()
    items, token = page(steps, call.params, key=lambda one: one.name)
    return without_none({"PipelineExecutionSteps": [_step(one) for one in items], "NextToken": token})


@operation(_SERVICE, "ListPipelineParametersForExecution")
def list_pipeline_parameters_for_execution(call: Call) -> dict[str, Any]:
    """Parameter values of an execution, defaults included."""
    values = [{"Name": key, "Value": as_text(value)} for key, value in _execution(call).body["values"].items()]
    items, token = page(values, call.params, key=lambda one: one["Name"], max_results_default=100)
    return without_none({"PipelineParameters": items, "NextToken": token})


@operation(_SERVICE, "StopPipelineExecution", starts_work=True)
def stop_pipeline_execution(call: Call) -> dict[str, Any]:
    """Ask an execution to stop; its jobs get SIGTERM and then SIGKILL."""
    execution = _execution(call)
    if execution.status == "Executing":
        execution = executions.change_execution(
            call.transaction, call.account, execution, status="Stopping", modified_by=call.caller.arn
        )
    elif execution.status != "Stopping":
        raise AwsError("ConflictException", f"The execution is {execution.status}; only a running one can be stopped.")
    return {"PipelineExecutionArn": execution.body["arn"]}


@operation(_SERVICE, "RetryPipelineExecution", starts_work=True)
def retry_pipeline_execution(call: Call) -> dict[str, Any]:
    """Let a failed or stopped execution go on from its last finished steps."""
    execution = _execution(call)
    known = known_answer(call, execution.parent)
    if known is not None:
        return known
    if execution.status not in {"Failed", "Stopped"}:
        raise AwsError(
            "ConflictException", f"The execution is {execution.status}; only Failed or Stopped can be retried."
        )
    if "ParallelismConfiguration" in call.params:
        _change(call, execution, max_parallel=call.params["ParallelismConfiguration"]["MaxParallelExecutionSteps"])
        execution = _execution(call)
    executions.retry_execution(call.transaction, call.account, execution)
    _change(call, _execution(call), modified_by=call.caller.arn)  # who lets a run go on is one of those who made it
    return remember(call, execution.parent, {"PipelineExecutionArn": execution.body["arn"]})


@operation(_SERVICE, "UpdatePipelineExecution")
def update_pipeline_execution(call: Call) -> dict[str, Any]:
    """Change the texts or the parallelism of an execution."""
    execution, given = _execution(call), call.params
    values: dict[str, Any] = {"modified_by": call.caller.arn}
    if "PipelineExecutionDescription" in given:
        values["description"] = given["PipelineExecutionDescription"]
    if "PipelineExecutionDisplayName" in given:
        values["display_name"] = given["PipelineExecutionDisplayName"]
    if "ParallelismConfiguration" in given:
        values["max_parallel"] = given["ParallelismConfiguration"]["MaxParallelExecutionSteps"]
    _change(call, execution, **values)
    return {"PipelineExecutionArn": execution.body["arn"]}


def _change(call: Call, execution: Resource, **values: Any) -> None:
    executions.change_execution(call.transaction, call.account, execution, status=execution.status, **values)


def _step(step: Resource) -> dict[str, Any]:
    body = step.body
    source = body.get("cache_source")
    return without_none(
        {
            "StepName": step.name.split("/", 1)[1],
            "StepDisplayName": body.get("display_name"),
            "StepDescription": body.get("description"),
            "StartTime": moment(body.get("started_at")),
            "EndTime": moment(body.get("ended_at")),
            "StepStatus": step.status,
            "CacheHitResult": {"SourcePipelineExecutionArn": source} if source else None,
            "FailureReason": body.get("failure_reason") or None,
            "Metadata": body.get("metadata"),
            "AttemptCount": body.get("attempts", 0),
        }
    )


def _definition(call: Call) -> str:
    """The definition of the request, when it can be executed.

    Raises:
        AwsError: ``ValidationException`` that says what is wrong and where.
    """
    text = call.params.get("PipelineDefinition") or _stored_definition(call)
    try:
        document = json.loads(text)
    except ValueError as error:
        raise _malformed(f"it is not JSON ({error})") from error
    if not isinstance(document, dict) or document.get("Version") != _VERSION:
        raise _malformed(f"Version must be {_VERSION}")
    parameters = document.get("Parameters") or []
    if not isinstance(parameters, list) or not all(isinstance(one, dict) and "Name" in one for one in parameters):
        raise _malformed("Parameters must be a list of objects with names")
    try:
        read_steps(document)
        optional = [one for one in parameters if one.get("DefaultValue") is not None]
        bind_parameters(optional, {})
    except (GraphError, ExpressionError) as error:
        raise _malformed(str(error)) from error
    return str(text)


def _stored_definition(call: Call) -> str:
    location = call.params.get("PipelineDefinitionS3Location")
    if not location:
        raise _malformed("neither PipelineDefinition nor PipelineDefinitionS3Location is given")
    try:
        path = call.account.objects.get_path(
            location["Bucket"], location["ObjectKey"], version_id=location.get("VersionId")
        )
        return path.read_text()
    except (NotFoundError, UnicodeDecodeError) as error:
        raise _malformed(str(error)) from error


def _malformed(why: str) -> AwsError:
    return AwsError("ValidationException", f"Unable to parse pipeline definition. {why}")


def _given(call: Call) -> dict[str, Any]:
    names = {
        "PipelineDisplayName": "display_name",
        "PipelineDescription": "description",
        "RoleArn": "role_arn",
        "ParallelismConfiguration": "parallelism",
    }
    return {key: call.params[member] for member, key in names.items() if member in call.params}


def _summary(tx: Transaction, pipeline: Resource, *, last: str) -> dict[str, Any]:
    body = pipeline.body
    started = [one.created_at for one in tx.list(EXECUTION, parent=pipeline.name)]
    return without_none(
        {
            "PipelineArn": body["arn"],
            "PipelineName": pipeline.name,
            "PipelineDisplayName": body.get("display_name") or pipeline.name,
            "PipelineDescription": body.get("description"),
            "RoleArn": body["role_arn"],
            "CreationTime": pipeline.created_at,
            "LastModifiedTime": pipeline.modified_at,
            last: max(started, default=None),
        }
    )


def _parallelism(limit: int | None) -> dict[str, int] | None:
    return {"MaxParallelExecutionSteps": limit} if limit else None


def _name(given: str) -> str:
    """A pipeline's name from its name or ARN."""
    return given.rsplit("/", 1)[-1] if given.startswith("arn:") else given


def _find(tx: Transaction, name: str) -> Resource | None:
    """A pipeline by name; names that differ in case only share an ARN and are the same pipeline."""
    exact = tx.get(_PIPELINE, name)
    return exact or next((one for one in tx.list(_PIPELINE) if one.name.lower() == name.lower()), None)


def _pipeline(call: Call) -> Resource:
    found = _find(call.transaction, _name(call.params["PipelineName"]))
    if found is None:
        arn = executions.pipeline_arn(call.account, _name(call.params["PipelineName"]))
        raise AwsError("ResourceNotFound", f"Pipeline '{arn}' does not exist.")
    return found


def _execution(call: Call) -> Resource:
    arn = call.params["PipelineExecutionArn"]
    found = call.transaction.get(EXECUTION, arn.rsplit("/", 1)[-1])
    if found is None or arn not in {found.name, found.body["arn"]}:
        raise AwsError("ResourceNotFound", f"Pipeline execution with ARN '{arn}' does not exist.")
    return found
