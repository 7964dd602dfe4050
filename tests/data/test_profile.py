"""One pass over a survey: columns, groups and likeness, also of what cannot be used."""

import math
import tracemalloc
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pytest
from pictures import SHARED, jpeg, png, subject, town

from label_subjects import photo
from overflight.data.facts import PhotoFacts, photo_facts
from overflight.data.files import PhotoFile, SourceFiles
from overflight.data.formats.labels import LabelSet
from overflight.data.formats.sniffed import Sniffed
from overflight.data.metadata import PhotoMetadata
from overflight.data.profile.boxes import box_columns, crowding
from overflight.data.profile.measure import altitude_band, measure
from overflight.data.profile.sites import sites_of
from overflight.data.profile.sun import sun_of, sun_position
from overflight.data.profile.tables import (
    BOX_COLUMNS,
    PHOTO_COLUMNS,
    boxes_frame,
    neighbours_frame,
    photos_frame,
)
from overflight.data.reading import Read, read_source
from overflight.imaging.header import Header

NADIR = PhotoMetadata(
    captured_at=datetime(2025, 6, 21, 12, 0),
    latitude_deg=52.0,
    longitude_deg=13.4,
    altitude_agl_m=50.0,
    gimbal_pitch_deg=-90.0,
    yaw_deg=0.0,
    focal_length_35mm_mm=24.0,
    camera_make="DJI",
    camera_model="FC220",
)


def source(tmp_path, photos, *, classes="car\nbus\n", **options):
    """Read a folder of photographs (bytes) with YOLO labels (text, None for no file) by name."""
    for name, (data, labels) in photos.items():
        place = tmp_path / "images" / name
        place.parent.mkdir(parents=True, exist_ok=True)
        if data is not None:
            place.write_bytes(data)
        text = tmp_path / "labels" / name.replace(".jpg", ".txt").replace(".png", ".txt")
        text.parent.mkdir(parents=True, exist_ok=True)
        if labels is not None:
            text.write_text(labels)
    (tmp_path / "classes.txt").write_text(classes)
    return read_source(tmp_path, name="here", **options)


def read_of(facts, labels=(), *, classes=("car", "bus"), flights=None):
    """A Read of facts without files; nothing can be decoded."""
    photos = {fact.key: fact for fact in facts}
    found = subject(photos, classes=classes, flights=flights)
    found = type(found)(**{**vars(found), "labels": LabelSet("yolo", tuple(classes), dict(labels))})
    files = SourceFiles(found.root, tuple(PhotoFile(key, key) for key in photos), ())
    return Read(found, files, (), Sniffed("yolo", (), "a test"))


def known(key, metadata=NADIR, **values):
    return PhotoFacts(**{"key": key, "bytes": 9, "sha256": key * 8, "header": None, "metadata": metadata} | values)


def row(profile, name):
    keys = [key.rpartition("/")[2] for key in profile.photos["photo"]]
    return {column: values[keys.index(name)] for column, values in profile.photos.items()}


def test_every_column_is_there_and_of_its_type(tmp_path):
    profile = measure(source(tmp_path, {"a.jpg": (jpeg(town()), "0 0.5 0.5 0.2 0.2\n1 0.6 0.6 0.1 0.2\n")}))
    assert list(profile.photos) == list(PHOTO_COLUMNS)
    assert list(profile.boxes) == list(BOX_COLUMNS)
    for columns, kinds, rows in ((profile.photos, PHOTO_COLUMNS, 1), (profile.boxes, BOX_COLUMNS, 2)):
        assert {name: values.dtype for name, values in columns.items()} == {k: np.dtype(v[0]) for k, v in kinds.items()}
        assert {len(values) for values in columns.values()} == {rows}
    of = row(profile, "a.jpg")
    assert (of["width_px"], of["height_px"], of["boxes"], of["classes"], of["labelled"]) == (320, 240, 2, 2, True)
    assert of["cover_share"] == pytest.approx(0.06, abs=1e-6)
    assert of["red_share"] + of["green_share"] + of["blue_share"] == pytest.approx(1)
    assert of["colourfulness"] > 0
    assert (of["site"], of["altitude_band"], of["time_of_day"], of["clock"]) == ("unknown", "unknown", "unknown", "")


