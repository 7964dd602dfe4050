"""How long the search over everybody's reach takes on our identity template.

    python benchmarks/escalation.py [--rounds 5]

Prints seconds of one search (read the template, build the roles, search from every role), median and slowest of the
rounds, and what everybody reaches.
"""

from __future__ import annotations

import argparse
import statistics
import time

from overflight.governance.escalation import Escalation, findings, search
from overflight.iam.access import read_access
from overflight.infra.templates import load

ACCOUNT = {"account_id": "000000000000", "region": "eu-central-1"}


def once() -> tuple[float, Escalation]:
    """Seconds of one search on roles that are read anew, and its result."""
    resolved = load("identity", parameters={}, **ACCOUNT)
    start = time.perf_counter()
    access = read_access(resolved.resources, prefix="overflight", environment="dev", arns=resolved.arns, **ACCOUNT)
    result = search(access)
    return time.perf_counter() - start, result


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = [once() for _ in range(max(1, parser.parse_args().rounds))]
    seconds = [one for one, _ in rounds]
    result = rounds[-1][1]
    ways = len(result.catalogue.ways)
    print(f"{len(result.reaches)} starts, {len(result.catalogue.paths)} paths in {ways} ways")
    print(f"search: median {statistics.median(seconds):.2f} s, slowest {max(seconds):.2f} s ({len(seconds)} rounds)")
    print(f"findings: {len(findings(result))}")
    for line in result.describe():
        print(f"  {line}")


if __name__ == "__main__":
    main()
