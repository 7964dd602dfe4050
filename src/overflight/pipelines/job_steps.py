"""Steps that run programs: processing, training and tuning jobs, as the service's create requests.

It knows the form of the requests; which program a job runs and what it reads and writes is the author's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from overflight.pipelines.definition import Cache, RetriedStep, compact
from overflight.pipelines.expressions import Value


@dataclass(frozen=True)
class Cluster:
    """Machines of a job."""

    instance_type: Value
    instance_count: Value = 1
    volume_gb: Value = 30


@dataclass(frozen=True, kw_only=True)
class JobStep(RetriedStep):
    """A step that runs a program in a container: what processing and training jobs share.

    ``max_runtime_s`` is in seconds; ``environment`` values must be text (``expressions.as_text``).
    """

    image_uri: Value
    role_arn: Value
    cluster: Cluster
    max_runtime_s: Value
    entrypoint: tuple[str, ...] = ()
    container_arguments: tuple[Value, ...] = ()
    environment: Mapping[str, Value] = field(default_factory=dict)
    tags: Mapping[str, Value] = field(default_factory=dict)
    cache: Cache | None = None

    def beside(self) -> dict[str, Any]:
        """Cache and retries."""
        cache = {"CacheConfig": self.cache.to_document()} if self.cache else {}
        return {**cache, **super().beside()}


@dataclass(frozen=True)
class ProcessingInput:
    """A prefix that is there below ``local_path`` when the job starts."""

    name: str
    uri: Value
    local_path: str

    def to_document(self) -> dict[str, Any]:
        """Entry of ``ProcessingInputs``."""
        source = {
            "S3Uri": self.uri,
            "LocalPath": self.local_path,
            "S3DataType": "S3Prefix",
            "S3InputMode": "File",
            "S3DataDistributionType": "FullyReplicated",
        }
        return {"InputName": self.name, "S3Input": source}


@dataclass(frozen=True)
class ProcessingOutput:
    """A folder that is uploaded when the job succeeds."""

    name: str
    uri: Value
    local_path: str

    def to_document(self) -> dict[str, Any]:
        """Entry of ``Outputs``."""
        target = {"S3Uri": self.uri, "LocalPath": self.local_path, "S3UploadMode": "EndOfJob"}
        return {"OutputName": self.name, "S3Output": target}


@dataclass(frozen=True)
class PropertyFile:
    """A JSON file in an output whose values later steps and conditions can read."""

    name: str
    output: str
    path: str

    def to_document(self) -> dict[str, Any]:
        """Entry of ``PropertyFiles``."""
        return {"PropertyFileName": self.name, "OutputName": self.output, "FilePath": self.path}


@dataclass(frozen=True, kw_only=True)
class ProcessingStep(JobStep):
    """A program over folders (CreateProcessingJob)."""

    type: ClassVar[str] = "Processing"
    inputs: tuple[ProcessingInput, ...] = ()
    outputs: tuple[ProcessingOutput, ...] = ()
    property_files: tuple[PropertyFile, ...] = ()

    def arguments(self) -> dict[str, Any]:
        """CreateProcessingJob without the name."""
        cluster = self.cluster
        return compact(
            ProcessingResources={
                "ClusterConfig": {
                    "InstanceType": cluster.instance_type,
                    "InstanceCount": cluster.instance_count,
                    "VolumeSizeInGB": cluster.volume_gb,
                }
            },
            AppSpecification=compact(
                ImageUri=self.image_uri,
                ContainerEntrypoint=list(self.entrypoint) or None,
                ContainerArguments=list(self.container_arguments) or None,
            ),
            RoleArn=self.role_arn,
            ProcessingInputs=[entry.to_document() for entry in self.inputs] or None,
            ProcessingOutputConfig={"Outputs": [entry.to_document() for entry in self.outputs]}
            if self.outputs
            else None,
            Environment=dict(self.environment) or None,
            StoppingCondition={"MaxRuntimeInSeconds": self.max_runtime_s},
            Tags=_tags(self.tags),
        )

    def beside(self) -> dict[str, Any]:
        """Cache, retries and property files."""
        files = [entry.to_document() for entry in self.property_files]
        return {**({"PropertyFiles": files} if files else {}), **super().beside()}


@dataclass(frozen=True)
class Channel:
    """Training data: the prefix ``uri`` at ``/opt/ml/input/data/<name>``."""

    name: str
    uri: Value
    content_type: str | None = None

    def to_document(self) -> dict[str, Any]:
        """Entry of ``InputDataConfig``."""
        source = {"S3DataType": "S3Prefix", "S3Uri": self.uri, "S3DataDistributionType": "FullyReplicated"}
        return compact(
            ChannelName=self.name,
            DataSource={"S3DataSource": source},
            ContentType=self.content_type,
            InputMode="File",
        )


@dataclass(frozen=True)
class Spot:
    """Spare capacity that may be taken away: waits at most ``max_wait_s`` in all and continues from checkpoints."""

    max_wait_s: Value
    checkpoint_uri: Value


@dataclass(frozen=True)
class Metric:
    """A number in the log: ``regex`` has one group."""

    name: str
    regex: str


@dataclass(frozen=True, kw_only=True)
class TrainingStep(JobStep):
    """Fits a model (CreateTrainingJob). Hyperparameters reach the program as text."""

    type: ClassVar[str] = "Training"
    channels: tuple[Channel, ...]
    output_uri: Value
    hyperparameters: Mapping[str, Value] = field(default_factory=dict)
    metrics: tuple[Metric, ...] = ()
    spot: Spot | None = None
    keep_alive_s: Value | None = None

    def arguments(self) -> dict[str, Any]:
        """CreateTrainingJob without the name."""
        return compact(
            **self._algorithm_and_machines(),
            HyperParameters=dict(self.hyperparameters) or None,
            Environment=dict(self.environment) or None,
            Tags=_tags(self.tags),
        )

    def job_definition(self) -> dict[str, Any]:
        """The same job as the template of a tuning job; the API has no entry point there: the image's own is used."""
        shared = self._algorithm_and_machines()
        algorithm = shared.pop("AlgorithmSpecification")
        for name in ("ContainerEntrypoint", "ContainerArguments"):
            algorithm.pop(name, None)
        return compact(
            AlgorithmSpecification=algorithm,
            **shared,
            StaticHyperParameters=dict(self.hyperparameters) or None,
            Environment=dict(self.environment) or None,
        )

    def _algorithm_and_machines(self) -> dict[str, Any]:
        cluster, spot = self.cluster, self.spot
        return compact(
            AlgorithmSpecification=compact(
                TrainingImage=self.image_uri,
                TrainingInputMode="File",
                ContainerEntrypoint=list(self.entrypoint) or None,
                ContainerArguments=list(self.container_arguments) or None,
                MetricDefinitions=[{"Name": metric.name, "Regex": metric.regex} for metric in self.metrics] or None,
            ),
            RoleArn=self.role_arn,
            InputDataConfig=[channel.to_document() for channel in self.channels],
            OutputDataConfig={"S3OutputPath": self.output_uri},
            ResourceConfig=compact(
                InstanceType=cluster.instance_type,
                InstanceCount=cluster.instance_count,
                VolumeSizeInGB=cluster.volume_gb,
                KeepAlivePeriodInSeconds=self.keep_alive_s,
            ),
            StoppingCondition=compact(
                MaxRuntimeInSeconds=self.max_runtime_s, MaxWaitTimeInSeconds=spot.max_wait_s if spot else None
            ),
            EnableManagedSpotTraining=True if spot else None,
            CheckpointConfig={"S3Uri": spot.checkpoint_uri} if spot else None,
        )