def test_the_number_of_threads_changes_nothing(tmp_path):
    photos = {f"{n}.jpg": (jpeg(town(n)), f"{n % 2} 0.5 0.5 0.{n + 1} 0.2\n") for n in range(6)}
    read, seen = source(tmp_path, photos), []
    one = measure(read, workers=1, progress=lambda done, of: seen.append((done, of)))
    many = measure(read, workers=4)
    decoded = measure(source(tmp_path, {}, decode=True))
    assert seen == [(n, 6) for n in range(1, 7)]
    for other in (many, decoded):
        assert other.summary == one.summary
        for name in PHOTO_COLUMNS:
            np.testing.assert_array_equal(one.photos[name], other.photos[name], err_msg=name)


def test_nothing_is_left_out(tmp_path):
    photos = {
        "1.jpg": (jpeg(town(1)), "0 0.5 0.5 0.2 0.2\n"),
        "2.jpg": (jpeg(town(2))[:900], "0 0.5 0.5 0.2 0.2\n"),
        "3.jpg": (b"", None),
        "4.jpg": (jpeg(town(4)), None),
        "5.jpg": (jpeg(town(5)), ""),
    }
    profile = measure(source(tmp_path, photos))
    faults = {
        key.rpartition("/")[2]: fault
        for key, fault in zip(profile.photos["photo"], profile.photos["fault"], strict=True)
    }
    assert faults == {"1.jpg": "", "2.jpg": "truncated", "3.jpg": "zero-bytes", "4.jpg": "", "5.jpg": ""}
    assert math.isnan(row(profile, "2.jpg")["mean_luma"])
    assert not row(profile, "4.jpg")["labelled"]
    assert row(profile, "5.jpg")["labelled"]
    assert row(profile, "5.jpg")["cover_share"] == 0
    assert profile.summary["unusable"] == {"truncated": 1, "zero-bytes": 1}
    assert any("2 of 5 photographs cannot be used" in note for note in profile.notes)


def test_a_photograph_that_goes_away_in_the_middle_has_a_fault(tmp_path):
    read = source(tmp_path, {f"{n}.jpg": (jpeg(town(n)), "0 0.5 0.5 0.2 0.2\n") for n in range(3)})
    (tmp_path / "images/1.jpg").unlink()
    profile = measure(read)
    assert profile.photos["fault"].tolist() == ["", "unreadable", ""]
    assert profile.photos["boxes"].tolist() == [1, 1, 1]
    assert np.isnan(profile.photos["focus"]).tolist() == [False, True, False]


def test_photographs_that_only_labels_know_have_a_row():
    labels = {"a.jpg": photo((0, 0, 40, 30)), "b.jpg": photo((5, 5, 20, 25), classes=[1])}
    profile = measure(read_of([], labels))
    assert profile.photos["fault"].tolist() == ["missing", "missing"]
    assert profile.photos["width_px"].tolist() == [400, 400]
    assert profile.boxes["photo_index"].tolist() == [0, 1]
    assert boxes_frame(profile)["class_name"].tolist() == ["car", "bus"]


@pytest.mark.parametrize("classes", [(), ("car",)], ids=["no classes", "one class"])
@pytest.mark.parametrize("photos", [0, 1], ids=["no photographs", "one photograph"])
def test_without_boxes_everything_is_empty_not_broken(photos, classes):
    labels = {"a": photo()} if photos else {}
    profile = measure(read_of([known("a")][:photos], labels, classes=classes))
    assert len(profile) == photos
    assert len(profile.boxes["class_id"]) == 0
    assert profile.summary["features"]["boxes"]["aspect"]["count"] == 0
    assert profile.summary["co_occurrence"] == [[0]] * len(classes)
    assert np.sum(profile.summary["heat_map"]) == 0
    assert len(photos_frame(profile)) == photos
    assert len(boxes_frame(profile)) == len(neighbours_frame(profile)) == 0


