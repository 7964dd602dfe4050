"""Synthetic photographs per second of one core, sites and encoding included.

Run: ``python benchmarks/scenes.py [flights] [photos]``. The rate by processor time does not suffer from other programs.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import cv2

from overflight.data.scenes.settings import SceneSettings
from overflight.data.scenes.survey import synthesise


def main(flights: int = 6, photos: int = 20) -> None:
    """Make one survey in this process with one thread and print its rates."""
    cv2.setNumThreads(1)
    settings = SceneSettings(flights=flights, photos=photos)
    with tempfile.TemporaryDirectory() as folder:
        started_cpu = time.process_time()
        summary = synthesise(settings, Path(folder) / "survey", workers=1)
        cpu_s = time.process_time() - started_cpu
    total = sum(summary.photos.values())
    print(f"{total} photographs of {settings.size_px[0]}x{settings.size_px[1]} px, {summary.size_bytes / 1e6:.1f} MB")
    print(f"{total / summary.seconds:.2f} photos/s (wall clock), {total / cpu_s:.2f} photos/s (processor time)")
    print(", ".join(f"{name} {count}" for name, count in summary.boxes_per_class.items()))


if __name__ == "__main__":
    main(*(int(argument) for argument in sys.argv[1:]))
