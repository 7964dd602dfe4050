"""The typed emit says what SageMaker's definition says, deterministically, and refuses what JSON cannot hold."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from datetime import UTC, datetime

import pytest
from every_kind import LIMIT, SITE, SIZE, every_kind, training
from hypothesis import given, settings
from hypothesis import strategies as st

from overflight.errors import UsageError
from overflight.pipelines.definition import DependsOn, Pipeline, to_document, to_json
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
    render,
)

ERROR = JsonGet("Measure", "Facts", "error.value")


@pytest.mark.parametrize(
    ("expression", "document"),
    [
        pytest.param(SIZE, {"Get": "Parameters.Size"}, id="parameter"),
        pytest.param(
            ExecutionValue("PipelineExecutionId"), {"Get": "Execution.PipelineExecutionId"}, id="execution value"
        ),
        pytest.param(
            StepProperty("Train", "ModelArtifacts.S3ModelArtifacts"),
            {"Get": "Steps.Train.ModelArtifacts.S3ModelArtifacts"},
            id="step property",
        ),
        pytest.param(
            output_uri("Prepare", "data"),
            {"Get": "Steps.Prepare.ProcessingOutputConfig.Outputs['data'].S3Output.S3Uri"},
            id="output by name",
        ),
        pytest.param(
            Join("/", ("s3://b", SITE, 7)),
            {"Std:Join": {"On": "/", "Values": ["s3://b", {"Get": "Parameters.Site"}, 7]}},
            id="join",
        ),
        pytest.param(
            ERROR,
            {"Std:JsonGet": {"PropertyFile": {"Get": "Steps.Measure.PropertyFiles.Facts"}, "Path": "error.value"}},
            id="value in a property file",
        ),
        pytest.param(
            Comparison("LessThan", ERROR, LIMIT),
            {"Type": "LessThan", "LeftValue": ERROR.to_document(), "RightValue": {"Get": "Parameters.Limit"}},
            id="comparison",
        ),
        pytest.param(
            In(SITE, ("a", "b")),
            {"Type": "In", "QueryValue": {"Get": "Parameters.Site"}, "Values": ["a", "b"]},
            id="in",
        ),
        pytest.param(
            Not(Or((Comparison("Equals", SIZE, 1),))),
            {
                "Type": "Not",
                "Expression": {
                    "Type": "Or",
                    "Conditions": [{"Type": "Equals", "LeftValue": {"Get": "Parameters.Size"}, "RightValue": 1}],
                },
            },
            id="not of or",
        ),
        pytest.param(DependsOn("Train"), "Train", id="dependency"),
        pytest.param(DependsOn("Train", "Failed"), {"Step": "Train", "Trigger": "Failed"}, id="dependency on failure"),
    ],
)
def test_each_expression_has_its_form(expression, document):
    assert expression.to_document() == document


@pytest.mark.parametrize(
    ("value", "document"),
    [
        pytest.param("a", "a", id="text stays"),
        pytest.param(SITE, {"Get": "Parameters.Site"}, id="text parameter stays"),
        pytest.param(SIZE, {"Std:Join": {"On": "", "Values": [{"Get": "Parameters.Size"}]}}, id="number parameter"),
        pytest.param(7, {"Std:Join": {"On": "", "Values": [7]}}, id="number"),
        pytest.param(ERROR, {"Std:Join": {"On": "", "Values": [ERROR.to_document()]}}, id="value in a file"),
        pytest.param(Join("", ("a",)), {"Std:Join": {"On": "", "Values": ["a"]}}, id="join stays"),
    ],
)
def test_what_must_be_text_is_joined(value, document):
    assert render(as_text(value)) == document


def test_parameters_are_declared_with_type_default_and_choices():
    assert [parameter.declaration() for parameter in (SIZE, SITE, Parameter("Uri"))] == [
        {"Name": "Size", "Type": "Integer", "DefaultValue": 320},
        {"Name": "Site", "Type": "String", "DefaultValue": "north", "EnumValues": ["north", "south"]},
        {"Name": "Uri", "Type": "String"},
    ]


def test_false_zero_and_empty_text_are_defaults_too():
    declared = [Parameter("P", kind, default).declaration() for kind, default in (("Boolean", False), ("String", ""))]
    assert [entry["DefaultValue"] for entry in declared] == [False, ""]


def test_absent_settings_are_left_to_the_service():
    document = training("Train").to_document()
    assert set(document) == {"Name", "Type", "Arguments"}
    assert not {"Environment", "Tags", "CheckpointConfig", "EnableManagedSpotTraining"} & document["Arguments"].keys()


def test_spot_training_asks_for_wait_and_checkpoints(definition):
    job = next(step for step in definition["Steps"] if step["Name"] == "Train")["Arguments"]
    assert job["EnableManagedSpotTraining"] is True
    assert job["StoppingCondition"] == {"MaxRuntimeInSeconds": 3600, "MaxWaitTimeInSeconds": 7200}
    assert job["CheckpointConfig"] == {"S3Uri": "s3://b/checkpoints"}


def test_tuning_sorts_its_ranges_and_writes_numbers_as_text(definition):
    tuning = next(step for step in definition["Steps"] if step["Name"] == "Tune")["Arguments"]
    assert tuning["HyperParameterTuningJobConfig"]["ParameterRanges"] == {
        "ContinuousParameterRanges": [
            {"Name": "lr", "MinValue": "0.001", "MaxValue": "0.1", "ScalingType": "Logarithmic"}
        ],
        "IntegerParameterRanges": [{"Name": "depth", "MinValue": "2", "MaxValue": "8", "ScalingType": "Auto"}],
        "CategoricalParameterRanges": [{"Name": "kind", "Values": ["a", "b"]}],
    }
    assert "ContainerEntrypoint" not in tuning["TrainingJobDefinition"]["AlgorithmSpecification"]


def test_the_text_is_the_same_every_time_and_holds_the_document():
    first, second = to_json(every_kind()), to_json(every_kind())
    assert first == second
    assert json.loads(first) == to_document(every_kind())


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(math.nan, id="NaN"),
        pytest.param(math.inf, id="infinity"),
        pytest.param(datetime(2026, 1, 1, tzinfo=UTC), id="date"),
        pytest.param(b"bytes", id="bytes"),
        pytest.param({"a": [{1, 2}]}, id="set, nested"),
    ],
)
def test_what_a_definition_cannot_hold_is_refused(value):
    with pytest.raises(UsageError, match="cannot stand in a pipeline definition"):
        render(value)


@settings(max_examples=40)
@given(
    st.recursive(
        st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=12,
    )
)
def test_plain_values_are_rendered_as_they_are(value):
    assert render(value) == value


def test_an_empty_pipeline_has_all_members():
    assert to_document(Pipeline("p", (), ())) == {
        "Version": "2020-12-01",
        "Metadata": {},
        "Parameters": [],
        "Steps": [],
    }


def test_emitting_loads_no_aws_library():
    code = (
        "import sys, overflight.pipelines.definition, overflight.pipelines.train; sys.exit('botocore' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