def test_copies_and_near_duplicates_name_the_one_before(tmp_path):
    first, moved, other = jpeg(town(7)), jpeg(town(7, shift_px=2), quality=80), jpeg(town(8))
    read = source(tmp_path, {"1.jpg": (first, ""), "2.jpg": (other, ""), "3.jpg": (first, ""), "4.jpg": (moved, "")})
    everything, by_hash = measure(read), measure(read, each_with_each=0)
    for profile in (everything, by_hash):
        pairs = neighbours_frame(profile).to_dict("records")
        short = {(pair["photo"][-5:], pair["other"][-5:], pair["kind"]) for pair in pairs}
        assert ("1.jpg", "3.jpg", "same-file") in short
        assert ("1.jpg", "3.jpg", "near-duplicate") not in short
        assert row(profile, "4.jpg")["near_duplicate_of"][-5:] in ("1.jpg", "3.jpg")
        assert row(profile, "2.jpg")["near_duplicate_of"] == row(profile, "2.jpg")["same_file_as"] == ""
        assert profile.summary["alike"]["same_file"] == 1
    np.testing.assert_allclose(everything.neighbours["value"], by_hash.neighbours["value"], atol=1e-3)


def test_ground_seen_twice_is_named():
    header = Header("jpeg", 4000, 3000, 1, b"", b"")
    moved = PhotoMetadata(**{**vars(NADIR), "longitude_deg": 13.4001})
    far = PhotoMetadata(**{**vars(NADIR), "longitude_deg": 13.5})
    places = {"a": NADIR, "b": moved, "c": far}
    looks = [photo_facts(jpeg(town(seed)), key="x", decode=True).pixels for seed in range(3)]
    facts = [known(key, places[key], header=header, pixels=look) for key, look in zip(places, looks, strict=True)]
    profile = measure(read_of(facts))
    assert profile.photos["same_ground_as"].tolist() == ["", "a", ""]
    # 6.87 m to the east; 4000 px of 1.803 cm are 72.1 m
    assert profile.photos["ground_share"][1] == pytest.approx(1 - 6.87 / 72.1, abs=0.01)
    assert profile.photos["site"].tolist() == ["site-1", "site-1", "site-2"]
    assert profile.photos["gsd_cm"][0] == pytest.approx(100 * 50 / (24 / 43.2666 * 5000), rel=1e-3)
    assert profile.photos["camera"][0] == "DJI FC220"


def test_centimetres_are_pixels_times_the_ground_sample():
    columns = box_columns([photo((10, 10, 110, 60)), photo((0, 0, 10, 10))], [3, 5], [2.0, math.nan])
    assert columns["photo_index"].tolist() == [3, 5]
    assert columns["box_width_cm"][0] == 200
    assert columns["box_height_cm"][0] == 100
    assert columns["box_side_cm"][0] == pytest.approx(2 * math.sqrt(5000))
    assert math.isnan(columns["box_side_cm"][1])
    assert columns["aspect"].tolist() == [2, 1]


@pytest.mark.parametrize(
    ("box", "at_border", "near_border"),
    [
        ((2, 50, 20, 60), True, True),
        ((3, 50, 20, 60), False, True),
        ((5, 50, 20, 60), False, False),
        ((50, 50, 398, 60), True, True),
        ((50, 50, 60, 297.5), False, True),
        ((50, -3, 60, 60), True, True),
    ],
)
def test_borders(box, at_border, near_border):
    columns = box_columns([photo(box)], [0], [math.nan])  # 400 x 300 px: 1 % is 4 and 3 px
    assert (columns["at_border"][0], columns["near_border"][0]) == (at_border, near_border)


