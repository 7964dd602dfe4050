"""Condition operators: a table of operator, value of the policy, value of the request, and the answer."""

import pytest

from overflight.errors import InputError
from overflight.iam.conditions import compile_conditions, number_of, seconds_of, values_of

ABSENT = None


def holds(operator, policy, sent, *, variables=True, **others):
    conditions = compile_conditions({operator: {"aws:Key": policy}}, variables=variables, where="policy")
    keys = {"aws:key": sent, **{name.replace("_", ":"): one for name, one in others.items()}}

    def lookup(key):
        value = keys.get(key)
        return None if value is None else values_of(value)

    return all(one.holds(lookup) for one in conditions)


TABLE = [
    # operator, policy, request, answer
    ("StringEquals", "dev", "dev", True),
    ("StringEquals", "dev", "Dev", False),
    ("StringEquals", "d*", "dev", False),
    ("StringEquals", ["prod", "dev"], "dev", True),
    ("StringEquals", True, "true", True),
    ("StringEquals", 7, "7", True),
    ("StringNotEquals", "dev", "prod", True),
    ("StringNotEquals", ["prod", "dev"], "dev", False),
    ("StringEqualsIgnoreCase", "dev", "DEV", True),
    ("StringNotEqualsIgnoreCase", "dev", "DEV", False),
    ("StringLike", "d?v", "dev", True),
    ("StringLike", "d*", "dev/x\ny", True),
    ("StringLike", "D*", "dev", False),
    ("StringLike", "a.c", "abc", False),
    ("StringNotLike", ["d*", "p*"], "prod", False),
    ("StringNotLike", ["d*", "p*"], "staging", True),
    ("stringequals", "dev", "dev", True),
    ("NumericEquals", "10", "10.0", True),
    ("NumericNotEquals", "10", "11", True),
    ("NumericNotEquals", ["10", "11"], "11", False),
    ("NumericLessThan", "10", "10", False),
    ("NumericLessThanEquals", "10", "10", True),
    ("NumericGreaterThan", "10", "9", False),
    ("NumericGreaterThanEquals", "-1.5", "-1.5", True),
    ("NumericLessThan", "10", "9x", False),
    ("NumericLessThan", "10", "nan", False),
    ("NumericLessThan", "ten", "9", False),
    ("NumericNotEquals", "10", "ten", False),
    ("DateEquals", "2026-11-22T00:00:00Z", "2026-11-22T01:00:00+01:00", True),
    ("DateEquals", "2026-11-22", "1795305600", True),
    ("DateNotEquals", "2026-11-22", "2026-11-23", True),
    ("DateLessThan", "2026-11", "2026-10-31T23:59:59.5Z", True),
    ("DateLessThanEquals", "2026-11-22T00:00Z", "2026-11-22", True),
    ("DateGreaterThan", "2026-11-22", "2026-11-22", False),
    ("DateGreaterThanEquals", "2026-11-22", "2026-11-22", True),
    ("DateGreaterThan", "2027", "2026-11-22", False),
    ("DateGreaterThan", "2026", "2026-11-22", True),
    ("DateLessThan", "2027", "1795305600", True),
    ("DateLessThan", "tomorrow", "2026-11-22", False),
    ("DateLessThan", "2026-13-01", "2026-11-22", False),
    ("Bool", "true", "TRUE", True),
    ("Bool", True, "false", False),
    ("Bool", "false", "no", False),
    ("BinaryEquals", "QmluYXJ5", "QmluYXJ5", True),
    ("BinaryEquals", "QmluYXJ5", "qmluYXJ5", False),
    ("BinaryEquals", "not base64", "not base64", False),
    ("IpAddress", "203.0.113.0/24", "203.0.113.9", True),
    ("IpAddress", "203.0.113.9", "203.0.113.9", True),
    ("IpAddress", "0.0.0.0/0", "203.0.113.9", True),
    ("IpAddress", "203.0.113.0/24", "2001:db8::1", False),
    ("IpAddress", "2001:db8::/32", "2001:DB8:0::1", True),
    ("IpAddress", "203.0.113.0/24", "elsewhere", False),
    ("NotIpAddress", "203.0.113.0/24", "198.51.100.7", True),
    ("NotIpAddress", ["0.0.0.0/0", "203.0.113.9"], "198.51.100.7", False),
    ("NotIpAddress", "203.0.113.9", "2001:db8::1", True),
    ("NotIpAddress", "203.0.113.0/24", "elsewhere", False),
    ("NotIpAddress", "nowhere", "198.51.100.7", False),
    ("ArnEquals", "arn:aws:iam::1:role/a*", "arn:aws:iam::1:role/abc", True),
    ("ArnLike", "arn:aws:iam::*:role/x", "arn:aws:iam::1:role/x", True),
    ("ArnLike", "arn:aws:*:role/x", "arn:aws:iam::1:role/x", False),
    ("ArnLike", "arn:aws:iam::1:role/*", "arn:aws:iam::1:role/path:with/colon", True),
    ("ArnNotLike", "arn:aws:iam::1:role/*", "arn:aws:iam::1:user/x", True),
    ("ArnNotEquals", "arn:aws:iam::1:role/x", "arn:aws:iam::1:role/x", False),
    # an absent key
    ("StringEquals", "dev", ABSENT, False),
    ("StringNotEquals", "dev", ABSENT, True),
    ("NumericLessThan", "10", ABSENT, False),
    ("DateNotEquals", "2026-11-22", ABSENT, True),
    ("NotIpAddress", "203.0.113.0/24", ABSENT, True),
    ("ArnNotLike", "arn:aws:iam::1:role/*", ABSENT, True),
    ("Bool", "false", ABSENT, False),
    ("BoolIfExists", "false", ABSENT, True),
    ("StringEqualsIfExists", "dev", ABSENT, True),
    ("StringEqualsIfExists", "dev", "prod", False),
    ("StringNotEqualsIfExists", "dev", "dev", False),
    ("Null", "true", ABSENT, True),
    ("Null", "false", ABSENT, False),
    ("Null", "true", "x", False),
    ("Null", False, "x", True),
    ("Null", ["true", "false"], "x", True),
    ("Null", "true", [], True),
    # several values
    ("ForAllValues:StringLike", ["a*", "b*"], ["a1", "b1"], True),
    ("ForAllValues:StringLike", ["a*", "b*"], ["a1", "c1"], False),
    ("ForAllValues:StringLike", "a*", ABSENT, True),
    ("ForAllValues:StringLike", "a*", [], True),
    ("ForAllValues:StringEquals", "a", "a", True),
    ("ForAllValues:StringNotEquals", ["a", "b"], ["c", "d"], True),
    ("ForAllValues:StringNotEquals", ["a", "b"], ["c", "a"], False),
    ("ForAnyValue:StringEquals", "a", ["b", "a"], True),
    ("ForAnyValue:StringEquals", "a", ["b"], False),
    ("ForAnyValue:StringEquals", "a", ABSENT, False),
    ("ForAnyValue:StringNotEquals", "a", ABSENT, False),
    ("ForAnyValue:StringNotEquals", "a", ["a", "b"], True),
    ("ForAnyValue:StringEqualsIfExists", "a", ABSENT, True),
    ("ForAnyValue:NumericLessThan", "10", ["20", "5"], True),
    ("ForAllValues:Bool", "true", ["true", "true"], True),
    ("StringEquals", "a", ["a"], True),
    ("StringEquals", "a", ["a", "a"], False),
    ("StringNotEquals", "a", ["b", "c"], False),
]


