"""Deployments: the pipeline that alone may make what serves, published by the account's owner and started by engineers.

Knows the pipeline and how its refusal is worded; what it checks is the job's (``jobs.deploy``).
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable
from typing import Any

from botocore.exceptions import ClientError

from overflight.errors import JobError, NotFoundError, RefusedError
from overflight.governance.approvals import OWNER, four_eyes_mode
from overflight.lifecycle.context import Context
from overflight.lifecycle.progress import Progress
from overflight.lifecycle.runs import follow, steps_of
from overflight.pipelines.check import require_valid
from overflight.pipelines.definition import to_json
from overflight.pipelines.deploy import NAME, DeployPipelineConfig, deploy_pipeline
from overflight.settings import Settings

_MISSING = {"ResourceNotFound", "ResourceNotFoundException"}
_REFUSED = "Refused: "


def deployment_definition(settings: Settings) -> str:
    """Definition (JSON text) of the deploy pipeline in the account of ``settings``."""
    config = DeployPipelineConfig(
        name=NAME,
        bucket=settings.bucket,
        role_arn=settings.role_arn("deploy"),
        serve_role_arn=settings.role_arn("serve"),
        four_eyes=four_eyes_mode(platform=settings.platform, asked=settings.four_eyes),
    )
    return to_json(deploy_pipeline(config))


def publish_deploy_pipeline(context: Context) -> None:
    """Make sure that the deploy pipeline is there; in a local account its owner brings it up to this version.

    No role of people may publish it: whoever could change it could deploy what nobody approved. On AWS it comes with
    the stacks.

    Raises:
        NotFoundError: it is missing on AWS.
    """
    try:
        current = context.client("sagemaker").describe_pipeline(PipelineName=NAME)
    except ClientError as error:
        if error.response["Error"]["Code"] not in _MISSING:
            raise
        current = None
    if not context.is_local:
        if current is None:
            raise NotFoundError(
                "the deploy pipeline is not in this account",
                where=NAME,
                cure="It comes with Overflight's stacks: ask the owner of the account to deploy them",
            )
        return
    definition, role_arn = deployment_definition(context.names), context.names.role_arn("deploy")
    if current is not None and current["PipelineDefinition"] == definition:
        return
    require_valid(json.loads(definition))
    owner = context.acting_as(OWNER)
    wanted = {"PipelineName": NAME, "PipelineDefinition": definition, "RoleArn": role_arn}
    if current is None:
        owner.client("sagemaker").create_pipeline(
            **wanted,
            ClientRequestToken=uuid.uuid4().hex,
            PipelineDescription="From an approved model package to an endpoint; checks the approval again",
            Tags=owner.tags,
        )
    else:
        owner.client("sagemaker").update_pipeline(**wanted)


def run_deployment(
    context: Context,
    parameters: dict[str, Any],
    *,
    where: str,
    progress: Progress,
    wait: Callable[[float], None] = time.sleep,
) -> str:
    """Start the deploy pipeline as the context's role and follow it; returns the execution's ARN.

    Raises:
        RefusedError: the job let it not pass, in its words.
        JobError: the job failed or the endpoint did not come up.
    """
    publish_deploy_pipeline(context)
    given = {"Owner": context.settings.user, **parameters}
    answer = context.client("sagemaker").start_pipeline_execution(
        PipelineName=NAME,
        PipelineParameters=[{"Name": key, "Value": str(value)} for key, value in given.items()],
        ClientRequestToken=uuid.uuid4().hex,
    )
    execution_arn = str(answer["PipelineExecutionArn"])
    try:
        follow(context, execution_arn, progress=progress, wait=wait)
    except JobError as error:
        said = next((step.reason for step in steps_of(context, execution_arn) if _REFUSED in step.reason), "")
        if not said:
            raise
        cure = f"See what was approved: overflight models show {where}; all steps: overflight runs show "
        raise RefusedError(
            said.partition(_REFUSED)[2], where=where, cure=cure + execution_arn.rsplit("/", 1)[1]
        ) from error
    return execution_arn
