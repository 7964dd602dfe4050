"""What people do, in their words: each activity is possible for exactly the roles that its rule names."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType

import pytest

from overflight.governance.activities import answers, groups
from overflight.governance.matrix_page import in_words
from overflight.governance.personas import compare
from overflight.iam.access import Access, load_access
from overflight.iam.actions import find
from overflight.iam.core import Policy

ACCOUNT = {"account_id": "123456789012", "region": "eu-central-1"}


@pytest.fixture(scope="module")
def access() -> Access:
    return load_access(**ACCOUNT)


def with_statement(access: Access, role: str, statement: dict) -> Access:
    """A copy in which a role has one more statement, in its own policies and in the boundary."""
    extra = Policy("extra", {"Version": "2012-10-17", "Statement": [statement]})
    changed = replace(access.roles[role], policies=(*access.roles[role].policies, extra))
    return replace(access, roles=MappingProxyType({**access.roles, role: changed}))


@pytest.mark.parametrize("environment", ["dev", "staging"])
def test_every_activity_is_possible_for_the_roles_of_its_rule_and_no_other(environment):
    found = answers(load_access(**ACCOUNT, environment=environment))
    assert [(one.role, one.activity, one.allowed) for one in found if one.allowed != one.expected] == []
    assert len(found) == 13 * sum(len(group.activities) for group in groups())


def test_in_an_account_for_production_nobody_trains():
    found = answers(load_access(**ACCOUNT, environment="prod"))
    allowed = {(one.role, one.activity) for one in found if one.allowed}
    assert ("data-scientist", "Start a training by hand") not in allowed
    assert ("data-scientist", "Ask an endpoint in production") not in allowed
    assert ("data-scientist", "Track a run in MLflow") not in allowed
    assert ("data-scientist", "Start the training pipeline") not in allowed
    assert ("ml-engineer", "Take an endpoint for trials down") not in allowed
    assert ("deploy", "Create an endpoint in production") in allowed


def test_every_rule_names_roles_and_actions_that_exist(access):
    for group in groups():
        for activity in group.activities:
            assert set(activity.may) <= set(access.roles), activity.title
            assert [need.action for need in activity.needs if find(need.action) is None] == [], activity.title


@pytest.mark.parametrize(
    ("statement", "activity"),
    [
        pytest.param(
            {"Effect": "Allow", "Action": "sagemaker:InvokeEndpoint", "Resource": "*"},
            "Ask an endpoint in production",
            id="invoke",
        ),
        pytest.param({"Effect": "Allow", "Action": "s3:*", "Resource": "*"}, "Add a survey", id="s3"),
        pytest.param(
            {"Effect": "Allow", "Action": "sagemaker:DeleteModelPackage", "Resource": "*"},
            "Delete a registered model",
            id="delete",
        ),
    ],
)
def test_a_right_too_many_shows(access, statement, activity):
    found = answers(with_statement(access, "data-scientist", statement))
    assert activity in {one.activity for one in found if one.role == "data-scientist" and one.allowed != one.expected}


@pytest.mark.parametrize(
    "action",
    ["sagemaker:UpdateModelPackage", "iam:PutRolePolicy", "sts:AssumeRole", "sagemaker:CreateNotebookInstance"],
)
def test_the_boundary_holds_whatever_a_role_is_given(access, action):
    allowed = {(one.role, one.activity) for one in answers(access) if one.allowed}
    given = with_statement(access, "data-scientist", {"Effect": "Allow", "Action": action, "Resource": "*"})
    assert {(one.role, one.activity) for one in answers(given) if one.allowed} == allowed


def test_a_mark_says_which_request_and_which_statement_decided(access):
    found = {(one.role, one.activity): in_words(one) for one in answers(access)}
    assert found["ml-engineer", "Create an endpoint in production"].endswith(
        "denied by OnlyDeployTouchesProduction of overflight-boundary"
    )
    assert found["approver", "Approve or reject a model, with the decision's event"].endswith(
        "allowed by AnnounceDecisions of decide"
    )
    assert found["auditor", "Start a deployment"].endswith("nothing allows it (identity)")


def test_ours_is_stricter_than_awss_personas_where_it_matters(access):
    stricter = {(one.persona, one.activity) for one in compare(access) if one.stricter}
    assert {
        ("Data Scientist", "Register a model that is approved from birth"),
        ("Data Scientist", "Approve a model without an event"),
        ("Data Scientist", "Delete a registered model"),
        ("Data Scientist", "Delete a survey's photographs"),
        ("MLOps", "Create an endpoint in production"),
        ("MLOps", "Approve a model without an event"),
    } <= stricter


@pytest.mark.parametrize(
    ("subnets", "allowed"),
    [
        pytest.param(["subnet-ours"], True, id="in the network"),
        pytest.param(["subnet-ours", "subnet-other"], False, id="one foot outside"),
        pytest.param(["subnet-other"], False, id="in another network"),
        pytest.param([], False, id="in none"),
    ],
)
def test_jobs_of_people_stay_in_the_network_where_one_is_named(subnets, allowed):
    access = load_access(**ACCOUNT, parameters={"SubnetIds": ["subnet-ours", "subnet-too"]})
    sent = {
        "aws:RequestTag/env": "dev",
        "aws:TagKeys": ["env"],
        "sagemaker:InstanceTypes": ["ml.g5.xlarge"],
        "sagemaker:MaxRuntimeInSeconds": "3600",
        **({"sagemaker:VpcSubnets": subnets} if subnets else {}),
    }
    arn = "arn:aws:sagemaker:eu-central-1:123456789012:training-job/overflight-dev-x"
    assert access.decide("data-scientist", "sagemaker:CreateTrainingJob", arn, sent, session="anna").allowed is allowed
