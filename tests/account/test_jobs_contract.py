"""Job operations: answers in AWS's shapes, errors with AWS's codes, the container contract from the outside."""

from __future__ import annotations

import json
import os
import re

import pytest
from botocore.exceptions import ClientError
from pipeline_tools import ROLE, Pipelines, definition, make_pipelines, processing, training_request

from overflight.account.local.executions import job_name
from overflight.account.local.job_files import pack
from overflight.account.local.tuning import draws
from overflight.account.local.wire import AwsError


@pytest.fixture
def pipelines(account, session, monkeypatch) -> Pipelines:
    return make_pipelines(account, session, monkeypatch)


@pytest.fixture
def client(pipelines):
    return pipelines.client


def _create_processing(client, name: str, code: str = "pass", **more) -> None:
    client.create_processing_job(ProcessingJobName=name, RoleArn=ROLE, **processing("x", code, **more)["Arguments"])


def test_processing_answers_fit_their_shapes(pipelines, client, assert_fits_output_shape):
    arguments = processing("x", "(ml/'output/message').write_text('five photos')")["Arguments"]
    created = client.create_processing_job(ProcessingJobName="p1", RoleArn=ROLE, **arguments)
    assert_fits_output_shape(client, "CreateProcessingJob", created)
    before = client.describe_processing_job(ProcessingJobName="p1")
    assert before["ProcessingJobStatus"] == "InProgress"
    pipelines.follow()
    after = client.describe_processing_job(ProcessingJobName="p1")
    for answer in (before, after):
        assert_fits_output_shape(client, "DescribeProcessingJob", answer)
    assert (after["ProcessingJobStatus"], after["ExitMessage"]) == ("Completed", "five photos")
    assert after["AppSpecification"] == arguments["AppSpecification"]
    assert after["ProcessingJobArn"].endswith(":processing-job/p1")
    listed = client.list_processing_jobs()
    assert_fits_output_shape(client, "ListProcessingJobs", listed)
    assert [one["ProcessingJobName"] for one in listed["ProcessingJobSummaries"]] == ["p1"]


def test_training_answers_fit_their_shapes(pipelines, client, assert_fits_output_shape):
    request = training_request("print('m=1;')", pipelines.account.bucket, HyperParameters={"a": "1"})
    request["AlgorithmSpecification"]["MetricDefinitions"] = [{"Name": "m", "Regex": "m=(.*?);"}]
    assert_fits_output_shape(client, "CreateTrainingJob", client.create_training_job(TrainingJobName="t1", **request))
    before = client.describe_training_job(TrainingJobName="t1")
    assert (before["TrainingJobStatus"], before["SecondaryStatus"]) == ("InProgress", "Starting")
    pipelines.follow()
    after = client.describe_training_job(TrainingJobName="t1")
    for answer in (before, after):
        assert_fits_output_shape(client, "DescribeTrainingJob", answer)
    assert after["ModelArtifacts"]["S3ModelArtifacts"].endswith("/models/t1/output/model.tar.gz")
    assert [one["Status"] for one in after["SecondaryStatusTransitions"]] == ["Starting", "Training", "Completed"]
    listed = client.list_training_jobs(StatusEquals="Completed")
    assert_fits_output_shape(client, "ListTrainingJobs", listed)
    assert [one["TrainingJobName"] for one in listed["TrainingJobSummaries"]] == ["t1"]
    assert client.list_training_jobs(StatusEquals="Failed")["TrainingJobSummaries"] == []


def test_lists_are_paged_and_filtered(client):
    for name in ("a1", "a2", "b1"):
        _create_processing(client, name)
    pages = client.get_paginator("list_processing_jobs").paginate(
        NameContains="a", PaginationConfig={"PageSize": 1}, SortBy="Name", SortOrder="Ascending"
    )
    found = [[one["ProcessingJobName"] for one in page["ProcessingJobSummaries"]] for page in pages]
    assert found == [["a1"], ["a2"]]


