"""Splits: whole flights only, the same seed gives the same split, cuts keep their distance."""

import itertools
from collections import Counter
from datetime import datetime, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from overflight.data.duplicates import NearPair
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


def flown(flight, *, east=0.0, photos=6, start_s=0.0, **known):
    """A flight whose photographs show 36 x 56 m side by side, from ``east`` (degrees) on."""
    found = []
    for number in range(photos):
        left = 8 + east + number * 4e-4
        corners = ((left, 50.0), (left + 5e-4, 50.0), (left + 5e-4, 50.0005), (left, 50.0005))
        place = {"latitude_deg": 50.0, "longitude_deg": left, "footprint_lonlat": corners}
        photo = record(flight, number, at_s=start_s + 5 * number)
        found.append(photo.model_copy(update=place | known))
    return found


def survey(*flights):
    """Flights by (name, site); sites are 7 km apart, flights a week."""
    return [
        photo
        for number, (flight, site) in enumerate(flights)
        for photo in flown(flight, east=site * 0.1, start_s=number * 6e5)
    ]


def parts_of_flights(split):
    return {name: part for part, names in split.names().items() for name in names}


@settings(max_examples=40)
@given(st.lists(st.integers(0, 6), min_size=6, max_size=14), st.integers(0, 3))
def test_flights_over_one_site_are_never_torn_and_the_order_does_not_matter(sites, seed):
    photos = survey(*((f"f{number:02d}", site) for number, site in enumerate(sites)))
    split = split_of(photos, by="ground", seed=seed)
    assert split == split_of(photos[::-1], by="ground", seed=seed)
    if not any("not used" in note or "two groups" in note for note in split.notes):
        parts = parts_of_flights(split)
        for site in set(sites):
            assert len({parts[f"f{number:02d}"] for number, other in enumerate(sites) if other == site}) == 1
        assert [split.leaks(*pair).score for pair in (("train", "val"), ("train", "test"), ("val", "test"))] == [0] * 3


def test_by_flight_the_ground_may_be_shared_and_the_report_says_so():
    photos = survey(("a", 0), ("b", 0), ("c", 1), ("d", 1), ("e", 2), ("f", 2))
    scores = [split_of(photos, seed=seed).leaks().score for seed in range(6)]
    assert max(scores) == 1.0
    assert {split_of(photos, seed=seed, by="ground").leaks().score for seed in range(6)} == {0.0}


def test_of_two_sites_the_smaller_is_the_test_and_the_note_names_what_val_shares():
    split = split_of(survey(("a", 0), ("b", 0), ("c", 0), ("d", 1), ("e", 1)), by="ground")
    assert split.names()["test"] == ["d", "e"]
    assert len(split.train) == 2
    assert "only two groups of flights show different ground" in split.notes[0]
    assert "same ground as" in split.notes[0]
    assert split.leaks().score == 0


def test_of_two_sites_one_with_a_single_long_flight_that_one_is_cut():
    photos = [*flown("a", photos=40), *flown("b", east=0.1), *flown("c", east=0.1, start_s=9e5)]
    split = split_of(photos, by="ground")
    assert split.names() == {"train": ["a#1"], "val": ["a#2"], "test": ["b", "c"]}
    assert "only two groups of flights: b + c is held out" in split.notes[0]


def test_when_all_flights_show_one_site_the_ground_is_given_up_with_what_then_leaks():
    photos = survey(("a", 0), ("b", 0), ("c", 0), ("d", 0))
    split = split_of(photos, by="ground")
    assert set(parts_of_flights(split)) == set("abcd")
    assert "ground and other evidence joins 4 of 4 flights into one group" in split.notes[0]
    assert "same ground as photos/a_000" in split.notes[0]
    assert "6 of 6 test photos (100%) share something with training: same-ground 6" in split.notes[1]


def test_strict_refuses_and_names_the_pair_and_the_way_out():
    with pytest.raises(InputError, match=r"joins 4 of 4 flights.*from 1 group .*same ground as photos/a_000") as caught:
        split_of(survey(("a", 0), ("b", 0), ("c", 0), ("d", 0)), by="ground", strict=True)
    assert "over other ground" in caught.value.cure
    with pytest.raises(InputError, match=r"joins 3 of 5 flights.*from 2 groups"):
        split_of(survey(("a", 0), ("b", 0), ("c", 0), ("d", 1), ("e", 1)), by="ground", strict=True)
    split = split_of(survey(("a", 0), ("b", 0), ("c", 1), ("d", 2)), by="ground", strict=True)
    assert len({parts_of_flights(split)[name] for name in "ab"}) == 1


def test_a_test_of_a_few_photographs_is_none():
    photos = [*flown("a"), *flown("b", start_s=1e6), *flown("c", start_s=2e6), *flown("d", start_s=3e6)]
    photos = [*photos, *flown("e", east=0.1, photos=1), *flown("f", east=0.2, photos=1)]
    split = split_of(photos, by="ground")
    assert len(split.photos("test")) > 1
    assert "not used" in split.notes[0]


