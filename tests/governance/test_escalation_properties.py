"""Escalation is monotone: one more Allow never takes reach away, one more Deny never gives any."""

from escalation_weaknesses import PLACE, ROLES, Change, Template, planted
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from overflight.governance.escalation import search

LOGICAL = {"data-scientist": "DataScientist", "ml-engineer": "MlEngineer", "register": "Register", "deploy": "Deploy"}
ACTIONS = [
    "*",
    "iam:PassRole",
    "s3:*",
    "s3:PutObject",
    "sagemaker:*",
    "sagemaker:Create*",
    "sagemaker:CreateModelPackage",
    "sagemaker:CreateProcessingJob",
    "sagemaker:UpdateModelPackage",
    "sagemaker:UpdatePipeline",
    "scheduler:*",
    "sts:AssumeRole",
]
RESOURCES = [
    "*",
    f"{PLACE}*",
    f"{PLACE}pipeline/*",
    f"{ROLES}*",
    f"{ROLES}${{Prefix}}-deploy",
    "${DataBucket.Arn}/runs/*",
]
CONDITIONS = [
    {},
    {"StringEquals": {"aws:RequestTag/env": "dev"}},
    {"StringNotEquals": {"aws:RequestTag/env": ["dev", "prod"]}},
    {"Null": {"sagemaker:ModelApprovalStatus": "true"}},
    {"StringLike": {"sagemaker:InstanceTypes": "ml.p5.*"}},
    {"StringEquals": {"iam:PassedToService": "sagemaker.amazonaws.com"}},
    {"Bool": {"aws:SecureTransport": "true"}},
]
BEFORE = {who: set(reach.chains) for who, reach in search(planted(()), only=list(LOGICAL)).reaches.items()}


@st.composite
def statements(draw: st.DrawFn) -> dict[str, object]:
    resources = draw(st.lists(st.sampled_from(RESOURCES), min_size=1, max_size=2, unique=True))
    statement: dict[str, object] = {
        "Action": draw(st.lists(st.sampled_from(ACTIONS), min_size=1, max_size=3, unique=True)),
        "Resource": [{"Fn::Sub": one} if "$" in one else one for one in resources],
    }
    condition = draw(st.sampled_from(CONDITIONS))
    return statement | ({"Condition": condition} if condition else {})


def with_statement(role: str, effect: str, statement: dict[str, object]) -> Change:
    def change(template: Template) -> None:
        document = {"Version": "2012-10-17", "Statement": [{"Effect": effect, **statement}]}
        template["Resources"][role]["Properties"]["Policies"].append(
            {"PolicyName": "further", "PolicyDocument": document}
        )

    return change


def reach_with(who: str, effect: str, statement: dict[str, object]) -> set[tuple[str, str]]:
    access = planted([with_statement(LOGICAL[who], effect, statement)])
    return set(search(access, only=[who]).reaches[who].chains)


@settings(max_examples=10, suppress_health_check=[HealthCheck.too_slow])
@given(who=st.sampled_from(sorted(LOGICAL)), statement=statements())
def test_one_more_allow_takes_no_reach_away(who, statement):
    assert BEFORE[who] - reach_with(who, "Allow", statement) == set()


@settings(max_examples=15, suppress_health_check=[HealthCheck.too_slow])
@given(who=st.sampled_from(sorted(LOGICAL)), statement=statements())
def test_one_more_deny_gives_no_reach(who, statement):
    assert reach_with(who, "Deny", statement) - BEFORE[who] == set()


def test_the_properties_can_fail():
    everything = {"Action": ["*"], "Resource": ["*"]}
    assert reach_with("ml-engineer", "Allow", everything) > BEFORE["ml-engineer"]
    assert reach_with("ml-engineer", "Deny", everything) == set()
