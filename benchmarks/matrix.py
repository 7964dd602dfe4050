"""The whole access matrix: decisions, seconds, and a sample of it given to a second engine in the same run.

    python benchmarks/matrix.py [--sample 2000] [--rounds 3]

Seconds of the processor, best round. The peer is @cloud-copilot/iam-simulate in one node process (`make oracle`), its
start included; it answers a sample of the same decisions, and the answers are compared.
"""

from __future__ import annotations

import argparse
import random
import resource
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests/iam"))

import iam_oracle
from iam_cases import WORDS

from overflight.governance.activities import SESSION, fill, names_of
from overflight.governance.matrix import Cell, cells, expectation
from overflight.iam.access import Access, load_access
from overflight.iam.evaluate import evaluate


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--sample", type=int, default=2000, help="decisions given to the second engine")
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    access = load_access(account_id="000000000000", region="eu-central-1")
    times = []
    for _ in range(given.rounds):
        start = time.process_time()
        found = list(cells(access))
        times.append(time.process_time() - start)
    rate = len(found) / min(times)
    wrong = sum(not one.as_expected for one in found)
    print(f"whole matrix: {len(found):,} decisions in {min(times):.1f} s (worst {max(times):.1f} s), {rate:,.0f}/s")
    print(f"110,000 decisions at this rate: {110_000 / rate:.1f} s; not as the rules say: {wrong}")
    if iam_oracle.why_absent():
        print(f"no comparison: {iam_oracle.why_absent()}")
        return 0
    asked = [case_of(access, one) for one in random.Random(7).sample(found, given.sample)]
    begun = resource.getrusage(resource.RUSAGE_CHILDREN)
    answers = iam_oracle.ask([case for case, _ in asked])
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    theirs_s = ended.ru_utime + ended.ru_stime - begun.ru_utime - begun.ru_stime
    known = [(word, answer) for (_, word), answer in zip(asked, answers, strict=True) if not answer.startswith("error")]
    differ = sum(word != answer for word, answer in known)
    print(
        f"second engine: {given.sample / theirs_s:,.0f}/s; ours is {rate * theirs_s / given.sample:.0f} times as fast"
    )
    print(f"same answer: {len(known) - differ:,} of {len(known):,}; not answered by it: {given.sample - len(known)}")
    return 0


def case_of(access: Access, cell: Cell) -> tuple[dict[str, Any], str]:
    """A cell as a case of the second engine, and our answer."""
    sent = fill(expectation().sent[cell.sent], names_of(access))
    request, policies = access.request(cell.role, cell.action, cell.resource, sent, session=SESSION)
    case = {
        "principal": request.principal_arn,
        "action": cell.action,
        "resource": cell.resource,
        "acct": access.account_id,
        "ctx": dict(request.context),
        "ident": [one.document for one in policies.identity],
        "boundary": policies.boundary.document if policies.boundary else None,
        "rp": policies.resource.document if policies.resource else None,
    }
    return case, WORDS[evaluate(request, policies).outcome]


if __name__ == "__main__":
    sys.exit(main())
