"""Errors of AWS calls in Overflight's words: the kind decides the exit code, the cure says what to do."""

from __future__ import annotations

import boto3
import pytest
from botocore import exceptions as aws
from botocore.exceptions import ClientError, EndpointConnectionError, ParamValidationError
from botocore.stub import Stubber

from overflight.account.aws_errors import in_our_words, missing_action, translate
from overflight.errors import (
    AccountError,
    InputError,
    NotFoundError,
    RefusedError,
    ResourceError,
    UsageError,
)

USER = "User: arn:aws:sts::111122223333:assumed-role/ds/ada is not authorized to perform:"
BY_POLICY = "because no identity-based policy allows the"


def refused(code, message, operation="GetObject", *, status=400, headers=None, **members):
    metadata = {"HTTPStatusCode": status, "HTTPHeaders": headers or {}}
    return ClientError(
        {"Error": {"Code": code, "Message": message, **members}, "ResponseMetadata": metadata}, operation
    )


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("ExpiredToken", AccountError),
        ("NoSuchKey", NotFoundError),
        ("ResourceNotFound", NotFoundError),
        ("ThrottlingException", ResourceError),
        ("ServiceUnavailable", ResourceError),
        ("ResourceInUse", UsageError),
        ("ValidationException", UsageError),
        ("SomethingNew", AccountError),
    ],
)
def test_each_code_becomes_one_of_our_errors(code, kind):
    told = translate(ClientError({"Error": {"Code": code, "Message": "why"}}, "CreatePipeline"))
    assert type(told) is kind
    assert (told.where, told.what) == ("CreatePipeline", f"{code}: why")
    assert bool(told.cure) == (code != "SomethingNew")


LOGIN = "Log in again: aws sso login --profile work"
AS_AWS_SAYS_IT = {
    "NoSuchBucket": (refused("NoSuchBucket", "The specified bucket does not exist", status=404), NotFoundError, "name"),
    "head of nothing": (refused("404", "Not Found", "HeadObject", status=404), NotFoundError, "Check the name"),
    "expired token of S3": (refused("ExpiredToken", "The provided token has expired."), AccountError, LOGIN),
    "expired token of STS": (
        refused("ExpiredTokenException", "The security token included in the request is expired", status=403),
        AccountError,
        LOGIN,
    ),
    "clock": (
        refused("RequestTimeTooSkewed", "The difference between the request time and the current time is too large."),
        AccountError,
        "Set the clock",
    ),
    "unknown key": (
        refused("InvalidAccessKeyId", "The AWS Access Key Id you provided does not exist in our records.", status=403),
        AccountError,
        "aws configure --profile work",
    ),
    "wrong secret": (
        refused("SignatureDoesNotMatch", "The request signature we calculated does not match", status=403),
        AccountError,
        "aws configure --profile work",
    ),
    "other region, header": (
        refused("301", "Moved Permanently", "HeadBucket", status=301, headers={"x-amz-bucket-region": "us-west-2"}),
        AccountError,
        "Set OVERFLIGHT_REGION=us-west-2",
    ),
    "other region, redirect without its name": (
        refused("PermanentRedirect", "The bucket you are attempting to access must be addressed using ...", status=301),
        AccountError,
        "Set OVERFLIGHT_REGION to the region of the bucket",
    ),
    "other region, signature": (
        refused(
            "AuthorizationHeaderMalformed",
            "The authorization header is malformed; the region 'us-east-1' is wrong; expecting 'eu-central-1'",
        ),
        AccountError,
        "Set OVERFLIGHT_REGION=eu-central-1",
    ),
    "other region, member": (
        refused("AuthorizationHeaderMalformed", "The authorization header is malformed", Region="ap-south-1"),
        AccountError,
        "Set OVERFLIGHT_REGION=ap-south-1",
    ),
    "other region, new bucket": (
        refused(
            "IllegalLocationConstraintException",
            "The eu-west-1 location constraint is incompatible for the region specific endpoint this request was sent.",
        ),
        AccountError,
        "Set OVERFLIGHT_REGION to",
    ),
    "throttled by S3": (
        refused("SlowDown", "Please reduce your request rate.", status=503),
        ResourceError,
        "Wait a moment",
    ),
    "throttled by SageMaker": (refused("ThrottlingException", "Rate exceeded"), ResourceError, "Wait a moment"),
    "throttled by EC2": (refused("RequestLimitExceeded", "Request limit exceeded."), ResourceError, "Wait a moment"),
    "unknown failure of the service": (refused("Weird", "?", status=502), ResourceError, "Wait a moment"),
    "archived": (
        refused("InvalidObjectState", "The operation is not valid for the object's storage class", status=403),
        InputError,
        "restore it with",
    ),
    "changed": (refused("PreconditionFailed", "At least one of the ...", status=412), InputError, "run it again"),
    "key switched off": (refused("KMS.DisabledException", "arn is disabled."), RefusedError, "enable it"),
    "profile": (aws.ProfileNotFound(profile="work"), AccountError, "OVERFLIGHT_PROFILE"),
    "no credentials": (aws.NoCredentialsError(), AccountError, LOGIN),
    "half the credentials": (
        aws.PartialCredentialsError(provider="env", cred_var="AWS_SECRET_ACCESS_KEY"),
        AccountError,
        "aws configure --profile work",
    ),
    "SSO has expired": (aws.UnauthorizedSSOTokenError(), AccountError, LOGIN),
    "SSO token not there": (aws.SSOTokenLoadError(error_msg="Token for work does not exist"), AccountError, LOGIN),
    "SSO token not renewed": (
        aws.TokenRetrievalError(provider="sso", error_msg="Token has expired and refresh failed"),
        AccountError,
        LOGIN,
    ),
    "credentials of a process": (
        aws.CredentialRetrievalError(provider="custom-process", error_msg="exit code 1"),
        AccountError,
        LOGIN,
    ),
    "no region": (aws.NoRegionError(), AccountError, "Set OVERFLIGHT_REGION"),
    "no network": (EndpointConnectionError(endpoint_url="https://s3"), AccountError, "Check the network"),
    "slow to connect": (aws.ConnectTimeoutError(endpoint_url="https://s3"), AccountError, "Check the network"),
    "slow to answer": (aws.ReadTimeoutError(endpoint_url="https://s3"), AccountError, "Wait a moment"),
    "proxy": (aws.ProxyConnectionError(proxy_url="http://p"), AccountError, "proxy"),
    "certificate": (
        aws.SSLError(endpoint_url="https://s3", error="CERTIFICATE_VERIFY_FAILED"),
        AccountError,
        "AWS_CA_BUNDLE",
    ),
    "body cut": (aws.ResponseStreamingError(error="Connection broken"), AccountError, "Wait a moment"),
}


