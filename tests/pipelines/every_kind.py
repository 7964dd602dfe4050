"""A small pipeline with one step of each kind, each expression and each condition, for tests of pipelines."""

from __future__ import annotations

from typing import Any

from overflight.pipelines.definition import (
    Cache,
    ConditionStep,
    DependsOn,
    FailStep,
    Pipeline,
    RetryPolicy,
)
from overflight.pipelines.expressions import (
    Comparison,
    ExecutionValue,
    In,
    Join,
    JsonGet,
    Not,
    Or,
    Parameter,
    StepProperty,
    as_text,
    output_uri,
)
from overflight.pipelines.job_steps import (
    Channel,
    Cluster,
    Metric,
    ProcessingInput,
    ProcessingOutput,
    ProcessingStep,
    PropertyFile,
    Range,
    Spot,
    TrainingStep,
    TuningStep,
)
from overflight.pipelines.model_steps import Container, MetricsFile, ModelStep, RegisterModelStep

ROLE = "arn:aws:iam::123456789012:role/jobs"
SIZE = Parameter("Size", "Integer", 320)
LIMIT = Parameter("Limit", "Float", 0.5)
SITE = Parameter("Site", "String", "north", ("north", "south"))


def processing(name: str, **changes: Any) -> ProcessingStep:
    given: dict[str, Any] = {
        "image_uri": "jobs:1",
        "role_arn": ROLE,
        "cluster": Cluster("ml.m5.large"),
        "max_runtime_s": 600,
        "inputs": (ProcessingInput("raw", "s3://b/raw", "/opt/ml/processing/input/raw"),),
        "outputs": (ProcessingOutput("data", "s3://b/out", "/opt/ml/processing/output/data"),),
    }
    return ProcessingStep(name=name, **{**given, **changes})


def training(name: str, **changes: Any) -> TrainingStep:
    given: dict[str, Any] = {
        "image_uri": "jobs:1",
        "role_arn": ROLE,
        "cluster": Cluster("ml.g5.xlarge"),
        "max_runtime_s": 3600,
        "channels": (Channel("train", output_uri("Prepare", "data")),),
        "output_uri": "s3://b/models",
        "hyperparameters": {"size": as_text(SIZE), "name": "a"},
        "metrics": (Metric("loss", "loss=([0-9.]+);"),),
    }
    return TrainingStep(name=name, **{**given, **changes})


def every_kind() -> Pipeline:
    """One step of each kind, each expression, each condition."""
    artefact = StepProperty("Train", "ModelArtifacts.S3ModelArtifacts")
    error = JsonGet("Measure", "Facts", "error.value")
    measure = processing(
        "Measure",
        inputs=(ProcessingInput("model", artefact, "/opt/ml/processing/input/model"),),
        property_files=(PropertyFile("Facts", "data", "facts.json"),),
        environment={"SIZE": as_text(SIZE), "SITE": SITE},
        container_arguments=("--site", SITE),
        entrypoint=("measure",),
    )
    register = RegisterModelStep(
        name="Register",
        group="group",
        container=Container("serve:1", artefact, {"A": "b"}),
        content_types=("image/jpeg",),
        response_types=("application/json",),
        quality=MetricsFile(Join("/", (output_uri("Measure", "data"), "facts.json"))),
        metadata={"run": ExecutionValue("PipelineExecutionArn"), "error": as_text(error)},
    )
    conditions = (
        Comparison("LessThan", error, LIMIT),
        Or((In(SITE, ("north", "south")), Not(Comparison("Equals", SIZE, 0)))),
    )
    gate = ConditionStep(
        name="Gate",
        conditions=conditions,
        if_steps=(register, ModelStep(name="Model", container=Container("serve:1", artefact), role_arn=ROLE)),
        else_steps=(FailStep(name="Stop", message=Join(" ", ("error", error, "over", LIMIT))),),
    )
    tuning = TuningStep(
        name="Tune",
        template=training("unused"),
        objective="loss",
        goal="Minimize",
        ranges=(
            Range("lr", 0.001, 0.1, scaling="Logarithmic"),
            Range("depth", 2, 8),
            Range("kind", choices=("a", "b")),
        ),
        max_jobs=4,
        depends_on=(DependsOn("Train"),),
    )
    policy = RetryPolicy(("Step.SERVICE_FAULT",), interval_s=2, max_attempts=3)
    prepare = processing("Prepare", cache=Cache(enabled=True, expire_after="P7D"), retries=(policy,))
    train = training("Train", spot=Spot(7200, "s3://b/checkpoints"), description="fit")
    return Pipeline("every-kind", (SIZE, LIMIT, SITE), (prepare, train, measure, gate, tuning))