@pytest.mark.parametrize(
    ("call", "code"),
    [
        pytest.param(lambda c: c.describe_processing_job(ProcessingJobName="no"), "ResourceNotFound", id="describe p"),
        pytest.param(lambda c: c.describe_training_job(TrainingJobName="no"), "ResourceNotFound", id="describe t"),
        pytest.param(lambda c: c.stop_training_job(TrainingJobName="no"), "ResourceNotFound", id="stop"),
        pytest.param(
            lambda c: c.describe_hyper_parameter_tuning_job(HyperParameterTuningJobName="no"),
            "ResourceNotFound",
            id="describe h",
        ),
        pytest.param(lambda c: _create_processing(c, "there"), "ResourceInUse", id="name twice"),
        pytest.param(
            lambda c: c.create_training_job(TrainingJobName="there", **training_request("", "b")),
            "ResourceInUse",
            id="name of another kind",
        ),
    ],
)
def test_errors_carry_aws_codes(client, call, code):
    _create_processing(client, "there")
    with pytest.raises(ClientError) as caught:
        call(client)
    assert caught.value.response["Error"]["Code"] == code


def test_a_job_that_waits_is_stopped_at_once_and_one_that_runs_soon(pipelines, client):
    _create_processing(client, "waits")
    client.stop_processing_job(ProcessingJobName="waits")
    assert client.describe_processing_job(ProcessingJobName="waits")["ProcessingJobStatus"] == "Stopped"
    with pytest.raises(ClientError, match="only jobs in progress"):
        client.stop_processing_job(ProcessingJobName="waits")

    code = "import time; (ml/'model/half.txt').write_text('half'); time.sleep(60)"
    client.create_training_job(TrainingJobName="runs", **training_request(code, pipelines.account.bucket))
    marker = pipelines.account.home / "jobs/runs/opt/ml/model/half.txt"

    def stop() -> None:
        told = client.describe_training_job(TrainingJobName="runs")
        if told["SecondaryStatus"] == "Training" and marker.exists():
            client.stop_training_job(TrainingJobName="runs")

    pipelines.follow(each=stop)
    told = client.describe_training_job(TrainingJobName="runs")
    assert (told["TrainingJobStatus"], told["SecondaryStatus"]) == ("Stopped", "Stopped")
    assert len(pipelines.keys("models/runs/output/model.tar.gz")) == 1  # as in AWS, what there is is kept


def test_the_processing_container_contract(pipelines, client):
    bucket = pipelines.account.bucket
    pipelines.account.objects.put_bytes(bucket, "in/sub/a.txt", b"A")
    pipelines.account.objects.put_bytes(bucket, "one.json", b"{}")
    code = (
        "import json, sys; c = json.load(open(ml/'config/processingjobconfig.json'));"
        "assert c['ProcessingJobName'] == 'contract';"
        "a = ml/'processing/input/tree/sub/a.txt'; assert a.read_text() == 'A'; assert a.stat().st_nlink > 1;"
        "assert (ml/'processing/input/file/one.json').read_text() == '{}';"
        "assert pathlib.Path.cwd() == ml.parents[1], pathlib.Path.cwd();"
        "assert os.environ['MINE'] == 'x'; assert 'SECRET_OF_THE_HOST' not in os.environ;"
        "out = ml/'processing/output/out'; (out/'deep').mkdir(); (out/'deep/b.txt').write_text('B');"
        "(out/'manifest.json').write_text('{}'); print('hello log'); print('error line', file=sys.stderr);"
        "assert os.getsid(0) == os.getpid()"
    )
    os.environ["SECRET_OF_THE_HOST"] = "1"
    try:
        _create_processing(
            client,
            "contract",
            code,
            inputs={"tree": f"s3://{bucket}/in/", "file": f"s3://{bucket}/one.json"},
            outputs={"out": f"s3://{bucket}/result"},
            environment={"MINE": "x"},
        )
        pipelines.follow()
    finally:
        del os.environ["SECRET_OF_THE_HOST"]
    log = (pipelines.account.home / "jobs/contract/log.txt").read_text()
    assert client.describe_processing_job(ProcessingJobName="contract")["ProcessingJobStatus"] == "Completed", log
    assert set(pipelines.keys("result")) == {"result/deep/b.txt", "result/manifest.json"}
    assert set(log.splitlines()) == {"hello log", "error line"}


