"""CloudWatch Logs over the files that jobs and endpoints write."""

from __future__ import annotations

import os
import threading

import pytest
from botocore.exceptions import ClientError

JOBS = "/aws/sagemaker/TrainingJobs"


@pytest.fixture
def logs(session):
    return session.client("logs")


@pytest.fixture
def write(account):
    """``write("job", text)``: a training job of that name whose log holds ``text``."""

    def make(name, text, *, kind="training-job", folder="jobs", status="Completed", modified_s=1_700_000_000):
        with account.store.write() as transaction:
            if transaction.get(kind, name) is None:
                transaction.insert(kind, name, body={}, status=status)
        path = account.home / folder / name / "log.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        os.utime(path, (modified_s, modified_s))

    return make


def messages(response):
    return [event["message"] for event in response["events"]]


def test_groups(logs, assert_fits_output_shape):
    response = logs.describe_log_groups(logGroupNamePrefix="/aws/sagemaker/T")
    assert_fits_output_shape(logs, "DescribeLogGroups", response)
    assert [group["logGroupName"] for group in response["logGroups"]] == [JOBS]


def test_reading_a_log_keeps_no_other_call_waiting(logs, write, account, monkeypatch):
    def lines_beside_a_writer(stream):
        writer = threading.Thread(target=change, daemon=True)
        writer.start()
        writer.join(timeout=10)
        assert not writer.is_alive(), "the state is locked while the log is read"
        return iter(())

    def change():
        with account.store.write() as transaction:
            transaction.insert("thing", "x", body={})

    write("a-job", "x\n")
    monkeypatch.setattr("overflight.account.local.services.logs._lines", lines_beside_a_writer)
    assert logs.get_log_events(logGroupName=JOBS, logStreamName="a-job/algo-1")["events"] == []


def test_streams_are_the_jobs_with_a_log(logs, write, account, assert_fits_output_shape):
    write("b-job", "x\n", modified_s=1_700_000_200)
    write("a-job", "x\n", modified_s=1_700_000_300)
    write("other", "x\n", kind="processing-job")
    with account.store.write() as transaction:
        transaction.insert("training-job", "not-started", body={})
    response = logs.describe_log_streams(logGroupName=JOBS)
    assert_fits_output_shape(logs, "DescribeLogStreams", response)
    assert [stream["logStreamName"] for stream in response["logStreams"]] == ["a-job/algo-1", "b-job/algo-1"]
    newest = logs.describe_log_streams(logGroupName=JOBS, orderBy="LastEventTime", descending=True, limit=1)
    assert [stream["logStreamName"] for stream in newest["logStreams"]] == ["a-job/algo-1"]
    pages = logs.get_paginator("describe_log_streams").paginate(logGroupName=JOBS, PaginationConfig={"PageSize": 1})
    assert [len(page["logStreams"]) for page in pages] == [1, 1]
    named = logs.describe_log_streams(logGroupName=JOBS, logStreamNamePrefix="b")
    assert [stream["logStreamName"] for stream in named["logStreams"]] == ["b-job/algo-1"]


def test_lines_of_an_endpoint(logs, write):
    write("harbour", "ready\n", kind="endpoint", folder="endpoints", status="InService")
    response = logs.get_log_events(logGroupName="/aws/sagemaker/Endpoints", logStreamName="harbour/algo-1")
    assert messages(response) == ["ready"]


def test_times_come_from_the_line_or_the_line_before_or_the_file(logs, write, assert_fits_output_shape):
    write("job", "begin\n2026-03-01T12:00:00.250Z epoch 1\n  detail\n2026-03-01 12:00:01,500 epoch 2\nüber\n")
    response = logs.get_log_events(logGroupName=JOBS, logStreamName="job/algo-1", startFromHead=True)
    assert_fits_output_shape(logs, "GetLogEvents", response)
    first = 1_772_366_400_250
    assert [(event["timestamp"], event["message"]) for event in response["events"]] == [
        (1_700_000_000_000, "begin"),
        (first, "2026-03-01T12:00:00.250Z epoch 1"),
        (first, "  detail"),
        (first + 1250, "2026-03-01 12:00:01,500 epoch 2"),
        (first + 1250, "über"),
    ]


def test_following_a_log_gives_each_line_once_and_the_same_token_at_the_end(logs, write):
    where = {"logGroupName": JOBS, "logStreamName": "job/algo-1"}
    write("job", "one\ntwo\nthr", status="InProgress")
    first = logs.get_log_events(**where, startFromHead=True)
    assert messages(first) == ["one", "two"]  # the third is still being written
    again = logs.get_log_events(**where, nextToken=first["nextForwardToken"])
    assert (messages(again), again["nextForwardToken"]) == ([], first["nextForwardToken"])
    write("job", "one\ntwo\nthree\n")
    assert messages(logs.get_log_events(**where, nextToken=first["nextForwardToken"])) == ["three"]


