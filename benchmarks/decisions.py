"""Decisions a second: the truth cases, random policies, our own roles, and a second engine in the same run.

    python benchmarks/decisions.py [--rounds 5] [--random 3000]

Truth cases and roles ask the same compiled policies again and again, as the local account does; random cases are new
policies each, so that compiling counts. Seconds of the processor, best round. The peer is @cloud-copilot/iam-simulate
in one node process (`make oracle`, or OVERFLIGHT_IAM_SIMULATE), its start and the reading of cases included; it
compiles each case's policies, and so does ours in that comparison.
"""

from __future__ import annotations

import argparse
import resource
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests/iam"))

import iam_oracle
from iam_cases import policy_set, read_cases, request
from iam_generator import case

from overflight.iam.access import load_access
from overflight.iam.actions import actions_of
from overflight.iam.evaluate import evaluate

ACCOUNT, REGION = "000000000000", "eu-central-1"


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--random", type=int, default=3000, help="random cases")
    given = parser.parse_args()
    truth = read_cases("cases.json", "cases_x.json")
    asked = [(request(one), policy_set(one)) for one in truth]
    report("truth cases", len(asked) * 50, best(given.rounds, lambda: [evaluate(*one) for one in asked * 50]))
    roles(given.rounds)
    cases = [case(seed) for seed in range(given.random)]
    report("random policies", len(cases), best(given.rounds, lambda: fresh(cases)))
    peer(truth * 20, "truth cases")
    peer(cases, "random policies")
    return 0


def fresh(cases: Sequence[Any]) -> None:
    """Decide cases with policies that nobody has compiled."""
    for one in cases:
        evaluate(request(one), policy_set(one))


def roles(rounds: int) -> None:
    """All roles x all SageMaker actions on a resource of people and one of production."""
    access = load_access(account_id=ACCOUNT, region=REGION)
    arn = f"arn:aws:sagemaker:{REGION}:{ACCOUNT}"
    tags = {"aws:RequestTag/env": "dev", "aws:TagKeys": ["env"], "aws:ResourceTag/env": "dev"}
    asked = [
        (role, action.name, f"{arn}:{next(iter(action.resource_types), 'endpoint')}/overflight-{env}-x")
        for role in access.roles
        for action in actions_of("sagemaker")
        for env in ("dev", "prod")
    ]

    def decide() -> None:
        for role, action, target in asked:
            access.decide(role, action, target, tags, session="ann")

    report("our own roles", len(asked), best(rounds, decide))


def best(rounds: int, work: Callable[[], object]) -> float:
    """Seconds of the processor of the quickest round."""
    times = []
    for _ in range(rounds):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return min(times)


def peer(cases: Sequence[Any], title: str) -> None:
    """The second engine on the same cases, and how many times quicker ours is."""
    if iam_oracle.why_absent():
        print(f"{title}: no comparison, {iam_oracle.why_absent()}")
        return
    start = resource.getrusage(resource.RUSAGE_CHILDREN)
    iam_oracle.ask(cases)
    end = resource.getrusage(resource.RUSAGE_CHILDREN)
    theirs_s = end.ru_utime + end.ru_stime - start.ru_utime - start.ru_stime
    ours_s = best(1, lambda: fresh(cases))
    report(f"{title}, second engine", len(cases), theirs_s)
    print(f"{title}: ours is {theirs_s / ours_s:.0f} times as fast (policies compiled for each case)")


def report(title: str, decisions: int, seconds: float) -> None:
    """One line."""
    print(f"{title}: {decisions / seconds:,.0f} decisions/s ({seconds / decisions * 1e6:.0f} us each, {decisions:,})")


if __name__ == "__main__":
    sys.exit(main())
