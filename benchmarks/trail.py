"""The trail: time to verify, export and ask it, and what an entry costs, with and without checkpoints.

One core. Entries look like CreateTrainingJob calls of about 1 kB; append times are of one commit for each entry, as
calls make them. A plain loop that writes the same rows without trail is the floor::

    python benchmarks/trail.py [--entries 100000] [--appends 3000]
"""

from __future__ import annotations

import argparse
import resource
import statistics
import tempfile
import time
from pathlib import Path

from overflight.account.clock import utc_now
from overflight.account.local import trail
from overflight.account.local.checkpoints import Checkpointer, Ledger
from overflight.account.local.store import Store
from overflight.account.local.trail_file import export_lines, verify_file
from overflight.account.local.verification import verify
from overflight.governance.questions import Filter, rows

ARN = "arn:aws:sts::000000000000:assumed-role/overflight-data-scientist/ada"
PARAMETERS = {
    "TrainingJobName": "overflight-dev-cars-0001",
    "RoleArn": "arn:aws:iam::000000000000:role/overflight-train",
    "HyperParameters": {"epochs": "30", "learning_rate": "0.001", "recipe": "n", "seed": "7"},
    "ResourceConfig": {"InstanceType": "ml.g5.xlarge", "InstanceCount": 1, "VolumeSizeInGB": 50},
    "InputDataConfig": [
        {"ChannelName": "train", "DataSource": {"S3DataSource": {"S3Uri": "s3://overflight/surveys/x"}}}
    ],
}
DETAILS = {
    "role": "data-scientist",
    "user": "ada",
    "host": "laptop",
    "pid": 4711,
    "decision": {"outcome": "allow", "layer": "identity", "policy": "overflight-data-scientist", "sid": "TrainInDev"},
}


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--entries", type=int, default=100_000)
    parser.add_argument("--appends", type=int, default=3_000)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        measure_verify(Path(folder) / "verify", given.entries, given.rounds)
        measure_append(Path(folder) / "append", given.appends, given.rounds)
    return 0


def add(store: Store, count: int) -> None:
    """Entries in one transaction."""
    with store.write() as transaction:
        for n in range(count):
            trail.append(
                transaction,
                time=utc_now(),
                caller=ARN,
                service="sagemaker",
                operation="CreateTrainingJob",
                read_only=False,
                request_id=f"request-{n}",
                parameters=PARAMETERS,
                details=DETAILS,
            )


def opened(folder: Path, *, checkpoints: bool) -> tuple[Store, Ledger]:
    """A store, and where its checkpoints are."""
    store, ledger = Store(folder / "home", clock=utc_now), Ledger(folder / "keys")
    if checkpoints:
        store.listener = Checkpointer(ledger, account_id="000000000000", clock=utc_now)
    return store, ledger


def measure_verify(folder: Path, entries: int, rounds: int) -> None:
    """Chain, checkpoints and signatures of many entries."""
    store, ledger = opened(folder, checkpoints=True)
    for _ in range(entries // 256):
        add(store, 256)
    add(store, entries % 256)
    times_s = []
    for _ in range(rounds):
        start = time.perf_counter()
        found = verify(store, ledger)
        times_s.append(time.perf_counter() - start)
        assert found.intact, found.findings[:3]
        assert found.entries == entries
    best = min(times_s)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    size = store.path.stat().st_size / 1e6
    print(
        f"verify: {entries} entries ({size:.0f} MB), {found.checkpoints} checkpoints: {best:.2f} s best, "
        f"{statistics.median(times_s):.2f} s median of {rounds}, {entries / best:,.0f} entries/s, peak {peak:.0f} MB"
    )
    measure_use(store, ledger, folder, entries)
    store.close()


def measure_use(store: Store, ledger: Ledger, folder: Path, entries: int) -> None:
    """A question that nothing answers, so that all entries are read; an export, and its verification."""
    start = time.perf_counter()
    assert not list(rows(trail.stream(store, newest_first=True), Filter(user="nobody", action="s3:*")))
    print(f"query: {entries} entries read and filtered in {time.perf_counter() - start:.2f} s")
    start = time.perf_counter()
    export_lines(store, ledger, folder / "trail.jsonl", account_id="000000000000", time=utc_now(), by="benchmark")
    print(f"export: {time.perf_counter() - start:.2f} s, {(folder / 'trail.jsonl').stat().st_size / 1e6:.0f} MB")
    start = time.perf_counter()
    assert verify_file(folder / "trail.jsonl").intact
    print(f"verify of the file: {time.perf_counter() - start:.2f} s")


def measure_append(folder: Path, appends: int, rounds: int) -> None:
    """One commit for each entry; the rounds of the kinds take turns."""
    kinds = {"without trail": (False, False), "trail": (True, False), "trail and checkpoints": (True, True)}
    taken_us: dict[str, list[float]] = {kind: [] for kind in kinds}
    for number in range(rounds):
        for kind, (with_trail, checkpoints) in kinds.items():
            store, _ = opened(folder / f"{kind}-{number}", checkpoints=checkpoints)
            start = time.perf_counter()
            for n in range(appends):
                if with_trail:
                    add(store, 1)
                else:
                    with store.write() as transaction:
                        transaction.insert("floor", str(n), body=PARAMETERS)
            taken_us[kind].append((time.perf_counter() - start) / appends * 1e6)
            store.close()
    for kind, values in taken_us.items():
        print(f"append, {kind}: {min(values):.0f} us best, {statistics.median(values):.0f} us median of {rounds}")


if __name__ == "__main__":
    raise SystemExit(main())
