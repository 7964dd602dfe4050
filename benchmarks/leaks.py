"""Seconds and memory to find the leaks between two parts of a survey of 100 000 photographs, beside brute force.

Hashes, thumbs, footprints, times and flights are made up, no photograph is needed. Flights come in pairs over one site;
a part of the test shows again what training shows: the same file, almost the same picture, the same ground, the next
photograph of one card. Brute force compares each photograph of the test with each of training by the same measures
(a row of correlations in numpy, one polygon intersection per pair) for 2 000 photographs in the same run; its time for
all is that times the ratio of the numbers of pairs. Both must find the same photographs leaking there. A second run
takes what is worst for an index by hashes: frames of hovers, all alike within a flight, split by photograph::

    python benchmarks/leaks.py [--photos 100000] [--brute 2000] [--json]
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import time
from dataclasses import dataclass
from datetime import datetime, timedelta

import cv2
import numpy as np
from numpy.typing import NDArray

from overflight.data import leaks
from overflight.data.duplicates import MIN_CORRELATION, structure
from overflight.data.leaks import MIN_SHARE, LeakReport, Side, Traits, measure_leaks
from overflight.imaging.footprint import footprint_overlap

BUDGET_S = 60.0
PER_FLIGHT = 250
SITES_PER_ROW = 40
TEST_SHARE = 0.25
FILE, PICTURE = 0, 1
START = datetime(2026, 5, 1, 8)


@dataclass(frozen=True)
class Look:
    """Hash and thumb, as ``PixelFacts`` has them."""

    phash: int
    thumb: NDArray[np.uint8]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--photos", type=int, default=100_000, help="photographs of both parts together")
    parser.add_argument("--brute", type=int, default=2000, help="photographs for brute force")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    given = parser.parse_args()
    cv2.setNumThreads(1)
    *small, _ = make_parts(given.brute)
    brute_s, expected = timed_brute(*small)
    agreed = {kind: found_by(measure_leaks(*small), kind) == keys for kind, keys in expected.items()}
    *parts, planted = make_parts(given.photos)
    before_mb = peak_mb()
    start = time.perf_counter()
    report = measure_leaks(*parts)
    ours_s = time.perf_counter() - start
    hovers = make_hovers(given.photos)
    start = time.perf_counter()
    hover_report = measure_leaks(*hovers)
    hovers_s = time.perf_counter() - start
    brute_all_s = brute_s * pairs_of(*parts) / pairs_of(*small)
    figures = {
        "photos": given.photos,
        "ours_s": ours_s,
        "budget_s": BUDGET_S,
        "hovers_s": hovers_s,
        "hovers_near_duplicates": hover_report.counts()["near-duplicate"] / len(hovers[1].photos),
        "seconds_by_kind": seconds_by_kind(*parts),
        "brute_photos": given.brute,
        "brute_s": brute_s,
        "brute_extrapolated_s": brute_all_s,
        "times_faster": brute_all_s / ours_s,
        "agrees_with_brute_force": agreed,
        "score": report.score,
        "leaking": report.counts(),
        "planted_pictures": len(planted),
        "planted_found": len(planted & found_by(report, "near-duplicate")),
        "peak_mb": peak_mb(),
        "peak_before_mb": before_mb,
        "load": os.getloadavg()[0],
    }
    if given.json:
        print(json.dumps(figures, indent=2))
        return
    print(f"{given.photos:,} photographs ({len(parts[0].photos):,} train, {len(parts[1].photos):,} test), load "
          f"{figures['load']:.1f}")  # fmt: skip
    print(f"leak search          {ours_s:10.1f} s (budget {BUDGET_S:.0f} s)")
    for kind, seconds in figures["seconds_by_kind"].items():
        print(f"  {kind:18} {seconds:10.1f} s")
    known = figures["hovers_near_duplicates"]
    print(f"frames of hovers     {hovers_s:10.1f} s, {known:.1%} of their test known as almost equal")
    print(f"brute force, {given.brute:,}   {brute_s:10.1f} s, for all {brute_all_s:,.0f} s by extrapolation")
    print(f"ratio                {figures['times_faster']:10.0f}")
    print(f"peak memory          {figures['peak_mb']:10.0f} MB ({before_mb:.0f} MB of it the photographs' traits)")
    print(f"score {report.score:.3f}: " + ", ".join(f"{kind} {count}" for kind, count in report.counts().items()))
    print(f"planted pictures found {figures['planted_found']} of {len(planted)} (large sets are searched by hash)")
    print("the same photographs as brute force: " + ", ".join(f"{k} {v}" for k, v in agreed.items()))


def pairs_of(a: Side, b: Side) -> int:
    """Number of pairs that brute force compares."""
    return len(a.photos) * len(b.photos)


def make_parts(photos: int, *, seed: int = 0) -> tuple[Side, Side, set[str]]:
    """Training and test (flights in pairs over one site, a quarter in the test), and which show a planted picture."""
    random = np.random.default_rng(seed)
    parts: tuple[dict[str, Traits], dict[str, Traits]] = ({}, {})
    trained: list[Traits] = []
    planted: set[str] = set()
    flights = max(2, photos // PER_FLIGHT)
    for flight in range(flights):
        part = int(random.random() < TEST_SHARE) if flight > 1 else flight
        count = photos // flights + (flight < photos % flights)
        first = START + timedelta(hours=3 * flight)
        jitter = random.normal(0, 2e-4, 2)
        for frame in range(count):
            key = f"flight{flight:04d}/DJI_{frame:04d}.JPG"
            traits = _traits(random, flight=flight, frame=frame, first=first, jitter=jitter)
            if part and trained and random.random() < 0.05:
                kind = int(random.integers(3))
                traits = _known_already(random, traits, trained[int(random.integers(len(trained)))], kind)
                planted |= {key} if kind == PICTURE else set()
            parts[part][key] = traits
            if not part:
                trained.append(traits)
    return Side("train", parts[0]), Side("test", parts[1]), planted


def make_hovers(photos: int, *, seed: int = 1) -> tuple[Side, Side]:
    """Flights whose 1 000 frames differ by noise alone, each frame in a part by chance."""
    random = np.random.default_rng(seed)
    parts: tuple[dict[str, Traits], dict[str, Traits]] = ({}, {})
    for number in range(photos):
        flight, frame = divmod(number, 4 * PER_FLIGHT)
        if frame == 0:
            jitter = random.normal(0, 2e-4, 2)
            base = _traits(random, flight=flight, frame=0, first=START, jitter=jitter)
        assert base.pixels is not None
        thumb = (base.pixels.thumb + random.normal(0, 6, base.pixels.thumb.shape)).clip(0, 255).astype(np.uint8)
        moment = START + timedelta(hours=flight, seconds=frame / 10)
        traits = Traits(
            sha256=random.bytes(32).hex(), flight=base.flight, captured_at=moment, pixels=Look(_hash(thumb), thumb)
        )
        parts[int(random.random() < TEST_SHARE)][f"{base.flight}/{frame:04d}.jpg"] = traits
    return Side("train", parts[0]), Side("test", parts[1])


def _traits(
    random: np.random.Generator, *, flight: int, frame: int, first: datetime, jitter: NDArray[np.float64]
) -> Traits:
    """A photograph of a lawn-mower flight with 60 % overlap; about 70 x 40 m of ground."""
    site = flight // 2
    line, along = divmod(frame, 16)
    middle = np.array([8 + site % SITES_PER_ROW * 0.02 + along * 3.5e-4, 50 + site // SITES_PER_ROW * 0.02])
    middle += jitter + np.array([0.0, line * 2.2e-4])
    turn = random.normal(0, 0.05)
    corners = np.array([[-5e-4, -1.8e-4], [5e-4, -1.8e-4], [5e-4, 1.8e-4], [-5e-4, 1.8e-4]])
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    thumb = cv2.resize(random.integers(0, 255, (16, 16)).astype(np.uint8), (32, 32), interpolation=cv2.INTER_CUBIC)
    return Traits(
        sha256=random.bytes(32).hex(),
        flight=f"flight{flight:04d}",
        captured_at=first + timedelta(seconds=4 * frame),
        place=(float(middle[1]), float(middle[0])),
        camera="FC220",
        footprint=corners @ rotation.T + middle,
        pixels=Look(_hash(thumb), thumb),
    )


def _known_already(random: np.random.Generator, traits: Traits, other: Traits, kind: int) -> Traits:
    """``traits`` with the file, the picture or the time of ``other``."""
    changed = dict(vars(traits))
    if kind == FILE:
        changed |= {"sha256": other.sha256, "pixels": other.pixels}
    elif kind == PICTURE and other.pixels is not None:
        noise = random.normal(0, 6, other.pixels.thumb.shape)
        thumb = (other.pixels.thumb + noise).clip(0, 255).astype(np.uint8)
        changed["pixels"] = Look(_hash(thumb), thumb)
    elif other.captured_at is not None:
        changed |= {"captured_at": other.captured_at + timedelta(seconds=2), "place": other.place}
    return Traits(**changed)


def _hash(thumb: NDArray[np.uint8]) -> int:
    low = cv2.dct(thumb.astype(np.float32))[:8, :8].ravel()
    return int.from_bytes(np.packbits(low > np.median(low)).tobytes(), "big")


def timed_brute(a: Side, b: Side) -> tuple[float, dict[str, set[str]]]:
    """Seconds, and the photographs of b that leak by picture and by ground, each compared with each."""
    start = time.perf_counter()
    looks = [
        {key: traits.pixels for key, traits in side.photos.items() if traits.pixels is not None} for side in (a, b)
    ]
    vectors = [np.array([structure(look.thumb) for look in side.values()]) for side in looks]
    found: dict[str, set[str]] = {"near-duplicate": set(), "same-ground": set(), "same-file": set()}
    for row, (key, traits) in enumerate(b.photos.items()):
        if float((vectors[0] @ vectors[1][row]).max()) >= MIN_CORRELATION:
            found["near-duplicate"].add(key)
        for other in a.photos.values():
            if traits.sha256 == other.sha256:
                found["same-file"].add(key)
            if traits.footprint is not None and other.footprint is not None:
                shared = footprint_overlap(traits.footprint, other.footprint)
                if shared >= MIN_SHARE:
                    found["same-ground"].add(key)
    found["near-duplicate"] -= found["same-file"]
    return time.perf_counter() - start, found


def found_by(report: LeakReport, kind: str) -> set[str]:
    """Photographs of b that leak by one kind."""
    return {pair.b for pair in report.pairs if pair.kind == kind}


def seconds_by_kind(a: Side, b: Side) -> dict[str, float]:
    """Each kind of evidence alone: the other traits are taken away."""
    needed = {
        "same-file": ("sha256",),
        "near-duplicate": ("pixels",),
        "same-ground": ("footprint",),
        "same-minute": ("captured_at", "place", "camera"),
        "same-flight": ("flight",),
    }
    found = {}
    for kind in leaks.KINDS:
        sides = [
            Side(
                side.name,
                {key: Traits(**{n: getattr(traits, n) for n in needed[kind]}) for key, traits in side.photos.items()},
            )
            for side in (a, b)
        ]
        start = time.perf_counter()
        measure_leaks(*sides)
        found[kind] = time.perf_counter() - start
    return found


def peak_mb() -> float:
    """Peak memory of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
