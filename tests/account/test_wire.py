"""The wire: real boto3 clients, five stages, nothing sent."""

from __future__ import annotations

import errno
import io
import socket
import sys
import types
from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest
from botocore.exceptions import ClientError, ParamValidationError
from botocore.response import StreamingBody

from overflight.account.local import events, supervisor, trail, wire
from overflight.account.local.login import caller_for, local_session
from overflight.account.local.verification import verify
from overflight.account.local.wire import AwsError, Call, NoTransaction, operation, perform
from overflight.account.session import open_session
from overflight.errors import NotImplementedInLocalAccountError, ResourceError, StoreError


@pytest.fixture
def made_up(monkeypatch):
    """Operations of SageMaker that exist only in a test: ``made_up(CreateX=handler, ...)``."""

    def install(*handlers):
        known = {}
        for handler in handlers:
            marked = getattr(handler, "__overflight_operation__")  # noqa: B009  # the mark is the wire's own affair
            known[marked.name] = marked
        monkeypatch.setattr(wire, "operations_of", lambda service: known if service == "sagemaker" else {})

    return install


def trail_of(account):
    """Entries of calls, without the one that says which policies hold from the first decision on."""
    with account.store.read() as transaction:
        return [entry for entry in trail.entries(transaction) if entry.operation != "AccessChanged"]


def events_of(account):
    with account.store.read() as transaction:
        return events.after(transaction, 0)


def test_parameters_are_validated_by_botocore_before_anything_happens(session, account):
    with pytest.raises(ParamValidationError, match="Missing required parameter"):
        session.client("s3").put_object(Bucket="b")
    assert trail_of(account) == []


def test_an_operation_that_is_not_implemented_says_so(session):
    with pytest.raises(
        NotImplementedInLocalAccountError, match="NotImplementedInLocalAccount: sagemaker:CreateCluster"
    ):
        session.client("sagemaker").create_cluster(ClusterName="c")


def test_a_service_that_is_not_implemented_says_so(session):
    with pytest.raises(NotImplementedInLocalAccountError, match="sqs:ListQueues"):
        session.client("sqs").list_queues()


@pytest.mark.parametrize(
    ("service", "call", "read_only"),
    [
        pytest.param("sagemaker", lambda client: client.create_cluster(ClusterName="c"), False, id="sagemaker"),
        pytest.param("iam", lambda client: client.create_user(UserName="eve"), False, id="iam"),
        pytest.param("sqs", lambda client: client.list_queues(), True, id="a read"),
    ],
)
def test_what_is_not_implemented_is_in_the_trail_as_an_attempt(session, account, service, call, read_only):
    with pytest.raises(NotImplementedInLocalAccountError):
        call(session.client(service))
    (entry,) = trail_of(account)
    assert (entry.service, entry.error, entry.read_only) == (service, "NotImplementedInLocalAccount", read_only)
    assert entry.user == "ada"


HOSTILE = [
    pytest.param("half \ud800 a pair", id="half a surrogate pair"),
    pytest.param(10**5000, id="a number too long to be written"),
    pytest.param(datetime.min.replace(tzinfo=timezone(timedelta(hours=14))), id="a time before the first year"),
    pytest.param({"\udfff": "x", "nested": ["\ud800", {"\ud800": b"x"}]}, id="keys"),
    pytest.param(float("nan"), id="not a number"),
]


@pytest.mark.parametrize("value", HOSTILE)
@pytest.mark.parametrize("error", ["", "ConflictException"])
def test_no_parameter_keeps_its_call_out_of_the_trail(account, made_up, value, error):
    @operation("sagemaker", "DeletePipeline")
    def delete_pipeline(call: Call):
        if error:
            raise AwsError(error, f"busy with \ud800 {str(value)[:10] if isinstance(value, str) else ''}")
        return {}

    made_up(delete_pipeline)
    owner = caller_for(account, role="administrator", user="ada")
    call = Call("sagemaker", "DeletePipeline", {"X": value}, owner, account)
    if error:
        with pytest.raises(AwsError, match="busy"):
            perform(call)
    else:
        perform(call)
    (entry,) = trail_of(account)
    assert (entry.operation, entry.error) == ("DeletePipeline", error)
    assert verify(account.store).findings == []


def test_a_denied_call_with_half_a_surrogate_pair_is_in_the_trail(account, settings, loader):
    s3 = local_session(account, role="data-scientist", user="mallory", loader=loader).client("s3")
    with pytest.raises(ClientError, match="AccessDenied"):
        s3.put_object(Bucket=settings.bucket, Key="runs/1/train/x", Body=b"z", ExpectedBucketOwner="\ud800")
    (entry,) = trail_of(account)
    assert (entry.operation, entry.denied) == ("PutObject", True)
    assert entry.parameters["ExpectedBucketOwner"] == "\\ud800"