@dataclass(frozen=True)
class Range:
    """Values a tuning job may try: between two numbers, or one of ``choices`` (then the bounds are ignored)."""

    name: str
    low: int | float | None = None
    high: int | float | None = None
    choices: tuple[str, ...] = ()
    scaling: Literal["Auto", "Linear", "Logarithmic", "ReverseLogarithmic"] = "Auto"

    def to_document(self) -> dict[str, Any]:
        """Entry of one of the lists in ``ParameterRanges``; the API takes numbers as text."""
        if self.choices:
            return {"Name": self.name, "Values": list(self.choices)}
        bounds = {"MinValue": str(self.low), "MaxValue": str(self.high)}
        return {"Name": self.name, **bounds, "ScalingType": self.scaling}

    @property
    def kind(self) -> str:
        """The list it belongs to."""
        if self.choices:
            return "CategoricalParameterRanges"
        whole = all(type(bound) is int for bound in (self.low, self.high))
        return "IntegerParameterRanges" if whole else "ContinuousParameterRanges"


@dataclass(frozen=True, kw_only=True)
class TuningStep(RetriedStep):
    """Trains ``template`` several times with different hyperparameters (CreateHyperParameterTuningJob).

    The image's own entry point is used: the API has none for tuning jobs. ``objective`` must be among the template's
    metrics.
    """

    type: ClassVar[str] = "Tuning"
    template: TrainingStep
    objective: str
    ranges: tuple[Range, ...]
    max_jobs: Value
    max_parallel_jobs: Value = 1
    goal: Literal["Maximize", "Minimize"] = "Maximize"
    strategy: Literal["Bayesian", "Random", "Hyperband", "Grid"] = "Random"
    seed: Value | None = None
    cache: Cache | None = None

    def arguments(self) -> dict[str, Any]:
        """CreateHyperParameterTuningJob without the name."""
        ranges: dict[str, list[dict[str, Any]]] = {}
        for entry in self.ranges:
            ranges.setdefault(entry.kind, []).append(entry.to_document())
        config = compact(
            Strategy=self.strategy,
            HyperParameterTuningJobObjective={"Type": self.goal, "MetricName": self.objective},
            ResourceLimits={
                "MaxNumberOfTrainingJobs": self.max_jobs,
                "MaxParallelTrainingJobs": self.max_parallel_jobs,
            },
            ParameterRanges=ranges,
            RandomSeed=self.seed,
        )
        return compact(
            HyperParameterTuningJobConfig=config,
            TrainingJobDefinition=self.template.job_definition(),
            Tags=_tags(self.template.tags),
        )

    def beside(self) -> dict[str, Any]:
        """Cache and retries."""
        cache = {"CacheConfig": self.cache.to_document()} if self.cache else {}
        return {**cache, **super().beside()}


def _tags(tags: Mapping[str, Value]) -> list[dict[str, Any]] | None:
    return [{"Key": key, "Value": value} for key, value in tags.items()] or None
