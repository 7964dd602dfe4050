"""Faults of a pipeline definition: what is done to the one of ``every_kind``, and the path it must be found at."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

Fault = Callable[[dict[str, Any]], None]


def step(definition: dict[str, Any], name: str) -> dict[str, Any]:
    def search(steps: list[dict[str, Any]]) -> dict[str, Any] | None:
        for entry in steps:
            if entry["Name"] == name:
                return entry
            if entry["Type"] == "Condition":
                arguments = entry["Arguments"]
                found = search(arguments["IfSteps"] + arguments["ElseSteps"])
                if found:
                    return found
        return None

    found = search(definition["Steps"])
    assert found is not None, name
    return found


def put(name: str, path: str, value: Any) -> Fault:
    """Set (or, for None, drop) one member of a step; integers in ``path`` are indices."""

    def change(definition: dict[str, Any]) -> None:
        *parents, last = [int(part) if part.isdigit() else part for part in path.split("/")]
        place: Any = step(definition, name)
        for part in parents:
            place = place[part]
        if value is None:
            del place[last]
        else:
            place[last] = value

    return change


def parameter(index: int, **changes: Any) -> Fault:
    return lambda definition: definition["Parameters"][index].update(changes)


def top(name: str, value: Any) -> Fault:
    return lambda definition: definition.update({name: value})


CLUSTER = "Arguments/ProcessingResources/ClusterConfig"
INPUT = "Arguments/ProcessingInputs/0/S3Input"

SEEDED = [
    pytest.param(put("Train", "Arguments/Bogus", 1), "Steps.Train.Arguments.Bogus", id="unknown member"),
    pytest.param(
        put("Train", "Arguments/ResourceConfig/InstanceType", "ml.g5.tiny"),
        "Steps.Train.Arguments.ResourceConfig.InstanceType",
        id="bad instance type",
    ),
    pytest.param(
        put("Train", "Arguments/HyperParameters/epochs", 3),
        "Steps.Train.Arguments.HyperParameters.epochs",
        id="integer hyperparameter",
    ),
    pytest.param(
        put("Train", "Arguments/EnableManagedSpotTraining", "yes"),
        "Steps.Train.Arguments.EnableManagedSpotTraining",
        id="spot flag that is no boolean",
    ),
    pytest.param(put("Train", "Arguments/RoleArn", "arn:aws:iam"), "Steps.Train.Arguments.RoleArn", id="short role"),
    pytest.param(
        put("Train", "Arguments/RoleArn", "arn:aws:iam::123456789012:user/somebody"),
        "Steps.Train.Arguments.RoleArn",
        id="role that is a user",
    ),
    pytest.param(
        put("Prepare", f"{INPUT}/S3InputMode", "Files"),
        "Steps.Prepare.Arguments.ProcessingInputs[0].S3Input.S3InputMode",
        id="bad input mode",
    ),
    pytest.param(
        put("Prepare", f"{CLUSTER}/VolumeSizeInGB", -1),
        "Steps.Prepare.Arguments.ProcessingResources.ClusterConfig.VolumeSizeInGB",
        id="negative volume",
    ),
    pytest.param(
        put("Prepare", "Arguments/StoppingCondition/MaxRuntimeInSeconds", 0),
        "Steps.Prepare.Arguments.StoppingCondition.MaxRuntimeInSeconds",
        id="no time to run",
    ),
    pytest.param(
        put("Train", "Arguments/ResourceConfig", None), "Steps.Train.Arguments.ResourceConfig", id="no machines"
    ),
]

REQUESTS = [
    pytest.param(put("Train", "Arguments/RoleArn", None), "Steps.Train.Arguments.RoleArn", id="required and missing"),
    pytest.param(
        put("Train", "Arguments/StoppingCondition", None), "Steps.Train.Arguments.StoppingCondition", id="no time limit"
    ),
    pytest.param(
        put("Train", "Arguments/AlgorithmSpecification", None),
        "Steps.Train.Arguments.AlgorithmSpecification",
        id="no program",
    ),
    pytest.param(
        put("Train", "Arguments/CheckpointConfig", None), "Steps.Train.Arguments.CheckpointConfig", id="spot, no memory"
    ),
    pytest.param(
        put("Train", "Arguments/StoppingCondition/MaxWaitTimeInSeconds", None),
        "Steps.Train.Arguments.StoppingCondition.MaxWaitTimeInSeconds",
        id="spot without a wait",
    ),
    pytest.param(
        put("Train", "Arguments/StoppingCondition/MaxWaitTimeInSeconds", 60),
        "Steps.Train.Arguments.StoppingCondition.MaxWaitTimeInSeconds",
        id="spot waits less than it runs",
    ),
    pytest.param(
        put("Train", "Arguments/ResourceConfig/KeepAlivePeriodInSeconds", 600),
        "Steps.Train.Arguments.ResourceConfig.KeepAlivePeriodInSeconds",
        id="spot with a warm pool",
    ),
    pytest.param(
        put("Tune", "Arguments/TrainingJobDefinition/ResourceConfig", None),
        "Steps.Tune.Arguments.TrainingJobDefinition.ResourceConfig",
        id="tuning without machines",
    ),
    pytest.param(
        put("Tune", "Arguments/TrainingJobDefinition", None), "Steps.Tune.Arguments", id="tuning without a job"
    ),
    pytest.param(
        put("Prepare", f"{CLUSTER}/InstanceCount", {"Get": "Parameters.Site"}),
        "Steps.Prepare.Arguments.ProcessingResources.ClusterConfig.InstanceCount",
        id="text where a number belongs",
    ),
    pytest.param(
        put("Measure", "Arguments/Environment/SIZE", {"Get": "Parameters.Size"}),
        "Steps.Measure.Arguments.Environment.SIZE",
        id="number where text belongs",
    ),
    pytest.param(
        put("Prepare", f"{INPUT}/LocalPath", "/data"),
        "Steps.Prepare.Arguments.ProcessingInputs[0].S3Input.LocalPath",
        id="folder outside the contract",
    ),
    pytest.param(
        put("Prepare", f"{INPUT}/LocalPath", "/opt/ml/processing/../x"),
        "Steps.Prepare.Arguments.ProcessingInputs[0].S3Input.LocalPath",
        id="folder that climbs out",
    ),
    pytest.param(
        put("Prepare", "Arguments/ProcessingJobName", "x" * 60),
        "Steps.Prepare.Arguments.ProcessingJobName",
        id="job name too long with its suffix",
    ),
    pytest.param(
        put("Register", "Arguments/Tags", [{"Key": "a", "Value": "b"}]),
        "Steps.Register.Arguments.Tags",
        id="tags on a version",
    ),
    pytest.param(
        put("Register", "Arguments/ModelPackageGroupName", None),
        "Steps.Register.Arguments.ModelPackageGroupName",
        id="package without a group",
    ),
    pytest.param(
        put("Register", "Arguments/CertifyForMarketplace", True),
        "Steps.Register.Arguments.CertifyForMarketplace",
        id="marketplace",
    ),
    pytest.param(
        put("Register", "Arguments/ModelApprovalStatus", "Fine"),
        "Steps.Register.Arguments.ModelApprovalStatus",
        id="unknown approval",
    ),
    pytest.param(
        lambda d: step(d, "Prepare")["Arguments"]["ProcessingInputs"].append(
            step(d, "Prepare")["Arguments"]["ProcessingInputs"][0]
        ),
        "Steps.Prepare.Arguments.ProcessingInputs",
        id="input name twice",
    ),
]

REFERENCES = [
    pytest.param(
        put("Prepare", f"{INPUT}/S3Uri", {"Get": "Parameters.Nope"}),
        "Steps.Prepare.Arguments.ProcessingInputs[0].S3Input.S3Uri",
        id="unknown parameter",
    ),
    pytest.param(
        put("Prepare", f"{INPUT}/S3Uri", {"Get": "Execution.Weekday"}),
        "Steps.Prepare.Arguments.ProcessingInputs[0].S3Input.S3Uri",
        id="unknown execution value",
    ),
    pytest.param(
        put("Prepare", f"{INPUT}/S3Uri", {"Get": "Moon.Phase"}),
        "Steps.Prepare.Arguments.ProcessingInputs[0].S3Input.S3Uri",
        id="unknown family",
    ),
    pytest.param(
        put("Measure", f"{INPUT}/S3Uri", {"Get": "Steps.Nope.ModelArtifacts.S3ModelArtifacts"}),
        "Steps.Measure.Arguments.ProcessingInputs[0].S3Input.S3Uri",
        id="unknown step",
    ),
    pytest.param(
        put("Measure", f"{INPUT}/S3Uri", {"Get": "Steps.Train.ModelArtefacts.S3ModelArtifacts"}),
        "Steps.Measure.Arguments.ProcessingInputs[0].S3Input.S3Uri",
        id="unknown property",
    ),
    pytest.param(
        put("Measure", f"{INPUT}/S3Uri", {"Get": "Steps.Train.ModelArtifacts"}),
        "Steps.Measure.Arguments.ProcessingInputs[0].S3Input.S3Uri",
        id="property that is no text",
    ),
    pytest.param(
        put(
            "Train",
            "Arguments/InputDataConfig/0/DataSource/S3DataSource/S3Uri",
            {"Get": "Steps.Prepare.ProcessingOutputConfig.Outputs['nope'].S3Output.S3Uri"},
        ),
        "Steps.Train.Arguments.InputDataConfig[0].DataSource.S3DataSource.S3Uri",
        id="output that the step does not have",
    ),
    pytest.param(
        put("Measure", "PropertyFiles/0/OutputName", "nope"),
        "Steps.Measure.PropertyFiles[0].OutputName",
        id="property file of no output",
    ),
    pytest.param(
        put("Measure", "PropertyFiles/0/FilePath", "../facts.json"),
        "Steps.Measure.PropertyFiles[0].FilePath",
        id="property file outside its output",
    ),
    pytest.param(
        put("Measure", "PropertyFiles/0/PropertyFileName", "Other"),
        "Steps.Gate.Arguments.Conditions[0].LeftValue.Std:JsonGet.PropertyFile",
        id="property file that nobody declares",
    ),
    pytest.param(
        put("Stop", "Arguments/ErrorMessage", {"Get": "Steps.Measure.PropertyFiles.Facts"}),
        "Steps.Stop.Arguments.ErrorMessage",
        id="property file without JsonGet",
    ),
    pytest.param(
        put("Stop", "Arguments/ErrorMessage", {"Std:Join": {"On": " ", "Values": []}}),
        "Steps.Stop.Arguments.ErrorMessage",
        id="join of nothing",
    ),
    pytest.param(
        put("Stop", "Arguments/ErrorMessage", {"Std:Join": {"On": " ", "Values": [["a"]]}}),
        "Steps.Stop.Arguments.ErrorMessage.Std:Join.Values[0]",
        id="join of a list",
    ),
    pytest.param(
        put("Gate", "Arguments/Conditions/0/LeftValue/Std:JsonGet/Path", ""),
        "Steps.Gate.Arguments.Conditions[0].LeftValue",
        id="JsonGet without a path",
    ),
]

GRAPH = [
    pytest.param(put("Prepare", "DependsOn", ["Measure"]), "Steps.Prepare", id="circle"),
    pytest.param(put("Prepare", "DependsOn", ["Prepare"]), "Steps.Prepare", id="waits for itself"),
    pytest.param(put("Measure", "DependsOn", ["Register"]), "Steps.Measure", id="waits for a step of its own branch"),
    pytest.param(put("Prepare", "DependsOn", ["Nope"]), "Steps.Prepare.DependsOn", id="waits for nobody"),
    pytest.param(put("Prepare", "DependsOn", "Train"), "Steps.Prepare.DependsOn", id="dependencies as text"),
    pytest.param(
        put("Tune", "DependsOn", [{"Step": "Train", "Trigger": "Never"}]), "Steps.Tune.DependsOn", id="unknown trigger"
    ),
    pytest.param(put("Stop", "DependsOn", ["Register"]), "Steps.Stop", id="needs both branches"),
    pytest.param(put("Tune", "DependsOn", ["Register", "Stop"]), "Steps.Tune", id="waits for both branches"),
    pytest.param(put("Tune", "Name", "Train"), "Steps.Train", id="name twice"),
    pytest.param(put("Model", "Name", "Prepare"), "Steps.Prepare", id="name twice, once nested"),
    pytest.param(put("Tune", "Name", "my tuning"), "Steps.my tuning", id="name with a space"),
    pytest.param(put("Tune", "Name", "x" * 65), f"Steps.{'x' * 65}", id="name too long"),
    pytest.param(put("Tune", "Type", "Tune"), "Steps.Tune.Type", id="unknown kind of step"),
    pytest.param(put("Tune", "Arguments", None), "Steps.Tune.Arguments", id="no arguments"),
    pytest.param(put("Model", "CacheConfig", {"Enabled": True}), "Steps.Model.CacheConfig", id="cache on a model"),
    pytest.param(put("Gate", "RetryPolicies", []), "Steps.Gate.RetryPolicies", id="retries on a condition"),
]

FORM = [
    pytest.param(top("Version", "2021-01-01"), "Version", id="version"),
    pytest.param(top("Stepz", []), "Stepz", id="unknown top member"),
    pytest.param(top("Steps", []), "Steps", id="no steps"),
    pytest.param(top("Steps", ["Train"]), "Steps", id="a step that is a name"),
    pytest.param(top("Parameters", {}), "Parameters", id="parameters as object"),
    pytest.param(top("Metadata", {"x": float("nan")}), "", id="not JSON"),
    pytest.param(top("Metadata", {"x": "y" * 1_050_000}), "", id="too long"),
    pytest.param(parameter(0, Name="Limit"), "Parameters.Limit", id="parameter twice"),
    pytest.param(parameter(0, Type="Int"), "Parameters.Size.Type", id="unknown type"),
    pytest.param(parameter(0, DefaultValue="320"), "Parameters.Size.DefaultValue", id="default of another type"),
    pytest.param(parameter(0, DefaultValue=True), "Parameters.Size.DefaultValue", id="boolean is no number"),
    pytest.param(parameter(2, DefaultValue="east"), "Parameters.Site.DefaultValue", id="default outside the choices"),
    pytest.param(parameter(2, EnumValues=["north", 3]), "Parameters.Site.EnumValues", id="choice of another type"),
    pytest.param(parameter(2, EnumValues=[]), "Parameters.Site.EnumValues", id="no choices"),
    pytest.param(parameter(0, Name="a b"), "Parameters.a b", id="parameter name"),
    pytest.param(
        put("Prepare", "CacheConfig/ExpireAfter", "7 days"), "Steps.Prepare.CacheConfig.ExpireAfter", id="age"
    ),
    pytest.param(put("Prepare", "CacheConfig/Enabled", "yes"), "Steps.Prepare.CacheConfig.Enabled", id="cache flag"),
    pytest.param(
        put("Prepare", "RetryPolicies/0/ExpireAfterMin", 5), "Steps.Prepare.RetryPolicies[0]", id="two retry limits"
    ),
    pytest.param(
        put("Prepare", "RetryPolicies/0/MaxAttempts", None), "Steps.Prepare.RetryPolicies[0]", id="no retry limit"
    ),
    pytest.param(
        put("Prepare", "RetryPolicies/0/ExceptionType", ["Step.BAD_LUCK"]),
        "Steps.Prepare.RetryPolicies[0].ExceptionType",
        id="unknown exception",
    ),
    pytest.param(
        put("Prepare", "RetryPolicies/0/BackoffRate", 0.5), "Steps.Prepare.RetryPolicies[0].BackoffRate", id="backoff"
    ),
]

CONDITIONS = [
    pytest.param(put("Gate", "Arguments/Conditions", []), "Steps.Gate.Arguments.Conditions", id="no conditions"),
    pytest.param(
        put("Gate", "Arguments/Conditions/0/Type", "Greater"), "Steps.Gate.Arguments.Conditions[0].Type", id="kind"
    ),
    pytest.param(
        put("Gate", "Arguments/Conditions/0/RightValue", None),
        "Steps.Gate.Arguments.Conditions[0].RightValue",
        id="no right side",
    ),
    pytest.param(
        put("Gate", "Arguments/Conditions/0/RightValue", "0.5"),
        "Steps.Gate.Arguments.Conditions[0].RightValue",
        id="order of texts",
    ),
    pytest.param(
        put(
            "Gate",
            "Arguments/Conditions/0",
            {"Type": "Equals", "LeftValue": {"Get": "Parameters.Size"}, "RightValue": "1"},
        ),
        "Steps.Gate.Arguments.Conditions[0]",
        id="never equal",
    ),
    pytest.param(
        put("Gate", "Arguments/Conditions/1/Conditions/0/Values", []),
        "Steps.Gate.Arguments.Conditions[1].Conditions[0].Values",
        id="in nothing",
    ),
    pytest.param(
        put("Gate", "Arguments/Conditions/1/Conditions", []),
        "Steps.Gate.Arguments.Conditions[1].Conditions",
        id="or of nothing",
    ),
    pytest.param(
        put("Gate", "Arguments/Conditions/1/Conditions/1/Expression", None),
        "Steps.Gate.Arguments.Conditions[1].Conditions[1].Expression",
        id="not of nothing",
    ),
    pytest.param(put("Gate", "Arguments/Steps", []), "Steps.Gate.Arguments.Steps", id="unknown argument"),
    pytest.param(put("Gate", "Arguments/IfSteps", {}), "Steps.Gate.Arguments.IfSteps", id="branch as object"),
    pytest.param(put("Stop", "Arguments/ErrorMessage", ""), "Steps.Stop.Arguments.ErrorMessage", id="silent failure"),
]