def test_ignored_regions_are_no_boxes():
    columns = box_columns([photo((0, 0, 9, 9), (1, 1, 5, 5), ignored=[True, False])], [0], [1.0])
    assert columns["box_index"].tolist() == [1]


def test_crowding_is_that_of_each_with_each():
    random = np.random.default_rng(3)
    counts = np.array([0, 1, 2, 40, 0, 7])
    corners = random.uniform(0, 300, (counts.sum(), 2))
    boxes = np.concatenate([corners, corners + random.uniform(0, 60, corners.shape)], axis=1)
    neighbour, overlaps = crowding(boxes, counts)
    first = 0
    for count in counts:
        mine = boxes[first : first + count]
        for index, box in enumerate(mine):
            others = np.delete(mine, index, axis=0)
            area = (box[2] - box[0]) * (box[3] - box[1])
            centre = (others[:, :2] + others[:, 2:]) / 2 - (box[:2] + box[2:]) / 2
            sides = np.hypot(*centre.T).min() / math.sqrt(area) if len(others) else math.nan
            inner = np.minimum(others[:, 2:], box[2:]) - np.maximum(others[:, :2], box[:2])
            shared = np.clip(inner, 0, None).prod(axis=1).max() if len(others) else 0.0
            assert neighbour[first + index] == pytest.approx(sides, nan_ok=True)
            assert overlaps[first + index] == (shared >= 0.1 * area)
        first += count


def test_boxes_without_area_have_no_crowding():
    neighbour, overlaps = crowding(np.array([[5, 5, 5, 9], [0, 0, 9, 9], [9, 9, 3, 3.0]]), np.array([3]))
    assert np.isnan(neighbour).tolist() == [True, False, True]
    assert not overlaps.any()


def test_photographs_sum_up_their_own_boxes():
    labels = {
        "a": photo((0, 0, 10, 10), (5, 0, 15, 10), (200, 200, 220, 220), classes=[0, 0, 1]),
        "b": photo(),
        "c": photo((50, 50, 60, 60)),
    }
    photos = measure(read_of([known(key) for key in "abc"], labels)).photos
    assert photos["boxes"].tolist() == [3, 0, 1]
    assert photos["classes"].tolist() == [2, 0, 1]
    np.testing.assert_allclose(photos["overlapping_share"], [2 / 3, math.nan, 0])
    np.testing.assert_allclose(photos["border_share"], [2 / 3, math.nan, 0])
    np.testing.assert_allclose(photos["neighbour_sides"], [0.5, math.nan, math.nan])
    np.testing.assert_allclose(photos["cover_share"], [600 / 120000, 0, 100 / 120000], rtol=1e-5)


@pytest.mark.parametrize(
    ("altitude_m", "band"),
    [
        (None, "unknown"), (math.nan, "unknown"), (-3, "<15 m"), (14.9, "<15 m"), (15, "15-30 m"), (59, "30-60 m"),
        (60, "60-120 m"), (120, ">120 m"), (500, ">120 m"),
    ],
)  # fmt: skip
def test_altitude_bands(altitude_m, band):
    assert altitude_band(altitude_m) == band


