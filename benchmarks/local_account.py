"""Calls per second of the local account, beside botocore's Stubber, which answers the same calls with canned responses.

The Stubber does nothing but botocore's own work (validation, serialisation of the request), so the ratio says what an
account that keeps state, a trail and files adds. Both run interleaved in one process, on a folder given or temporary::

    python benchmarks/local_account.py [--calls 500] [--folder DIR] [--json]
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
from botocore.stub import Stubber

from overflight.account.session import open_session
from overflight.settings import load_settings

Request = Callable[[int], tuple[str, dict[str, Any]]]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--calls", type=int, default=500, help="calls of each operation")
    parser.add_argument("--folder", type=Path, help="where to put the account (default: a temporary folder)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        rows = measure(Path(folder) / "home", calls=arguments.calls)
    if arguments.json:
        print(json.dumps(rows, indent=2))
        return
    print(f"{'operation':28} {'local p50':>10} {'p95':>9} {'cpu':>9} {'calls/s':>9} {'Stubber p50':>12} {'ratio':>6}")
    for name, row in rows.items():
        print(
            f"{name:28} {row['local_p50_ms']:>7.2f} ms {row['local_p95_ms']:>6.2f} ms {row['local_cpu_ms']:>6.2f} ms "
            f"{row['local_calls_per_s']:>9.0f} {row['stubber_p50_ms']:>9.2f} ms {row['ratio']:>6.1f}"
        )


def measure(home: Path, *, calls: int) -> dict[str, dict[str, float]]:
    """Milliseconds per call and calls per second by operation, for the local account and the Stubber."""
    settings = load_settings(home=home)
    session = open_session(settings)
    bucket = settings.bucket
    requests: dict[str, Request] = {
        "sts.get_caller_identity": lambda _n: ("get_caller_identity", {}),
        "events.put_events": lambda n: ("put_events", {"Entries": [_event(n)]}),
        "s3.put_object": lambda n: ("put_object", {"Bucket": bucket, "Key": f"k{n}", "Body": b"content %d" % n}),
        "s3.head_object": lambda n: ("head_object", {"Bucket": bucket, "Key": f"k{n}"}),
        "s3.get_object": lambda n: ("get_object", {"Bucket": bucket, "Key": f"k{n}"}),
        "s3.list_objects_v2": lambda _n: ("list_objects_v2", {"Bucket": bucket, "MaxKeys": 10}),
    }
    return {name: _compare(session, name, request, calls=calls) for name, request in requests.items()}


def _compare(session: Any, name: str, request: Request, *, calls: int) -> dict[str, float]:
    service = name.partition(".")[0]
    local = session.client(service)
    other: Any = boto3.Session("key", "secret", region_name="eu-central-1")  # the service is not known to the stubs
    canned = other.client(service)
    local_s, local_cpu_s, stubber_s = [], [], []
    with Stubber(canned) as stubber:
        for n in range(calls):
            method, parameters = request(n)
            began, began_cpu = time.perf_counter(), time.process_time()
            getattr(local, method)(**parameters)
            local_s.append(time.perf_counter() - began)
            local_cpu_s.append(time.process_time() - began_cpu)
            stubber.add_response(method, _CANNED.get(method, {}))
            began = time.perf_counter()
            getattr(canned, method)(**parameters)
            stubber_s.append(time.perf_counter() - began)
    p50_s = statistics.median(local_s)
    return {
        "local_p50_ms": p50_s * 1e3,
        "local_p95_ms": statistics.quantiles(local_s, n=20)[-1] * 1e3,
        "local_cpu_ms": statistics.fmean(local_cpu_s) * 1e3,
        "local_calls_per_s": calls / sum(local_s),
        "stubber_p50_ms": statistics.median(stubber_s) * 1e3,
        "ratio": p50_s / statistics.median(stubber_s),
    }


def _event(number: int) -> dict[str, str]:
    return {"Source": "overflight.benchmark", "DetailType": "Tick", "Detail": json.dumps({"n": number})}


_CANNED: dict[str, dict[str, Any]] = {"get_caller_identity": {"Account": "0" * 12}}

if __name__ == "__main__":
    main()
