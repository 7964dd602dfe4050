"""Photographs a second and core of a profile beside Pillow with numpy and CleanVision; memory at 1e3 to 1e5 of them.

Run: ``python benchmarks/survey_profile.py [--data FOLDER] [--cleanvision-python PYTHON]``. Photographs of 4000x3000 are
made (JPEG), or taken from a folder. All sides run on the same files in turns, by one worker; seconds are those of the
processor, so a photograph a second is one a second and core. CleanVision is never a dependency: PYTHON is that of an
environment of its own in which ``pip install cleanvision==0.3.7`` was run. Its checks are dark, light, blurry, low
information, grey, odd size and aspect, exact and near duplicates; a profile holds the measures behind all of them and
about 30 more. Memory is the peak of a process of its own per size, over a manifest that exists only as numbers: facts
and labels of a photograph are made when they are asked for.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageFilter

from overflight.data.checks.subject import Subject
from overflight.data.facts import PhotoFacts, read_facts
from overflight.data.files import SourceFiles, find_files
from overflight.data.flights import FlightOf
from overflight.data.formats.labels import LabelSet, PhotoLabels
from overflight.data.formats.sniffed import Sniffed
from overflight.data.metadata import PhotoMetadata
from overflight.data.pixel_facts import PixelFacts
from overflight.data.profile.measure import measure
from overflight.data.reading import Read
from overflight.imaging.header import Header

ROUNDS = 5
SIZE_WH = (4000, 3000)
QUALITY = 90
COUNTS = (1_000, 10_000, 100_000)
BOXES = 10

CLEANVISION = """
import json, sys, time, warnings
warnings.simplefilter("ignore")
import io, contextlib
with contextlib.redirect_stdout(io.StringIO()):
    from cleanvision import Imagelab
    lab = Imagelab(data_path=sys.argv[1])
    started = time.process_time()
    lab.find_issues(n_jobs=1, verbose=False)
    seconds = time.process_time() - started