def test_the_training_container_contract(pipelines, client):
    bucket = pipelines.account.bucket
    pipelines.account.objects.put_bytes(bucket, "data/a.txt", b"A")
    code = (
        "import json; c = ml/'input/config'; hp = json.load(open(c/'hyperparameters.json'));"
        "assert hp == {'epochs': '3'}; r = json.load(open(c/'resourceconfig.json'));"
        "assert r['current_host'] in r['hosts']; d = json.load(open(c/'inputdataconfig.json'));"
        "assert d['train']['TrainingInputMode'] == 'File'; assert (ml/'input/data/train/a.txt').read_text() == 'A';"
        "assert (ml/'checkpoints/old').read_text() == 'old'; (ml/'checkpoints/old').write_text('new')"
    )
    pipelines.account.objects.put_bytes(bucket, "cp/old", b"old")
    channel = {
        "ChannelName": "train",
        "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": f"s3://{bucket}/data"}},
    }
    request = training_request(
        code,
        bucket,
        HyperParameters={"epochs": "3"},
        InputDataConfig=[channel],
        CheckpointConfig={"S3Uri": f"s3://{bucket}/cp"},
    )
    client.create_training_job(TrainingJobName="contract", **request)
    pipelines.follow()
    told = client.describe_training_job(TrainingJobName="contract")
    log = (pipelines.account.home / "jobs/contract/log.txt").read_text()
    assert told["TrainingJobStatus"] == "Completed", log
    assert pipelines.read("cp/old") == "new"
    assert pipelines.account.objects.verify() == []  # the job wrote into a copy, not into the stored content


@pytest.mark.parametrize(
    ("more", "part"),
    [
        ({"inputs": {"in": "https://x/y"}}, "not an S3 URI"),
        ({"inputs": {"in": "s3://no-such-bucket/y"}}, "no S3 objects found"),
        ({"outputs": {"out": "s3://no-such-bucket/y"}, "code": "(ml/'processing/output/out/a').touch()"}, "no bucket"),
    ],
)
def test_places_that_do_not_exist_are_named(pipelines, client, more, part):
    more = {"code": "pass", **more}
    _create_processing(client, "p", more.pop("code"), **more)
    pipelines.follow()
    told = client.describe_processing_job(ProcessingJobName="p")
    assert told["ProcessingJobStatus"] == "Failed"
    assert part in told["FailureReason"]


def test_a_bucket_for_checkpoints_that_does_not_exist_is_named(pipelines, client):
    request = training_request("pass", pipelines.account.bucket, CheckpointConfig={"S3Uri": "s3://no-such-bucket/cp"})
    client.create_training_job(TrainingJobName="t", **request)
    pipelines.follow()
    assert "no bucket 'no-such-bucket'" in client.describe_training_job(TrainingJobName="t")["FailureReason"]


def test_a_local_path_outside_opt_ml_is_refused(pipelines, client):
    arguments = processing("x", inputs={"in": f"s3://{pipelines.account.bucket}/a"})["Arguments"]
    arguments["ProcessingInputs"][0]["S3Input"]["LocalPath"] = "/opt/ml/../../etc"
    client.create_processing_job(ProcessingJobName="p", RoleArn=ROLE, **arguments)
    pipelines.follow()
    assert "not below /opt/ml" in client.describe_processing_job(ProcessingJobName="p")["FailureReason"]


def test_archives_depend_on_names_and_contents_only(tmp_path):
    for name in ("one", "two"):
        folder = tmp_path / name / "sub"
        folder.mkdir(parents=True)
        (folder / "a").write_text("A")
        (tmp_path / name / "b").write_text("B")
    os.utime(tmp_path / "two" / "b", (1, 1))
    (tmp_path / "two" / "b").chmod(0o600)
    for name in ("one", "two"):
        pack(tmp_path / name, tmp_path / f"{name}.tar.gz")
    assert (tmp_path / "one.tar.gz").read_bytes() == (tmp_path / "two.tar.gz").read_bytes()


