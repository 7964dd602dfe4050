"""Steps that make a model known: a registered model package, and a model that can be served.

It knows the form of the requests, not whether a model deserves to be registered.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from overflight.pipelines.definition import RetriedStep, compact
from overflight.pipelines.expressions import Value


@dataclass(frozen=True)
class Container:
    """The server's image and the packed model it loads."""

    image_uri: Value
    model_data_uri: Value
    environment: Mapping[str, Value] = field(default_factory=dict)

    def to_document(self) -> dict[str, Any]:
        """Container of a model or a model package."""
        return compact(
            Image=self.image_uri, ModelDataUrl=self.model_data_uri, Environment=dict(self.environment) or None
        )


@dataclass(frozen=True)
class MetricsFile:
    """A file that describes a model, such as its evaluation."""

    uri: Value
    content_type: str = "application/json"

    def to_document(self) -> dict[str, Any]:
        """A MetricsSource."""
        return {"ContentType": self.content_type, "S3Uri": self.uri}


@dataclass(frozen=True, kw_only=True)
class RegisterModelStep(RetriedStep):
    """Adds a version to a model package group (CreateModelPackage).

    Tags are left out on purpose: the service refuses them for versions, which carry their group's.
    """

    type: ClassVar[str] = "RegisterModel"
    group: Value
    container: Container
    content_types: tuple[str, ...]
    response_types: tuple[str, ...]
    realtime_instance_types: tuple[str, ...] = ()
    approval: Literal["Approved", "Rejected", "PendingManualApproval"] = "PendingManualApproval"
    model_description: Value | None = None
    quality: MetricsFile | None = None
    drift_baseline: MetricsFile | None = None
    metadata: Mapping[str, Value] = field(default_factory=dict)
    generated_by: Value | None = None
    source_uri: Value | None = None
    task: str | None = None
    domain: str | None = None

    def arguments(self) -> dict[str, Any]:
        """CreateModelPackage."""
        specification = compact(
            Containers=[self.container.to_document()],
            SupportedContentTypes=list(self.content_types),
            SupportedResponseMIMETypes=list(self.response_types),
            SupportedRealtimeInferenceInstanceTypes=list(self.realtime_instance_types) or None,
        )
        return compact(
            ModelPackageGroupName=self.group,
            ModelPackageDescription=self.model_description,
            ModelApprovalStatus=self.approval,
            InferenceSpecification=specification,
            ModelMetrics=_quality(self.quality),
            DriftCheckBaselines=_quality(self.drift_baseline),
            CustomerMetadataProperties=dict(self.metadata) or None,
            MetadataProperties={"GeneratedBy": self.generated_by} if self.generated_by is not None else None,
            SourceUri=self.source_uri,
            Task=self.task,
            Domain=self.domain,
        )


@dataclass(frozen=True, kw_only=True)
class ModelStep(RetriedStep):
    """A model that an endpoint can load (CreateModel without the name)."""

    type: ClassVar[str] = "Model"
    container: Container
    role_arn: Value
    tags: Mapping[str, Value] = field(default_factory=dict)

    def arguments(self) -> dict[str, Any]:
        """CreateModel without the name."""
        tags = [{"Key": key, "Value": value} for key, value in self.tags.items()]
        return compact(ExecutionRoleArn=self.role_arn, PrimaryContainer=self.container.to_document(), Tags=tags or None)


def _quality(file: MetricsFile | None) -> dict[str, Any] | None:
    return {"ModelQuality": {"Statistics": file.to_document()}} if file else None
