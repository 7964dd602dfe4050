"""Models, endpoint configurations and endpoints as calls: answers in AWS's shapes, errors with AWS's codes."""

from __future__ import annotations

import boto3
import moto
import pytest
from botocore.exceptions import ClientError

from overflight.account.local import events, supervisor
from overflight.account.local.services.models import create_model

ROLE = "arn:aws:iam::000000000000:role/overflight-administrator"
CONTAINER = {"Image": "overflight:1", "ModelDataUrl": "s3://bucket/model.tar.gz", "Environment": {"A": "b"}}
VARIANT = {"VariantName": "main", "ModelName": "m", "InitialInstanceCount": 1, "InstanceType": "ml.m5.large"}
CAPTURE = {
    "EnableCapture": True,
    "InitialSamplingPercentage": 10,
    "DestinationS3Uri": "s3://bucket/capture",
    "CaptureOptions": [{"CaptureMode": "Output"}],
}


@pytest.fixture(autouse=True)
def no_supervisor(monkeypatch):
    """These calls only change the store; nothing may be started by them here."""
    monkeypatch.setattr(supervisor, "ensure_supervisor", lambda account: None)


@pytest.fixture
def sagemaker(session):
    return session.client("sagemaker")


@pytest.fixture
def with_endpoint(sagemaker):
    sagemaker.create_model(ModelName="m", PrimaryContainer=CONTAINER, ExecutionRoleArn=ROLE)
    sagemaker.create_endpoint_config(
        EndpointConfigName="c", ProductionVariants=[VARIANT | {"InitialVariantWeight": 1.0}], DataCaptureConfig=CAPTURE
    )
    sagemaker.create_endpoint(EndpointName="e", EndpointConfigName="c", Tags=[{"Key": "team", "Value": "harbour"}])
    return sagemaker


CALLS = [
    ("CreateModel", {"ModelName": "n", "Containers": [CONTAINER], "ExecutionRoleArn": ROLE}),
    ("DescribeModel", {"ModelName": "m"}),
    ("ListModels", {"NameContains": "m"}),
    ("DeleteModel", {"ModelName": "m"}),
    ("CreateEndpointConfig", {"EndpointConfigName": "d", "ProductionVariants": [VARIANT]}),
    ("DescribeEndpointConfig", {"EndpointConfigName": "c"}),
    ("ListEndpointConfigs", {}),
    ("DeleteEndpointConfig", {"EndpointConfigName": "c"}),
    ("CreateEndpoint", {"EndpointName": "f", "EndpointConfigName": "c"}),
    ("DescribeEndpoint", {"EndpointName": "e"}),
    ("ListEndpoints", {"StatusEquals": "Creating"}),
    ("DeleteEndpoint", {"EndpointName": "e"}),
]


def call(client, operation: str, **params):
    names = {value: key for key, value in client.meta.method_to_api_mapping.items()}
    return getattr(client, names[operation])(**params)


@pytest.mark.parametrize(("operation", "params"), CALLS, ids=[name for name, _ in CALLS])
def test_every_answer_has_the_shape_of_aws(with_endpoint, assert_fits_output_shape, operation, params):
    assert_fits_output_shape(with_endpoint, operation, call(with_endpoint, operation, **params))


def test_what_was_created_is_described(with_endpoint):
    model = with_endpoint.describe_model(ModelName="m")
    assert model["PrimaryContainer"] == CONTAINER
    config = with_endpoint.describe_endpoint_config(EndpointConfigName="c")
    assert (config["DataCaptureConfig"], config["ProductionVariants"][0]["ModelName"]) == (CAPTURE, "m")
    endpoint = with_endpoint.describe_endpoint(EndpointName="e")
    assert endpoint["EndpointStatus"] == "Creating"
    assert endpoint["EndpointConfigName"] == "c"
    assert endpoint["ProductionVariants"][0] | {"DeployedImages": []} == {
        "VariantName": "main",
        "DeployedImages": [],
        "CurrentWeight": 1.0,
        "DesiredWeight": 1.0,
        "CurrentInstanceCount": 1,
        "DesiredInstanceCount": 1,
    }
    assert with_endpoint.list_tags(ResourceArn=endpoint["EndpointArn"])["Tags"] == [{"Key": "team", "Value": "harbour"}]


