"""The model registry answers as SageMaker does: shapes, errors, order, events; and as moto where moto is faithful."""

from __future__ import annotations

from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from overflight.account.local import events
from overflight.account.local.account import LocalAccount
from overflight.account.local.login import local_session
from overflight.account.local.services.registry import create_model_package_version
from overflight.account.local.wire import AwsError

SPECIFICATION = {
    "Containers": [{"Image": "overflight/serve:1", "ModelDataUrl": "s3://b/runs/1/train/model.tar.gz"}],
    "SupportedContentTypes": ["image/jpeg"],
    "SupportedResponseMIMETypes": ["application/json"],
}
QUALITY = {"ModelQuality": {"Statistics": {"ContentType": "application/json", "S3Uri": "s3://b/evaluation.json"}}}
FULL = {
    "ModelPackageDescription": "yolo11n, Häfen & Küste",
    "InferenceSpecification": SPECIFICATION,
    "ModelApprovalStatus": "PendingManualApproval",
    "ModelMetrics": QUALITY,
    "DriftCheckBaselines": QUALITY,
    "CustomerMetadataProperties": {"survey_uri": "s3://b/surveys/harbour/0123", "map50": "0.71"},
    "MetadataProperties": {"GeneratedBy": "arn:aws:sagemaker:eu-central-1:000000000000:pipeline/t/execution/e"},
    "ModelCard": {"ModelCardContent": "{}", "ModelCardStatus": "Draft"},
    "ModelLifeCycle": {"Stage": "Development", "StageStatus": "InProgress"},
    "SourceUri": "s3://b/runs/1",
    "Task": "OBJECT_DETECTION",
    "Domain": "COMPUTER_VISION",
}


@pytest.fixture
def sagemaker(session: boto3.Session) -> Any:
    return session.client("sagemaker")


@pytest.fixture
def group(sagemaker: Any) -> str:
    sagemaker.create_model_package_group(ModelPackageGroupName="harbour", ModelPackageGroupDescription="boats")
    return "harbour"


def register(client: Any, group: str = "harbour", **changes: Any) -> str:
    return str(client.create_model_package(ModelPackageGroupName=group, **{**FULL, **changes})["ModelPackageArn"])


def published(account: LocalAccount) -> list[events.Event]:
    with account.store.read() as tx:
        return [event for event in events.after(tx, 0) if event.detail_type == "SageMaker Model Package State Change"]


def error_of(call: Any, **params: Any) -> tuple[str, str]:
    with pytest.raises(ClientError) as caught:
        call(**params)
    return caught.value.response["Error"]["Code"], caught.value.response["Error"]["Message"]


def test_every_answer_fits_the_output_shape(sagemaker, assert_fits_output_shape):
    fits = assert_fits_output_shape
    fits(
        sagemaker,
        "CreateModelPackageGroup",
        sagemaker.create_model_package_group(ModelPackageGroupName="harbour", Tags=[{"Key": "team", "Value": "a"}]),
    )
    fits(
        sagemaker,
        "DescribeModelPackageGroup",
        sagemaker.describe_model_package_group(ModelPackageGroupName="harbour"),
    )
    fits(sagemaker, "ListModelPackageGroups", sagemaker.list_model_package_groups())
    created = sagemaker.create_model_package(ModelPackageGroupName="harbour", **FULL)
    fits(sagemaker, "CreateModelPackage", created)
    arn = created["ModelPackageArn"]
    updated = sagemaker.update_model_package(
        ModelPackageArn=arn, ModelApprovalStatus="Approved", ApprovalDescription="seen"
    )
    fits(sagemaker, "UpdateModelPackage", updated)
    fits(sagemaker, "DescribeModelPackage", sagemaker.describe_model_package(ModelPackageName=arn))
    fits(sagemaker, "ListModelPackages", sagemaker.list_model_packages(ModelPackageGroupName="harbour"))
    fits(sagemaker, "AddTags", sagemaker.add_tags(ResourceArn=arn, Tags=[{"Key": "k", "Value": "v"}]))
    fits(sagemaker, "ListTags", sagemaker.list_tags(ResourceArn=arn))
    fits(sagemaker, "DeleteTags", sagemaker.delete_tags(ResourceArn=arn, TagKeys=["k"]))
    fits(sagemaker, "DeleteModelPackage", sagemaker.delete_model_package(ModelPackageName=arn))
    fits(sagemaker, "DeleteModelPackageGroup", sagemaker.delete_model_package_group(ModelPackageGroupName="harbour"))


