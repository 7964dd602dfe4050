"""Who may do what through real clients, with the policies of the template that goes to AWS; the words of a refusal."""

from __future__ import annotations

import types

import pytest
from botocore.exceptions import ClientError
from pipeline_tools import definition, fail

from overflight.account.aws_errors import translate
from overflight.account.identity import access_for
from overflight.account.local import trail
from overflight.account.local.authorise import OWNER, TemplateAuthoriser, denial
from overflight.account.local.login import caller_for, local_session
from overflight.account.local.requests import Need
from overflight.account.session import local_account
from overflight.errors import RefusedError
from overflight.iam.core import Decision, Matched

PEOPLE = ("data-scientist", "ml-engineer", "approver", "auditor", "admin")
ENV = [{"Key": "env", "Value": "dev"}, {"Key": "project", "Value": "overflight"}, {"Key": "owner", "Value": "ada"}]
SPECIFICATION = {
    "Containers": [{"Image": "overflight:1", "ModelDataUrl": "s3://b/m.tar.gz"}],
    "SupportedContentTypes": ["image/jpeg"],
    "SupportedResponseMIMETypes": ["application/json"],
}
TOKEN = "t" * 32
TEXT = definition(fail("F", "never"))


@pytest.fixture
def client_of(account, loader):
    def make(role, service="sagemaker", user="ada"):
        return local_session(account, role=role, user=user, loader=loader).client(service)

    return make


@pytest.fixture
def world(account, session, monkeypatch):
    """One of everything that people act on, made by the owner; nothing that is started runs."""
    monkeypatch.setattr("overflight.account.local.supervisor.ensure_supervisor", lambda _account: None)
    sagemaker, s3 = session.client("sagemaker"), session.client("s3")
    for key in ("surveys/a/x", "runs/1/train/x", "capture/x", "cards/x"):
        s3.put_object(Bucket=account.bucket, Key=key, Body=b"{}")
    made = types.SimpleNamespace(bucket=account.bucket, role_arn=account.role_arn)
    sagemaker.create_model_package_group(ModelPackageGroupName="overflight-cars", Tags=ENV)
    made.package = sagemaker.create_model_package(
        ModelPackageGroupName="overflight-cars", InferenceSpecification=SPECIFICATION
    )["ModelPackageArn"]
    for name, role in (("overflight-dev-train", "register"), ("overflight-deploy", "deploy")):
        sagemaker.create_pipeline(
            PipelineName=name,
            PipelineDefinition=TEXT,
            RoleArn=account.role_arn(role),
            ClientRequestToken=f"{name}{TOKEN}",
            Tags=ENV,
        )
    return made


def approve(client, made):
    client.update_model_package(
        ModelPackageArn=made.package,
        ModelApprovalStatus="Approved",
        CustomerMetadataProperties={"approval_event": "e-1"},
    )


def write_to(key):
    return lambda client, made: client.put_object(Bucket=made.bucket, Key=key, Body=b"{}")


def read_from(key):
    return lambda client, made: client.get_object(Bucket=made.bucket, Key=key)


def put_event(source):
    entry = {"Source": source, "DetailType": "Model Approval Decision", "Detail": "{}"}
    return lambda client, _: client.put_events(Entries=[entry])


def start(name):
    return lambda client, _: client.start_pipeline_execution(PipelineName=name, ClientRequestToken=TOKEN)


def update_deploy(client, made):
    client.update_pipeline(PipelineName="overflight-deploy", PipelineDefinition=TEXT)


def publish(client, made):
    client.create_pipeline(
        PipelineName="overflight-dev-other",
        PipelineDefinition=TEXT,
        RoleArn=made.role_arn("register"),
        ClientRequestToken=TOKEN,
        Tags=ENV,
    )


def register(status):
    def call(client, _):
        client.create_model_package(
            ModelPackageGroupName="overflight-cars", InferenceSpecification=SPECIFICATION, **status
        )

    return call


def make_model(client, made):
    client.create_model(
        ModelName="overflight-dev-m",
        PrimaryContainer=SPECIFICATION["Containers"][0],
        ExecutionRoleArn=made.role_arn("serve"),
        Tags=ENV,
    )


