"""Executions from start to end: order, branches, failures, parallelism, references between steps."""

from __future__ import annotations

import json
from datetime import datetime

import pytest
from pipeline_tools import (
    ROLE,
    Pipelines,
    condition,
    definition,
    equals,
    fail,
    make_pipelines,
    processing,
    training_request,
)


@pytest.fixture
def pipelines(account, session, monkeypatch) -> Pipelines:
    return make_pipelines(account, session, monkeypatch)


def test_steps_hand_their_outputs_on(pipelines):
    bucket = pipelines.account.bucket
    out = {"Std:Join": {"On": "/", "Values": [f"s3://{bucket}", {"Get": "Execution.PipelineExecutionId"}]}}
    first = processing("First", "(ml/'processing/output/out/a.txt').write_text('hello')", outputs={"out": out})
    second = processing(
        "Second",
        "t=(ml/'processing/input/in/a.txt').read_text();(ml/'processing/output/out/b.txt').write_text(t+' world')",
        inputs={"in": {"Get": "Steps.First.ProcessingOutputConfig.Outputs['out'].S3Output.S3Uri"}},
        outputs={"out": out},
    )
    arn = pipelines.run(definition(second, first))
    assert pipelines.steps(arn) == {"First": "Succeeded", "Second": "Succeeded"}
    assert pipelines.status(arn) == "Succeeded"
    assert pipelines.read(arn.rsplit("/", 1)[1] + "/b.txt") == "hello world"


def _gate(pipelines: Pipelines) -> str:
    bucket = pipelines.account.bucket
    write = "(ml/'processing/output/out/e.json').write_text('{\"m\": {\"map50\": %s}}' % os.environ['MAP'])"
    measure = processing(
        "Evaluate",
        write,
        outputs={"out": f"s3://{bucket}/evaluation"},
        environment={"MAP": {"Get": "Parameters.Map"}},
        PropertyFiles=[{"PropertyFileName": "Eval", "OutputName": "out", "FilePath": "e.json"}],
    )
    value = {"Std:JsonGet": {"PropertyFile": {"Get": "Steps.Evaluate.PropertyFiles.Eval"}, "Path": "m.map50"}}
    gate = condition(
        "Gate",
        [{"Type": "GreaterThanOrEqualTo", "LeftValue": value, "RightValue": {"Get": "Parameters.Least"}}],
        then=[processing("Publish"), processing("AfterPublish", DependsOn=["Publish"])],
        otherwise=[fail("TooBad", {"Std:Join": {"On": " ", "Values": ["map50 is", value]}})],
    )
    parameters = [
        {"Name": "Map", "Type": "String", "DefaultValue": "0.7"},
        {"Name": "Least", "Type": "Float", "DefaultValue": 0.5},
    ]
    return definition(
        measure, gate, processing("Far", DependsOn=["AfterPublish"]), processing("Free"), parameters=parameters
    )


def test_a_true_condition_takes_the_if_branch(pipelines):
    arn = pipelines.run(_gate(pipelines))
    done = {"Evaluate", "Free", "Gate", "Publish", "AfterPublish", "Far"}
    assert pipelines.steps(arn) == dict.fromkeys(done, "Succeeded")
    assert pipelines.listed(arn)["Gate"]["Metadata"] == {"Condition": {"Outcome": "True"}}
    assert "TooBad" not in pipelines.listed(arn)


def test_a_false_condition_skips_all_that_hangs_on_the_if_branch_and_fails_with_the_message(pipelines):
    arn = pipelines.run(_gate(pipelines), Map="0.25")
    assert pipelines.steps(arn) == {
        "Evaluate": "Succeeded",
        "Free": "Succeeded",
        "Gate": "Succeeded",
        "TooBad": "Failed",
    }
    assert pipelines.status(arn) == "Failed"
    assert "map50 is 0.25" in pipelines.reason(arn)
    assert pipelines.listed(arn)["TooBad"]["Metadata"] == {"Fail": {"ErrorMessage": "map50 is 0.25"}}


def test_independent_branches_finish_when_one_fails(pipelines):
    text = definition(
        fail("Broken", "on purpose"),
        processing("Slow", "import time; time.sleep(0.3)"),
        processing("AfterSlow", DependsOn=["Slow"]),
        processing("AfterBroken", DependsOn=["Broken"]),
    )
    arn = pipelines.run(text)
    assert pipelines.steps(arn) == {"Broken": "Failed", "Slow": "Succeeded", "AfterSlow": "Succeeded"}
    assert pipelines.status(arn) == "Failed"


def test_a_step_that_waits_for_a_failure_handles_it(pipelines):
    text = definition(
        fail("Broken", "on purpose"),
        processing("Rescue", DependsOn=[{"Step": "Broken", "Trigger": "Failed"}]),
        processing("Normal", DependsOn=["Broken"]),
    )
    arn = pipelines.run(text)
    assert pipelines.steps(arn) == {"Broken": "Failed", "Rescue": "Succeeded"}
    assert pipelines.status(arn) == "CompletedWithFailures"