@pytest.mark.parametrize(
    ("step", "attempt", "longest", "expected"),
    [
        pytest.param("Validate", 1, 63, r"pipelines-0123456789ab-Validate-[0-9a-f]{10}", id="job"),
        pytest.param("Check_all", 2, 63, r"pipelines-0123456789ab-Check-all-[0-9a-f]{10}", id="second attempt"),
        pytest.param("Tune", 1, 32, r"pipelines-0123456789ab-Tu-[0-9a-f]{6}", id="tuning job"),
        pytest.param("___", 1, 63, r"pipelines-0123456789ab-[0-9a-f]{10}", id="no letter"),
    ],
)
def test_job_names(step, attempt, longest, expected):
    assert re.fullmatch(expected, job_name("0123456789ab", step, attempt, longest=longest))


@pytest.mark.parametrize("longest", [63, 32])
def test_job_names_are_short_and_unique(longest):
    steps = ["a_b", "a-b", "Train", "Train-2", "s" * 64, "s" * 63 + "t"]
    names = {job_name("0123456789ab", step, attempt, longest=longest) for step in steps for attempt in (1, 2, 12)}
    assert len(names) == 18
    assert max(len(name) for name in names) <= longest
    assert all(re.fullmatch("[a-zA-Z0-9](-*[a-zA-Z0-9])*", name) for name in names)


# -- tuning ---------------------------------------------------------------------------------------------------------

TRIAL = """
import json, os, pathlib
ml = pathlib.Path(os.environ["OVERFLIGHT_ML_ROOT"])
hp = json.loads((ml / "input/config/hyperparameters.json").read_text())
print(f"score={-abs(float(hp['x']) - 3)};")
(ml / "model/x.txt").write_text(hp["x"])
"""


def _tuning(pipelines: Pipelines, strategy: str, ranges: dict, trials: int = 4) -> dict:
    code = "s3://unused"
    definition_ = training_request(code, pipelines.account.bucket)
    definition_["AlgorithmSpecification"] = {
        "TrainingImage": "000000000000.dkr.ecr.eu-central-1.amazonaws.com/o:t",
        "TrainingInputMode": "File",
        "MetricDefinitions": [{"Name": "score", "Regex": r"score=(\S+);"}],
    }
    return {
        "HyperParameterTuningJobConfig": {
            "Strategy": strategy,
            "HyperParameterTuningJobObjective": {"Type": "Maximize", "MetricName": "score"},
            "ResourceLimits": {"MaxNumberOfTrainingJobs": trials, "MaxParallelTrainingJobs": 2},
            "ParameterRanges": ranges,
            "RandomSeed": 7,
        },
        "TrainingJobDefinition": {**definition_, "StaticHyperParameters": {"fixed": "1"}},
    }


@pytest.fixture
def trial_program(pipelines, tmp_path):
    """A program in the place of the image's own: the API of tuning jobs has no entry point."""
    path = tmp_path / "trial.py"
    path.write_text(TRIAL)
    pipelines.entrypoint = ("python", "-S", str(path))