def become_approver(client, made):
    client.assume_role(RoleArn=made.role_arn("approver"), RoleSessionName="ada")


def retag(client, made):
    client.add_tags(ResourceArn=made.package, Tags=[{"Key": "env", "Value": "prod"}])


# What is done, by which service, and who may. Everybody else must be refused.
PENDING = {"ModelApprovalStatus": "PendingManualApproval"}
STAGED = {**PENDING, "ModelLifeCycle": {"Stage": "Production", "StageStatus": "Approved"}}
READERS = {"data-scientist", "ml-engineer", "approver", "auditor"}
MATRIX = [
    ("read survey", "s3", read_from("surveys/a/x"), READERS),
    ("read what was captured", "s3", read_from("capture/x"), {"ml-engineer", "auditor"}),
    ("add survey", "s3", write_to("surveys/b/x"), {"ml-engineer"}),
    ("forge metrics", "s3", write_to("runs/1/evaluate/evaluation.json"), set()),
    ("write card", "s3", write_to("cards/y"), {"approver"}),
    ("delete survey", "s3", lambda s3, made: s3.delete_object(Bucket=made.bucket, Key="surveys/a/x"), set()),
    ("approve", "sagemaker", approve, {"approver"}),
    ("register", "sagemaker", register(PENDING), {"data-scientist", "ml-engineer"}),
    ("register approved", "sagemaker", register({"ModelApprovalStatus": "Approved"}), set()),
    ("register without a status (X09)", "sagemaker", register({}), set()),
    ("register in a stage (X12)", "sagemaker", register(STAGED), set()),
    ("start training", "sagemaker", start("overflight-dev-train"), {"data-scientist", "ml-engineer"}),
    ("start deployment", "sagemaker", start("overflight-deploy"), {"ml-engineer"}),
    ("publish pipeline", "sagemaker", publish, {"ml-engineer"}),
    ("change the deploy pipeline (E07)", "sagemaker", update_deploy, set()),
    ("make a model", "sagemaker", make_model, set()),
    ("retag (E18)", "sagemaker", retag, set()),
    ("list", "sagemaker", lambda client, _: client.list_models(), set(PEOPLE)),
    ("announce a decision", "events", put_event("overflight.governance"), {"approver"}),
    ("another event", "events", put_event("my.app"), set()),
    ("who am I", "sts", lambda client, _: client.get_caller_identity(), set(PEOPLE)),
    ("become the approver (E23)", "sts", become_approver, set()),
]


def is_done(client, act, made):
    """Whether the account did it; any error but a refusal is a mistake of the test."""
    try:
        act(client, made)
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] != 403:
            raise
        return False
    return True


@pytest.mark.parametrize("case", [pytest.param(one[1:], id=one[0]) for one in MATRIX])
def test_people_may_do_their_own_and_nothing_else(world, client_of, case):
    service, act, allowed = case
    assert {role for role in PEOPLE if is_done(client_of(role, service), act, world)} == allowed


def refused(client_of, world, role="data-scientist", act=approve, service="sagemaker"):
    with pytest.raises(ClientError) as caught:
        act(client_of(role, service), world)
    return caught.value


def test_a_refusal_is_in_the_words_of_aws_with_the_statement(client_of, world):
    error = refused(client_of, world).response["Error"]
    assert error["Code"] == "AccessDeniedException"
    assert error["Message"] == (
        "User: arn:aws:sts::000000000000:assumed-role/overflight-data-scientist/ada is not authorized to perform: "
        f"sagemaker:UpdateModelPackage on resource: {world.package} with an explicit deny in a permissions boundary "
        "(statement OnlyApproverDecides of overflight-boundary)"
    )


def test_a_refusal_of_s3_has_its_code_and_quotes(client_of, world):
    error = refused(client_of, world, act=write_to("surveys/z"), service="s3").response["Error"]
    assert error["Code"] == "AccessDenied"
    assert error["Message"] == (
        "User: arn:aws:sts::000000000000:assumed-role/overflight-data-scientist/ada is not authorized to perform: "
        f's3:PutObject on resource: "arn:aws:s3:::{world.bucket}/surveys/z" because no identity-based policy allows '
        "the s3:PutObject action"
    )