def _nested(depth: int) -> dict:
    """A condition whose branch holds a condition, ``depth`` deep: the shape of Airflow's system test."""
    check = {"Type": "LessThanOrEqualTo", "LeftValue": 3.0, "RightValue": 6.0}
    inner = [_nested(depth - 1)] if depth > 1 else [processing("Leaf")]
    return condition(f"Check{depth}", [check], then=inner)


def test_more_than_thirty_nested_conditions_are_followed(pipelines):
    arn = pipelines.run(definition(_nested(31)))
    steps = pipelines.steps(arn)
    assert len(steps) == 32
    assert set(steps.values()) == {"Succeeded"}


@pytest.mark.parametrize(("parallel", "slots", "most"), [(1, 4, 1), (2, 4, 2), (0, 2, 2), (4, 1, 1)])
def test_no_more_jobs_run_at_once_than_the_execution_and_the_cores_allow(pipelines, parallel, slots, most):
    code = (
        "import time, pathlib; busy = pathlib.Path(os.environ['SHARED']); me = busy/str(os.getpid()); me.touch();"
        "time.sleep(0.15); n = len(list(busy.glob('[0-9]*'))); (busy/f'seen-{n}').touch(); me.unlink()"
    )
    shared = pipelines.account.home / "shared"
    shared.mkdir()
    steps = [processing(f"S{i}", code, environment={"SHARED": str(shared)}) for i in range(4)]
    arn = pipelines.start(definition(*steps), parallel=parallel)
    pipelines.follow(slots=slots)
    assert pipelines.status(arn) == "Succeeded"
    seen = {int(path.name.split("-")[1]) for path in shared.glob("seen-*")}
    assert max(seen) == most


def test_parameters_keep_their_types_and_join_makes_texts(pipelines):
    code = "(ml/'processing/output/out/env.txt').write_text(os.environ['ALL'])"
    joined = {"Std:Join": {"On": ",", "Values": [{"Get": f"Parameters.{name}"} for name in ("S", "I", "F", "B")]}}
    step = processing("P", code, environment={"ALL": joined}, outputs={"out": f"s3://{pipelines.account.bucket}/env"})
    step["Arguments"]["StoppingCondition"]["MaxRuntimeInSeconds"] = {"Get": "Parameters.I"}
    parameters = [
        {"Name": "S", "Type": "String", "DefaultValue": "a"},
        {"Name": "I", "Type": "Integer"},
        {"Name": "F", "Type": "Float", "DefaultValue": 1.5},
        {"Name": "B", "Type": "Boolean", "DefaultValue": False},
    ]
    arn = pipelines.run(definition(step, parameters=parameters), I="30", B="true")
    assert pipelines.status(arn) == "Succeeded", pipelines.reason(arn)
    assert pipelines.read("env/env.txt") == "a,30,1.5,true"


@pytest.mark.parametrize(
    ("step", "part"),
    [
        pytest.param(
            processing("S", environment={"X": {"Get": "Steps.A.NoSuch.Thing"}}), "does not exist", id="bad reference"
        ),
        pytest.param(
            processing("S", environment={"X": {"Std:JsonGet": {"S3Uri": "s3://nope/x.json", "Path": "a"}}}),
            "the file does not exist",
            id="missing file",
        ),
        pytest.param(processing("S", limit_s=0), "MaxRuntimeInSeconds", id="request that botocore refuses"),
        pytest.param(processing("S", command=["no-such-program"]), "cannot start 'no-such-program'", id="no program"),
        pytest.param(
            processing("S", inputs={"in": "s3://overflight-000000000000-eu-central-1/nothing/here"}),
            "no S3 objects found",
            id="missing input",
        ),
        pytest.param(
            processing(
                "S",
                "(ml/'output/failure').write_text('no labels'); raise SystemExit(3)",
            ),
            "AlgorithmError: no labels, exit code: 3",
            id="failure file",
        ),
    ],
)
def test_a_step_that_cannot_work_fails_with_the_reason(pipelines, step, part):
    arn = pipelines.run(definition(processing("A"), {**step, "DependsOn": ["A"]}))
    assert pipelines.steps(arn) == {"A": "Succeeded", "S": "Failed"}
    listed = pipelines.listed(arn)["S"]
    assert part in listed["FailureReason"]
    assert listed["AttemptCount"] == 1
    assert part in pipelines.reason(arn)


