"""Errors of AWS calls in Overflight's words: the kind decides the exit code, the cure says what to do."""

from __future__ import annotations

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, ParamValidationError

from overflight.account.aws_errors import translate
from overflight.errors import AccountError, NotFoundError, RefusedError, ResourceError, UsageError


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("AccessDeniedException", RefusedError),
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
