"""Truth cases: their files, and how one becomes a request with its policies."""

import json
from pathlib import Path

from overflight.iam.core import Decision, Policy, PolicySet, Request
from overflight.iam.evaluate import evaluate

FOLDER = Path(__file__).with_name("cases")
WORDS = {"allow": "Allow", "implicit-deny": "Implicit", "explicit-deny": "Explicit"}


def read_cases(*names):
    return [case for name in names for case in json.loads((FOLDER / name).read_text())]


def policy_set(case) -> PolicySet:
    def one(name, document):
        return None if document is None else Policy(name, document)

    return PolicySet(
        identity=tuple(Policy(f"identity{i}", document) for i, document in enumerate(case["ident"])),
        boundary=one("boundary", case["boundary"]),
        session=one("session", case["session"]),
        organisation=tuple(Policy(f"level{i}", document) for i, document in enumerate(case["scp"] or ())),
        resource=one("resource", case["rp"]),
    )


def request(case) -> Request:
    return Request(case["principal"], case["action"], case["resource"], case["ctx"], case["acct"])


def decide(case) -> Decision:
    return evaluate(request(case), policy_set(case))


def word(case) -> str:
    return WORDS[decide(case).outcome]
