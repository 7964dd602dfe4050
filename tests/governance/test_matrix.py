"""The matrix: every action of every role is decided as the rules say, and a difference is seen."""

from __future__ import annotations

import csv
import re

import pytest
from test_activities import ACCOUNT, with_statement

from overflight.governance.activities import answers
from overflight.governance.matrix import Rule, broken, cells, counts, expectation
from overflight.governance.matrix_page import write_csv, write_page
from overflight.governance.personas import compare
from overflight.iam.access import load_access
from overflight.iam.actions import actions_of


@pytest.fixture(scope="module")
def access():
    return load_access(**ACCOUNT)


# The whole matrix is in the slow tests; here the services that decide, for three roles.
_SERVICES = ["sagemaker", "s3", "iam", "sts", "events", "kms"]


@pytest.fixture(scope="module")
def rules():
    return expectation().model_copy(update={"services": _SERVICES})


@pytest.fixture(scope="module")
def everything(access, rules):
    return list(cells(access, ["data-scientist", "approver", "deploy"], rules))


def test_policies_and_rules_agree(everything):
    assert [(one.role, one.action, one.resource, one.sent) for one in everything if not one.as_expected] == []


@pytest.mark.slow
def test_policies_and_rules_agree_for_every_role_and_environment():
    for environment in ("dev", "staging"):
        found = list(cells(load_access(**ACCOUNT, environment=environment)))
        assert len(found) > 300_000
        assert [(one.role, one.action, one.resource, one.sent) for one in found if not one.as_expected] == []
        assert broken(found) == []


def test_the_matrix_has_every_action_of_the_services(everything):
    assert {one.action for one in everything} == {action.name for name in _SERVICES for action in actions_of(name)}
    assert sum(len(actions_of(service)) for service in expectation().services) > 700


def test_only_deploy_writes_in_production(everything):
    writes = {one.role: one.production for one in counts(everything)}
    assert writes["deploy"] > 5
    production = {
        (one.role, one.action)
        for one in everything
        if one.decision.allowed and one.kind in {"prod", "untagged"} and one.level == "Write" and one.role != "deploy"
    }
    assert production == {
        ("data-scientist", "sagemaker:CreateModelPackage"),
        ("approver", "sagemaker:UpdateModelPackage"),
    }


def test_what_no_rule_names_is_expected_to_be_denied(access, rules):
    nothing = rules.model_copy(update={"allowed": []})
    assert {one.expected for one in cells(access, ["auditor"], nothing)} == {False}


@pytest.mark.parametrize(
    ("statement", "action"),
    [
        pytest.param(
            {"Action": "sagemaker:Delete*", "Resource": "*"}, "sagemaker:DeletePipeline", id="a write too many"
        ),
        pytest.param(
            {"Action": "sagemaker:InvokeEndpoint", "Resource": "*"}, "sagemaker:InvokeEndpoint", id="anywhere"
        ),
        pytest.param({"Action": "iam:PassRole", "Resource": "*"}, "iam:PassRole", id="any role"),
    ],
)
def test_a_right_too_many_is_a_difference(access, rules, statement, action):
    changed = with_statement(access, "data-scientist", {"Effect": "Allow", **statement})
    assert action in {one.action for one in cells(changed, ["data-scientist"], rules) if not one.as_expected}


def test_a_never_rule_is_broken_whatever_is_expected(access, rules):
    rule = Rule(roles=["*"], levels=["Write"], actions=["events:*"], why="no events at all")
    found = broken(list(cells(access, ["approver"], rules)), rules.model_copy(update={"never": [rule]}))
    assert {(cell.action, one.why) for cell, one in found} == {("events:PutEvents", "no events at all")}


def test_the_page_says_what_the_policies_say_and_needs_no_network(access, everything, tmp_path):
    page = tmp_path / "matrix.html"
    write_page(page, access, answers=answers(access), cells=everything, compared=compare(access))
    text = page.read_text()
    assert "Every decision is as the rules say" in text
    assert re.findall(r"<h2 id=\"(\w+)\"", text) == ["roles", "people", "services", "counts", "aws"]
    row = re.search(r"<tr><td>Approve or reject a model, with the decision&#39;s event</td>(.*?)</tr>", text)
    assert [word == "may" for word in re.findall(r">([^<]+)<", row[1])] == [False, False, True, False, False]
    assert not re.search(r"(src|href)=", text)


def test_a_difference_is_on_the_page(access, rules, tmp_path):
    changed = with_statement(access, "auditor", {"Effect": "Allow", "Action": "s3:DeleteObject", "Resource": "*"})
    found = list(cells(changed, ["auditor"], rules))
    write_page(tmp_path / "m.html", changed, answers=answers(changed), cells=found, compared=[])
    text = (tmp_path / "m.html").read_text()
    assert "decisions are not as the rules say" in text
    assert "s3:DeleteObject" in text


def test_the_table_has_a_line_for_every_decision(access, rules, tmp_path):
    found = list(cells(access, ["serve"], rules))
    write_csv(tmp_path / "m.csv", found)
    with (tmp_path / "m.csv").open() as lines:
        rows = list(csv.DictReader(lines))
    assert len(rows) == len(found)
    assert {row["decision"] for row in rows} <= {"allow", "implicit-deny", "explicit-deny"}