def test_known_near_pictures_and_equal_files_join_flights_in_every_mode():
    photos = [record(flight, n) for flight in "abcdef" for n in range(4)]
    photos = [p.model_copy(update={"sha256": photos[0].sha256}) if p.path == "photos/d_0003.jpg" else p for p in photos]
    near = [NearPair("photos/b_0001.jpg", "photos/e_0002.jpg", 0.97)]
    for seed, by in itertools.product(range(4), ("flight", "ground", "time-gap")):
        split = split_of(photos, by=by, near=near, seed=seed)
        parts = parts_of_flights(split)
        assert parts["a"] == parts["d"]
        assert parts["b"] == parts["e"]
        assert {pair.kind for pair in split.joins} == {"same-file", "near-duplicate"}


def test_torn_near_pictures_are_counted_when_they_had_to_be():
    photos = [record(flight, n) for flight in "abc" for n in range(4)]
    near = [NearPair("photos/a_0000.jpg", f"photos/{flight}_0000.jpg", 0.9) for flight in "bc"]
    split = split_of(photos, near=near)
    assert "other evidence joins 3 of 3 flights" in split.notes[0]
    assert any("of almost the same picture are torn" in note for note in split.notes)


def test_photographs_without_gps_are_named_with_the_cure():
    photos = [*survey(("a", 0), ("b", 1)), *(record("c", n) for n in range(6)), *(record("d", n) for n in range(6))]
    notes = split_of(photos, by="ground").notes
    assert any("12 of 24 photos have no footprint" in note and "flights: c, d" in note for note in notes)
    assert any("EXIF and XMP" in note for note in notes)
    assert not any("footprint" in note for note in split_of(photos).notes)


@pytest.mark.parametrize(
    ("moment", "why"),
    [("2000-01-01T00:00:00", "6 are from before 2006"), ("2026-05-01T10:00:00+02:00", "some have a time zone")],
    ids=["never set", "zones"],
)
def test_contradictory_clocks_are_named_with_the_cure(moment, why):
    photos = [*survey(("a", 0), ("b", 1), ("c", 2)), *flown("d", east=0.5, captured_at=moment)]
    notes = split_of(photos, by="ground").notes
    assert any(why in note and "Set the clock" in note for note in notes)
    for by in ("flight", "time-gap"):
        assert sum(len(split_of(photos, by=by).photos(part)) for part in ("train", "val", "test")) == 24


def test_no_photo_and_as_many_flights_as_photos():
    with pytest.raises(InputError, match="no photo to split") as caught:
        split_of([], {"x": np.zeros(2)})
    assert caught.value.cure
    with pytest.raises(InputError, match="has 1 photos; to cut it into 2 pieces 3 are needed") as caught:
        split_of([record("a", 0), record("b", 0)])
    assert "Add another flight" in caught.value.cure
    split = split_of([record(f"f{n}", 0) for n in range(12)])
    assert [len(split.photos(part)) for part in ("train", "val", "test")] in ([7, 2, 3], [7, 3, 2], [8, 2, 2])


def test_a_class_of_one_flight_trains_and_the_note_says_that_it_cannot_be_measured():
    photos = [record(f"f{flight}", n) for flight in range(6) for n in range(5)]
    counts = {p.path: np.array([3, 1 if p.flight == "f2" else 0]) for p in photos}
    split = split_of(photos, counts, classes=("car", "boat"))
    assert "f2" in split.names()["train"]
    assert split.notes == (
        "boat: no box in test, so how well it is found cannot be measured; it is only in f2. "
        "Add a flight that shows it",
    )
    assert split.balance.missing() == {"train": [], "val": [1], "test": [1]}


def test_the_balance_tells_photographs_classes_and_sizes():
    photos = [record(f"f{flight:02d}", n) for flight in range(10) for n in range(8)]
    sizes = {photo.path: np.array([2, 1, 0]) for photo in photos}
    document = split_of(photos, size_counts=sizes).balance.as_dict(["car", "bus"])
    assert document["photos"]["test"] == {"count": 16, "share": 0.2}
    assert document["sizes"]["small"]["train"] == {"count": 96, "share": 0.6}
    assert document["classes"]["bus"]["train"] == {"count": 0, "share": 0.0}
    assert split_of(photos).balance.sizes is None


def test_ground_that_a_split_by_flight_tears_is_told_and_by_ground_nothing_is():
    photos = survey(("a", 0), ("b", 0), ("c", 1), ("d", 1), ("e", 2), ("f", 2))
    whole = split_of(photos, by="ground")
    assert [whole.leaks(*parts).score for parts in itertools.combinations(whole.parts(), 2)] == [0.0, 0.0, 0.0]
    assert len(whole.joins) == 3
    assert whole.balance.photos["train"] == 12
    torn = next(split for seed in range(9) if (split := split_of(photos, seed=seed)).leaks().score)
    assert torn.leaks().pairs[0].kind == "same-ground"