@pytest.mark.usefixtures("trial_program")
def test_a_tuning_step_finds_the_best_trial_and_later_steps_refer_to_it(pipelines, client, assert_fits_output_shape):
    ranges = {"CategoricalParameterRanges": [{"Name": "x", "Values": ["1", "2.5", "9"]}]}
    tune = {"Name": "T", "Type": "Tuning", "Arguments": _tuning(pipelines, "Grid", ranges)}
    best = {"Get": "Steps.T.BestTrainingJob.TrainingJobName"}
    uri = {"Std:Join": {"On": "/", "Values": [f"s3://{pipelines.account.bucket}/models", best, "output/model.tar.gz"]}}
    arn = pipelines.run(definition(tune, processing("Use", inputs={"m": uri})))
    assert pipelines.status(arn) == "Succeeded", pipelines.reason(arn)
    name = pipelines.listed(arn)["T"]["Metadata"]["TuningJob"]["Arn"].rsplit("/", 1)[1]
    told = client.describe_hyper_parameter_tuning_job(HyperParameterTuningJobName=name)
    assert_fits_output_shape(client, "DescribeHyperParameterTuningJob", told)
    assert told["HyperParameterTuningJobStatus"] == "Completed"
    assert told["BestTrainingJob"]["TunedHyperParameters"] == {"x": "2.5"}
    assert told["TrainingJobStatusCounters"]["Completed"] == 3
    listed = client.list_training_jobs_for_hyper_parameter_tuning_job(
        HyperParameterTuningJobName=name, SortBy="FinalObjectiveMetricValue", SortOrder="Descending"
    )
    assert_fits_output_shape(client, "ListTrainingJobsForHyperParameterTuningJob", listed)
    values = [one["FinalHyperParameterTuningJobObjectiveMetric"]["Value"] for one in listed["TrainingJobSummaries"]]
    assert values == [-0.5, -2.0, -6.0]


@pytest.mark.usefixtures("trial_program")
def test_a_tuning_job_without_any_objective_fails(pipelines, client):
    request = _tuning(pipelines, "Grid", {"CategoricalParameterRanges": [{"Name": "x", "Values": ["no number"]}]})
    client.create_hyper_parameter_tuning_job(HyperParameterTuningJobName="h", **request)
    pipelines.follow()
    told = client.describe_hyper_parameter_tuning_job(HyperParameterTuningJobName="h")
    assert told["HyperParameterTuningJobStatus"] == "Failed"
    assert "objective" in told["FailureReason"]


RANGES = {
    "IntegerParameterRanges": [{"Name": "i", "MinValue": "1", "MaxValue": "4"}],
    "ContinuousParameterRanges": [
        {"Name": "lr", "MinValue": "0.0001", "MaxValue": "0.1", "ScalingType": "Logarithmic"}
    ],
    "CategoricalParameterRanges": [{"Name": "c", "Values": ["a", "b"]}],
}


def test_random_draws_are_in_range_and_the_same_for_the_same_seed():
    config = {
        "Strategy": "Random",
        "ResourceLimits": {"MaxNumberOfTrainingJobs": 50, "MaxParallelTrainingJobs": 1},
        "ParameterRanges": RANGES,
        "RandomSeed": 1,
    }
    drawn = draws(config)
    assert drawn == draws(config)
    assert drawn != draws({**config, "RandomSeed": 2})
    assert {one["i"] for one in drawn} == {"1", "2", "3", "4"}
    assert all(0.0001 <= float(one["lr"]) <= 0.1 for one in drawn)
    assert {one["c"] for one in drawn} == {"a", "b"}


@pytest.mark.parametrize(
    "change",
    [
        {"Strategy": "Grid"},
        {"ResourceLimits": {"MaxParallelTrainingJobs": 1}},
        {"ParameterRanges": {"IntegerParameterRanges": [{"Name": "i", "MinValue": "5", "MaxValue": "1"}]}},
        {"ParameterRanges": {"IntegerParameterRanges": [{"Name": "i", "MinValue": "1.5", "MaxValue": "3"}]}},
        {"ParameterRanges": {"IntegerParameterRanges": [{"Name": "i", "MinValue": "nan", "MaxValue": "3"}]}},
        {"ParameterRanges": {"ContinuousParameterRanges": [{"Name": "x", "MinValue": "1", "MaxValue": "inf"}]}},
    ],
)
def test_searches_that_cannot_be_done_are_refused(change):
    config = {
        "Strategy": "Random",
        "ResourceLimits": {"MaxNumberOfTrainingJobs": 2, "MaxParallelTrainingJobs": 1},
        "ParameterRanges": RANGES,
        **change,
    }
    with pytest.raises(AwsError, match="ValidationException"):
        draws(json.loads(json.dumps(config)))
