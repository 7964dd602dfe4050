"""The demo's attempt at a self-approval leaves nothing behind, also where it is not refused."""

from __future__ import annotations

import pytest

from overflight.account.session import local_account
from overflight.errors import RefusedError
from overflight.lifecycle import self_approval
from overflight.lifecycle.context import Context
from overflight.lifecycle.models import describe_package
from overflight.lifecycle.self_approval import attempt_self_approval
from overflight.settings import Settings
from toy_package import register_toy


class LikeAws:
    """A local context that says it is AWS: the bare call is not made, our own rules are asked."""

    is_local = False

    def __init__(self, context):
        self.context = context

    def __getattr__(self, name):
        return getattr(self.context, name)


@pytest.fixture(scope="module")
def context(tmp_path_factory):
    context = Context(Settings(home=tmp_path_factory.mktemp("account") / ".overflight", user="anna"))
    yield context
    local_account(context.settings).close()


@pytest.fixture(scope="module")
def toy(context, tmp_path_factory):
    return register_toy(context, tmp_path_factory.mktemp("toy"))


def test_an_approval_that_could_not_be_taken_back_is_said_with_the_command(context, toy, monkeypatch):
    def refused(*_args, **_options):
        raise RefusedError("not today")

    monkeypatch.setattr(self_approval, "approve", lambda *_args, **_options: {})
    monkeypatch.setattr(self_approval, "revoke", refused)
    with pytest.raises(RefusedError, match="not take the approval back: not today") as told:
        attempt_self_approval(LikeAws(context.acting_as("approver")), toy.arn)
    assert toy.arn in told.value.cure


def test_an_approval_that_our_rules_let_through_is_taken_back(context, toy):
    with pytest.raises(RefusedError, match="approve its own model"):
        attempt_self_approval(LikeAws(context.acting_as("approver")), toy.arn)
    facts = describe_package(context, toy.arn)
    assert facts["status"] != "Approved"
