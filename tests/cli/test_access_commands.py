"""``overflight access``: answers in words, exit codes, and a changed copy of the template that is refused."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from overflight.cli.main import cli
from overflight.errors import NotFoundError, RefusedError, UsageError
from overflight.infra.templates import template_text

PROD = "{sm}:endpoint/{prod}-cars"


def run(*words: str):
    return CliRunner().invoke(cli, ["access", *words])


def test_a_right_is_named_with_the_statement_that_gives_it():
    result = run("check", "deploy", "sagemaker:CreateEndpoint", PROD, "--send", "aws:RequestTag/env=prod")
    assert result.exit_code == 0
    assert result.output == "deploy may: MakeWhatServes of deploy-what-was-approved allows it\n"


def test_a_denial_ends_with_the_code_of_a_refusal_and_the_roles_that_may():
    result = run("check", "data-scientist", "sagemaker:DeleteEndpoint", PROD, "--json")
    assert isinstance(result.exception, RefusedError)
    assert result.exception.cure == "Roles that may: deploy"
    found = json.loads(result.output)
    assert (found["allowed"], found["outcome"]) == (False, "explicit-deny")
    assert found["statements"][0]["sid"] == "OnlyDeployTouchesProduction"


def test_an_explanation_says_what_did_not_fit():
    package = "{sm}:model-package/{p}-x/1"
    result = run(
        "explain",
        "approver",
        "sagemaker:UpdateModelPackage",
        package,
        "--send",
        "sagemaker:ModelApprovalStatus=Approved",
    )
    assert "approver may not: no policy of the role allows it." in result.output
    assert "customermetadataproperties/approval_event is absent" in result.output


@pytest.mark.parametrize(
    ("words", "message"),
    [
        pytest.param(("check", "nobody", "s3:GetObject", "*"), "there is no such role", id="role"),
        pytest.param(("check", "auditor", "s3:GetObjct", "*"), "AWS has no such action", id="action"),
        pytest.param(("check", "auditor", "s3:GetObject", "{bucket}/x"), "names in braces are not known", id="braces"),
        pytest.param(("check", "auditor", "s3:GetObject", "photos/1.jpg"), "is neither an ARN nor", id="arn"),
        pytest.param(("check", "auditor", "s3:GetObject", "*", "--send", "prefix"), "is not KEY=VALUE", id="send"),
    ],
)
def test_bad_questions_say_what_to_do(words, message):
    result = run(*words)
    assert isinstance(result.exception, UsageError)
    assert message in str(result.exception)
    assert result.exception.cure


def test_a_changed_copy_of_the_template_can_be_asked_before_it_goes_anywhere(tmp_path):
    copy = tmp_path / "identity.yaml"
    copy.write_text(
        template_text("identity").replace(
            "- Sid: OnlyDeployTouchesProduction\n            Effect: Deny",
            "- Sid: OnlyDeployTouchesProduction\n            Effect: Allow",
        )
    )
    asked = ("check", "ml-engineer", "sagemaker:StartPipelineExecution", "{sm}:pipeline/{dev}-train")
    assert run(*asked, "--template", str(copy)).exit_code == 0
    assert isinstance(run(*asked, "--template", str(tmp_path / "none.yaml")).exception, NotFoundError)
    copy.write_text("Resources: [")
    assert isinstance(run(*asked, "--template", str(copy)).exception, UsageError)


def test_lint_finds_nothing_in_ours_and_something_in_a_broken_copy(tmp_path):
    assert run("lint").output == "Nothing found.\n"
    copy = tmp_path / "identity.yaml"
    copy.write_text(
        template_text("identity").replace(
            'role/${Prefix}-experiment"\n                  Condition', 'role/*"\n                  Condition'
        )
    )
    assert copy.read_text() != template_text("identity")
    result = run("lint", "--template", str(copy), "--json")
    assert isinstance(result.exception, RefusedError)
    assert any("role/*" in row["what"] or "PassRole" in row["what"] for row in json.loads(result.output))


def test_roles_are_listed_with_what_they_are_for():
    rows = json.loads(run("roles", "--json").output)
    assert [row["role"] for row in rows if row["kind"] == "persona"] == [
        "data-scientist",
        "ml-engineer",
        "approver",
        "auditor",
        "admin",
    ]


def test_the_comparison_lists_what_awss_personas_may():
    assert "Register a model that is approved from birth" in run("compare").output


def test_nobody_comes_too_far_with_our_template():
    found = json.loads(run("escalate", "--json").output)
    assert (found["paths"], found["findings"]) == (25, [])
    assert {"auditor", "admin"} <= set(found["nothing"])
    assert all(one["accepted"] for one in found["reach"])


def test_a_broken_copy_is_refused_with_a_counter_example(tmp_path):
    copy = tmp_path / "identity.yaml"
    copy.write_text(
        template_text("identity").replace(
            'role/${Prefix}-experiment"\n                  Condition', 'role/*"\n                  Condition'
        )
    )
    result = run("escalate", "--template", str(copy))
    assert isinstance(result.exception, RefusedError)
    assert "data-scientist comes by" in result.output
    assert "iam:PassRole" in result.output
