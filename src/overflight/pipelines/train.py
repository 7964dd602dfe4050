"""The training pipeline: validate -> gate -> prepare -> train -> evaluate -> gate -> register, or fail and say why.

It fixes the order of the jobs, the folders they exchange and the gates; what the jobs do is theirs (``jobs``), and
where the pipeline runs is the account's.

Step cache: the service counts a job's environment among the things that must be equal. The variables
``OVERFLIGHT_EXECUTION_*``, ``OVERFLIGHT_STEP``, ``MLFLOW_TRACKING_URI`` and ``MLFLOW_EXPERIMENT_NAME`` name the run and
do not change a result; the local account leaves them out of its comparison, SageMaker does not, so there a step is
always run again.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from overflight import __version__
from overflight.pipelines.definition import Cache, ConditionStep, FailStep, Pipeline, RetryPolicy, Step
from overflight.pipelines.expressions import (
    Comparison,
    ExecutionValue,
    Join,
    JsonGet,
    Parameter,
    StepProperty,
    Value,
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
    TrainingStep,
)
from overflight.pipelines.model_steps import Container, MetricsFile, RegisterModelStep

_INPUT = "/opt/ml/processing/input"
_OUTPUT = "/opt/ml/processing/output"
_ROLE = r"^arn:aws[a-z-]*:iam::\d{12}:role/[\w+=,.@/-]+$"

SURVEY = Parameter("SurveyUri")
# Model "recipe" and the numbers 0 leave the choice to the recipe. SurveyChecks changes severities and limits of the
# checks (`dark=off,tiny.min_side_px=10`), "default" changes nothing; MaxWarnings -1 allows any number of warnings.
# Augment is a preset of the package, "none" makes no copies; MaxLeak 1 only reports what the test shares with training.
MODEL = Parameter("Model", "String", "recipe")
IMAGE_SIZE = Parameter("ImageSize", "Integer", 0)
EPOCHS = Parameter("Epochs", "Integer", 0)
BATCH = Parameter("Batch", "Integer", 0)
SEED = Parameter("Seed", "Integer", 0)
WEIGHTS = Parameter("Weights", "String", "scratch")
RECIPE = Parameter("Recipe", "String", "default")
SPLIT_BY = Parameter("SplitBy", "String", "flight", ("flight", "ground", "time-gap"))
AUGMENT = Parameter("Augment", "String", "none")
COPIES = Parameter("AugmentCopies", "Integer", 1)
MAX_LEAK = Parameter("MaxLeak", "Float", 1.0)
TILE = Parameter("TilePx", "Integer", 640)
OVERLAP = Parameter("OverlapPx", "Integer", 128)
SURVEY_CHECKS = Parameter("SurveyChecks", "String", "default")
MAX_WARNINGS = Parameter("MaxWarnings", "Integer", -1)
MIN_MAP50 = Parameter("MinMap50", "Float", 0.5)
MLFLOW_URI = Parameter("MlflowTrackingUri", "String", "off")
MLFLOW_EXPERIMENT = Parameter("MlflowExperiment", "String", "overflight")
GROUP = Parameter("ModelPackageGroup", "String", "overflight")
OWNER = Parameter("Owner", "String", "unknown")
PARAMETERS = (
    SURVEY,
    MODEL,
    IMAGE_SIZE,
    EPOCHS,
    BATCH,
    SEED,
    WEIGHTS,
    RECIPE,
    SPLIT_BY,
    TILE,
    OVERLAP,
    AUGMENT,
    COPIES,
    MAX_LEAK,
    SURVEY_CHECKS,
    MAX_WARNINGS,
    MIN_MAP50,
    MLFLOW_URI,
    MLFLOW_EXPERIMENT,
    GROUP,
    OWNER,
)

EXECUTION_ID = ExecutionValue("PipelineExecutionId")
EXECUTION_ARN = ExecutionValue("PipelineExecutionArn")
MAP50 = JsonGet("Evaluate", "Evaluation", "metrics.map50.value")

# Faults of the service, not of the job: trying again can help and costs nothing.
_RETRIES = (
    RetryPolicy(("Step.SERVICE_FAULT", "Step.THROTTLING"), interval_s=5, max_attempts=3),
    RetryPolicy(("SageMaker.JOB_INTERNAL_ERROR", "SageMaker.CAPACITY_ERROR"), interval_s=60, max_attempts=3),
)
_MODEL_RETRIES = _RETRIES[:1]


class TrainPipelineConfig(BaseModel):
    """What is fixed when the pipeline is created; what changes from run to run is a parameter of the pipeline.

    Attributes:
        name: Name of the pipeline.
        bucket: Bucket of the runs' outputs.
        environment: Working environment, a tag of every job.
        prepare_role_arn: Role of the jobs that validate and prepare.
        train_role_arn: Role of the training.
        evaluate_role_arn: Role of the evaluation; no other job has it, so nothing else can write metrics.
        image_uri: Image with the jobs; the local account runs its entry points without a container.
        serving_image_uri: Image with the server, recorded in the model package.
        processing_instance_type: Machine of the steps that validate, prepare and evaluate.
        training_instance_type: Machine of the training job.
        volume_gb: Disk of each machine.
        processing_max_runtime_s: Time limit of each processing job.
        training_max_runtime_s: Time limit of the training job.
        cache: Whether finished steps with the same inputs are reused.
        cache_expire_after: Oldest result that is reused, ISO 8601.
        tags: Further tags on jobs, for the allocation of costs.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field("overflight-dev-train", pattern=r"^[a-zA-Z0-9](-*[a-zA-Z0-9]){0,255}$")
    bucket: str = Field(pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$")
    environment: str = Field("dev", pattern=r"^[a-z]+$")
    prepare_role_arn: str = Field(pattern=_ROLE)
    train_role_arn: str = Field(pattern=_ROLE)
    evaluate_role_arn: str = Field(pattern=_ROLE)
    image_uri: str = Field(f"overflight/jobs:{__version__}", min_length=1, max_length=255)
    serving_image_uri: str = Field(f"overflight/serve:{__version__}", min_length=1, max_length=255)
    processing_instance_type: str = "ml.m5.xlarge"
    training_instance_type: str = "ml.g5.xlarge"
    volume_gb: int = Field(50, ge=1, le=16_384)
    processing_max_runtime_s: int = Field(4 * 3600, ge=1, le=777_600)
    training_max_runtime_s: int = Field(24 * 3600, ge=1, le=2_419_200)
    cache: bool = True
    cache_expire_after: str | None = Field("P30D", pattern=r"^P(\d+Y)?(\d+M)?(\d+W)?(\d+D)?(T(\d+H)?(\d+M)?(\d+S)?)?$")
    tags: dict[str, str] = Field(default_factory=dict)


def train_pipeline(config: TrainPipelineConfig) -> Pipeline:
    """The pipeline from a survey to a registered model package that waits for approval."""
    reasons = JsonGet("Validate", "Decision", "reasons[0]")
    return Pipeline(
        name=config.name,
        description="From a survey to a model package that waits for approval",
        parameters=PARAMETERS,
        steps=(
            _validate(config),
            ConditionStep(
                name="CheckSurvey",
                description="Only a survey that passes its checks is trained on",
                conditions=(Comparison("Equals", JsonGet("Validate", "Decision", "passed"), right=True),),
                if_steps=(_prepare(config), _train(config), _evaluate(config), _check_model(config)),
                else_steps=(FailStep(name="FailSurvey", message=Join("", ("The survey was refused: ", reasons))),),
            ),
        ),
    )


def _validate(config: TrainPipelineConfig) -> Step:
    return _processing(
        config,
        "Validate",
        description="Read photographs and labels strictly",
        inputs=(ProcessingInput("survey", SURVEY, f"{_INPUT}/survey"),),
        output="report",
        files=(PropertyFile("Decision", "report", "decision.json"),),
    )


def _prepare(config: TrainPipelineConfig) -> Step:
    return _processing(
        config,
        "Prepare",
        description="Split without tearing flights, cut large photographs into tiles",
        inputs=(ProcessingInput("survey", SURVEY, f"{_INPUT}/survey"),),
        output="dataset",
    )


def _train(config: TrainPipelineConfig) -> Step:
    hyperparameters = {
        "model": MODEL,
        "imgsz": IMAGE_SIZE,
        "epochs": EPOCHS,
        "batch": BATCH,
        "seed": SEED,
        "weights": WEIGHTS,
        "recipe": RECIPE,
    }
    return TrainingStep(
        name="Train",
        description="Fit YOLO11",
        image_uri=config.image_uri,
        entrypoint=("overflight-job", "train"),
        role_arn=config.train_role_arn,
        cluster=Cluster(config.training_instance_type, 1, config.volume_gb),
        max_runtime_s=config.training_max_runtime_s,
        channels=(Channel("dataset", output_uri("Prepare", "dataset")),),
        output_uri=_run_uri(config, "Train"),
        hyperparameters={name: as_text(value) for name, value in hyperparameters.items()},
        metrics=(Metric("map50", r"map50=([0-9.eE+-]+);"), Metric("map50_95", r"map50_95=([0-9.eE+-]+);")),
        environment=_environment("Train"),
        tags=_tags(config, "Train"),
        cache=_cache(config),
        retries=_RETRIES,
    )


def _evaluate(config: TrainPipelineConfig) -> Step:
    return _processing(
        config,
        "Evaluate",
        description="Measure on flights the model has not seen",
        inputs=(
            ProcessingInput("model", StepProperty("Train", "ModelArtifacts.S3ModelArtifacts"), f"{_INPUT}/model"),
            ProcessingInput("dataset", output_uri("Prepare", "dataset"), f"{_INPUT}/dataset"),
        ),
        output="evaluation",
        files=(
            PropertyFile("Evaluation", "evaluation", "evaluation.json"),
            PropertyFile("Decision", "evaluation", "decision.json"),
        ),
    )


def _check_model(config: TrainPipelineConfig) -> Step:
    message = Join("", ("The model was refused: mAP50 is ", MAP50, ", the gate asks for at least ", MIN_MAP50))
    return ConditionStep(
        name="CheckModel",
        description="Only a model that is good enough is registered",
        conditions=(Comparison("GreaterThanOrEqualTo", MAP50, MIN_MAP50),),
        if_steps=(_register(config),),
        else_steps=(FailStep(name="FailModel", message=message),),
    )


def _register(config: TrainPipelineConfig) -> Step:
    return RegisterModelStep(
        name="Register",
        description="A package that waits for approval by another person",
        group=GROUP,
        container=Container(config.serving_image_uri, StepProperty("Train", "ModelArtifacts.S3ModelArtifacts")),
        content_types=("image/jpeg", "image/png"),
        response_types=("application/json",),
        model_description=Join("", ("Recipe ", RECIPE, " trained on ", SURVEY)),
        quality=MetricsFile(Join("/", (output_uri("Evaluate", "evaluation"), "evaluation.json"))),
        metadata={
            "execution_arn": EXECUTION_ARN,
            "survey_uri": SURVEY,
            "recipe": RECIPE,
            "seed": as_text(SEED),
            "map50": as_text(MAP50),
            "min_map50": as_text(MIN_MAP50),
            "evaluation_uri": output_uri("Evaluate", "evaluation"),
            "mlflow_experiment": MLFLOW_EXPERIMENT,
        },
        generated_by=EXECUTION_ARN,
        task="OBJECT_DETECTION",
        domain="COMPUTER_VISION",
        retries=_MODEL_RETRIES,
    )


def _processing(
    config: TrainPipelineConfig,
    name: Literal["Validate", "Prepare", "Evaluate"],
    *,
    description: str,
    inputs: tuple[ProcessingInput, ...],
    output: str,
    files: tuple[PropertyFile, ...] = (),
) -> Step:
    return ProcessingStep(
        name=name,
        description=description,
        image_uri=config.image_uri,
        entrypoint=("overflight-job", name.lower()),
        role_arn=config.evaluate_role_arn if name == "Evaluate" else config.prepare_role_arn,
        cluster=Cluster(config.processing_instance_type, 1, config.volume_gb),
        max_runtime_s=config.processing_max_runtime_s,
        inputs=inputs,
        outputs=(ProcessingOutput(output, _run_uri(config, name), f"{_OUTPUT}/{output}"),),
        property_files=files,
        environment={**_environment(name), **_settings(name)},
        tags=_tags(config, name),
        cache=_cache(config),
        retries=_RETRIES,
    )


def _environment(step: str) -> dict[str, Value]:
    """Which run a job belongs to; nothing in it changes what the job computes."""
    return {
        "MLFLOW_TRACKING_URI": MLFLOW_URI,
        "MLFLOW_EXPERIMENT_NAME": MLFLOW_EXPERIMENT,
        "OVERFLIGHT_EXECUTION_ID": EXECUTION_ID,
        "OVERFLIGHT_EXECUTION_ARN": EXECUTION_ARN,
        "OVERFLIGHT_STEP": step,
    }


def _settings(step: str) -> dict[str, Value]:
    """Settings of a processing job, as text: the service takes no numbers in an environment.

    A gate's thresholds go to its own step alone, so that changing them repeats neither preparation nor training.
    """
    settings = {
        "OVERFLIGHT_SPLIT_BY": SPLIT_BY,
        "OVERFLIGHT_TILE_PX": TILE,
        "OVERFLIGHT_OVERLAP_PX": OVERLAP,
        "OVERFLIGHT_SEED": SEED,
    }
    if step == "Validate":
        gate = {"CHECKS": SURVEY_CHECKS, "MAX_WARNINGS": MAX_WARNINGS, "IMGSZ": IMAGE_SIZE, "RECIPE": RECIPE}
        settings |= {f"OVERFLIGHT_{name}": value for name, value in gate.items()}
    if step == "Prepare":
        settings |= {"OVERFLIGHT_AUGMENT": AUGMENT, "OVERFLIGHT_COPIES": COPIES, "OVERFLIGHT_MAX_LEAK": MAX_LEAK}
    if step == "Evaluate":
        settings["OVERFLIGHT_MIN_MAP50"] = MIN_MAP50
    return {name: as_text(value) for name, value in settings.items()}


def _run_uri(config: TrainPipelineConfig, step: str) -> Join:
    return Join("/", (f"s3://{config.bucket}/runs", EXECUTION_ID, step.lower()))


def _tags(config: TrainPipelineConfig, step: str) -> dict[str, Value]:
    """What access and costs are told apart by: ``env`` is asked for by the policies, ``owner`` pays."""
    own = {"env": config.environment, "project": "overflight", "owner": as_text(OWNER)}
    return {"overflight:pipeline": config.name, "overflight:step": step, **own, **config.tags}


def _cache(config: TrainPipelineConfig) -> Cache:
    return Cache(enabled=config.cache, expire_after=config.cache_expire_after if config.cache else None)
