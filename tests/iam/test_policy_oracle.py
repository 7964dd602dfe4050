"""Random policies: our evaluator and @cloud-copilot/iam-simulate decide the same; what is left out: iam_generator."""

import json
from collections import Counter

import iam_oracle
import pytest
from iam_cases import decide, word
from iam_generator import case

FIRST_SEED = 20260926


def disagreements(seeds):
    cases = [case(seed) for seed in seeds]
    answers = iam_oracle.ask(cases)
    return [
        f"{one['id']}: the second engine {answer}, we {decide(one)}: {json.dumps(one)}"
        for one, answer in zip(cases, answers, strict=True)
        if word(one) != answer
    ]


@iam_oracle.needs_oracle
def test_a_thousand_random_decisions_agree():
    assert disagreements(range(FIRST_SEED, FIRST_SEED + 1000)) == []


@pytest.mark.slow
@iam_oracle.needs_oracle
@pytest.mark.parametrize("part", range(4))
def test_twenty_thousand_random_decisions_agree(part):
    start = FIRST_SEED + 5000 * part
    assert disagreements(range(start, start + 5000)) == []


def test_the_random_cases_cover_every_part_of_a_policy():
    cases = [case(seed) for seed in range(2000)]
    words = Counter(word(one) for one in cases)
    assert min(words[answer] for answer in ("Allow", "Implicit", "Explicit")) > 200
    assert all(sum(bool(one[part]) for one in cases) > 200 for part in ("ident", "boundary", "rp", "scp", "session"))
    text = json.dumps(cases)
    for element in (
        "NotAction",
        "NotResource",
        "NotPrincipal",
        "assumed-role",
        "444455556666",
        "2008-10-17",
        ", 'dev'}",
    ):
        assert text.count(element) > 20, element
    operators = {
        *(
            f"String{name}"
            for name in ("Equals", "NotEquals", "EqualsIgnoreCase", "NotEqualsIgnoreCase", "Like", "NotLike")
        ),
        *(f"Numeric{name}" for name in ("Equals", "NotEquals", "LessThan", "GreaterThanEquals")),
        *(f"Date{name}" for name in ("Equals", "NotEquals", "LessThanEquals", "GreaterThan")),
        *("Bool", "IpAddress", "NotIpAddress", "ArnEquals", "ArnLike", "ArnNotEquals", "ArnNotLike", "Null"),
        *("BoolIfExists", "StringNotLikeIfExists", "ForAllValues:StringLike", "ForAnyValue:StringNotEquals"),
    }
    assert {one for one in operators if f'"{one}"' not in text} == set()


def test_the_same_seed_gives_the_same_case():
    assert case(7) == case(7) != case(8)