def test_an_unexpected_error_of_a_handler_is_in_the_trail_and_passes_as_it_is(session, account, made_up):
    @operation("sagemaker", "DeletePipeline")
    def delete_pipeline(call: Call):
        call.transaction.insert("thing", "half", body={})
        raise OverflowError("int too large")

    made_up(delete_pipeline)
    with pytest.raises(OverflowError, match="int too large"):
        session.client("sagemaker").delete_pipeline(PipelineName="p", ClientRequestToken="t" * 32)
    (entry,) = trail_of(account)
    assert (entry.error, entry.message) == ("InternalFailure", "OverflowError: int too large")
    with account.store.read() as transaction:
        assert transaction.list("thing") == []


@pytest.mark.parametrize(
    "failure",
    [
        pytest.param(ResourceError("no space left on the disk"), id="full disk"),
        pytest.param(StoreError("the state file is damaged"), id="damaged state"),
        pytest.param(OSError(errno.ENOSPC, "no space"), id="full disk of the system"),
    ],
)
def test_errors_of_the_machine_leave_nothing(session, account, made_up, failure):
    @operation("sagemaker", "DeletePipeline")
    def delete_pipeline(call: Call):
        raise failure

    made_up(delete_pipeline)
    with pytest.raises(type(failure)):
        session.client("sagemaker").delete_pipeline(PipelineName="p", ClientRequestToken="t" * 32)
    assert trail_of(account) == []


def test_a_failure_that_cannot_be_recorded_does_not_hide_why(session, made_up, monkeypatch, caplog):
    @operation("sagemaker", "DeletePipeline")
    def delete_pipeline(call: Call):
        raise OverflowError("int too large")

    made_up(delete_pipeline)
    monkeypatch.setattr(trail, "append", lambda *_a, **_k: 1 / 0)
    with pytest.raises(OverflowError):
        session.client("sagemaker").delete_pipeline(PipelineName="p", ClientRequestToken="t" * 32)
    assert "sagemaker:DeletePipeline is not in the trail" in caplog.text


@pytest.mark.parametrize("token", ["9" * 23, "-1", "1e3", "\u0663", "\ud800", "x"])
def test_a_token_of_the_trail_that_was_not_given_out_is_refused_and_recorded(session, account, token):
    with pytest.raises(ClientError, match="InvalidNextTokenException"):
        session.client("cloudtrail").lookup_events(NextToken=token)
    assert [entry.error for entry in trail_of(account)] == ["InvalidNextTokenException"]


def test_nothing_is_sent(session, monkeypatch):
    def refuse(*_args, **_kwargs):
        raise AssertionError("a connection was opened")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    session.client("sts").get_caller_identity()


def test_the_machines_aws_configuration_is_not_read(settings, monkeypatch):
    monkeypatch.setenv("AWS_PROFILE", "does-not-exist")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-west-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAREAL")
    session = open_session(settings)
    client = session.client("sts")
    assert client.meta.region_name == session.region_name == "eu-central-1"
    assert client.get_caller_identity()["Account"] == "000000000000"


def test_metadata_of_a_response(session):
    facts = session.client("sts").get_caller_identity()["ResponseMetadata"]
    assert facts["HTTPStatusCode"] == 200
    assert len(facts["RequestId"]) == 36
    assert facts["RetryAttempts"] == 0


def test_handlers_see_the_parameters_as_the_caller_gave_them(session, made_up):
    seen = []

    @operation("sagemaker", "AddTags")
    def add_tags(call: Call):
        seen.append(call.params)
        call.params["Tags"].clear()
        return {}

    made_up(add_tags)
    tags, arn = [{"Key": "a", "Value": "b"}], "arn:aws:sagemaker:eu-central-1:000000000000:model/a"
    session.client("sagemaker").add_tags(ResourceArn=arn, Tags=tags)
    assert seen[0]["ResourceArn"] == arn
    assert tags == [{"Key": "a", "Value": "b"}]  # and cannot change the caller's own


def test_an_error_of_aws_is_a_client_error_with_its_class(session, account, made_up):
    @operation("sagemaker", "DescribePipeline")
    def describe_pipeline(call: Call):
        raise AwsError("ResourceNotFound", "no such pipeline", 404)

    made_up(describe_pipeline)
    client = session.client("sagemaker")
    with pytest.raises(client.exceptions.ResourceNotFound, match="no such pipeline") as caught:
        client.describe_pipeline(PipelineName="p")
    assert caught.value.response["Error"] == {"Code": "ResourceNotFound", "Message": "no such pipeline"}
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 404
    (entry,) = trail_of(account)
    assert (entry.error, entry.message) == ("ResourceNotFound", "no such pipeline")
    assert entry.request_id == caught.value.response["ResponseMetadata"]["RequestId"]


