"""Photographs per second of a complete check, decoding included, beside the same measures with Pillow and numpy.

Run: ``python benchmarks/survey_check.py [--data FOLDER] [--workers N]``. Without a folder: ``aerial-cars`` beside the
checkout, or else a synthetic survey. The peer reads the same files with the same number of threads, decodes them whole
with Pillow and computes the same measures in plain numpy; it knows no labels, so only the facts are compared.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from overflight.data.checks.all import CHECKS
from overflight.data.checks.catalogue import load_catalogue
from overflight.data.checks.run import run_checks
from overflight.data.facts import read_facts
from overflight.data.files import find_files
from overflight.data.reading import read_source
from overflight.data.scenes.settings import SceneSettings
from overflight.data.scenes.survey import synthesise

T = TypeVar("T")
CARS = Path(__file__).parents[2] / "shared/data/aerial-cars"
ROUNDS = 3


def main() -> None:
    """Measure one folder and print its rates."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder with photographs and labels")
    parser.add_argument("--workers", type=int, default=2, help="threads")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as folder:
        root = options.data or (CARS if CARS.exists() else _synthetic(Path(folder) / "survey"))
        measure(root, workers=options.workers)


def measure(root: Path, *, workers: int) -> None:
    """Print seconds and photographs per second of the parts, the whole and the peer; the best of three rounds."""
    files = find_files(root)
    keys = [photo.key for photo in files.photos]
    catalogue = load_catalogue()
    read_s, read = _best(lambda: read_source(root, name="benchmark", decode=True, workers=workers))
    check_s, findings = _best(lambda: run_checks(read.subject, catalogue, CHECKS))
    facts_s, facts = _best(lambda: read_facts(files, keys, decode=True, workers=workers))
    peer_s, _ = _best(lambda: _peer_facts([files.path(key) for key in keys], workers=workers))
    pixels = sum(width * height for fact in facts.values() if (size := fact.size_wh_px) for width, height in [size])
    print(f"{root.name}: {len(keys)} photographs, {pixels / 1e6:.0f} megapixels, {read.subject.labels.boxes} boxes")
    print(f"{workers} threads, {os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}, best of {ROUNDS}")
    rows = [
        ("facts of photographs (decoded)", facts_s),
        ("the same with Pillow and numpy", peer_s),
        ("facts, labels, flights", read_s),
        (f"{len(CHECKS)} checks", check_s),
        ("complete check", read_s + check_s),
    ]
    for name, seconds in rows:
        print(f"{name:32} {seconds:7.2f} s {len(keys) / seconds:9.1f} photos/s")
    counts = Counter(finding.code for finding in [*read.findings, *findings])
    print("findings: " + (", ".join(f"{code} {count}" for code, count in sorted(counts.items())) or "none"))


def _best(call: Callable[[], T]) -> tuple[float, T]:
    seconds, result = float("inf"), None
    for _ in range(ROUNDS):
        started = time.perf_counter()
        result = call()
        seconds = min(seconds, time.perf_counter() - started)
    assert result is not None
    return seconds, result


def _synthetic(folder: Path) -> Path:
    synthesise(SceneSettings(flights=3, photos=8), folder, workers=2)
    return folder


def _peer_facts(paths: list[Path], *, workers: int) -> list[dict[str, float]]:
    with ThreadPoolExecutor(workers) as pool:
        return list(pool.map(_peer, paths))


def _peer(path: Path) -> dict[str, float]:
    """What one would write without thinking of speed."""
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    with Image.open(path) as opened:
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
    return {
        "digest": float(len(digest)),
        "mean_luma": luma.mean(),
        "contrast": luma.std(),
        "p1_luma": float(np.percentile(luma, 1)),
        "p99_luma": float(np.percentile(luma, 99)),
        "clipped": (luma <= 5).mean() + (luma >= 250).mean(),
        "sharpness": laplacian.var(),
        "focus": _by_blocks(laplacian**2, 64, 0.9) / max(luma.var(), 1.0),
        "noise_sigma": _by_blocks(noise, 16, 0.1) * np.sqrt(np.pi / 2) / 6,
        "entropy_bits": -(shares[shares > 0] * np.log2(shares[shares > 0])).sum(),
        "saturation": np.asarray(small.convert("HSV"))[:, :, 1].mean(),
        "haze": float(np.quantile(np.asarray(darkest), 0.1)) / 255,
        "hash": float(np.abs(np.fft.rfft2(thumb))[:8, :8].sum()),
    }


def _by_blocks(values: NDArray[np.float64], side_px: int, quantile: float) -> float:
    rows, columns = values.shape[0] // side_px, values.shape[1] // side_px
    blocks = values[: rows * side_px, : columns * side_px].reshape(rows, side_px, columns, side_px)
    return float(np.quantile(blocks.mean(axis=(1, 3)), quantile))


if __name__ == "__main__":
    main()