print(json.dumps(seconds))
"""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder with photographs instead of made ones")
    parser.add_argument("--photos", type=int, default=8, help="photographs to make")
    parser.add_argument("--cleanvision-python", type=Path, help="Python of an environment with CleanVision")
    parser.add_argument("--no-memory", action="store_true", help="only the speed")
    parser.add_argument("--memory-of", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    cv2.setNumThreads(1)
    if options.memory_of is not None:
        print(json.dumps(_memory(options.memory_of)))
        return
    with tempfile.TemporaryDirectory() as folder:
        root = options.data or _photographs(Path(folder) / "images", options.photos)
        speed(root, options.cleanvision_python)
    if not options.no_memory:
        memory()


def speed(root: Path, cleanvision: Path | None) -> None:
    """Print seconds of all sides in turns, least and median of the rounds, and their ratios."""
    files = find_files(root)
    paths = [files.path(photo.key) for photo in files.photos]
    read = _read(root, decode=False)
    sides: dict[str, Callable[[], float]] = {
        "read, hash and profile": lambda: _timed(lambda: measure(_read(root, decode=True), workers=1)),
        "profile of what was read": lambda: _timed(lambda: measure(read, workers=1)),
        "the same, every pixel decoded": lambda: _timed(lambda: measure(read, workers=1, scaled=False)),
        "Pillow and numpy": lambda: _timed(lambda: [_peer(path) for path in paths]),
    }
    if cleanvision is not None:
        sides["CleanVision"] = lambda: _cleanvision(cleanvision, root)
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(ROUNDS):
        for name, call in sides.items():
            seconds[name].append(call())
    size = statistics.mean(path.stat().st_size for path in paths) / 1e6
    print(
        f"{len(paths)} photographs of {size:.1f} MB, 1 thread, load {os.getloadavg()[0]:.1f}, {ROUNDS} rounds in turns"
    )
    ours = seconds["read, hash and profile"]
    for name, found in seconds.items():
        rate, middle = len(paths) / min(found), len(paths) / statistics.median(found)
        ratio = min(found) / min(ours)
        print(f"{name:34} best {rate:6.1f}  median {middle:6.1f} photos/s  {ratio:5.1f} x the time of the first")


def memory() -> None:
    """Print the peak of a process of its own per number of photographs."""
    for count in COUNTS:
        command = [sys.executable, __file__, "--memory-of", str(count)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        found = json.loads(done.stdout)
        print(
            f"{count:7,} photographs, {BOXES * count:9,} boxes: peak {found['peak_mb']:6.0f} MB, "
            f"{found['start_mb']:.0f} MB of them libraries and the manifest's names; {found['seconds']:6.1f} s, "
            f"{1e3 * (found['peak_mb'] - found['start_mb']) / count:.1f} KB a photograph"
        )


def _timed(call: Callable[[], object]) -> float:
    """Seconds of processor time, all threads together: other programs on the machine hardly change it."""
    started = time.process_time()
    call()
    return time.process_time() - started


def _cleanvision(python: Path, root: Path) -> float:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [str(python), "-c", CLEANVISION, str(root)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    return float(json.loads(done.stdout.splitlines()[-1]))


def _read(root: Path, *, decode: bool) -> Read:
    """Photographs of a folder alone; labels, if there are any, are not looked at."""
    files = find_files(root)
    photos = read_facts(files, [photo.key for photo in files.photos], decode=decode, workers=1)
    return Read(_subject(photos, {}), files, (), Sniffed("none", (), "photographs alone"))


def _subject(photos: Mapping[str, PhotoFacts], labels: Mapping[str, PhotoLabels]) -> Subject:
    flights = {key: FlightOf(f"flight-{number // 500}", "folder") for number, key in enumerate(photos)}
    return Subject("benchmark", Path(), photos, LabelSet("yolo", ("car", "bus", "truck"), labels), flights)


def _photographs(folder: Path, count: int) -> Path:
    """Houses, streets, leaves and noise: what photographs from 80 m look like to a codec."""
    folder.mkdir(parents=True)
    width, height = SIZE_WH
    for number in range(count):
        random = np.random.default_rng(number)
        picture = cv2.resize(random.integers(60, 180, (60, 80, 3)).astype(np.uint8), SIZE_WH)
        leaves = cv2.resize(random.normal(0, 40, (height // 3, width // 3)).astype(np.float32), SIZE_WH)
        mask = cv2.resize((random.random((6, 8)) < 0.4).astype(np.float32), SIZE_WH)
        picture = picture + (leaves * mask)[:, :, None] + random.normal(0, 2.5, (height, width, 1))
        picture = np.clip(picture, 0, 255).astype(np.uint8)
        for _ in range(600):
            x, y, w, h = (int(value) for value in random.integers((0, 0, 20, 20), (width, height, 220, 220)))
            cv2.rectangle(picture, (x, y), (x + w, y + h), random.integers(20, 235, 3).tolist(), -1, cv2.LINE_AA)
        cv2.imwrite(str(folder / f"{number:03}.jpg"), picture, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    return folder


def _peer(path: Path) -> dict[str, float]:
    """The measures of a photograph as one would write them without thinking of speed."""
    data = path.read_bytes()
    with Image.open(io.BytesIO(data)) as opened:
        picture = opened.convert("RGB")
    picture.thumbnail((1024, 1024), Image.Resampling.BOX)
    rgb = np.asarray(picture, dtype=np.float64)
    luma = rgb @ np.array([0.299, 0.587, 0.114])
    shares = np.bincount(luma.astype(int).ravel(), minlength=256) / luma.size
    laplacian = luma[:-2, 1:-1] + luma[2:, 1:-1] + luma[1:-1, :-2] + luma[1:-1, 2:] - 4 * luma[1:-1, 1:-1]
    second = luma[:-2] - 2 * luma[1:-1] + luma[2:]
    noise = np.abs(second[:, :-2] - 2 * second[:, 1:-1] + second[:, 2:])
    small = picture.copy()
    small.thumbnail((256, 256), Image.Resampling.BOX)
    darkest = Image.fromarray(np.asarray(small).min(axis=2)).filter(ImageFilter.MinFilter(15))
    thumb = np.asarray(picture.convert("L").resize((32, 32), Image.Resampling.BOX), dtype=np.float64)
    red, green, blue = np.moveaxis(np.asarray(small, dtype=np.float64), 2, 0)
    return {
        "digest": float(len(hashlib.sha256(data).hexdigest())),
        "mean_luma": luma.mean(),
        "contrast": luma.std(),
        "percentiles": float(np.percentile(luma, (1, 99)).sum()),
        "clipped": (luma <= 5).mean() + (luma >= 250).mean(),
        "sharpness": laplacian.var(),
        "focus": laplacian.var() / max(luma.var(), 1.0),
        "noise": float(np.median(noise)),
        "entropy": float(-(shares[shares > 0] @ np.log2(shares[shares > 0]))),
        "saturation": float(np.asarray(small.convert("HSV"))[:, :, 1].mean()),
        "colourfulness": float(np.hypot((red - green).std(), ((red + green) / 2 - blue).std())),
        "haze": float(np.quantile(np.asarray(darkest), 0.1)),
        "hash": float((np.abs(np.fft.rfft2(thumb))[:8, :8] > 1).sum()),
    }


class Manifest(Mapping[str, PhotoFacts]):
    """Photographs that are only numbers; every tenth is almost the one before it."""

    def __init__(self, count: int) -> None:
        self.names = [f"photos/flight-{number // 500}/{number:06}.jpg" for number in range(count)]
        self.number = {name: number for number, name in enumerate(self.names)}
        self.header = Header("jpeg", *SIZE_WH, 1, b"", b"")

    def __len__(self) -> int:
        return len(self.names)

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __contains__(self, key: object) -> bool:
        return key in self.number

    def __getitem__(self, key: str) -> PhotoFacts:
        number = self.number[key]
        flight, frame = divmod(number, 500)
        random = np.random.default_rng(number - (number % 10 == 9))
        thumb = random.integers(0, 255, (32, 32)).astype(np.uint8)
        metadata = PhotoMetadata(
            captured_at=datetime(2025, 6, 1, 10) + timedelta(days=flight % 90, seconds=2 * frame),
            latitude_deg=52 + 0.01 * (flight // 20) + 0.0003 * (frame // 25),
            longitude_deg=13 + 0.01 * (flight % 20) + 0.0003 * (frame % 25),
            altitude_agl_m=20.0 + flight % 100,
            gimbal_pitch_deg=-90.0,
            yaw_deg=0.0,
            focal_length_35mm_mm=24.0,
        )
        low = cv2.dct(thumb.astype(np.float32))[:8, :8].ravel()
        phash = int.from_bytes(np.packbits(low > np.median(low)).tobytes(), "big")
        values = random.random(18).tolist()
        pixels = PixelFacts(*values[:14], phash, thumb, *(100 * value for value in values[14:]))
        facts = PhotoFacts(key, 4_000_000, hashlib.sha256(key.encode()).hexdigest(), self.header, metadata)
        return replace(facts, pixels=pixels)


class ManifestLabels(Mapping[str, PhotoLabels]):
    """Ten boxes per photograph."""

    def __init__(self, manifest: Manifest) -> None:
        self.manifest = manifest

    def __len__(self) -> int:
        return len(self.manifest)

    def __iter__(self) -> Iterator[str]:
        return iter(self.manifest)

    def __getitem__(self, key: str) -> PhotoLabels:
        random = np.random.default_rng(self.manifest.number[key])
        corners = random.uniform((0, 0), (3900, 2900), (BOXES, 2))
        boxes = np.concatenate([corners, corners + random.uniform(10, 100, (BOXES, 2))], axis=1)
        return PhotoLabels(SIZE_WH, random.integers(0, 3, BOXES), boxes, np.arange(BOXES), "labels.txt")


def _memory(count: int) -> dict[str, float]:
    manifest = Manifest(count)
    read = Read(_subject(manifest, ManifestLabels(manifest)), SourceFiles(Path(), (), ()), (), Sniffed("", (), ""))
    start_mb = _peak_mb()  # libraries, and the names and flights of the manifest
    seconds = _timed(lambda: measure(read, workers=1))
    return {"start_mb": start_mb, "peak_mb": _peak_mb(), "seconds": seconds}


def _peak_mb() -> float:
    """Peak of resident memory; on Linux not from getrusage, which goes on with the peak of the parent process."""
    status = Path("/proc/self/status")
    if status.exists():
        return next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith("VmHWM")) / 1e3
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1e6 if sys.platform == "darwin" else 1e3)


if __name__ == "__main__":
    main()
