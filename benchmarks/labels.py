"""Labels read and checked, in boxes per second of one core, beside peers in the same run.

Writes a set of made-up boxes as YOLO and as COCO, then reads it in turns: ours (lines checked, places kept, boxes in
pixels), a line reader as most scripts have it (``float`` and nothing else), a reader as in supervision (a list of
arrays per file), and pycocotools' ``COCO()``. Times are processor times of this process, so other programs disturb
less. With ``--files N`` it only lists a folder of N empty files in a process of its own, for time and memory of
``find_files``::

    python benchmarks/labels.py [--photos 10000] [--boxes 50] [--rounds 3] [--folder DIR] [--files 1000000]
"""

from __future__ import annotations

import argparse
import contextlib
import io
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from pycocotools.coco import COCO

from overflight.data.checks.all import CHECKS
from overflight.data.checks.catalogue import load_catalogue
from overflight.data.checks.run import run_checks
from overflight.data.checks.subject import Subject
from overflight.data.files import SourceFiles, find_files
from overflight.data.flights import FlightOf
from overflight.data.formats.labels import LabelSet, PhotoLabels
from overflight.data.formats.registry import read_with, sniff_all, write_with

SIZE_WH = (4000, 3000)
CLASSES = ("car", "truck", "bus", "van", "person")
GOAL = 200_000


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--photos", type=int, default=10_000)
    parser.add_argument("--boxes", type=int, default=50, help="boxes in each photograph")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="where to write (default: a temporary folder)")
    parser.add_argument("--files", type=int, default=0, help="only list so many empty files")
    parser.add_argument("--list", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.list is not None:
        return list_files(given.list)
    with tempfile.TemporaryDirectory(dir=given.folder) as name:
        folder = Path(name)
        if given.files:
            make_files(folder, given.files)
            return subprocess.run([sys.executable, __file__, "--list", str(folder)], check=True).returncode
        return compare(folder, made_up(given.photos, given.boxes), rounds=given.rounds)


def compare(folder: Path, made: LabelSet, *, rounds: int) -> int:
    """Read and check the same boxes in every way, in turns."""
    yolo, coco = written(folder / "yolo", made, "yolo"), written(folder / "coco", made, "coco")
    texts = [yolo.path(key) for key in yolo.others if key.startswith("labels/")]
    ways: dict[str, Callable[[], Any]] = {
        "YOLO: recognise": lambda: sniff_all(yolo),
        "YOLO: read": lambda: read(yolo, "yolo"),
        "YOLO: peer, float() line by line": lambda: [naive(path) for path in texts],
        "YOLO: peer, as supervision": lambda: [like_supervision(path) for path in texts],
        "COCO: read": lambda: read(coco, "coco"),
        "COCO: peer, pycocotools COCO()": lambda: quiet(lambda: COCO(str(coco.path("annotations.json")))),
    }
    labels = read(yolo, "yolo")
    assert labels.boxes == made.boxes == read(coco, "coco").boxes
    rules = load_catalogue()
    for group in ("label", "survey"):
        checks = {code: check for code, check in CHECKS.items() if rules[code].group == group}
        ways[f"check: the {len(checks)} of group {group}"] = lambda checks=checks: run_checks(
            subject_of(yolo, labels), rules, checks
        )
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            began = time.process_time()
            way()
            seconds[name].append(time.process_time() - began)
    print(f"{made.boxes:,} boxes in {len(made.photos):,} photographs, median of {rounds} rounds, one core")
    for name, found in seconds.items():
        print(f"{name:36} {statistics.median(found):8.2f} s {made.boxes / statistics.median(found):>12,.0f} boxes/s")
    print(f"goal: at least {GOAL:,} boxes/s for reading and for checking")
    return 0


def made_up(photos: int, boxes: int) -> LabelSet:
    """Boxes of 10 to 90 px anywhere in photographs of 4000 x 3000 px."""
    random = np.random.default_rng(0)
    found = {}
    for number in range(photos):
        side = random.uniform(10, 90, (boxes, 2))
        first = random.uniform(0, 1, (boxes, 2)) * (np.array(SIZE_WH) - side)
        class_ids = random.integers(0, len(CLASSES), boxes)
        key = f"flight{number // 500:04}/DJI_{number:06}.jpg"
        boxes_px = np.concatenate([first, first + side], axis=1)
        found[key] = PhotoLabels(SIZE_WH, class_ids, boxes_px, np.arange(1, boxes + 1), "made-up")
    return LabelSet("made-up", CLASSES, found)


def written(folder: Path, labels: LabelSet, form: str) -> SourceFiles:
    """The set in a format, with empty files for the photographs."""
    places = write_with(form, labels, folder, names={key: key for key in labels.photos}).places
    for place in places.values():
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
        (folder / place).touch()
    return find_files(folder)


def read(files: SourceFiles, form: str) -> LabelSet:
    """Recognise and read, sizes known."""
    return read_with(files, {photo.key: SIZE_WH for photo in files.photos}, format=form)[0]


def subject_of(files: SourceFiles, labels: LabelSet) -> Subject:
    """What checks of labels look at; facts of photographs are not needed for them."""
    flights = {key: FlightOf(key.split("/")[1], "folder") for key in labels.photos}
    return Subject("bench", files.root, {}, labels, flights)


def naive(path: Path) -> list[tuple[int, float, float, float, float]]:
    """What a script of ten lines does."""
    rows = []
    with path.open() as handle:
        for line in handle:
            index, cx, cy, width, height = line.split()
            rows.append((int(index), float(cx), float(cy), float(width), float(height)))
    return rows


def like_supervision(path: Path) -> tuple[Any, Any]:
    """As supervision's loader of YOLO annotations: class ids, and corners in pixels."""
    width, height = SIZE_WH
    class_ids, boxes = [], []
    for line in path.read_text().splitlines():
        values = line.split()
        class_ids.append(int(values[0]))
        cx, cy, w, h = (float(value) for value in values[1:5])
        boxes.append(np.array([cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2], dtype=np.float32))
    corners = np.array(boxes, dtype=np.float32) * np.array([width, height, width, height], dtype=np.float32)
    return np.array(class_ids, dtype=int), corners


def quiet(call: Callable[[], Any]) -> Any:
    """Without what it prints."""
    with contextlib.redirect_stdout(io.StringIO()):
        return call()


def make_files(folder: Path, files: int) -> None:
    """Half photographs, half labels, all empty."""
    for number in range(files // 2):
        for kind, suffix in (("images", "jpg"), ("labels", "txt")):
            place = folder / kind / f"flight-{number // 1000:04}"
            if number % 1000 == 0:
                place.mkdir(parents=True)
            (place / f"DJI_{number:07}.{suffix}").touch()


def list_files(folder: Path) -> int:
    """Time and memory of listing a folder."""
    before_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    began = time.perf_counter()
    files = find_files(folder)
    seconds = time.perf_counter() - began
    after_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{len(files.photos):,} photographs and {len(files.others):,} other files in {seconds:.2f} s")
    print(f"peak memory {after_mb:.0f} MB, {after_mb - before_mb:.0f} MB of it for the list")
    return 0


if __name__ == "__main__":
    sys.exit(main())