@pytest.mark.parametrize(
    ("operator", "policy", "sent", "answer"), TABLE, ids=[f"{one[0]}-{one[1]}-{one[2]}" for one in TABLE]
)
def test_operators(operator, policy, sent, answer):
    assert holds(operator, policy, sent) is answer


VARIABLES = [
    ("StringEquals", "${aws:Team}", "red", {"aws_team": "red"}, True),
    ("StringEquals", "${AWS:team}", "red", {"aws_team": "red"}, True),
    ("StringEquals", "${aws:Team}-x", "red-x", {"aws_team": ["red"]}, True),
    ("StringEquals", "${aws:Team}", "red", {"aws_team": ["red", "blue"]}, False),
    ("StringEquals", "${aws:Team}", "red", {}, False),
    ("StringNotEquals", "${aws:Team}", "red", {}, False),
    ("StringEquals", "${aws:Team, 'red'}", "red", {}, True),
    ("StringEquals", "${aws:Team, 'red'}", "blue", {"aws_team": "blue"}, True),
    ("StringEquals", "${aws:Team, ''}", "", {}, True),
    ("StringEqualsIgnoreCase", "${aws:Team}", "RED", {"aws_team": "red"}, True),
    ("StringLike", "${aws:Team}*", "r*d", {"aws_team": "r*"}, True),
    ("StringLike", "${aws:Team}", "red", {"aws_team": "r*"}, False),
    ("StringLike", "a${*}", "a*", {}, True),
    ("StringLike", "a${*}", "ab", {}, False),
    ("StringLike", "${?}${$}", "?$", {}, True),
    ("StringEquals", "${*}", "*", {}, True),
    ("ArnLike", "arn:aws:iam::1:role/${aws:Team}", "arn:aws:iam::1:role/red", {"aws_team": "red"}, True),
    ("ArnNotLike", "arn:aws:iam::1:role/${aws:Team}", "arn:aws:iam::2:role/red", {}, False),
    ("Bool", "${aws:Team}", "true", {"aws_team": "true"}, True),
    ("NumericEquals", "${aws:Team}", "1", {"aws_team": "1"}, False),
]


@pytest.mark.parametrize(("operator", "policy", "sent", "keys", "answer"), VARIABLES)
def test_variables(operator, policy, sent, keys, answer):
    assert holds(operator, policy, sent, **keys) is answer


def test_without_the_newer_version_a_variable_is_text():
    assert holds("StringEquals", "${aws:Team}", "${aws:Team}", variables=False, aws_team="red")
    assert not holds("StringEquals", "${aws:Team}", "red", variables=False, aws_team="red")


def test_all_operators_and_keys_must_hold():
    def lookup(key):
        return {"a": ("1",), "b": ("2",)}.get(key)

    block = {"StringEquals": {"a": "1", "b": "2"}, "Null": {"c": "true"}}
    assert [one.holds(lookup) for one in compile_conditions(block, variables=True, where="p")] == [True] * 3


@pytest.mark.parametrize(
    "operator", ["StringMatches", "NullIfExists", "ForSomeValues:StringEquals", "ForAllValues:Null", "IfExists", ""]
)
def test_an_operator_that_aws_does_not_have_is_refused(operator):
    with pytest.raises(InputError, match="unknown condition operator") as refused:
        compile_conditions({operator: {"a": "1"}}, variables=True, where="policy x")
    assert refused.value.where == "policy x"


@pytest.mark.parametrize("text", ["", "1_0", "0x1", "inf", "1e", " 1", "1,5", "--1"])
def test_what_is_no_number(text):
    assert number_of(text) is None


@pytest.mark.parametrize(
    "text", ["", "2026-1-1", "22.11.2026", "2026-11-22 10:00", "2026-11-22T25:00:00Z", "20261122T1"]
)
def test_what_is_no_date(text):
    assert seconds_of(text) is None