# Solar noon: 90 - |latitude - declination|, with the declination of the Astronomical Almanac and the equation of time.
# The others: sunrise and sunset tables (upper limb with refraction: centre at -0.83 degrees) and NOAA's calculator.
@pytest.mark.parametrize(
    ("moment", "place", "elevation_deg"),
    [
        (datetime(2024, 3, 20, 12, 7, 30, tzinfo=UTC), (0.0, 0.0), 89.9),
        (datetime(2024, 6, 20, 12, 2, tzinfo=UTC), (51.4779, 0.0), 61.96),
        (datetime(2024, 12, 21, 11, 58, tzinfo=UTC), (51.4779, 0.0), 15.08),
        (datetime(2025, 6, 21, 11, 8, tzinfo=UTC), (52.52, 13.405), 60.92),
        (datetime(2024, 12, 21, 11, 54, tzinfo=timezone(timedelta(hours=10))), (-33.87, 151.21), 79.57),
        (datetime(2025, 9, 22, 18, 0, tzinfo=UTC), (0.0, 0.0), -1.85),
        (datetime(2024, 6, 20, 3, 43, tzinfo=UTC), (51.4779, 0.0), -0.83),
        (datetime(2024, 6, 20, 20, 21, tzinfo=UTC), (51.4779, 0.0), -0.83),
        (datetime(2024, 12, 21, 8, 4, tzinfo=UTC), (51.4779, 0.0), -0.83),
    ],
)
def test_the_sun_stands_where_almanacs_say(moment, place, elevation_deg):
    assert sun_position(moment, *place)[0] == pytest.approx(elevation_deg, abs=0.5)


@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        (datetime(2025, 6, 21, 13, 8, tzinfo=timezone(timedelta(hours=2))), ("noon", "offset")),
        (datetime(2025, 6, 21, 12, 8), ("noon", "longitude")),
        (datetime(2025, 6, 21, 8, 0), ("morning", "longitude")),
        (datetime(2025, 6, 21, 16, 0), ("afternoon", "longitude")),
        (datetime(2025, 6, 21, 4, 0), ("dusk", "longitude")),
        (datetime(2025, 12, 21, 22, 0), ("night", "longitude")),
        (datetime(1980, 1, 1), ("unknown", "contradicted")),
        (datetime(1, 1, 1), ("unknown", "contradicted")),
        (datetime(9999, 12, 31, 23, 59), ("night", "longitude")),
        (None, ("unknown", "")),
    ],
)
def test_time_of_day_and_clock(moment, expected):
    sun = sun_of(moment, 52.5, 13.4)
    assert (sun.time_of_day, sun.clock) == expected


def test_a_bright_night_contradicts_the_clock():
    midnight = datetime(2025, 12, 21, 23, 30)
    assert sun_of(midnight, 52.5, 13.4, mean_luma=20).time_of_day == "night"
    assert sun_of(midnight, 52.5, 13.4, mean_luma=120).clock == "contradicted"
    assert sun_of(midnight, None, None, mean_luma=120).clock == ""


def test_clocks_that_contradict_each_other_stay_side_by_side():
    clocks = [
        datetime(2025, 6, 21, 12, 0), datetime(1970, 1, 1), None, datetime(2025, 6, 21, 12, tzinfo=UTC),
        datetime(2025, 6, 20, 12, 0),
    ]  # fmt: skip
    facts = [known(str(n), PhotoMetadata(**{**vars(NADIR), "captured_at": moment})) for n, moment in enumerate(clocks)]
    profile = measure(read_of(facts))
    assert profile.photos["clock"].tolist() == ["longitude", "contradicted", "", "offset", "longitude"]
    assert profile.photos["time_of_day"].tolist() == ["noon", "unknown", "unknown", "noon", "noon"]
    assert any("clock that cannot be right" in note for note in profile.notes)
    assert any("longitude / 15" in note for note in profile.notes)


DEGREE_M = 111_195.0


@pytest.mark.parametrize(
    ("places", "sites"),
    [
        ([(52, 13)], "1"),
        ([(52, 13), (52 + 280 / DEGREE_M, 13)], "11"),
        ([(52, 13), (52 + 320 / DEGREE_M, 13)], "12"),
        ([(52 + n * 250 / DEGREE_M, 13) for n in range(9)], "111111111"),
        ([(10, 10), (52, 13), (52, 13)], "211"),
        ([(0, 179.9995), (0, -179.9995)], "11"),
        ([(89.9999, 0), (89.9999, 180)], "11"),
        ([(math.nan, math.nan), (1, 1)], "?1"),
        ([(math.nan, math.nan)], "?"),
    ],
    ids=["one", "near", "far", "chain", "by size", "antimeridian", "pole", "one unknown", "unknown"],
)
def test_sites(places, sites):
    latitudes, longitudes = np.array(places, dtype=np.float64).T
    expected = ["unknown" if number == "?" else f"site-{number}" for number in sites]
    assert sites_of(latitudes, longitudes).tolist() == expected