def test_further_members_of_an_error_are_in_the_response(session, made_up):
    @operation("sagemaker", "DescribePipeline")
    def describe_pipeline(call: Call):
        error = AwsError("ResourceNotFound", "no such pipeline")
        error.members = {"Detail": 7}
        raise error

    made_up(describe_pipeline)
    with pytest.raises(ClientError) as caught:
        session.client("sagemaker").describe_pipeline(PipelineName="p")
    assert caught.value.response["Detail"] == 7


def test_change_record_and_event_are_one_transaction(session, account, made_up, monkeypatch):
    @operation("sagemaker", "DeletePipeline")
    def delete_pipeline(call: Call):
        call.transaction.insert("thing", call.params["PipelineName"], body={})
        call.emit(source="aws.sagemaker", detail_type="Changed", detail={"n": 1}, resources=("arn",))
        return {"PipelineArn": "a"}

    made_up(delete_pipeline)
    client = session.client("sagemaker")
    client.delete_pipeline(PipelineName="one", ClientRequestToken="t" * 32)
    monkeypatch.setattr(events, "publish", lambda *_a, **_k: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        client.delete_pipeline(PipelineName="two", ClientRequestToken="t" * 32)
    with account.store.read() as transaction:
        assert [found.name for found in transaction.list("thing")] == ["one"]
    entry, failed = trail_of(account)
    (event,) = events_of(account)
    assert (entry.operation, entry.read_only, entry.error) == ("DeletePipeline", False, "")
    assert (failed.parameters["PipelineName"], failed.error) == ("two", "InternalFailure")
    assert (event.source, event.detail_type, event.detail, event.resources) == (
        "aws.sagemaker",
        "Changed",
        {"n": 1},
        ["arn"],
    )


def test_a_refused_change_leaves_its_record_and_nothing_else(session, account, made_up):
    @operation("sagemaker", "DeletePipeline")
    def delete_pipeline(call: Call):
        call.transaction.insert("thing", "half", body={})
        call.emit(source="s", detail_type="d", detail={})
        call.cleanups.append(lambda: pytest.fail("ran"))
        raise AwsError("ConflictException", "busy", 409)

    made_up(delete_pipeline)
    with pytest.raises(ClientError, match="ConflictException"):
        session.client("sagemaker").delete_pipeline(PipelineName="p", ClientRequestToken="t" * 32)
    with account.store.read() as transaction:
        assert transaction.list("thing") == []
    assert [entry.error for entry in trail_of(account)] == ["ConflictException"]
    assert events_of(account) == []


def test_a_slow_operation_opens_its_own_transactions(session, account, made_up):
    @operation("sagemaker", "DeletePipeline", transactional=False)
    def delete_pipeline(call: Call):
        with pytest.raises(RuntimeError, match="not transactional"):
            call.transaction.get("thing", "x")
        with call.account.store.write() as transaction:
            transaction.insert("thing", "x", body={})
        call.emit(source="s", detail_type="d", detail={})
        return {"PipelineArn": "a"}

    made_up(delete_pipeline)
    session.client("sagemaker").delete_pipeline(PipelineName="p", ClientRequestToken="t" * 32)
    assert len(trail_of(account)) == len(events_of(account)) == 1


def test_prepare_runs_before_and_cleanup_after_the_transaction(session, account, made_up):
    order = []

    def prepare(call: Call):
        with call.account.store.write():  # possible only outside the call's own transaction
            order.append("prepare")
        return 42

    def cleanup() -> None:
        with account.store.write():
            order.append("cleanup")

    @operation("sagemaker", "DeletePipeline", prepare=prepare)
    def delete_pipeline(call: Call):
        order.append(call.prepared)
        call.cleanups.append(cleanup)
        return {"PipelineArn": "a"}

    made_up(delete_pipeline)
    session.client("sagemaker").delete_pipeline(PipelineName="p", ClientRequestToken="t" * 32)
    assert order == ["prepare", 42, "cleanup"]


def test_work_is_started_after_the_commit(session, account, made_up, monkeypatch):
    started = []

    def ensure_supervisor(given):
        with given.store.read() as transaction:
            started.append([found.name for found in transaction.list("thing")])

    monkeypatch.setattr(supervisor, "ensure_supervisor", ensure_supervisor)

    @operation("sagemaker", "DeletePipeline", starts_work=True)
    def delete_pipeline(call: Call):
        call.transaction.insert("thing", "x", body={})
        return {"PipelineArn": "a"}

    made_up(delete_pipeline)
    session.client("sagemaker").delete_pipeline(PipelineName="p", ClientRequestToken="t" * 32)
    assert started == [["x"]]


def test_bytes_become_the_stream_that_clients_expect(account, monkeypatch):
    @operation("sagemaker-runtime", "InvokeEndpoint", transactional=False)
    def invoke_endpoint(call: Call):
        return {"Body": b"answer", "ContentType": "text/plain"}

    known = {"InvokeEndpoint": invoke_endpoint.__overflight_operation__}
    monkeypatch.setattr(wire, "operations_of", lambda service: known)
    client = local_session(account, role="administrator", user="ada").client("sagemaker-runtime")
    body = client.invoke_endpoint(EndpointName="e", Body=b"question")["Body"]
    assert isinstance(body, StreamingBody)
    assert body.read() == b"answer"


@pytest.mark.parametrize("role", ["administrator", "data-scientist", "ml-engineer", "approver", "auditor", "admin"])
def test_named_personas_may_call(account, role):
    client = local_session(account, role=role, user="bob").client("sts")
    assert client.get_caller_identity()["Arn"] == f"arn:aws:sts::000000000000:assumed-role/overflight-{role}/bob"


@pytest.mark.parametrize(
    ("service", "call", "code"),
    [
        ("s3", lambda client: client.list_buckets(), "AccessDenied"),
        ("sagemaker", lambda client: client.list_pipelines(), "AccessDeniedException"),
    ],
)
def test_an_unknown_persona_is_refused_with_the_way_out(account, service, call, code, monkeypatch):
    @operation("sagemaker", "ListPipelines")
    def list_pipelines(_call: Call):
        return {}

    if service == "sagemaker":
        known = {"ListPipelines": list_pipelines.__overflight_operation__}
        monkeypatch.setattr(wire, "operations_of", lambda _service: known)
    client = local_session(account, role="intern", user="bob").client(service)
    with pytest.raises(ClientError, match="OVERFLIGHT_ROLE") as caught:
        call(client)
    assert caught.value.response["Error"]["Code"] == code
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403
    assert [entry.error for entry in trail_of(account)] == [code]


def test_two_handlers_for_one_operation_are_a_mistake(monkeypatch):
    module = types.ModuleType("overflight.account.local.services.twice")
    module.one = operation("twice", "Do")(lambda call: {})
    module.two = operation("twice", "Do")(lambda call: {})
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setattr(wire, "SERVICE_MODULES", {"twice": ("twice",)})
    with pytest.raises(RuntimeError, match="two handlers for twice:Do"):
        wire.operations_of("twice")


def test_calls_can_be_made_without_a_client(account):
    caller = caller_for(account, role="register", user="engine")
    response = perform(Call("sts", "GetCallerIdentity", {}, caller, account))
    assert response["Arn"].endswith("assumed-role/overflight-register/engine")
    assert trail_of(account)[0].caller == caller.arn


def test_a_call_can_be_varied_for_tests(account):
    call = Call("s3", "GetObject", {}, caller_for(account, role="admin", user="a"), account)
    assert isinstance(replace(call, operation="PutObject").transaction, NoTransaction)


def test_paginators_and_waiters_are_botocores(session, settings):
    s3 = session.client("s3")
    for n in range(5):
        s3.put_object(Bucket=settings.bucket, Key=f"k{n}", Body=io.BytesIO(b"x"))
    pages = list(s3.get_paginator("list_objects_v2").paginate(Bucket=settings.bucket, PaginationConfig={"PageSize": 2}))
    assert [[item["Key"] for item in page["Contents"]] for page in pages] == [["k0", "k1"], ["k2", "k3"], ["k4"]]
    s3.get_waiter("object_exists").wait(Bucket=settings.bucket, Key="k0", WaiterConfig={"Delay": 0, "MaxAttempts": 1})


@pytest.mark.parametrize(
    ("operation", "parameters", "says"),
    [
        pytest.param("list_models", {"SortBy": "Colour"}, "sortBy", id="enum"),
        pytest.param("describe_model", {"ModelName": "with space"}, "modelName", id="pattern"),
        pytest.param("list_models", {"MaxResults": 1000}, "maxResults", id="upper-limit"),
    ],
)
def test_what_botocore_leaves_to_the_service_is_refused_here_too(session, operation, parameters, says):
    """Otherwise a request would work on one machine and fail in AWS."""
    with pytest.raises(ClientError) as caught:
        getattr(session.client("sagemaker"), operation)(**parameters)
    error = caught.value.response["Error"]
    assert error["Code"] == "ValidationException"
    assert says.lower() in error["Message"].lower()