@pytest.mark.parametrize(
    ("operation", "params", "says"),
    [
        ("DescribeModel", {"ModelName": "x"}, 'Could not find model "arn:'),
        ("DeleteModel", {"ModelName": "x"}, "Could not find model"),
        ("CreateModel", {"ModelName": "m", "PrimaryContainer": CONTAINER}, "already existing model"),
        ("CreateModel", {"ModelName": "../m", "PrimaryContainer": CONTAINER}, "ModelName"),
        ("CreateModel", {"ModelName": "n"}, "Exactly one of PrimaryContainer and Containers"),
        ("CreateModel", {"ModelName": "n", "PrimaryContainer": {}}, "Image or ModelPackageName"),
        ("CreateModel", {"ModelName": "n", "PrimaryContainer": {"ModelPackageName": "p/1"}}, "does not exist"),
        ("DescribeEndpointConfig", {"EndpointConfigName": "x"}, "Could not find endpoint configuration"),
        ("DeleteEndpointConfig", {"EndpointConfigName": "x"}, "Could not find endpoint configuration"),
        ("CreateEndpointConfig", {"EndpointConfigName": "c", "ProductionVariants": [VARIANT]}, "already existing"),
        (
            "CreateEndpointConfig",
            {"EndpointConfigName": "d", "ProductionVariants": [VARIANT | {"ModelName": "x"}]},
            "Could not find model",
        ),
        (
            "CreateEndpointConfig",
            {"EndpointConfigName": "d", "ProductionVariants": [VARIANT, VARIANT | {"VariantName": "b"}]},
            "exactly one production variant",
        ),
        ("CreateEndpoint", {"EndpointName": "e", "EndpointConfigName": "c"}, "already existing endpoint"),
        ("CreateEndpoint", {"EndpointName": "f", "EndpointConfigName": "x"}, "Could not find endpoint configuration"),
        ("UpdateEndpoint", {"EndpointName": "x", "EndpointConfigName": "c"}, "Could not find endpoint"),
        ("UpdateEndpoint", {"EndpointName": "e", "EndpointConfigName": "c"}, "in-progress"),
        ("DescribeEndpoint", {"EndpointName": "x"}, "Could not find endpoint"),
        ("DeleteEndpoint", {"EndpointName": "x"}, "Could not find endpoint"),
    ],
)
def test_what_aws_refuses_is_refused_with_its_code(with_endpoint, operation, params, says):
    with pytest.raises(ClientError) as caught:
        call(with_endpoint, operation, **params)
    assert caught.value.response["Error"]["Code"] == "ValidationException"
    assert says in caught.value.response["Error"]["Message"]


def test_only_an_approved_package_becomes_a_model(sagemaker):
    sagemaker.create_model_package_group(ModelPackageGroupName="cars")
    specification = {
        "Containers": [{"Image": "overflight:1", "ModelDataUrl": "s3://bucket/model.tar.gz"}],
        "SupportedContentTypes": ["image/jpeg"],
        "SupportedResponseMIMETypes": ["application/json"],
    }
    arn = sagemaker.create_model_package(
        ModelPackageGroupName="cars",
        InferenceSpecification=specification,
        ModelApprovalStatus="PendingManualApproval",
    )["ModelPackageArn"]
    request = {"ModelName": "m", "Containers": [{"ModelPackageName": arn}], "ExecutionRoleArn": ROLE}
    for status in ("PendingManualApproval", "Rejected"):
        sagemaker.update_model_package(ModelPackageArn=arn, ModelApprovalStatus=status)
        with pytest.raises(ClientError, match=status):
            sagemaker.create_model(**request)
    sagemaker.update_model_package(ModelPackageArn=arn, ModelApprovalStatus="Approved")
    sagemaker.create_model(**request)
    assert sagemaker.describe_model(ModelName="m")["Containers"] == [{"ModelPackageName": arn}]


def test_the_plain_function_does_what_the_operation_does(account, sagemaker):
    with account.store.write() as transaction:
        answer = create_model(transaction, account, "arn:caller", {"ModelName": "m", "PrimaryContainer": CONTAINER})
    assert sagemaker.describe_model(ModelName="m")["ModelArn"] == answer["ModelArn"]


def test_lists_come_in_pages_filtered_and_sorted(sagemaker, clock):
    for number in range(7):
        clock.advance(seconds=1)
        sagemaker.create_model(ModelName=f"model-{number}", PrimaryContainer=CONTAINER, ExecutionRoleArn=ROLE)
    pages = list(sagemaker.get_paginator("list_models").paginate(PaginationConfig={"PageSize": 3}))
    assert [[item["ModelName"][-1] for item in page["Models"]] for page in pages] == [list("654"), list("321"), ["0"]]
    assert len(sagemaker.list_models(NameContains="-3")["Models"]) == 1


def test_a_change_of_state_is_an_event(with_endpoint, account):
    with_endpoint.delete_endpoint(EndpointName="e")
    with account.store.read() as transaction:
        found = [event for event in events.after(transaction, 0) if "Endpoint" in event.detail_type]
    assert {event.detail_type for event in found} == {"SageMaker Endpoint State Change"}
    assert [event.detail["EndpointStatus"] for event in found] == ["CREATING", "DELETING"]
    assert found[0].resources == [found[0].detail["EndpointArn"]]


def test_moto_agrees_on_answers_and_errors(sagemaker):
    """Members of the answers and codes of the errors; values of times and ARNs differ."""

    def story(client) -> list[object]:
        seen: list[object] = []
        client.create_model(ModelName="m", PrimaryContainer=CONTAINER, ExecutionRoleArn=ROLE)
        client.create_endpoint_config(EndpointConfigName="c", ProductionVariants=[VARIANT])
        seen += [client.describe_model(ModelName="m")["PrimaryContainer"]]
        seen += [client.list_models()["Models"][0].keys()]
        seen += [client.describe_endpoint_config(EndpointConfigName="c")["ProductionVariants"][0]["ModelName"]]
        client.create_endpoint(EndpointName="e", EndpointConfigName="c")
        seen += [client.describe_endpoint(EndpointName="e")["EndpointConfigName"]]
        for operation, params in (
            ("DescribeModel", {"ModelName": "x"}),
            ("DescribeEndpoint", {"EndpointName": "x"}),
            ("DescribeEndpointConfig", {"EndpointConfigName": "x"}),
        ):
            with pytest.raises(ClientError) as caught:
                call(client, operation, **params)
            seen.append((operation, caught.value.response["Error"]["Code"]))
        return seen

    with moto.mock_aws():
        peer = boto3.client("sagemaker", region_name="eu-central-1", aws_access_key_id="a", aws_secret_access_key="b")
        expected = story(peer)
    assert story(sagemaker) == expected