@pytest.mark.parametrize("member", sorted(FULL))
def test_what_is_registered_is_described(sagemaker, group, member):
    facts = sagemaker.describe_model_package(ModelPackageName=register(sagemaker))
    assert facts[member] == FULL[member]


def test_a_version_is_described_with_its_origin(sagemaker, group, clock):
    arn = register(sagemaker)
    facts = sagemaker.describe_model_package(ModelPackageName=arn)
    assert arn == "arn:aws:sagemaker:eu-central-1:000000000000:model-package/harbour/1"
    assert facts["CreationTime"] == clock.now
    assert facts["ModelPackageStatus"] == "Completed"
    assert facts["CreatedBy"]["IamIdentity"] == {
        "Arn": "arn:aws:sts::000000000000:assumed-role/overflight-administrator/ada",
        "PrincipalId": "overflight-administrator:ada",
    }
    assert "LastModifiedBy" not in facts
    assert "ClientToken" not in facts


def test_versions_count_up_and_numbers_are_never_used_again(sagemaker, group):
    first, second = register(sagemaker), register(sagemaker)
    sagemaker.delete_model_package(ModelPackageName=second)
    third = register(sagemaker)
    assert [arn.rsplit("/", 1)[1] for arn in (first, second, third)] == ["1", "2", "3"]


def test_the_same_client_token_gives_the_same_version(sagemaker, group):
    assert register(sagemaker, ClientToken="step-1") == register(sagemaker, ClientToken="step-1")
    assert register(sagemaker) != register(sagemaker)


def test_a_group_is_found_by_name_and_by_arn(sagemaker, group):
    arn = sagemaker.describe_model_package_group(ModelPackageGroupName=group)["ModelPackageGroupArn"]
    assert sagemaker.describe_model_package_group(ModelPackageGroupName=arn)["ModelPackageGroupName"] == group
    register(sagemaker, arn)
    assert len(sagemaker.list_model_packages(ModelPackageGroupName=arn)["ModelPackageSummaryList"]) == 1


def test_approval_is_recorded_with_who_when_and_why(sagemaker, group, account, clock):
    arn = register(sagemaker)
    clock.advance(hours=2)
    other = local_session(account, role="administrator", user="grace").client("sagemaker")
    other.update_model_package(
        ModelPackageArn=arn, ModelApprovalStatus="Approved", ApprovalDescription="Overlays look right."
    )
    facts = sagemaker.describe_model_package(ModelPackageName=arn)
    assert facts["ModelApprovalStatus"] == "Approved"
    assert facts["ApprovalDescription"] == "Overlays look right."
    assert facts["LastModifiedTime"] == clock.now
    assert facts["LastModifiedBy"]["IamIdentity"]["Arn"].endswith("overflight-administrator/grace")
    assert facts["CreatedBy"]["IamIdentity"]["Arn"].endswith("overflight-administrator/ada")


def test_metadata_is_merged_and_removed_by_key(sagemaker, group):
    arn = register(sagemaker)
    sagemaker.update_model_package(
        ModelPackageArn=arn,
        CustomerMetadataProperties={"endpoint": "harbour-live"},
        CustomerMetadataPropertiesToRemove=["map50"],
    )
    facts = sagemaker.describe_model_package(ModelPackageName=arn)["CustomerMetadataProperties"]
    assert facts == {"survey_uri": "s3://b/surveys/harbour/0123", "endpoint": "harbour-live"}


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"ModelLifeCycle": {"Stage": "Production", "StageStatus": "Approved"}}, id="life cycle"),
        pytest.param({"ModelCard": {"ModelCardContent": '{"a":1}', "ModelCardStatus": "Approved"}}, id="model card"),
        pytest.param({"SourceUri": "s3://b/runs/2"}, id="source"),
    ],
)
def test_other_members_are_updated(sagemaker, group, change):
    arn = register(sagemaker)
    sagemaker.update_model_package(ModelPackageArn=arn, **change)
    facts = sagemaker.describe_model_package(ModelPackageName=arn)
    assert {name: facts[name] for name in change} == change