def test_the_last_line_of_an_ended_job_needs_no_line_end(logs, write):
    write("job", "one\nkilled", status="Failed")
    response = logs.get_log_events(logGroupName=JOBS, logStreamName="job/algo-1", startFromHead=True)
    assert messages(response) == ["one", "killed"]


def test_paging_backwards_from_the_end(logs, write):
    where = {"logGroupName": JOBS, "logStreamName": "job/algo-1", "limit": 2}
    write("job", "".join(f"{n}\n" for n in range(5)))
    last = logs.get_log_events(**where)
    assert messages(last) == ["3", "4"]
    before = logs.get_log_events(**where, nextToken=last["nextBackwardToken"])
    assert messages(before) == ["1", "2"]
    assert messages(logs.get_log_events(**where, nextToken=before["nextBackwardToken"])) == ["0"]


def test_a_progress_bar_leaves_its_last_state(logs, write):
    write("job", "10%\r50%\r100%\r\nnext\n")
    response = logs.get_log_events(logGroupName=JOBS, logStreamName="job/algo-1", startFromHead=True)
    assert messages(response) == ["100%", "next"]


def test_long_logs_come_in_answers_of_a_mebibyte(logs, write):
    write("job", ("x" * 9_999 + "\n") * 250)
    where = {"logGroupName": JOBS, "logStreamName": "job/algo-1"}
    response = logs.get_log_events(**where, startFromHead=True)
    count = len(response["events"])
    while response["events"]:
        response = logs.get_log_events(**where, nextToken=response["nextForwardToken"])
        assert len(response["events"]) <= 105
        count += len(response["events"])
    assert count == 250


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        pytest.param("", ["a error one", "a fine", "b error two"], id="everything"),
        pytest.param("error", ["a error one", "b error two"], id="a word"),
        pytest.param("error two", ["b error two"], id="both words"),
        pytest.param('"error one"', ["a error one"], id="a phrase"),
        pytest.param("?fine ?two", ["a fine", "b error two"], id="one of"),
        pytest.param("error -two", ["a error one"], id="not this"),
    ],
)
def test_searching_a_group(logs, write, pattern, found, assert_fits_output_shape):
    write("a", "2026-03-01T12:00:00Z a error one\n2026-03-01T12:00:02Z a fine\n")
    write("b", "2026-03-01T12:00:03Z b error two\n")
    response = logs.filter_log_events(logGroupName=JOBS, filterPattern=pattern)
    assert_fits_output_shape(logs, "FilterLogEvents", response)
    assert [message.partition("Z ")[2] for message in messages(response)] == found


def test_searching_in_time_and_in_pages(logs, write):
    write("a", "2026-03-01T12:00:00Z 0\n2026-03-01T12:00:02Z 2\n")
    write("b", "2026-03-01T12:00:01Z 1\n2026-03-01T12:00:03Z 3\n")
    start = 1_772_366_400_000
    within = logs.filter_log_events(logGroupName=JOBS, startTime=start + 1000, endTime=start + 3000)
    assert [message[-1] for message in messages(within)] == ["1", "2"]
    pages = logs.get_paginator("filter_log_events").paginate(logGroupName=JOBS, PaginationConfig={"PageSize": 3})
    assert [[message[-1] for message in messages(page)] for page in pages] == [["0", "1", "2"], ["3"]]
    one = logs.filter_log_events(logGroupName=JOBS, logStreamNames=["b/algo-1"])
    assert [event["logStreamName"] for event in one["events"]] == ["b/algo-1"] * 2


@pytest.mark.parametrize(
    ("change", "code"),
    [
        pytest.param({"logGroupName": "/aws/lambda/x"}, "ResourceNotFoundException", id="group"),
        pytest.param({"logStreamName": "none/algo-1"}, "ResourceNotFoundException", id="stream"),
        pytest.param({"logStreamName": "job/algo-2"}, "ResourceNotFoundException", id="host"),
        pytest.param({"logStreamName": "../../job/algo-1"}, "ResourceNotFoundException", id="path"),
        pytest.param({"nextToken": "f/?"}, "InvalidParameterException", id="token"),
    ],
)
def test_what_there_is_not(logs, write, change, code):
    write("job", "x\n")
    with pytest.raises(ClientError) as caught:
        logs.get_log_events(**{"logGroupName": JOBS, "logStreamName": "job/algo-1", **change})
    assert caught.value.response["Error"]["Code"] == code