def test_sites_are_those_of_each_with_each():
    random = np.random.default_rng(1)
    places = random.uniform(0, 4000, (150, 2)) / DEGREE_M + (10.0, 20.0)
    metres = (places - (10.0, 20.0)) * DEGREE_M * np.array([1, math.cos(math.radians(10))])
    apart = np.hypot(*(metres[:, None] - metres[None]).transpose(2, 0, 1))
    apart[(apart > 270) & (apart < 330)] = 0  # the limit is exact to some 15 m: make those sure
    found = sites_of(places[:, 0], places[:, 1])
    linked = apart < 270
    for one, other in np.argwhere(linked & (apart > 0)):
        assert found[one] == found[other]
    assert 1 < len(set(found.tolist())) < 150


def test_other_formats_are_measured_too(tmp_path):
    read = source(tmp_path, {"a.png": (png(town(3)), ""), "b.jpg": (jpeg(town(3), 98), "")})
    profile = measure(read)
    assert sorted(profile.photos["format"].tolist()) == ["jpeg", "png"]
    assert profile.photos["mean_luma"][0] == pytest.approx(profile.photos["mean_luma"][1], abs=1)


@pytest.mark.skipif(not SHARED.exists(), reason="the real photographs are not here")
def test_real_photographs_of_four_cameras():
    read = read_source(SHARED / "aerial-cars", name="aerial-cars")
    profile = measure(read)
    assert len(profile) == 71
    assert len(profile.boxes["class_id"]) == 1617
    counts = {entry["name"]: entry["boxes"] for entry in profile.summary["class_balance"]}
    assert counts == {"car": 1459, "truck": 5, "bus": 68, "minibus": 85, "cyclist": 0}
    sides = profile.boxes["box_side_px"]
    np.testing.assert_allclose(np.quantile(sides, [0.05, 0.5, 0.95]), [23, 40, 80], atol=1)
    assert (sides < 32).mean() == pytest.approx(0.45, abs=0.01)
    # Two stills with a position, 98.9 m nadir and 119.8 m oblique; their cars are about 4.5 x 1.8 m.
    assert profile.photos["altitude_band"].tolist().count("60-120 m") == 2
    cars = profile.boxes["box_side_cm"][profile.boxes["class_id"] == 0]
    assert 250 < np.nanmedian(cars) < 500
    assert profile.summary["alike"]["near_duplicates"] > 55
    assert (profile.photos["site"] != "unknown").sum() == 2


class Made(Mapping):
    """Photographs that exist only while they are looked at."""

    def __init__(self, count):
        self.names = [f"{number}" for number in range(count)]
        self.pixels = photo_facts(jpeg(town(1, size_wh=(64, 48))), key="x", decode=True).pixels

    def __iter__(self):
        return iter(self.names)

    def __len__(self):
        return len(self.names)

    def __getitem__(self, key):
        if not key.isdigit():
            raise KeyError(key)
        thumb = np.random.default_rng(int(key)).integers(0, 255, (32, 32)).astype(np.uint8)
        pixels = replace(self.pixels, thumb=thumb, phash=int.from_bytes(thumb[0, :8].tobytes(), "big"))
        return known(key, PhotoMetadata(), pixels=pixels)


def test_neither_pixels_nor_thumbs_stay_in_memory():
    peaks = {}
    for count in (200, 1200):
        read = read_of([])
        read = replace(read, subject=replace(read.subject, photos=Made(count)))
        tracemalloc.start()
        assert len(measure(read, workers=1, each_with_each=0)) == count
        peaks[count] = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert (peaks[1200] - peaks[200]) / 1000 < 1200  # bytes a photograph; a thumb alone has 1024