def test_head_requests_have_a_bare_code(client_of, world):
    def head(client, made):
        client.head_object(Bucket=made.bucket, Key="surveys/a/x")

    assert refused(client_of, world, role="admin", act=head, service="s3").response["Error"]["Code"] == "403"


def test_the_cure_names_the_role_that_may(client_of, world):
    told = translate(refused(client_of, world))
    assert isinstance(told, RefusedError)
    assert told.cure == "Act as approver: overflight --as approver ..."
    assert "[missing: sagemaker:UpdateModelPackage]" in told.what


def test_the_cure_says_when_only_a_service_may(client_of, world):
    told = translate(refused(client_of, world, role="ml-engineer", act=make_model))
    assert told.cure.startswith("No role of people may do this; the role deploy does it")


def test_the_cure_says_when_nobody_may(client_of, world):
    told = translate(refused(client_of, world, role="approver", act=register({"ModelApprovalStatus": "Approved"})))
    assert told.cure.startswith("No role may do this")


def test_the_cure_for_a_role_that_does_not_exist_is_the_list_of_those_that_do(client_of, world):
    told = translate(refused(client_of, world, role="intern"))
    assert told.cure == (
        "Act as one of its roles: overflight --as ROLE (administrator, data-scientist, ml-engineer, approver, auditor, "
        "admin)"
    )


@pytest.mark.parametrize(
    ("decision", "says"),
    [
        pytest.param(
            Decision("implicit-deny", "identity"),
            "because no identity-based policy allows the s3:GetObject action",
            id="identity",
        ),
        pytest.param(
            Decision("implicit-deny", "boundary", (Matched("identity", "p", "Read", "Allow"),)),
            "because no permissions boundary allows the s3:GetObject action",
            id="boundary",
        ),
        pytest.param(
            Decision("implicit-deny", "organisation"),
            "because no service control policy allows the s3:GetObject action",
            id="organisation",
        ),
        pytest.param(
            Decision("explicit-deny", "identity", (Matched("identity", "p", "Never", "Deny"),)),
            "with an explicit deny in an identity-based policy (statement Never of p)",
            id="explicit",
        ),
        pytest.param(
            Decision("explicit-deny", "resource", (Matched("resource", "DataBucketPolicy", "", "Deny"),)),
            "with an explicit deny in a resource-based policy (statement without a name of DataBucketPolicy)",
            id="no sid",
        ),
    ],
)
def test_every_layer_has_aws_words(decision, says):
    text = denial("arn:aws:sts::1:assumed-role/r/s", Need("s3:GetObject", "arn:aws:s3:::b/k"), decision)
    head = "User: arn:aws:sts::1:assumed-role/r/s is not authorized to perform: s3:GetObject on resource: "
    assert text == f'{head}"arn:aws:s3:::b/k" {says}'


def entries(account):
    with account.store.read() as tx:
        return [one for one in trail.entries(tx) if one.operation != "AccessChanged"]


def test_denied_and_allowed_calls_are_in_the_trail_with_their_decision(account, client_of, world):
    approve(client_of("approver"), world)
    refused(client_of, world)
    allowed, denied = entries(account)[-2:]
    assert (allowed.error, allowed.details["role"], allowed.details["user"]) == ("", "approver", "ada")
    assert allowed.details["decision"] == {
        "outcome": "allow",
        "layer": "identity",
        "policy": "decide",
        "sid": "Decide",
        "action": "sagemaker:UpdateModelPackage",
        "resource": world.package,
    }
    assert denied.error == "AccessDeniedException"
    assert denied.details["decision"] == {
        "outcome": "explicit-deny",
        "layer": "boundary",
        "policy": "overflight-boundary",
        "sid": "OnlyApproverDecides",
        "action": "sagemaker:UpdateModelPackage",
        "resource": world.package,
    }
    assert {"host", "pid"} <= denied.details.keys()


def test_the_owner_may_do_everything_and_is_in_the_trail(account, session, world):
    approve(session.client("sagemaker"), world)
    last = entries(account)[-1]
    assert last.details["role"] == OWNER
    assert last.details["decision"] == {"outcome": "allow", "layer": "owner"}


