"""The expression language as tables: parameters, references, functions, conditions."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from overflight.account.local.expressions import (
    ExpressionError,
    Scope,
    bind_parameters,
    evaluate,
    follow,
    holds,
    references,
)

DECLARED = [
    {"Name": "Name", "Type": "String", "DefaultValue": "harbour"},
    {"Name": "Epochs", "Type": "Integer", "DefaultValue": 3},
    {"Name": "Rate", "Type": "Float", "DefaultValue": 0.1},
    {"Name": "Dry", "Type": "Boolean", "DefaultValue": False},
    {"Name": "Size", "Type": "String", "DefaultValue": "s", "EnumValues": ["s", "m"]},
]


def _read(uri: str) -> Any:
    return {"s3://b/e.json": {"a": {"b": [10, {"c.d": "deep"}], "none": None}}}[uri]


SCOPE = Scope(
    parameters={"Name": "harbour", "Epochs": 3, "Rate": 0.5, "Dry": True},
    execution={"PipelineName": "train"},
    steps={
        "E": {
            "ProcessingOutputConfig": {"Outputs": [{"OutputName": "o1", "S3Output": {"S3Uri": "s3://b/o1"}}]},
            "Environment": {"X": "1"},
            "FinalMetricDataList": [{"MetricName": "map50", "Value": 0.25}],
            "Nothing": None,
        }
    },
    read_property_file=lambda step, name: {"step": step, "file": name, "m": {"map50": 0.25}},
    read_json=_read,
)


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        pytest.param({}, {"Name": "harbour", "Epochs": 3, "Rate": 0.1, "Dry": False, "Size": "s"}, id="defaults"),
        pytest.param({"Epochs": "12"}, {"Epochs": 12}, id="integer text"),
        pytest.param({"Rate": "2"}, {"Rate": 2.0}, id="a whole number is a float"),
        pytest.param({"Rate": "1e-3"}, {"Rate": 0.001}, id="float text"),
        pytest.param({"Dry": "True"}, {"Dry": True}, id="boolean text"),
        pytest.param({"Size": "m"}, {"Size": "m"}, id="value of the enum"),
    ],
)
def test_parameters_are_bound(overrides, expected):
    bound = bind_parameters(DECLARED, overrides)
    assert bound.items() >= expected.items()
    assert all(type(bound[name]) is type(value) for name, value in expected.items())


@pytest.mark.parametrize(
    ("declared", "overrides", "part"),
    [
        pytest.param(DECLARED, {"Nope": "1"}, "unknown parameter 'Nope'", id="unknown name"),
        pytest.param(DECLARED, {"Epochs": "1.5"}, "not of type Integer", id="a fraction is no integer"),
        pytest.param(DECLARED, {"Epochs": "true"}, "not of type Integer", id="a boolean is no integer"),
        pytest.param(DECLARED, {"Rate": "nan"}, "not a finite number", id="nan"),
        pytest.param(DECLARED, {"Rate": "fast"}, "not of type Float", id="text is no float"),
        pytest.param(DECLARED, {"Dry": "1"}, "not of type Boolean", id="a number is no boolean"),
        pytest.param(DECLARED, {"Name": ""}, "empty string", id="empty text"),
        pytest.param(DECLARED, {"Size": "xl"}, "not one of", id="outside the enum"),
        pytest.param([{"Name": "A", "Type": "String"}], {}, "'A' is undefined", id="no value at all"),
        pytest.param([{"Name": "A", "Type": "Integer", "DefaultValue": True}], {}, "not of type Integer", id="bool"),
        pytest.param([{"Name": "A", "Type": "Float", "DefaultValue": False}], {}, "not of type Float", id="bool float"),
        pytest.param([{"Name": "A", "Type": "Blob", "DefaultValue": 1}], {}, "unknown parameter type", id="type"),
        pytest.param([{"Name": "A b", "Type": "String", "DefaultValue": "x"}], {}, "not a parameter name", id="name"),
        pytest.param([{"Name": "A"}, {"Name": "A"}], {}, "declared twice", id="twice"),
    ],
)
def test_bad_parameters_are_refused_by_name(declared, overrides, part):
    with pytest.raises(ExpressionError, match=part):
        bind_parameters(declared, overrides)


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        pytest.param({"Get": "Parameters.Epochs"}, 3, id="a lone Get keeps the integer"),
        pytest.param({"Get": "Parameters.Dry"}, True, id="... and the boolean"),
        pytest.param({"Get": "Execution.PipelineName"}, "train", id="execution variable"),
        pytest.param({"Get": "Steps.E.Environment.X"}, "1", id="path"),
        pytest.param({"Get": "Steps.E.Environment['X']"}, "1", id="path in brackets"),
        pytest.param(
            {"Get": "Steps.E.ProcessingOutputConfig.Outputs['o1'].S3Output.S3Uri"}, "s3://b/o1", id="outputs by name"
        ),
        pytest.param(
            {"Get": 'Steps.E.ProcessingOutputConfig.Outputs["o1"].S3Output.S3Uri'}, "s3://b/o1", id="double quotes"
        ),
        pytest.param({"Get": "Steps.E.FinalMetricDataList['map50'].Value"}, 0.25, id="metrics by name"),
        pytest.param(
            {"Std:Join": {"On": "-", "Values": ["a", {"Get": "Parameters.Epochs"}, 0.5, {"Get": "Parameters.Dry"}]}},
            "a-3-0.5-true",
            id="join makes texts",
        ),
        pytest.param(
            {"Std:JsonGet": {"PropertyFile": {"Get": "Steps.E.PropertyFiles.Eval"}, "Path": "m.map50"}},
            0.25,
            id="property file",
        ),
        pytest.param(
            {"Std:JsonGet": {"S3Uri": {"Std:Join": {"On": "/", "Values": ["s3://b", "e.json"]}}, "Path": "a.b[0]"}},
            10,
            id="json by uri",
        ),
        pytest.param({"Std:JsonGet": {"S3Uri": "s3://b/e.json", "Path": "a.b[1]['c.d']"}}, "deep", id="quoted dots"),
        pytest.param({"a": [{"Get": "Parameters.Name"}, 1, None]}, {"a": ["harbour", 1, None]}, id="nested"),
    ],
)
def test_expressions_have_values(expression, value):
    found = evaluate(expression, SCOPE)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("expression", "part"),
    [
        ({"Get": "Parameters.Nope"}, "does not exist"),
        ({"Get": "Steps.Later.X"}, "'Later' has no result"),
        ({"Get": "Steps.E.Outputs"}, "does not exist"),
        ({"Get": "Steps.E"}, "path is empty"),
        ({"Get": "Steps.E.Nothing"}, "undefined"),
        ({"Get": "Planets.Mars"}, "does not exist"),
        ({"Std:JsonGet": {"S3Uri": "s3://b/e.json", "Path": "a.none"}}, "undefined"),
        ({"Std:JsonGet": {"S3Uri": "s3://b/e.json", "Path": "a.b[7]"}}, "does not exist"),
        ({"Std:JsonGet": {"S3Uri": "s3://b/e.json", "Path": "a[[0]"}}, "cannot read the path"),
        ({"Std:JsonGet": {"PropertyFile": {"Get": "Steps.E.Eval"}, "Path": "a"}}, "not a property file"),
        ({"Std:Join": {"On": "", "Values": [{"Get": "Steps.E.Environment"}]}}, "cannot be joined"),
    ],
)
def test_expressions_without_a_value_say_why(expression, part):
    with pytest.raises(ExpressionError, match=part):
        evaluate(expression, SCOPE)


def _compare(kind: str, left: Any, right: Any) -> dict[str, Any]:
    return {"Type": kind, "LeftValue": left, "RightValue": right}


TRUE, FALSE = _compare("Equals", 1, 1), _compare("Equals", 1, 2)


@pytest.mark.parametrize(
    ("conditions", "outcome"),
    [
        ([TRUE, TRUE], True),
        ([TRUE, FALSE], False),
        ([_compare("Equals", 1, 1.0)], True),
        ([_compare("Equals", True, 1)], False),
        ([_compare("Equals", "1", 1)], False),
        ([_compare("GreaterThan", 2, 1.5)], True),
        ([_compare("GreaterThan", 2, 2)], False),
        ([_compare("GreaterThanOrEqualTo", 2, 2)], True),
        ([_compare("LessThan", {"Get": "Parameters.Rate"}, 1)], True),
        ([_compare("LessThanOrEqualTo", 3, 2)], False),
        ([{"Type": "In", "QueryValue": {"Get": "Parameters.Name"}, "Values": ["forest", "harbour"]}], True),
        ([{"Type": "In", "QueryValue": True, "Values": [1, "True"]}], False),
        ([{"Type": "Not", "Condition": TRUE}], False),
        ([{"Type": "Not", "Expression": FALSE}], True),
        ([{"Type": "Or", "Conditions": [FALSE, TRUE]}], True),
        ([{"Type": "Or", "Conditions": [FALSE, {"Type": "Not", "Condition": TRUE}]}], False),
    ],
)
def test_conditions(conditions, outcome):
    assert holds(conditions, SCOPE) is outcome


@pytest.mark.parametrize(
    ("one", "part"),
    [
        (_compare("LessThan", "0.5", 1), "not a number"),
        (_compare("GreaterThan", True, 0), "not a number"),
        (_compare("Near", 1, 1), "unknown condition 'Near'"),
        ({"Type": "Equals", "LeftValue": 1}, "'RightValue' is missing"),
        ({"Type": "Or"}, "'Conditions' is missing"),
    ],
)
def test_conditions_that_cannot_be_decided(one, part):
    with pytest.raises(ExpressionError, match=part):
        holds([one], SCOPE)


def test_references_are_found_wherever_they_are():
    document = {"a": [{"Std:Join": {"Values": [{"Get": "Steps.A.x"}, "b"]}}], "c": {"Get": "Parameters.P"}}
    assert sorted(references(document)) == ["Parameters.P", "Steps.A.x"]


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda x: st.lists(x) | st.dictionaries(
    st.text().filter(lambda key: key not in {"Get", "Std:Join", "Std:JsonGet"}), x)))  # fmt: skip
def test_what_holds_no_function_evaluates_to_itself(value):
    assert evaluate(value, SCOPE) == value


@given(st.lists(st.text(alphabet="ab-. ", min_size=1), min_size=1, max_size=4), st.integers())
def test_any_key_can_be_reached_in_brackets(keys, value):
    document: Any = value
    for key in reversed(keys):
        document = {key: document}
    assert follow(document, "".join(f"['{key}']" for key in keys), where="test") == value
