"""Time and memory to open a survey of a million photographs, beside parsing every line of its manifest.

Writes a manifest without photographs into a temporary folder. Each way runs in a process of its own, one after the
other: open, number of photographs, one record chosen at random. The peer reads the manifest as most tools would, with
``json.loads`` per line::

    python benchmarks/open_survey.py [--photos 1000000] [--folder DIR] [--json]
"""

from __future__ import annotations

import argparse
import hashlib
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from overflight.data.manifest import Origin, PhotoRecord, Survey, manifest_line
from overflight.files import sha256_bytes, write_json

PHOTOS_PER_FLIGHT = 250
_MEASURED = """
import json, random, resource, sys, time
from pathlib import Path
folder, number = Path(sys.argv[1]), int(sys.argv[2])
{imports}
before_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
start = time.perf_counter()
{opening}
opened_s = time.perf_counter() - start
record_start = time.perf_counter()
{record}
record_s = time.perf_counter() - record_start
peak_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps({{"photos": count, "path": path, "opened_s": opened_s, "record_s": record_s,
                   "before_mb": before_kb / 1024, "peak_mb": peak_kb / 1024}}))
"""
WAYS = {
    "overflight": _MEASURED.format(
        imports="from overflight.data.manifest import load_manifest",
        opening="survey = load_manifest(folder); count = len(survey.photos)",
        record="path = survey.photos[number].path",
    ),
    "json per line": _MEASURED.format(
        imports="",
        opening=(
            "records = [json.loads(line) for line in (folder / 'manifest.jsonl').open(encoding='utf-8')]; "
            "count = len(records)"
        ),
        record="path = records[number]['path']",
    ),
}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--photos", type=int, default=1_000_000, help="photographs of the survey")
    parser.add_argument("--folder", type=Path, help="where to put the survey (default: a temporary folder)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        size = write_manifest(Path(folder), photos=arguments.photos)
        rows = {name: measure(code, Path(folder), number=arguments.photos * 2 // 3) for name, code in WAYS.items()}
    if arguments.json:
        print(json.dumps({"manifest_mb": size / 1e6, "ways": rows}, indent=2))
        return
    print(f"{arguments.photos:,} photographs, manifest of {size / 1e6:.0f} MB")
    print(f"{'':16} {'open':>9} {'one record':>12} {'peak memory':>14}")
    for name, row in rows.items():
        times = f"{row['opened_s']:>7.2f} s {row['record_s'] * 1e3:>9.2f} ms"
        print(f"{name:16} {times} {row['peak_mb']:>9.0f} MB")


def write_manifest(folder: Path, *, photos: int) -> int:
    """A survey's two files with ``photos`` records, no photographs; returns the size of the manifest in bytes."""
    size = 0
    flights: dict[str, int] = {}
    with (folder / "manifest.jsonl").open("wb") as handle:
        for number in range(photos):
            record = _record(number)
            flights[record.flight] = flights.get(record.flight, 0) + 1
            size += handle.write(f"{manifest_line(record)}\n".encode())
    classes = ("car", "truck")
    digest = _digest(folder / "manifest.jsonl", classes)
    per_class = {"car": photos * 9, "truck": photos}
    survey = Survey("large", digest, classes, range(photos), per_class, flights, Origin())  # type: ignore[arg-type]  # only its length is asked
    write_json(folder / "survey.json", survey.as_dict())
    return size


def _record(number: int) -> PhotoRecord:
    flight, frame = divmod(number, PHOTOS_PER_FLIGHT)
    stem = f"flight{flight:05d}/DJI_{frame:04d}"
    return PhotoRecord(
        path=f"photos/{stem}.JPG",
        sha256=sha256_bytes(stem.encode()),
        bytes=8_000_000 + number,
        width_px=4000,
        height_px=2250,
        flight=f"flight{flight:05d}",
        flight_evidence="folder",
        captured_at=f"2026-05-{1 + flight % 28:02d}T10:{frame // 60:02d}:{frame % 60:02d}",
        latitude_deg=53.9 + flight * 1e-4,
        longitude_deg=27.5 + frame * 1e-5,
        altitude_agl_m=98.9,
        gimbal_pitch_deg=-90.0,
        yaw_deg=12.5,
        camera_make="DJI",
        camera_model="FC220",
        gsd_m=0.0325,
        format="jpeg",
        labels=f"labels/{stem}.txt",
        labels_sha256=sha256_bytes(b"labels" + stem.encode()),
        boxes=10,
        label_source=f"labels/{stem}.txt",
    )


def _digest(manifest: Path, classes: tuple[str, ...]) -> str:
    """As ``digest_of``, from the file: a million records are not held."""
    digest = hashlib.sha256()
    with manifest.open("rb") as handle:
        while chunk := handle.read(1 << 20):
            digest.update(chunk)
    digest.update((json.dumps(list(classes), separators=(",", ":")) + "\n").encode())
    return digest.hexdigest()


def measure(code: str, folder: Path, *, number: int) -> dict[str, float]:
    """Figures of one way in a process of its own."""
    done = subprocess.run([sys.executable, "-c", code, str(folder), str(number)], check=True, capture_output=True)
    return dict(json.loads(done.stdout))


if __name__ == "__main__":
    main()