@pytest.mark.parametrize(("error", "kind", "cure"), AS_AWS_SAYS_IT.values(), ids=AS_AWS_SAYS_IT)
def test_what_it_is_and_what_cures_it(error, kind, cure):
    told = translate(error, profile="work")
    assert type(told) is kind
    assert cure in told.cure
    assert told.what
    assert "\n" not in str(told)
    assert told.where == (error.operation_name if isinstance(error, ClientError) else "")


@pytest.mark.parametrize(
    ("error", "action", "resource"),
    [
        pytest.param(
            refused(
                "AccessDenied",
                f'{USER} s3:ListBucket on resource: "arn:aws:s3:::b" {BY_POLICY} s3:ListBucket action',
                "ListObjectsV2",
            ),
            "s3:ListBucket",
            "arn:aws:s3:::b",
            id="listing",
        ),
        pytest.param(
            refused("AccessDenied", f'{USER} s3:GetObject on resource: "arn:aws:s3:::b/k" with an explicit deny'),
            "s3:GetObject",
            "arn:aws:s3:::b/k",
            id="reading",
        ),
        pytest.param(
            refused("AccessDenied", f"{USER} kms:Decrypt on resource: arn:aws:kms:eu:1:key/k {BY_POLICY} kms:Decrypt"),
            "kms:Decrypt",
            "arn:aws:kms:eu:1:key/k",
            id="key",
        ),
        pytest.param(
            refused(
                "AccessDenied",
                f"{USER} kms:Decrypt on the resource associated with this ciphertext {BY_POLICY} kms:Decrypt action",
            ),
            "kms:Decrypt",
            "",
            id="key without its name",
        ),
        pytest.param(
            refused("AccessDenied", "The ciphertext refers to a customer master key in AWS KMS that does not exist"),
            "kms:Decrypt",
            "",
            id="key without the action",
        ),
        pytest.param(
            refused("AccessDeniedException", f"{USER} sagemaker:CreatePipeline on resource: arn:p", "CreatePipeline"),
            "sagemaker:CreatePipeline",
            "arn:p",
            id="SageMaker",
        ),
        pytest.param(
            refused("AccessDenied", f"{USER} s3:ListObjectsV2: there is no role", "ListObjectsV2"),
            "s3:ListBucket",
            "",
            id="the local account",
        ),
        pytest.param(refused("AccessDenied", "Access Denied", "ListObjectsV2"), "s3:ListBucket", "", id="bare listing"),
        pytest.param(refused("403", "Forbidden", "HeadObject", status=403), "s3:GetObject", "", id="bare head"),
        pytest.param(refused("403", "Forbidden", "HeadBucket", status=403), "s3:ListBucket", "", id="bare bucket"),
        pytest.param(refused("AccessDenied", "Access Denied", "UploadPart"), "s3:PutObject", "", id="bare upload"),
        pytest.param(refused("AccessDeniedException", "no", "CreateModel"), "CreateModel", "", id="another service"),
    ],
)
def test_a_refusal_names_the_missing_action(error, action, resource):
    assert missing_action(error) == (action, resource)
    told = translate(error)
    assert type(told) is RefusedError
    assert f"[missing: {action}]" in told.what
    assert told.cure.startswith(f"Ask an administrator for {action}{f' on {resource}' if resource else ''}, or act as")