def test_a_call_that_names_several_things_needs_all_of_them(account, session, client_of, world):
    """One key of a hundred that may not be deleted refuses the call, and no key is gone."""
    keys = [{"Key": "surveys/a/x"}, {"Key": "runs/1/train/x"}]
    with pytest.raises(ClientError, match="s3:DeleteObject"):
        client_of("ml-engineer", "s3").delete_objects(Bucket=account.bucket, Delete={"Objects": keys})
    assert session.client("s3").list_objects_v2(Bucket=account.bucket)["KeyCount"] == 4


def test_copying_needs_reading_the_source(account, client_of, world):
    engineer = client_of("ml-engineer", "s3")
    engineer.copy_object(Bucket=account.bucket, Key="surveys/b/x", CopySource=f"{account.bucket}/surveys/a/x")
    with pytest.raises(ClientError, match="s3:GetObject"):
        engineer.copy_object(Bucket=account.bucket, Key="surveys/b/x", CopySource=f"{account.bucket}/secret/x")


def test_policies_are_loaded_once_and_only_for_others_than_the_owner(account, settings):
    loaded = []

    def load():
        loaded.append(1)
        return access_for(settings)

    authoriser = TemplateAuthoriser(load)
    need = [Need("s3:ListAllMyBuckets", "*")]
    assert authoriser.decide_needs(caller_for(account, role=OWNER, user="ada"), need).allowed
    assert loaded == []
    for role in ("auditor", "admin", "auditor"):
        assert authoriser.decide_needs(caller_for(account, role=role, user="ada"), need).allowed
    assert loaded == [1]


def test_nobody_hands_the_owners_role_over_whatever_a_policy_says(account, settings):
    authoriser = TemplateAuthoriser(lambda: access_for(settings))
    need = [Need("iam:PassRole", account.role_arn(OWNER), {"iam:PassedToService": "sagemaker.amazonaws.com"})]
    for role in authoriser.access.roles:
        assert not authoriser.decide_needs(caller_for(account, role=role, user="x"), need).allowed


def test_production_is_not_for_people(client_of, session, world):
    owner = session.client("sagemaker")
    tags = [{"Key": "env", "Value": "prod"}]
    container = SPECIFICATION["Containers"][0]
    owner.create_model(
        ModelName="overflight-prod-m", PrimaryContainer=container, ExecutionRoleArn=world.role_arn("serve"), Tags=tags
    )
    for role in PEOPLE:
        with pytest.raises(ClientError, match="not authorized"):
            client_of(role).delete_model(ModelName="overflight-prod-m")
    assert owner.describe_model(ModelName="overflight-prod-m")


def test_an_environment_has_its_own_names(settings, clock, loader):
    staging = local_account(settings.model_copy(update={"environment": "staging"}), clock=clock)
    client = local_session(staging, role="ml-engineer", user="ada", loader=loader).client("sagemaker")
    for name, allowed in (("overflight-dev-p", False), ("overflight-staging-p", True)):
        tags = [{"Key": "env", "Value": "staging"}]
        request = {"PipelineName": name, "RoleArn": staging.role_arn("register"), "ClientRequestToken": TOKEN}
        if allowed:
            client.create_pipeline(PipelineDefinition=TEXT, Tags=tags, **request)
        else:
            with pytest.raises(ClientError, match="not authorized"):
                client.create_pipeline(PipelineDefinition=TEXT, Tags=tags, **request)


@pytest.mark.parametrize(
    ("operation", "codes"),
    [
        pytest.param("get_object", ("AccessDenied", "NoSuchKey"), id="get"),
        pytest.param("head_object", ("403", "404"), id="head"),
    ],
)
def test_who_may_not_list_is_not_told_that_a_key_is_missing(client_of, account, operation, codes):
    """As in S3; the role ``train`` may list below ``runs/``, but such a request carries no prefix."""
    for role, code in zip(("train", "auditor"), codes, strict=True):
        with pytest.raises(ClientError) as caught:
            getattr(client_of(role, "s3"), operation)(Bucket=account.bucket, Key="runs/1/train/missing")
        assert caught.value.response["Error"]["Code"] == code