def test_training_packs_the_model_the_same_way_every_time(pipelines):
    code = (
        "import json; hp = json.load(open(ml/'input/config/hyperparameters.json'));"
        "(ml/'model/sub').mkdir(); (ml/'model/sub/w.txt').write_text(hp['lr']); (ml/'model/a.txt').write_text('a');"
        "(ml/'output/data/curve.txt').write_text('c'); print('map50=0.125;'); print('map50=0.5;')"
    )
    request = training_request(code, pipelines.account.bucket, HyperParameters={"lr": "0.1"})
    request["AlgorithmSpecification"]["MetricDefinitions"] = [{"Name": "map50", "Regex": r"map50=([0-9.]+);"}]
    del request["RoleArn"]
    train = {"Name": "Train", "Type": "Training", "Arguments": request}
    look = processing(
        "Look",
        "import tarfile; t = tarfile.open(ml/'processing/input/model/model.tar.gz');"
        "assert t.getnames() == ['a.txt', 'sub', 'sub/w.txt'], t.getnames()",
        inputs={"model": {"Get": "Steps.Train.ModelArtifacts.S3ModelArtifacts"}},
    )
    first = pipelines.run(definition(train, look), name="tar")
    second = pipelines.again("tar")
    pipelines.follow()
    assert pipelines.status(first) == pipelines.status(second) == "Succeeded", pipelines.reason(first)
    stored = pipelines.keys("models/")
    assert len(stored) == 4
    assert len(set(stored.values())) == 2  # both model.tar.gz are equal, and both output.tar.gz
    job = pipelines.listed(first)["Train"]["Metadata"]["TrainingJob"]["Arn"].rsplit("/", 1)[1]
    told = pipelines.client.describe_training_job(TrainingJobName=job)
    assert told["RoleArn"] == ROLE
    assert [(one["MetricName"], one["Value"]) for one in told["FinalMetricDataList"]] == [("map50", 0.5)]
    assert job.startswith(f"pipelines-{first.rsplit('/', 1)[1]}-Train-")


def test_state_changes_are_published_as_events(pipelines):
    from overflight.account.local import events

    arn = pipelines.run(definition(processing("P"), condition("C", [equals(1, 1)])))
    with pipelines.account.store.read() as tx:
        found = events.after(tx, 0, limit=1000)
    short = [
        (one.detail_type.removeprefix("SageMaker "), one.detail.get("stepName"), _word(one.detail)) for one in found
    ]
    assert short[0] == ("Model Building Pipeline Execution Status Change", None, "Executing")
    assert short[-1] == ("Model Building Pipeline Execution Status Change", None, "Succeeded")
    assert ("Model Building Pipeline Execution Step Status Change", "P", "Succeeded") in short
    jobs = [word for kind, _, word in short if kind == "Processing Job State Change"]
    assert (jobs[0], jobs[-1]) == ("InProgress", "Completed")
    assert {arn} <= {one.detail.get("pipelineExecutionArn") for one in found}
    assert all(one.source == "aws.sagemaker" and isinstance(one.time, datetime) for one in found)


def _word(detail: dict) -> str:
    names = ("currentPipelineExecutionStatus", "currentStepStatus", "ProcessingJobStatus")
    return next(detail[name] for name in names if name in detail)


def test_register_and_model_steps_create_their_resources(pipelines):
    model_url = f"s3://{pipelines.account.bucket}/m/model.tar.gz"
    pipelines.account.objects.put_bytes(pipelines.account.bucket, "m/model.tar.gz", b"weights")
    spec = {
        "Containers": [{"Image": "000000000000.dkr.ecr.eu-central-1.amazonaws.com/o:t", "ModelDataUrl": model_url}],
        "SupportedContentTypes": ["image/jpeg"],
        "SupportedResponseMIMETypes": ["application/json"],
    }
    register = {
        "Name": "Register",
        "Type": "RegisterModel",
        "Arguments": {
            "ModelPackageGroupName": "cars",
            "ModelApprovalStatus": "PendingManualApproval",
            "InferenceSpecification": spec,
        },
    }
    echo = processing("Echo", environment={"ARN": {"Get": "Steps.Register.ModelPackageArn"}})
    model = {
        "Name": "Make",
        "Type": "Model",
        "Arguments": {
            "ExecutionRoleArn": ROLE,
            "PrimaryContainer": {
                "Image": "000000000000.dkr.ecr.eu-central-1.amazonaws.com/o:t",
                "ModelDataUrl": model_url,
            },
        },
    }
    arn = pipelines.run(definition(register, echo, model))
    assert pipelines.status(arn) == "Succeeded", pipelines.reason(arn)
    listed = pipelines.listed(arn)
    package = listed["Register"]["Metadata"]["RegisterModel"]["Arn"]
    told = pipelines.client.describe_model_package(ModelPackageName=package)
    assert told["ModelApprovalStatus"] == "PendingManualApproval"
    assert ":model/" in listed["Make"]["Metadata"]["Model"]["Arn"]


def test_the_definition_of_an_execution_is_the_one_it_was_started_with(pipelines):
    text = definition(processing("Old"))
    arn = pipelines.start(text, name="changing")
    pipelines.client.update_pipeline(PipelineName="changing", PipelineDefinition=definition(processing("New")))
    pipelines.follow()
    assert pipelines.steps(arn) == {"Old": "Succeeded"}
    kept = pipelines.client.describe_pipeline_definition_for_execution(PipelineExecutionArn=arn)
    assert json.loads(kept["PipelineDefinition"]) == json.loads(text)
