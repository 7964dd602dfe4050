"""Splits: whole flights only, the same seed gives the same split, cuts keep their distance."""

import itertools
from collections import Counter
from datetime import datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from overflight.data.manifest import PhotoRecord
from overflight.data.split import split_photos
from overflight.errors import InputError

START = datetime(2026, 5, 1, 10, 0, 0)


def record(flight, number, *, boxes=3, at_s=None):
    digest = f"{abs(hash((flight, number))):064x}"[-64:]
    return PhotoRecord(
        path=f"photos/{flight}_{number:04d}.jpg",
        sha256=digest,
        bytes=10,
        width_px=100,
        height_px=80,
        flight=flight,
        flight_evidence="name",
        captured_at=None if at_s is None else (START + timedelta(seconds=at_s)).isoformat(),
        labels=f"labels/{flight}_{number:04d}.txt",
        labels_sha256=digest,
        boxes=boxes,
    )


def split_of(photos, counts=None, **options):
    counts = counts or {photo.path: np.array([photo.boxes, 0]) for photo in photos}
    return split_photos(photos, counts, **options)


def paths(split, part):
    return [photo.path for photo in split.photos(part)]


@given(st.lists(st.integers(1, 30), min_size=3, max_size=14), st.integers(0, 5))
def test_every_photo_goes_to_one_part_and_no_flight_is_torn(sizes, seed):
    photos = [record(f"f{flight}", n, boxes=n % 5) for flight, size in enumerate(sizes) for n in range(size)]
    split = split_of(photos, seed=seed)
    assert sorted(path for part in split.parts() for path in paths(split, part)) == sorted(p.path for p in photos)
    flights = [{photo.flight for photo in split.photos(part)} for part in split.parts()]
    assert all(flights)
    assert sum(map(len, flights)) == len(set.union(*flights)) == len(sizes)
    assert split_of(photos[::-1], seed=seed).names() == split.names()


def test_equal_flights_are_divided_60_20_20():
    photos = [record(f"f{flight:02d}", n) for flight in range(10) for n in range(8)]
    split = split_of(photos)
    assert [len(split.names()[part]) for part in ("train", "val", "test")] == [6, 2, 2]


def test_many_flights_are_divided_about_right():
    photos = [record(f"f{flight:03d}", n) for flight in range(120) for n in range(1 + flight % 7)]
    split = split_of(photos)
    shares = [len(split.photos(part)) / len(photos) for part in ("train", "val", "test")]
    assert shares == pytest.approx([0.6, 0.2, 0.2], abs=0.03)


def test_seeds_choose_among_good_splits():
    photos = [record(f"f{flight:02d}", n) for flight in range(9) for n in range(8)]
    assert len({str(split_of(photos, seed=seed).names()) for seed in range(8)}) > 1


def test_a_class_of_two_flights_is_in_train_and_test():
    photos = [record(f"f{flight}", n) for flight in range(8) for n in range(5)]
    counts = {p.path: np.array([3, 1 if p.flight in ("f2", "f5") else 0]) for p in photos}
    for seed in range(5):
        split = split_of(photos, counts, seed=seed)
        for part in ("train", "test"):
            assert sum(counts[path] for path in paths(split, part))[1] > 0, part


def test_one_flight_is_refused_with_the_way_out():
    with pytest.raises(InputError, match="all 9 photos belong to one flight") as caught:
        split_of([record("f", n) for n in range(9)])
    assert "--split-by time-gap" in caught.value.cure


def test_of_two_flights_one_is_held_out_and_the_other_cut():
    photos = [record("a", n) for n in range(6)] + [record("b", n) for n in range(40)]
    split = split_of(photos)
    assert split.names() == {"train": ["b#1"], "val": ["b#2"], "test": ["a"]}
    assert len(split.left_out) == 2
    assert "only two flights" in split.notes[0]


def test_time_gap_cuts_one_flight_in_the_order_taken_with_a_guard():
    photos = [record("f", n, at_s=2 * n) for n in range(60)]
    split = split_of(photos[::-1], by="time-gap")
    assert split.names() == {"train": ["f#1"], "val": ["f#2"], "test": ["f#3"]}
    order = [paths(split, part) for part in ("train", "val", "test")]
    assert max(order[0]) < min(order[1])
    assert max(order[1]) < min(order[2])
    assert len(split.left_out) == 6
    assert sum(map(len, order)) + len(split.left_out) == 60
    assert [len(part) for part in order] == pytest.approx([36, 12, 12], abs=6)


def test_without_times_frame_numbers_are_the_order_and_the_widest_gap_near_the_place_is_cut():
    numbers = [*range(35), *range(900, 925)]
    split = split_of([record("f", n) for n in numbers], by="time-gap")
    assert min(paths(split, "val")) == "photos/f_0900.jpg"


def test_long_pauses_end_a_piece_and_need_no_guard():
    photos = [record("f", n, at_s=n * 5 + (n // 10) * 3600) for n in range(40)]
    split = split_of(photos, by="time-gap")
    pieces = [name for names in split.names().values() for name in names]
    assert sorted(pieces) == ["f#1", "f#2", "f#3", "f#4"]
    assert split.left_out == ()
    shorter = split_of(photos, by="time-gap", gap_s=7200)
    assert len([name for names in shorter.names().values() for name in names]) == 3


def test_time_gap_leaves_several_short_flights_whole():
    photos = [record(f"f{flight}", n, at_s=n) for flight in range(4) for n in range(5)]
    split = split_of(photos, by="time-gap")
    assert sorted(name for names in split.names().values() for name in names) == ["f0", "f1", "f2", "f3"]


@given(st.integers(5, 200), st.booleans())
def test_cuts_lose_no_photo_and_neighbours_never_meet(count, timed):
    photos = [record("f", n, at_s=n if timed else None) for n in range(count)]
    split = split_of(photos, by="time-gap")
    parts = {photo.path: part for part in split.parts() for photo in split.photos(part)}
    assert Counter(parts.values()).keys() == {"train", "val", "test"}
    assert len(parts) + len(split.left_out) == count
    line = [parts.get(photo.path, "guard") for photo in photos]
    for left, right in itertools.pairwise(line):
        assert left == right or "guard" in (left, right)


def test_too_few_photos_to_cut_are_refused():
    with pytest.raises(InputError, match="4 photos; to cut it into 3 pieces 5 are needed"):
        split_of([record("f", n) for n in range(4)], by="time-gap")
