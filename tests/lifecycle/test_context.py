"""Names come from the account that is reached; MLflow's address from the platform."""

from datetime import UTC, datetime
from types import SimpleNamespace

import pytest

from overflight.lifecycle.context import Context
from overflight.lifecycle.system import tracking_uri
from overflight.settings import Settings


def test_on_aws_the_account_number_is_the_one_that_answers(monkeypatch):
    sts = SimpleNamespace(get_caller_identity=lambda: {"Account": "210987654321"})
    monkeypatch.setattr(Context, "client", lambda *_: sts)
    assert Context(Settings(platform="aws")).names.bucket == "overflight-210987654321-eu-central-1"


def test_acting_as_a_role_changes_the_caller_and_nothing_else(tmp_path):
    context = Context(Settings(home=tmp_path), clock=lambda: datetime(2026, 1, 1, tzinfo=UTC))
    scientist = context.acting_as("data-scientist")
    arn = scientist.client("sts").get_caller_identity()["Arn"]
    assert arn.split("/")[1] == "overflight-data-scientist"
    assert scientist.names.bucket == context.names.bucket


@pytest.mark.parametrize(
    ("settings", "begins"),
    [
        pytest.param({}, "sqlite:///", id="local"),
        pytest.param({"platform": "aws"}, "off", id="aws-without-mlflow"),
        pytest.param({"platform": "aws", "mlflow_uri": "arn:aws:sagemaker:x"}, "arn:", id="aws-with-mlflow"),
    ],
)
def test_mlflow_is_where_the_platform_has_it(settings, begins):
    assert tracking_uri(Context(Settings(**settings))).startswith(begins)
