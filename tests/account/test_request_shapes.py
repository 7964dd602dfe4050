"""Requests compared with AWS's own model: what botocore lets through is found; references are wildcards."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from botocore.validate import ParamValidator

from overflight.account.shapes import Rules, check_request, input_shape, is_reference, output_shape, type_at

ROLE = "arn:aws:iam::123456789012:role/jobs"
REQUEST: dict[str, Any] = {
    "TrainingJobName": "train-1",
    "AlgorithmSpecification": {"TrainingImage": "jobs:1", "TrainingInputMode": "File"},
    "RoleArn": ROLE,
    "HyperParameters": {"epochs": "3"},
    "OutputDataConfig": {"S3OutputPath": "s3://b/models"},
    "ResourceConfig": {"InstanceType": "ml.g5.xlarge", "InstanceCount": 1, "VolumeSizeInGB": 30},
    "StoppingCondition": {"MaxRuntimeInSeconds": 3600},
    "Tags": [{"Key": "team", "Value": "Küste: 7/8 @ harbour"}],
}


def changed(path: str, value: Any) -> dict[str, Any]:
    request = copy.deepcopy(REQUEST)
    *parents, last = path.split("/")
    place = request
    for part in parents:
        place = place[part]
    place[last] = value
    return request


def found(request: Any, **rules: Any) -> list[tuple[str, str]]:
    findings = check_request("sagemaker", "CreateTrainingJob", request, rules=Rules(**rules))
    return [(finding.path, finding.severity) for finding in findings]


def test_a_good_request_has_no_findings():
    assert found(REQUEST) == []


@pytest.mark.parametrize(
    ("path", "value", "place"),
    [
        pytest.param("Colour", "red", "Colour", id="unknown member"),
        pytest.param("RoleArn", 7, "RoleArn", id="number for text"),
        pytest.param("RoleArn", "arn:aws:iam::1:role/x", "RoleArn", id="pattern"),
        pytest.param("RoleArn", "short", "RoleArn", id="too short"),
        pytest.param("TrainingJobName", "x" * 64, "TrainingJobName", id="too long"),
        pytest.param("HyperParameters/epochs", 3, "HyperParameters.epochs", id="number in a map of texts"),
        pytest.param("HyperParameters/" + "k" * 257, "v", "HyperParameters key", id="key too long"),
        pytest.param("HyperParameters", [], "HyperParameters", id="list for a map"),
        pytest.param("Tags", {}, "Tags", id="object for a list"),
        pytest.param("Tags", [{"Key": "a"}], "Tags[0].Value", id="missing in a list"),
        pytest.param("ResourceConfig", "ml.g5.xlarge", "ResourceConfig", id="text for an object"),
        pytest.param("ResourceConfig/InstanceCount", True, "ResourceConfig.InstanceCount", id="boolean for a number"),
        pytest.param("ResourceConfig/InstanceCount", -1, "ResourceConfig.InstanceCount", id="below the minimum"),
        pytest.param(
            "ResourceConfig/KeepAlivePeriodInSeconds",
            99_999,
            "ResourceConfig.KeepAlivePeriodInSeconds",
            id="above the maximum",
        ),
        pytest.param("EnableManagedSpotTraining", "true", "EnableManagedSpotTraining", id="text for a boolean"),
        pytest.param(
            "AlgorithmSpecification/TrainingInputMode",
            "Files",
            "AlgorithmSpecification.TrainingInputMode",
            id="enumeration",
        ),
    ],
)
def test_each_fault_is_found_where_it_is(path, value, place):
    findings = found(changed(path, value))
    assert findings
    assert all(where.startswith(place) for where, _ in findings)


def test_a_missing_member_is_found_unless_the_service_fills_it_in():
    request = {name: value for name, value in REQUEST.items() if name != "TrainingJobName"}
    assert found(request) == [("TrainingJobName", "error")]
    assert found(request, omitted={"TrainingJobName"}) == []


def test_a_member_that_the_service_fills_in_is_only_left_out_at_the_top():
    request = changed("Tags", [{"Value": "v"}])
    assert found(request, omitted={"Key"}) == [("Tags[0].Key", "error")]


@pytest.mark.parametrize(
    "reference",
    [
        pytest.param({"Get": "Parameters.X"}, id="Get"),
        pytest.param({"Std:Join": {"On": "", "Values": ["a"]}}, id="Join"),
        pytest.param({"Std:JsonGet": {"Path": "a"}}, id="JsonGet"),
    ],
)
@pytest.mark.parametrize("path", ["RoleArn", "ResourceConfig/InstanceCount", "HyperParameters/epochs"])
def test_a_reference_is_a_wildcard(reference, path):
    assert is_reference(reference)
    assert found(changed(path, reference)) == []


@pytest.mark.parametrize(
    ("given", "path", "severity"),
    [
        pytest.param("string", "ResourceConfig/InstanceCount", "error", id="text for a number"),
        pytest.param("float", "ResourceConfig/InstanceCount", "error", id="fraction for a whole number"),
        pytest.param("integer", "HyperParameters/epochs", "warning", id="number for text"),
        pytest.param("string", "ResourceConfig", "error", id="text for an object"),
        pytest.param("integer", "ResourceConfig/InstanceCount", None, id="as wanted"),
        pytest.param("long", "ResourceConfig/InstanceCount", None, id="a larger whole number"),
        pytest.param("", "ResourceConfig/InstanceCount", None, id="not known"),
    ],
)
def test_a_reference_of_known_type_must_fit(given, path, severity):
    request = changed(path, {"Get": "Parameters.X"})
    findings = found(request, type_of_reference=lambda _: given)
    assert [level for _, level in findings] == ([severity] if severity else [])


def test_an_unknown_instance_type_may_be_newer_than_the_model():
    assert found(changed("ResourceConfig/InstanceType", "ml.g99.xlarge")) == [
        ("ResourceConfig.InstanceType", "warning")
    ]


@pytest.mark.parametrize(
    ("operation", "path", "type_name"),
    [
        pytest.param("DescribeTrainingJob", ("ModelArtifacts", "S3ModelArtifacts"), "string", id="member of a member"),
        pytest.param("DescribeProcessingJob", ("ProcessingOutputConfig", "Outputs", "data"), "structure", id="by name"),
        pytest.param("DescribeTrainingJob", ("InputDataConfig", 0, "ChannelName"), "string", id="by index"),
        pytest.param("DescribeTrainingJob", ("HyperParameters", "epochs"), "string", id="key of a map"),
        pytest.param("DescribeTrainingJob", ("BillableTimeInSeconds",), "integer", id="number"),
        pytest.param("DescribeTrainingJob", ("ModelArtefacts",), None, id="no such member"),
        pytest.param("DescribeTrainingJob", ("RoleArn", "deeper"), None, id="below a text"),
    ],
)
def test_paths_into_answers(operation, path, type_name):
    assert type_at("sagemaker", operation, path) == type_name


def test_an_operation_without_answer_has_an_empty_shape():
    assert dict(output_shape("sagemaker", "DeleteModel").members) == {}


@pytest.mark.parametrize("path", sorted(REQUEST))
def test_whatever_botocore_refuses_is_refused_too(path):
    """botocore's own validator as oracle: it knows less, so ours may not find less."""
    for junk in (None, 3, "", [], {}, {"x": 1}, [None]):
        request = changed(path, junk)
        theirs = ParamValidator().validate(request, input_shape("sagemaker", "CreateTrainingJob"))
        if theirs.has_errors():
            assert found(request), (path, junk, theirs.generate_report())
