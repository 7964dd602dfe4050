"""The trail's answer to "who approved this model, on which evidence" after decisions made by the use cases."""

import pytest

from overflight.errors import RefusedError
from overflight.governance.questions import Filter
from overflight.lifecycle.approvals import approve, revoke
from overflight.lifecycle.context import Context
from overflight.lifecycle.trail import access_changes, query, user_activity, verify, who_approved
from overflight.settings import Settings
from toy_package import person, register_toy

REASON = "looked at every overlay picture"


@pytest.fixture(scope="module")
def story(tmp_path_factory):
    """anna trained and tried to approve, ben approved and took it back; and the auditor's view of it."""
    folder = tmp_path_factory.mktemp("account")
    asked = {"home": folder / "home", "trail_keys": folder / "keys", "four_eyes": "persons"}
    anna = Context(Settings(**asked, user="anna", role="data-scientist"))
    ben = Context(Settings(**asked, user="ben", role="approver"))
    toy = register_toy(anna, folder)
    for role in ("data-scientist", "approver"):
        with pytest.raises(RefusedError):
            approve(anna.acting_as(role), toy.arn, reason=REASON)
    approve(ben, toy.arn, reason=REASON)
    return Context(Settings(**asked, user="olga", role="auditor")), ben, toy


def test_the_answer(story):
    auditor, ben, toy = story
    answer = who_approved(auditor, toy.arn)
    approval = answer["approval"]
    assert (answer["holds"], approval["user"], approval["role"]) == ("Approved", "ben", "approver")
    assert approval["reason"].startswith(REASON)
    assert approval["approval_event"] in approval["reason"]
    assert approval["stage"] == "Production/Approved"
    assert approval["gates"] == {"map50": 0.81, "min_map50": 0.5, "passed": True}
    assert len(approval["evidence"]["artefact_sha256"]) == 64
    assert approval["statement"] == "identity decide/Decide"
    assert answer["trained_by"] == person(ben.settings, "data-scientist", "anna")
    assert answer["people"]["verdict"] == "2 persons"
    assert answer["proof"]["trail_intact"]
    assert answer["proof"]["checkpoint"] == 1
    assert [(one["role"], one["outcome"]) for one in answer["refused"]] == [
        ("data-scientist", "denied"),
        ("approver", "refused"),
    ]


def test_an_approval_that_was_taken_back_is_told_with_what_followed(story):
    auditor, ben, toy = story
    revoke(ben, toy.arn, reason="found a mislabelled flight")
    answer = who_approved(auditor, toy.arn)
    assert (answer["holds"], answer["approval"]["user"]) == ("Rejected", "ben")
    assert [one["stage"] for one in answer["later"]] == ["Archived/Retired"]


def test_the_trail_itself_says_the_same(story):
    auditor, _, _ = story
    assert verify(auditor)["findings"] == []
    denied = query(auditor, Filter(denied=True, user="anna"))
    assert {one["action"] for one in denied} >= {"events:PutEvents"}
    assert user_activity(auditor, "ben")["changes"] >= 2
    assert [one["first"] for one in access_changes(auditor)] == [True]
