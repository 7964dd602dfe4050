"""What holds for every request and policy: more Deny never helps, more Allow never hurts, a limit never grants."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from iam_cases import word
from iam_generator import case

SEEDS = st.integers(0, 10**9)


def allowed(one):
    return word(one) == "Allow"


def statement_of(seed, effect):
    """A random statement about the action of the case with this seed."""
    policies = case(seed)["ident"]
    statements = policies[0]["Statement"] if policies else {"Action": "*", "Resource": "*"}
    first = statements[0] if isinstance(statements, list) else statements
    return {**first, "Effect": effect}


def with_statement(one, layer, statement):
    added = {"Version": "2012-10-17", "Statement": [statement]}
    if layer == "ident":
        return {**one, "ident": [*one["ident"], added]}
    before = one[layer]["Statement"] if one[layer] else []
    listed = before if isinstance(before, list) else [before]
    return {**one, layer: {"Version": "2012-10-17", "Statement": [*listed, statement]}}


@given(SEEDS, st.sampled_from(["ident", "boundary", "session", "rp"]))
def test_a_deny_never_opens_anything(seed, layer):
    one = case(seed)
    if layer in {"boundary", "session"} and one[layer] is None:
        return
    if layer == "rp" and one["rp"] is None:  # a first resource policy is a change of its own: of keys and roles
        return
    more = statement_of(seed, "Deny") | ({"Principal": "*"} if layer == "rp" else {})
    changed = with_statement(one, layer, more)
    assert not (allowed(changed) and not allowed(one))
    if word(one) == "Explicit":
        assert word(changed) == "Explicit"


@given(SEEDS, st.sampled_from(["ident", "boundary", "session"]))
def test_an_allow_never_closes_anything(seed, layer):
    one = case(seed)
    if layer != "ident" and one[layer] is None:
        return
    changed = with_statement(one, layer, statement_of(seed, "Allow"))
    assert allowed(changed) or not allowed(one)
    assert word(one) != "Explicit" or word(changed) == "Explicit"


@given(SEEDS)
def test_a_boundary_never_adds(seed):
    one = case(seed)
    if one["boundary"] is not None:
        assert allowed({**one, "boundary": None}) or not allowed(one)


@given(SEEDS)
def test_a_session_policy_never_adds(seed):
    one = case(seed)
    if one["session"] is not None:
        assert allowed({**one, "session": None}) or not allowed(one)


@given(SEEDS)
def test_a_level_of_the_organisation_never_adds(seed):
    one = case(seed)
    if one["scp"]:
        assert allowed({**one, "scp": one["scp"][1:] or None}) or not allowed(one)


@given(SEEDS)
def test_a_boundary_that_allows_everything_limits_nothing_but_not_principal(seed):
    one = case(seed)
    if one["boundary"] is None and "NotPrincipal" not in str(one["rp"]):
        everything = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
        assert word({**one, "boundary": everything}) == word(one)


@given(SEEDS)
def test_actions_and_keys_have_no_case(seed):
    one = case(seed)
    dice = random.Random(seed)
    action = "".join(dice.choice((letter.upper(), letter.lower())) for letter in one["action"])
    context = {key.swapcase(): value for key, value in one["ctx"].items()}
    assert word({**one, "action": action, "ctx": context}) == word(one)


@given(SEEDS)
def test_the_order_of_statements_does_not_matter(seed):
    one = case(seed)

    def turned(policy):
        listed = policy["Statement"] if isinstance(policy["Statement"], list) else [policy["Statement"]]
        return {**policy, "Statement": listed[::-1]}

    assert word({**one, "ident": [turned(policy) for policy in one["ident"][::-1]]}) == word(one)


@pytest.mark.parametrize("seed", range(50))
def test_a_decision_names_what_decided(seed):
    from iam_cases import decide

    decision = decide(case(seed))
    if decision.outcome == "implicit-deny":
        assert decision.matched == ()
    elif decision.outcome == "explicit-deny":
        assert decision.matched[0].layer == decision.layer
        assert {one.effect for one in decision.matched} == {"Deny"}
    else:
        assert {one.effect for one in decision.matched} == {"Allow"}
        assert decision.layer in {one.layer for one in decision.matched}