OURS = "User: arn:aws:sts::111122223333:assumed-role/overflight-data-scientist/ada is not authorized to perform:"
SAGEMAKER = "arn:aws:sagemaker:eu-central-1:111122223333"


@pytest.mark.parametrize(
    ("action", "resource", "cure"),
    [
        pytest.param(
            "sagemaker:UpdateModelPackage",
            f"{SAGEMAKER}:model-package/overflight-cars/3",
            "Act as approver: overflight --as approver ...",
            id="approver",
        ),
        pytest.param(
            "sagemaker:CreatePipeline",
            f"{SAGEMAKER}:pipeline/overflight-dev-train",
            "Act as ml-engineer: overflight --as ml-engineer ...",
            id="ml-engineer",
        ),
        pytest.param(
            "sagemaker:CreateEndpoint",
            f"{SAGEMAKER}:endpoint/overflight-prod-cars",
            "No role of people may do this; the role deploy does it, as a step of its pipeline",
            id="deploy",
        ),
        pytest.param(
            "sagemaker:CreateNotebookInstance",
            f"{SAGEMAKER}:notebook-instance/mine",
            f"Ask an administrator for sagemaker:CreateNotebookInstance on {SAGEMAKER}:notebook-instance/mine, or act",
            id="nobody",
        ),
    ],
)
def test_aws_refuses_one_of_our_roles_and_the_template_knows_who_may(action, resource, cure):
    """AWS does not tell who may; the text of the policies that were deployed does."""
    words = f"{OURS} {action} on resource: {resource} because no identity-based policy allows the {action} action"
    told = translate(refused("AccessDeniedException", words, action.partition(":")[2]))
    assert told.cure.startswith(cure)
    assert f"[missing: {action}]" in told.what


def test_the_requester_may_have_to_pay():
    assert "requester pay" in translate(refused("AccessDenied", "Access Denied")).cure
    assert "requester pay" not in translate(refused("AccessDenied", "Access Denied", "PutObject")).cure


def test_a_profile_that_is_not_given_is_the_default_one_and_may_be_another():
    assert (
        "aws sso login --profile ab (or the one in OVERFLIGHT_PROFILE)" in translate(refused("ExpiredToken", "")).cure
    )


def test_a_client_of_boto3_fails_in_our_words_and_where_it_was():
    client = boto3.Session("key", "secret", region_name="eu-central-1").client("s3")
    with Stubber(client) as stubber:
        stubber.add_client_error(
            "list_objects_v2",
            "PermanentRedirect",
            "The bucket is elsewhere",
            http_status_code=301,
            response_meta={"HTTPHeaders": {"x-amz-bucket-region": "us-west-2"}},
        )
        with pytest.raises(AccountError, match="the region is us-west-2") as caught, in_our_words("s3://b/k"):
            client.list_objects_v2(Bucket="b")
    assert (caught.value.where, caught.value.cure) == ("s3://b/k", "Set OVERFLIGHT_REGION=us-west-2")
    assert caught.value.exit_code == 6


def test_a_lost_network_is_about_the_account():
    told = translate(EndpointConnectionError(endpoint_url="https://sts"))
    assert type(told) is AccountError
    assert "network" in told.cure


def test_a_bad_argument_is_not_about_the_account(session):
    with pytest.raises(ParamValidationError) as caught:
        session.client("sagemaker").describe_pipeline(PipelineName=5)
    told = translate(caught.value)
    assert type(told) is UsageError
    assert "PipelineName" in told.what
    assert "\n" not in str(told)
