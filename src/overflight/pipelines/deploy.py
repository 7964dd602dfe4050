"""The deploy pipeline: one job checks the approval again and only then makes what serves, or it fails and says why.

It fixes the job's role, what it is told and where its decision lies; what is checked is the job's (``jobs.deploy``).
The rule of four eyes is part of the definition: whoever starts an execution cannot choose it.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from overflight import __version__
from overflight.pipelines.definition import ConditionStep, FailStep, Pipeline, RetryPolicy
from overflight.pipelines.expressions import Comparison, ExecutionValue, Join, JsonGet, Parameter, as_text
from overflight.pipelines.job_steps import Cluster, ProcessingOutput, ProcessingStep, PropertyFile

NAME = "overflight-deploy"
STEP = "Deploy"
OUTPUT = "deployment"
NONE = "none"  # parameters of pipelines cannot be empty

PACKAGE = Parameter("PackageArn", "String", NONE)
ENDPOINT = Parameter("EndpointName")
ENVIRONMENT = Parameter("Environment", "String", "dev", ("dev", "staging", "prod"))
ACTION = Parameter("Action", "String", "deploy", ("deploy", "delete"))
INSTANCE_TYPE = Parameter("InstanceType", "String", "ml.c7i.large")
# SHA-256 of the artefact that whoever starts the deployment has looked at; "none" takes whatever was approved.
PINNED = Parameter("PinnedEvidence", "String", NONE)
PORT = Parameter("Port", "Integer", 0)  # of the local server; 0 takes a free one
OWNER = Parameter("Owner", "String", "unknown")
PARAMETERS = (PACKAGE, ENDPOINT, ENVIRONMENT, ACTION, INSTANCE_TYPE, PINNED, PORT, OWNER)

_RETRIES = (RetryPolicy(("Step.SERVICE_FAULT", "Step.THROTTLING"), interval_s=5, max_attempts=3),)


class DeployPipelineConfig(BaseModel):
    """What is fixed when the pipeline is created, by whoever owns the account.

    Attributes:
        name: Name of the pipeline.
        bucket: Bucket of the decisions.
        role_arn: Role of the pipeline and its job.
        serve_role_arn: Role that the models it creates run as.
        four_eyes: Whether an approval needs another person, or (on one machine) another role.
        image_uri: Image with the job.
        instance_type: Machine of the job.
        volume_gb: Disk of the machine.
        max_runtime_s: Time limit of the job; it waits until the endpoint is in service.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(NAME, pattern=r"^[a-zA-Z0-9](-*[a-zA-Z0-9]){0,255}$")
    bucket: str = Field(pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$")
    role_arn: str = Field(pattern=r"^arn:aws[a-z-]*:iam::\d{12}:role/[\w+=,.@/-]+$")
    serve_role_arn: str = Field(pattern=r"^arn:aws[a-z-]*:iam::\d{12}:role/[\w+=,.@/-]+$")
    four_eyes: Literal["persons", "roles"] = "persons"
    image_uri: str = Field(f"overflight/jobs:{__version__}", min_length=1, max_length=255)
    instance_type: str = "ml.m5.large"
    volume_gb: int = Field(30, ge=1, le=16_384)
    max_runtime_s: int = Field(3600, ge=1, le=777_600)


def deploy_pipeline(config: DeployPipelineConfig) -> Pipeline:
    """The pipeline from an approved package to an endpoint, or from an endpoint to nothing."""
    reasons = JsonGet(STEP, "Decision", "reason")
    return Pipeline(
        name=config.name,
        description="From an approved model package to an endpoint",
        parameters=PARAMETERS,
        steps=(
            _deploy(config),
            ConditionStep(
                name="CheckDeployment",
                description="Only what the job has let pass counts as deployed",
                conditions=(Comparison("Equals", JsonGet(STEP, "Decision", "passed"), right=True),),
                else_steps=(FailStep(name="FailDeployment", message=Join("", ("Refused: ", reasons))),),
            ),
        ),
    )


def _deploy(config: DeployPipelineConfig) -> ProcessingStep:
    execution_id, execution_arn = ExecutionValue("PipelineExecutionId"), ExecutionValue("PipelineExecutionArn")
    return ProcessingStep(
        name=STEP,
        description="Check approval, people and evidence again; create model, configuration and endpoint",
        image_uri=config.image_uri,
        entrypoint=("overflight-job", "deploy"),
        role_arn=config.role_arn,
        cluster=Cluster(config.instance_type, 1, config.volume_gb),
        max_runtime_s=config.max_runtime_s,
        outputs=(
            ProcessingOutput(
                OUTPUT,
                Join("/", (f"s3://{config.bucket}/deployments", execution_id)),
                f"/opt/ml/processing/output/{OUTPUT}",
            ),
        ),
        property_files=(PropertyFile("Decision", OUTPUT, "decision.json"),),
        environment={
            "OVERFLIGHT_ACCOUNT_ACCESS": "1",
            "OVERFLIGHT_EXECUTION_ID": execution_id,
            "OVERFLIGHT_EXECUTION_ARN": execution_arn,
            "OVERFLIGHT_STEP": STEP,
            "OVERFLIGHT_PACKAGE_ARN": PACKAGE,
            "OVERFLIGHT_ENDPOINT_NAME": ENDPOINT,
            "OVERFLIGHT_TARGET": ENVIRONMENT,
            "OVERFLIGHT_ACTION": ACTION,
            "OVERFLIGHT_INSTANCE_TYPE": INSTANCE_TYPE,
            "OVERFLIGHT_PINNED_EVIDENCE": PINNED,
            "OVERFLIGHT_PORT": as_text(PORT),
            "OVERFLIGHT_FOUR_EYES": config.four_eyes,
            "OVERFLIGHT_SERVE_ROLE_ARN": config.serve_role_arn,
        },
        tags={
            "overflight:pipeline": config.name,
            "overflight:step": STEP,
            "env": ENVIRONMENT,
            "project": "overflight",
            "owner": as_text(OWNER),
        },
        retries=_RETRIES,
    )
