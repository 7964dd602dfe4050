"""Jobs that call AWS: they do it as their own role, and only those that ask for it."""

from __future__ import annotations

import json

import pytest
from pipeline_tools import make_pipelines, processing

from overflight.account.session import open_job_session
from overflight.errors import AccountError

TELL = """
import json
names = [n for n in os.environ if n.startswith(("AWS_", "OVERFLIGHT_"))]
(ml / "processing/output/env/env.json").write_text(json.dumps({n: os.environ[n] for n in names}))
"""


@pytest.fixture
def environment_of(account, session, monkeypatch):
    """Runs a job of a role that writes its environment down."""
    pipelines = make_pipelines(account, session, monkeypatch)

    def run(name, role, **given):
        arguments = processing("x", TELL, outputs={"env": f"s3://{account.bucket}/runs/{name}/env"}, environment=given)[
            "Arguments"
        ]
        pipelines.client.create_processing_job(ProcessingJobName=name, RoleArn=account.role_arn(role), **arguments)
        pipelines.follow()
        return json.loads(pipelines.read(f"runs/{name}/env/env.json"))

    return run


def test_a_job_that_asks_acts_as_its_role(environment_of, account):
    told = environment_of("asks", "administrator", OVERFLIGHT_ACCOUNT_ACCESS="1")
    identity = open_job_session(told, clock=account.clock).client("sts").get_caller_identity()
    assert identity["Arn"] == "arn:aws:sts::000000000000:assumed-role/overflight-administrator/asks"


def test_a_job_that_does_not_ask_has_no_keys(environment_of):
    told = environment_of("silent", "administrator")
    assert not {name for name in told if "KEY" in name or "TOKEN" in name or name == "OVERFLIGHT_HOME"}


def test_keys_end_with_the_jobs_time(environment_of, account, clock):
    told = environment_of("late", "administrator", OVERFLIGHT_ACCOUNT_ACCESS="1")
    clock.advance(hours=1)
    client = open_job_session(told, clock=clock).client("sts")
    with pytest.raises(client.exceptions.ClientError, match="expired"):
        client.get_caller_identity()


def test_without_keys_the_error_says_what_to_set(tmp_path):
    with pytest.raises(AccountError, match="OVERFLIGHT_ACCOUNT_ACCESS=1"):
        open_job_session({"OVERFLIGHT_PLATFORM": "local", "OVERFLIGHT_HOME": str(tmp_path)})


def test_in_a_container_of_aws_it_is_the_ordinary_session():
    session = open_job_session({"AWS_REGION": "eu-west-1", "OVERFLIGHT_ACCOUNT_ACCESS": "1"})
    assert session.region_name == "eu-west-1"
