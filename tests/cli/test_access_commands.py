"""``overflight access``: answers in words, exit codes, and a changed copy of the template that is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from overflight.cli.main import cli
from overflight.errors import InputError, NotFoundError, RefusedError, UsageError
from overflight.iam.access import access_of
from overflight.infra.templates import read_template, resolve, template_text
from overflight.lifecycle.access import Matrix

PROD = "{sm}:endpoint/{prod}-cars"


def run(*words: str):
    return CliRunner().invoke(cli, ["access", *words])


def test_a_right_is_named_with_the_statement_that_gives_it():
    result = run("check", "deploy", "sagemaker:CreateEndpoint", PROD, "--send", "aws:RequestTag/env=prod")
    assert result.exit_code == 0
    assert result.output.splitlines()[0] == "deploy may: MakeWhatServes of deploy-what-was-approved allows it"


def test_a_denial_ends_with_the_code_of_a_refusal_and_the_roles_that_may():
    result = run("check", "data-scientist", "sagemaker:DeleteEndpoint", PROD, "--json")
    assert isinstance(result.exception, RefusedError)
    assert result.exception.cure == "Roles that may: deploy"
    found = json.loads(result.output)
    assert (found["allowed"], found["outcome"]) == (False, "explicit-deny")
    assert found["statements"][0]["sid"] == "OnlyDeployTouchesProduction"


@pytest.mark.parametrize(
    ("role", "action", "line"),
    [
        pytest.param("admin", "sagemaker:CreateDomain", "admin may pass no role to sagemaker.amazonaws.com", id="none"),
        pytest.param("data-scientist", "sagemaker:CreateTrainingJob", "may pass experiment to sagemaker", id="one"),
    ],
)
def test_what_an_action_needs_besides_is_said(role, action, line):
    told = [one for one in run("check", role, action).output.splitlines() if one.startswith("needs also: iam:PassRole")]
    assert len(told) == 1
    assert line in told[0]
    besides = json.loads(run("check", role, action, "--json").output)["needs_also"]
    assert "iam:PassRole" in [one["action"] for one in besides]
    assert "needs also" not in run("check", role, "s3:GetObject").output


@pytest.mark.parametrize("name", ["data_key", "trail_key"])
def test_the_names_of_keys_are_resources_as_all_names_are(name):
    result = run("check", "auditor", "kms:DescribeKey", f"{{{name}}}", "--json")
    assert json.loads(result.output)["resource"].startswith("arn:aws:kms:eu-central-1:")


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
    assert {"admin", "watch"} <= set(found["nothing"])
    assert [one["comes_by"] for one in found["reach"] if one["who"] == "auditor"] == ["sign for the trail"]
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


# ---------------------------------------------------------------- copies that somebody broke, places that are none

AUDITOR = ("  Auditor:\n", "  Admin:\n")


def copy_of_ours(folder, before, after):
    text = template_text("identity")
    assert before in text
    copy = folder / "identity.yaml"
    copy.write_text(text.replace(before, after, 1))
    return str(copy)


def without_auditor(folder):
    text = template_text("identity")
    start, end = (text.index(line) for line in AUDITOR)
    return copy_of_ours(folder, text[start:end], "")


COMMANDS = {
    "lint": ("lint",),
    "check": ("check", "auditor", "s3:GetObject", "*"),
    "escalate": ("escalate",),
    "matrix": ("matrix",),
}


@pytest.mark.parametrize("words", COMMANDS.values(), ids=COMMANDS)
def test_a_statement_that_is_text_is_nowhere_passed_over(tmp_path, words):
    copy = copy_of_ours(tmp_path, "- Sid: SageMakerForThisAccount", '- "x"\n          - Sid: SageMakerForThisAccount')
    error = run(*words, "--template", copy).exception
    assert isinstance(error, RefusedError if words == ("lint",) else InputError)
    assert "text, not a statement" in (str(error) if words != ("lint",) else run(*words, "--template", copy).output)


@pytest.mark.parametrize("words", [COMMANDS["lint"], COMMANDS["escalate"]], ids=["lint", "escalate"])
def test_a_role_that_is_missing_is_refused(tmp_path, words):
    result = run(*words, "--template", without_auditor(tmp_path), "--json")
    assert isinstance(result.exception, RefusedError)
    assert "auditor" in result.output


def test_the_matrix_has_a_difference_for_a_role_that_is_missing(tmp_path):
    resolved = resolve(
        read_template(Path(without_auditor(tmp_path)).read_text()),
        parameters={},
        account_id="000000000000",
        region="eu-central-1",
    )
    assert Matrix(access_of(resolved), [], []).differences == [
        {"role": "auditor", "what": "the role itself", "policies": "missing", "rules": "needed"}
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param("Resources: é".encode("latin-1"), "it is not UTF-8", id="encoding"),
        pytest.param(b"Resources: " + b"[" * 5000 + b"]" * 5000, "nested deeper than", id="depth"),
        pytest.param(b"Resources: {A: 5}", "not a mapping", id="resource"),
        pytest.param(b"Resources: {A: {Type: T}}\0", "not YAML", id="zero byte"),
    ],
)
def test_a_file_that_is_no_template_is_refused(tmp_path, content, message):
    (tmp_path / "a.yaml").write_bytes(content)
    error = run("lint", "--template", str(tmp_path / "a.yaml")).exception
    assert isinstance(error, UsageError)
    assert message in str(error)
    assert error.cure


@pytest.mark.parametrize("option", ["--html", "--csv", "--template"])
def test_a_folder_is_no_file(tmp_path, option):
    result = run("matrix", option, str(tmp_path))
    assert result.exit_code == 2
    assert "is a directory" in result.output


def test_a_page_below_a_file_is_refused_with_a_cure(tmp_path, monkeypatch):
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setattr("overflight.lifecycle.access.build_matrix", lambda access: Matrix(access, [], []))
    error = run("matrix", "--csv", str(tmp_path / "file" / "x")).exception
    assert isinstance(error, UsageError)
    assert (error.where, error.exit_code) == (str(tmp_path / "file" / "x"), 2)
