"""Our own roles, from the template that goes to AWS: both engines decide the same on every service that they use."""

import random
import re

import iam_oracle
import pytest
from iam_cases import WORDS

from overflight.iam.access import load_access
from overflight.iam.actions import actions_of
from overflight.iam.evaluate import evaluate

ACCOUNT, REGION = "000000000000", "eu-central-1"
SERVICES = (
    "sagemaker",
    "sagemaker-mlflow",
    "s3",
    "iam",
    "sts",
    "kms",
    "events",
    "sns",
    "logs",
    "ecr",
    "cloudtrail",
    "ce",
)


def asked(access, dice, share):
    for service in SERVICES:
        for action in actions_of(service):
            for role in access.roles:
                if dice.random() < share:
                    yield role, action.name, target(access, dice, action), context(dice, action.keys)


def target(access, dice, action):
    if not action.resource_types:
        return "*"
    arn = dice.choice(list(action.resource_types.values()))
    if action.name.startswith("s3:") and arn.startswith("arn:${Partition}:s3:::${BucketName}"):
        bucket = dice.choice([access.bucket, access.audit_bucket])
        key = dice.choice(["surveys/a", "runs/e/train/m", "experiments/e", "capture/c"])
        return f"arn:aws:s3:::{bucket}/{key}" if "${ObjectName}" in arn else f"arn:aws:s3:::{bucket}"
    filled = arn.replace("${Partition}", "aws").replace("${Region}", REGION).replace("${Account}", ACCOUNT)
    return re.sub(r"\$\{[^}]*\}", f"overflight-{dice.choice(['dev', 'prod'])}-x", filled)


def context(dice, keys):
    status = dice.choice(["Approved", "PendingManualApproval"])
    possible = {
        "aws:RequestTag/${TagKey}": ("aws:RequestTag/env", dice.choice(["dev", "prod"])),
        "aws:TagKeys": ("aws:TagKeys", ["env"]),
        "sagemaker:InstanceTypes": ("sagemaker:InstanceTypes", ["ml.m5.large"]),
        "sagemaker:MaxRuntimeInSeconds": ("sagemaker:MaxRuntimeInSeconds", "3600"),
        "sagemaker:ModelApprovalStatus": ("sagemaker:ModelApprovalStatus", status),
        "iam:PassedToService": ("iam:PassedToService", "sagemaker.amazonaws.com"),
    }
    return dict(pair for key, pair in possible.items() if key in keys and dice.random() < 0.8)


def disagreements(environment, share):
    access = load_access(account_id=ACCOUNT, region=REGION, environment=environment)
    cases, words = [], []
    for role, action, resource, keys in asked(access, random.Random(environment), share):
        request, policies = access.request(role, action, resource, keys, session="ann")
        words.append(WORDS[evaluate(request, policies).outcome])
        cases.append(
            {
                "principal": request.principal_arn,
                "action": action,
                "resource": resource,
                "acct": ACCOUNT,
                "ctx": dict(request.context),
                "ident": [one.document for one in policies.identity],
                "boundary": policies.boundary.document,
                "rp": policies.resource and policies.resource.document,
            }
        )
    answers = iam_oracle.ask(cases)
    refused = sum(one.startswith("error") for one in answers)  # ARNs of types that its newer data write otherwise
    assert refused < len(cases) / 15
    assert words.count("Allow") > len(cases) / 50
    return [
        (case["principal"], case["action"], case["resource"], word, answer)
        for case, word, answer in zip(cases, words, answers, strict=True)
        if word != answer and not answer.startswith("error")
    ]


@iam_oracle.needs_oracle
def test_a_sample_of_our_roles_rights_agrees():
    assert disagreements("dev", 0.04) == []


@pytest.mark.slow
@iam_oracle.needs_oracle
@pytest.mark.parametrize("environment", ["dev", "prod"])
def test_all_our_roles_rights_agree(environment):
    assert disagreements(environment, 0.5) == []
