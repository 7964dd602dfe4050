"""Every truth case gets its answer; both engines agree on it, where the second one is installed."""

import iam_oracle
import pytest
from iam_cases import decide, read_cases, word
from iam_own_cases import CASES

GIVEN = read_cases("cases.json", "cases_x.json")


def named(case):
    return case["id"]


@pytest.mark.parametrize("case", GIVEN, ids=named)
def test_the_answer_is_that_of_awss_rules(case):
    assert word(case) == case["exp"], (case["why"], decide(case))


@pytest.mark.parametrize("case", CASES, ids=named)
def test_rules_without_a_given_case(case):
    assert word(case) == case["exp"], (case["why"], decide(case))


def test_all_given_cases_are_there():
    assert (len(GIVEN), len({case["id"] for case in GIVEN})) == (57, 57)
    given = {case["id"] for case in GIVEN}
    assert not given & {case["id"] for case in CASES}


@iam_oracle.needs_oracle
def test_the_second_engine_gives_the_same_answers():
    cases = [*GIVEN, *(case for case in CASES if not case["disputed"])]
    answers = iam_oracle.ask(cases)
    assert {case["id"]: answer for case, answer in zip(cases, answers, strict=True)} == {
        case["id"]: case["exp"] for case in cases
    }
