"""The demo over several seeds: wall time, seconds per stage, peak memory of all its processes, mAP50 with interval.

    python benchmarks/demo.py [--seeds 7 8 9] [--data DIR]

Each seed gets a fresh account folder. Memory is the proportional set size (RSS where the system does not tell) of the
command, the supervisor and everything below them, sampled twice a second. The peer printed beside it is the budget
that was set for two cores: 360 s, 4 GiB, mAP50 0.6.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

BUDGET_S, BUDGET_GIB, BUDGET_MAP50 = 360.0, 4.0, 0.6


def memory_bytes(process: psutil.Process) -> int:
    """Proportional set size of one process, its RSS where that cannot be read, 0 when it has ended."""
    try:
        facts = process.memory_full_info()
    except psutil.AccessDenied:
        return int(process.memory_info().rss)
    except psutil.NoSuchProcess:
        return 0
    return int(getattr(facts, "pss", 0) or facts.rss)


def processes_of(demo: psutil.Process, home: Path) -> list[psutil.Process]:
    """The command, the account's supervisor, and all their descendants."""
    roots = [demo]
    facts = home / "supervisor.json"
    if facts.exists():
        try:
            roots.append(psutil.Process(json.loads(facts.read_text())["pid"]))
        except (psutil.NoSuchProcess, ValueError):
            roots = [demo]
    found = {}
    for root in roots:
        try:
            for process in [root, *root.children(recursive=True)]:
                found[process.pid] = process
        except psutil.NoSuchProcess:
            continue
    return list(found.values())


def run_once(seed: int, data: Path | None) -> dict[str, object]:
    """One demo in a fresh folder: its summary with wall time and peak memory."""
    with tempfile.TemporaryDirectory(prefix="overflight-bench-") as scratch:
        home = Path(scratch) / ".overflight"
        command = [sys.executable, "-m", "overflight.cli.main", "--home", str(home)]
        demo_arguments = ["demo", "--seed", str(seed), "--out", f"{scratch}/out", "--json"]
        if data is not None:
            demo_arguments += ["--data", str(data)]
        start_s, peak = time.perf_counter(), 0
        with Path(scratch, "summary.json").open("w") as output:
            child = psutil.Popen([*command, *demo_arguments], stdout=output)
            while child.poll() is None:
                peak = max(peak, sum(map(memory_bytes, processes_of(psutil.Process(child.pid), home))))
                time.sleep(0.5)
        wall_s = time.perf_counter() - start_s
        subprocess.run([*command, "down"], check=True, stdout=subprocess.DEVNULL)
        summary = json.loads(Path(scratch, "summary.json").read_text())
        if child.returncode:
            raise SystemExit(f"seed {seed}: {summary}")
        return {"seed": seed, "wall_s": wall_s, "peak_gib": peak / 2**30, **summary}


def main() -> None:
    """Run all seeds and print a line each, then the spread."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, nargs="+", default=[7, 8, 9])
    parser.add_argument("--data", type=Path)
    given = parser.parse_args()
    rows = []
    for seed in given.seeds:
        row = run_once(seed, given.data)
        rows.append(row)
        low, high = row["map50_interval"]
        print(
            f"seed {seed}: {row['wall_s']:.0f} s (budget {BUDGET_S:.0f}, ratio {row['wall_s'] / BUDGET_S:.2f}), "
            f"peak {row['peak_gib']:.2f} GiB (budget {BUDGET_GIB:.0f}), "
            f"mAP50 {row['map50']:.3f} [{low:.3f}, {high:.3f}] (asked {BUDGET_MAP50})",
            flush=True,
        )
        print("   ", "  ".join(f"{name} {s:.1f}" for name, s in {**row["seconds"], **row["seconds_per_step"]}.items()))
    for name in ("wall_s", "peak_gib", "map50"):
        values = [row[name] for row in rows]
        print(f"{name}: median {statistics.median(values):.3f}, {min(values):.3f} to {max(values):.3f}")


if __name__ == "__main__":
    main()