def test_a_change_publishes_the_event_that_starts_deployments(sagemaker, group, account, clock):
    arn = register(sagemaker)
    sagemaker.update_model_package(ModelPackageArn=arn, ModelApprovalStatus="Approved", ApprovalDescription="ok")
    sagemaker.update_model_package(ModelPackageArn=arn, CustomerMetadataProperties={"endpoint": "e"})
    created, approved, stamped = published(account)
    assert [event.source for event in (created, approved, stamped)] == ["aws.sagemaker"] * 3
    assert approved.resources == [arn]
    assert {name: approved.detail[name] for name in ("ModelPackageArn", "ModelPackageGroupName")} == {
        "ModelPackageArn": arn,
        "ModelPackageGroupName": "harbour",
    }
    assert approved.detail["ModelPackageVersion"] == 1
    assert approved.detail["ModelPackageStatus"] == "Completed"
    assert approved.detail["CreationTime"] == int(clock.now.timestamp() * 1000)
    statuses = [event.detail["ModelApprovalStatus"] for event in (created, approved, stamped)]
    assert statuses == ["PendingManualApproval", "Approved", "Approved"]
    assert [event.detail["UpdatedModelPackageFields"] for event in (created, approved, stamped)] == [
        [],
        ["ApprovalDescription", "ModelApprovalStatus"],
        ["CustomerMetadataProperties"],
    ]


def test_a_refused_change_publishes_nothing(sagemaker, group, account):
    arn = register(sagemaker)
    error_of(sagemaker.update_model_package, ModelPackageArn=arn, ModelApprovalStatus="Fine")
    assert len(published(account)) == 1


MISSING = "arn:aws:sagemaker:eu-central-1:000000000000:model-package/harbour/9"


@pytest.mark.parametrize(
    ("method", "params", "words"),
    [
        pytest.param(
            "describe_model_package_group",
            {"ModelPackageGroupName": "nowhere"},
            "model-package-group/nowhere does not exist",
            id="group that is not there",
        ),
        pytest.param(
            "create_model_package_group",
            {"ModelPackageGroupName": "harbour"},
            "already exists",
            id="group that is there",
        ),
        pytest.param(
            "create_model_package_group",
            {"ModelPackageGroupName": "no spaces"},
            "does not match",
            id="name with a space",
        ),
        pytest.param(
            "create_model_package",
            {"ModelPackageGroupName": "nowhere", "InferenceSpecification": SPECIFICATION},
            "does not exist",
            id="version of a group that is not there",
        ),
        pytest.param(
            "create_model_package",
            {"InferenceSpecification": SPECIFICATION},
            "ModelPackageGroupName",
            id="version without a group",
        ),
        pytest.param(
            "create_model_package",
            {"ModelPackageGroupName": "harbour", "Tags": [{"Key": "a", "Value": "b"}]},
            "Tags",
            id="tags on a version",
        ),
        pytest.param(
            "describe_model_package",
            {"ModelPackageName": MISSING},
            "harbour/9 does not exist",
            id="version that is not there",
        ),
        pytest.param(
            "update_model_package",
            {"ModelPackageArn": MISSING, "ModelApprovalStatus": "Approved"},
            "does not exist",
            id="approval of a version that is not there",
        ),
        pytest.param(
            "delete_model_package",
            {"ModelPackageName": MISSING},
            "does not exist",
            id="deletion of a version that is not there",
        ),
        pytest.param(
            "list_model_packages",
            {"ModelPackageGroupName": "harbour", "NextToken": "!!"},
            "NextToken",
            id="foreign token",
        ),
        pytest.param(
            "list_tags",
            {"ResourceArn": MISSING},
            "Could not find",
            id="tags of nothing",
        ),
        pytest.param(
            "list_tags",
            {"ResourceArn": "not-an-arn"},
            "Value at 'ResourceArn'",
            id="tags of something that is no ARN",
        ),
    ],
)
def test_errors_carry_awss_code(sagemaker, group, method, params, words):
    code, message = error_of(getattr(sagemaker, method), **params)
    assert code == "ValidationException"
    assert words in message


