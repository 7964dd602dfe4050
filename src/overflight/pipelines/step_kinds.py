"""What each kind of step may hold: a table.

Sources: botocore's service model for the operations, the SageMaker Python SDK's request builders for the members beside
``Arguments``. It knows no rule that goes beyond one member.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import get_args

from overflight.pipelines.definition import RetryException
from overflight.pipelines.expressions import ComparisonKind, ExecutionName

COMMON = frozenset({"Name", "Type", "Arguments", "DependsOn", "DisplayName", "Description"})
_CHECK = frozenset(
    {
        "CheckType",
        "ModelPackageGroupName",
        "SkipCheck",
        "FailOnViolation",
        "RegisterNewBaseline",
        "SuppliedBaselineStatistics",
        "SuppliedBaselineConstraints",
        "CacheConfig",
        "PropertyFiles",
    }
)


@dataclass(frozen=True)
class StepKind:
    """One kind of step.

    Args:
        create: Operation whose request ``Arguments`` is; "" when they have no such shape.
        describe: Operation whose answer a reference points into; "" when there is none.
        filled_in: Required member of the request that the service makes up.
        beside: Members allowed beside the common ones.
    """

    create: str = ""
    describe: str = ""
    filled_in: str = ""
    beside: frozenset[str] = frozenset()


def _job(name: str, *beside: str, filled_in: str = "", describe: str = "") -> StepKind:
    return StepKind(
        create=f"Create{name}", describe=describe or f"Describe{name}", filled_in=filled_in, beside=frozenset(beside)
    )


KINDS: dict[str, StepKind] = {
    "Processing": _job("ProcessingJob", "PropertyFiles", "CacheConfig", "RetryPolicies", filled_in="ProcessingJobName"),
    "Training": _job("TrainingJob", "CacheConfig", "RetryPolicies", filled_in="TrainingJobName"),
    "Tuning": _job("HyperParameterTuningJob", "CacheConfig", "RetryPolicies", filled_in="HyperParameterTuningJobName"),
    "Transform": _job("TransformJob", "CacheConfig", "RetryPolicies", filled_in="TransformJobName"),
    "AutoML": _job("AutoMLJob", "CacheConfig", "RetryPolicies", filled_in="AutoMLJobName"),
    "Model": _job("Model", "RetryPolicies", filled_in="ModelName"),
    "RegisterModel": _job("ModelPackage", "RetryPolicies"),
    "EndpointConfig": _job("EndpointConfig", filled_in="EndpointConfigName"),
    "Endpoint": _job("Endpoint", filled_in="EndpointName"),
    "QualityCheck": StepKind("CreateProcessingJob", "", "ProcessingJobName", _CHECK),
    "ClarifyCheck": StepKind("CreateProcessingJob", "", "ProcessingJobName", _CHECK | {"ModelName"}),
    "Lambda": StepKind(beside=frozenset({"FunctionArn", "OutputParameters", "CacheConfig"})),
    "Callback": StepKind(beside=frozenset({"SqsQueueUrl", "OutputParameters", "CacheConfig"})),
    "EMR": StepKind(beside=frozenset({"CacheConfig"})),
    "Condition": StepKind(),
    "Fail": StepKind(),
}
# Kinds the service knows and nobody here checks: their content is taken as it is.
UNCHECKED = frozenset(
    {"EMRServerless", "InferenceComponent", "Lineage", "Job", "Cleanup", "ForEach", "Athena", "HubContent", "Bedrock"}
)
# Outputs that are not members of a Describe answer, by kind.
SPECIAL_PROPERTIES: dict[str, frozenset[str]] = {
    "Lambda": frozenset({"OutputParameters"}),
    "Callback": frozenset({"OutputParameters"}),
    "Condition": frozenset({"Outcome"}),
    "QualityCheck": frozenset(
        {
            "CalculatedBaselineConstraints",
            "CalculatedBaselineStatistics",
            "BaselineUsedForDriftCheckConstraints",
            "BaselineUsedForDriftCheckStatistics",
        }
    ),
    "ClarifyCheck": frozenset({"CalculatedBaselineConstraints", "BaselineUsedForDriftCheckConstraints"}),
    "EMR": frozenset({"ClusterId"}),
    "Tuning": frozenset({"TrainingJobSummaries"}),
}
PROPERTY_FILE_KINDS = frozenset({"Processing", "QualityCheck", "ClarifyCheck"})
RETRY_EXCEPTIONS = frozenset(get_args(RetryException))
EXECUTION_VALUES = frozenset(get_args(ExecutionName))
COMPARISONS = frozenset(get_args(ComparisonKind))
