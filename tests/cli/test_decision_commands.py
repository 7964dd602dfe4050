"""Commands of decisions: nobody decides by accident, and what a decision rests on is shown."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from overflight.account.session import local_account
from overflight.cli.main import cli
from overflight.errors import RefusedError
from overflight.lifecycle.context import Context
from overflight.settings import Settings
from toy_package import register_toy

REASON = "looked at every overlay picture"


@pytest.fixture(scope="module")
def context(tmp_path_factory):
    context = Context(Settings(home=tmp_path_factory.mktemp("account") / ".overflight", user="anna"))
    yield context
    local_account(context.settings).close()


@pytest.fixture
def overflight(context, tmp_path):
    """Runs a command on an account with one new package; ``PACKAGE`` stands for it."""
    toy = register_toy(context, tmp_path)
    package = "/".join(toy.arn.split("/")[1:])

    def call(*arguments, **environment):
        words = [
            "--home",
            str(context.settings.home_path),
            *(package if one == "PACKAGE" else one for one in arguments),
        ]
        return CliRunner(env={"OVERFLIGHT_USER": "anna", **environment}).invoke(cli, words)

    return call


@pytest.mark.parametrize("verdict", ["approve", "reject"])
def test_without_a_role_nothing_is_decided(overflight, verdict):
    answer = overflight("models", verdict, "PACKAGE", "--reason", REASON)
    assert isinstance(answer.exception, RefusedError)
    assert f"overflight --as approver models {verdict}" in answer.exception.cure
    assert "not authorized" in answer.exception.what


def test_the_approver_decides_and_it_is_shown_by_whom_and_on_what(overflight):
    answer = overflight("--as", "approver", "models", "approve", "PACKAGE", "--reason", REASON)
    assert answer.exit_code == 0, answer.output
    assert "one person in several roles" in answer.output
    shown = json.loads(overflight("models", "show", "PACKAGE", "--json").output)
    assert shown["approval"]["valid"]
    assert shown["approval"]["event"] in shown["decision"]
    text = overflight("models", "show", "PACKAGE").output
    assert shown["approval"]["event"] in text
    assert "approved=approver/anna" in text
    answer = overflight("--as", "approver", "models", "revoke", "PACKAGE", "--reason", "counts the same car twice")
    assert "Rejected" in answer.output
    assert "it is Rejected, not Approved" in overflight("models", "show", "PACKAGE").output


def test_where_two_persons_are_asked_for_another_role_is_not_enough(overflight):
    answer = overflight(
        "--as", "approver", "models", "approve", "PACKAGE", "--reason", REASON, OVERFLIGHT_FOUR_EYES="persons"
    )
    assert isinstance(answer.exception, RefusedError)
    assert "'anna' trained it" in answer.exception.what