def test_a_group_with_versions_is_not_deleted(sagemaker, group):
    arn = register(sagemaker)
    code, message = error_of(sagemaker.delete_model_package_group, ModelPackageGroupName=group)
    assert (code, "1 versions" in message) == ("ConflictException", True)
    sagemaker.delete_model_package(ModelPackageName=arn)
    sagemaker.delete_model_package_group(ModelPackageGroupName=group)
    assert sagemaker.list_model_package_groups()["ModelPackageGroupSummaryList"] == []


def test_versions_are_listed_by_status_and_in_pages(sagemaker, group, clock):
    arns = []
    for _ in range(5):
        arns.append(register(sagemaker))
        clock.advance(minutes=1)
    sagemaker.update_model_package(ModelPackageArn=arns[3], ModelApprovalStatus="Approved")
    listed = sagemaker.list_model_packages(ModelPackageGroupName=group, ModelApprovalStatus="Approved")
    assert [item["ModelPackageArn"] for item in listed["ModelPackageSummaryList"]] == [arns[3]]
    pages = sagemaker.get_paginator("list_model_packages").paginate(
        ModelPackageGroupName=group, SortOrder="Descending", PaginationConfig={"PageSize": 2}
    )
    found = [[item["ModelPackageVersion"] for item in part["ModelPackageSummaryList"]] for part in pages]
    assert found == [[5, 4], [3, 2], [1]]


def test_a_page_continues_after_its_last_item_whatever_happens_meanwhile(sagemaker, group, clock):
    arns = []
    for _ in range(4):
        arns.append(register(sagemaker))
        clock.advance(minutes=1)
    order = {"ModelPackageGroupName": group, "SortOrder": "Descending", "MaxResults": 2}
    first = sagemaker.list_model_packages(**order)
    register(sagemaker)
    sagemaker.delete_model_package(ModelPackageName=arns[3])
    second = sagemaker.list_model_packages(**order, NextToken=first["NextToken"])
    assert [item["ModelPackageVersion"] for item in second["ModelPackageSummaryList"]] == [2, 1]
    assert "NextToken" not in second


def test_groups_are_listed_by_name_and_time(sagemaker, clock):
    for name in ("alpha", "beta", "Alpine"):
        sagemaker.create_model_package_group(ModelPackageGroupName=name)
        clock.advance(hours=1)

    def names(**params: Any) -> list[str]:
        listed = sagemaker.list_model_package_groups(**params)["ModelPackageGroupSummaryList"]
        return [item["ModelPackageGroupName"] for item in listed]

    assert names() == ["alpha", "beta", "Alpine"]
    assert names(NameContains="alp", SortOrder="Descending") == ["Alpine", "alpha"]
    assert names(SortBy="Name") == ["Alpine", "alpha", "beta"]
    second = sagemaker.describe_model_package_group(ModelPackageGroupName="beta")["CreationTime"]
    assert names(CreationTimeAfter=second) == ["beta", "Alpine"]
    assert names(CreationTimeBefore=second) == ["alpha", "beta"]


def test_tags_are_added_overwritten_and_removed(sagemaker):
    arn = sagemaker.create_model_package_group(
        ModelPackageGroupName="harbour", Tags=[{"Key": "team", "Value": "a"}, {"Key": "site", "Value": "north"}]
    )["ModelPackageGroupArn"]
    sagemaker.add_tags(ResourceArn=arn, Tags=[{"Key": "team", "Value": "b"}])
    assert sagemaker.list_tags(ResourceArn=arn)["Tags"] == [
        {"Key": "team", "Value": "b"},
        {"Key": "site", "Value": "north"},
    ]
    sagemaker.delete_tags(ResourceArn=arn, TagKeys=["team", "unknown"])
    assert sagemaker.list_tags(ResourceArn=arn)["Tags"] == [{"Key": "site", "Value": "north"}]


@pytest.mark.parametrize(
    "tags",
    [
        pytest.param([{"Key": "aws:owner", "Value": "x"}], id="reserved key"),
        pytest.param([{"Key": f"k{number}", "Value": "x"} for number in range(51)], id="more than fifty"),
    ],
)
def test_tags_that_aws_refuses_are_refused(sagemaker, group, tags):
    arn = sagemaker.describe_model_package_group(ModelPackageGroupName=group)["ModelPackageGroupArn"]
    assert error_of(sagemaker.add_tags, ResourceArn=arn, Tags=tags)[0] == "ValidationException"
    assert sagemaker.list_tags(ResourceArn=arn)["Tags"] == []


def test_a_pipeline_registers_in_process_and_makes_the_group(account, sagemaker):
    caller = "arn:aws:sts::000000000000:assumed-role/overflight-pipeline/run-1"
    with account.store.write() as tx:
        answer = create_model_package_version(tx, account, caller, {"ModelPackageGroupName": "new", **FULL})
    facts = sagemaker.describe_model_package(ModelPackageName=answer["ModelPackageArn"])
    assert facts["CreatedBy"]["IamIdentity"]["Arn"] == caller
    assert sagemaker.describe_model_package_group(ModelPackageGroupName="new")["ModelPackageGroupStatus"] == "Completed"
    assert len(published(account)) == 1


def test_a_refused_registration_leaves_nothing_behind(account, sagemaker):
    with pytest.raises(AwsError, match="ModelApprovalStatus"), account.store.write() as tx:
        create_model_package_version(
            tx, account, "arn:x/y/z", {"ModelPackageGroupName": "new", **FULL, "ModelApprovalStatus": "Maybe"}
        )
    assert sagemaker.list_model_package_groups()["ModelPackageGroupSummaryList"] == []


def story(client: Any) -> dict[str, Any]:
    """A life of packages in the operations that moto implements faithfully."""
    client.create_model_package_group(ModelPackageGroupName="harbour", ModelPackageGroupDescription="boats")
    kept = {name: FULL[name] for name in FULL if name not in ("ModelCard", "ModelLifeCycle", "SourceUri")}
    arns = [client.create_model_package(ModelPackageGroupName="harbour", **kept)["ModelPackageArn"] for _ in range(3)]
    client.update_model_package(ModelPackageArn=arns[1], ModelApprovalStatus="Approved", ApprovalDescription="ok")
    facts = client.describe_model_package(ModelPackageName=arns[1])
    approved = client.list_model_packages(ModelPackageGroupName="harbour", ModelApprovalStatus="Approved")
    pending = client.list_model_packages(
        ModelPackageGroupName="harbour", ModelApprovalStatus="PendingManualApproval", SortOrder="Ascending"
    )
    return {
        "arns": arns,
        "group": client.describe_model_package_group(ModelPackageGroupName="harbour")["ModelPackageGroupArn"],
        "facts": {name: facts.get(name) for name in (*kept, "ApprovalDescription", "ModelPackageVersion")}
        | {"ModelMetrics": facts["ModelMetrics"]["ModelQuality"]["Statistics"]["S3Uri"]}
        | {"CustomerMetadataProperties": None, "DriftCheckBaselines": None},
        "approved": [item["ModelPackageVersion"] for item in approved["ModelPackageSummaryList"]],
        "pending": [item["ModelPackageVersion"] for item in pending["ModelPackageSummaryList"]],
        "missing group": error_of(client.describe_model_package_group, ModelPackageGroupName="nowhere"),
        "bad status": error_of(client.update_model_package, ModelPackageArn=arns[0], ModelApprovalStatus="Fine")[0],
    }


def test_the_registry_behaves_as_moto_where_moto_is_faithful(sagemaker, monkeypatch):
    ours = story(sagemaker)
    monkeypatch.setenv("MOTO_ACCOUNT_ID", "000000000000")
    with mock_aws():
        theirs = story(
            boto3.client(
                "sagemaker", region_name="eu-central-1", aws_access_key_id="testing", aws_secret_access_key="testing"
            )
        )
    assert ours == theirs
