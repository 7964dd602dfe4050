"""Flights: a table first, then a folder per flight, then the name in front of the frame number."""

from collections import Counter
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path, PurePosixPath

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from overflight.data.flights import (
    PhotoClue,
    assign_flights,
    check_table,
    clue_of,
    flight_findings,
    flight_from_name,
    frame_number,
    infer_flights,
    read_table,
)
from overflight.data.metadata import read_metadata
from overflight.data.scenes.settings import SceneSettings
from overflight.data.scenes.survey import synthesise

SHARED = Path(__file__).parents[2].parent / "shared/data"


@pytest.mark.parametrize(
    ("stem", "flight", "frame"),
    [
        ("DJI-00760-00001", "DJI-00760", 1),
        ("DJI_0005-0018", "DJI_0005", 18),
        ("MunichStreet02-MOS74", "MunichStreet02", 74),
        ("DJI_0010", "DJI", 10),
        ("DJI_20251001132715_0396_D_POOR_SHARPNESS", "DJI", 396),
        ("DJI_20251001132715_0396_D", "DJI", 396),
        ("0000001_02999_d_0000005", "0000001", 2999),  # VisDrone: sequence, frame, d, number of the picture
        ("harbour north_0007", "harbour north", 7),
        ("frame000123", "frame", 123),
        ("0042", "photos", 42),
        ("panorama", "photos", None),
    ],
)
def test_flight_and_frame_from_a_name(stem, flight, frame):
    assert flight_from_name(stem) == flight
    assert frame_number(stem) == frame


def flights(*names, table=None):
    return [(found.flight, found.evidence) for found in assign_flights([PurePosixPath(n) for n in names], table=table)]


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        pytest.param(["a/x_1.jpg", "b/x_1.jpg"], [("a", "folder"), ("b", "folder")], id="a folder per flight"),
        pytest.param(
            ["train/a/x_1.jpg", "val/b/x_1.jpg"], [("a", "folder"), ("b", "folder")], id="below split folders"
        ),
        pytest.param(
            ["train/a_1.jpg", "val/a_2.jpg"], [("a", "name"), ("a", "name")], id="split folders are no flights"
        ),
        pytest.param(
            ["100MEDIA/DJI_0001.JPG", "101MEDIA/DJI_0001.JPG"], [("DJI", "name")] * 2, id="nor are card folders"
        ),
        pytest.param(["only/a_1.jpg", "only/b_1.jpg"], [("a", "name"), ("b", "name")], id="one folder says nothing"),
        pytest.param(
            ["a/x_1.jpg", "b/x_1.jpg", "c_1.jpg"], [("a", "folder"), ("b", "folder"), ("c", "name")], id="mixed"
        ),
    ],
)
def test_folders_and_names(names, expected):
    assert flights(*names) == expected


def table_of(tmp_path, text, name="flights.csv"):
    (tmp_path / name).write_text(text)
    return read_table(tmp_path / name)


@pytest.mark.parametrize("header", ["image,flight", "frame,image,sequence", "\ufeffImage, Flight"])
def test_a_table_is_the_strongest_evidence(tmp_path, header):
    row = "7,DJI_0010.JPG,stills" if header.startswith("frame") else "DJI_0010.JPG,stills"
    table = table_of(tmp_path, f"{header}\n{row}\n\n")
    assert table.findings == ()
    assert flights("a/DJI_0010.JPG", "b/x.jpg", table=table) == [("stills", "table"), ("b", "folder")]


@pytest.mark.parametrize(
    ("text", "where", "what"),
    [
        pytest.param("photo;flight\na;b\n", "flights.csv:1", "has no columns", id="no header"),
        pytest.param("", "flights.csv:1", "has no columns", id="empty"),
        pytest.param("image,flight\na.jpg,\n", "flights.csv:2", "an empty one", id="cell missing"),
        pytest.param("image,flight\na.jpg,x\na.jpg,y\n", "flights.csv:3", "a second flight", id="contradiction"),
        pytest.param('image,flight\n"a.jpg,x\n', "flights.csv", "is not a CSV table", id="open quote"),
    ],
)
def test_a_faulty_table_is_an_error(tmp_path, text, where, what):
    (finding,) = table_of(tmp_path, text).findings
    assert finding.severity == "error"
    assert finding.where == where
    assert what in finding.what


def test_photos_and_lines_without_a_partner_are_warnings(tmp_path):
    table = table_of(tmp_path, "image,flight\na.jpg,x\ngone.jpg,x\n")
    found = check_table(table, [PurePosixPath("a.jpg"), PurePosixPath("new.jpg")])
    assert [(f.severity, f.code) for f in found] == [("warning", "table-extra"), ("warning", "table-gap")]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("DJI_00*,one\nDJI_01*,two\n", ["one", "one", "two"], id="patterns"),
        pytest.param("DJI_0002.JPG,special\nDJI_0*,rest\n", ["rest", "special", "rest"], id="a name before a pattern"),
        pytest.param("DJI_000[12].JPG,low\nDJI*,rest\n", ["low", "low", "rest"], id="the first pattern that fits"),
        pytest.param("card/DJI_0???.JPG,card\n", ["card"] * 3, id="a path"),
        pytest.param("dji*,lower\n", ["DJI"] * 3, id="case differs"),
    ],
)
def test_a_table_may_hold_patterns(tmp_path, text, expected):
    names = ["card/DJI_0001.JPG", "card/DJI_0002.JPG", "card/DJI_0100.JPG"]
    table = table_of(tmp_path, "image,flight\n" + text)
    assert [flight for flight, _ in flights(*names, table=table)] == expected


def test_a_pattern_without_photos_is_a_warning(tmp_path):
    table = table_of(tmp_path, "image,flight\nDJI_*,x\nIMG_*,y\n")
    found = check_table(table, [PurePosixPath("DJI_0001.JPG"), PurePosixPath("frame.jpg")])
    assert [(f.code, f.what.split()[0]) for f in found] == [("table-extra", "IMG_*"), ("table-gap", "does")]


NOON = datetime(2024, 5, 1, 12, 0, 0)
NOW = datetime(2025, 1, 1, tzinfo=UTC)
HERE = (46.8426, -91.9945)


def clue(name, minutes=None, place=HERE, serial=None, model="FC220", *, start=NOON):
    moment = None if minutes is None else start + timedelta(minutes=minutes)
    latitude, longitude = place or (None, None)
    return PhotoClue(PurePosixPath(name), moment, latitude, longitude, serial, model)


def north(km):
    return (HERE[0] + km / 111.2, HERE[1])


def inferred(*clues, **options):
    return [(found.flight, found.evidence) for found in infer_flights(clues, **options)]


A, B, C, D = "DJI_0001.JPG", "DJI_0002.JPG", "DJI_0003.JPG", "DJI_0004.JPG"


@pytest.mark.parametrize(
    ("clues", "expected"),
    [
        pytest.param([clue(A, 0), clue(B, 1), clue(C, 14)], [("DJI", "name")] * 3, id="one flight"),
        pytest.param(
            [clue(A, 0), clue(B, 1), clue(C, 44), clue(D, 45)],
            [("DJI-1", "name, pause of 43 min")] * 2 + [("DJI-2", "name, pause of 43 min")] * 2,
            id="a pause",
        ),
        pytest.param(
            [clue(D, 60), clue(A, 0), clue(B, 1)],
            [
                ("DJI-2", "name, pause of 59 min"),
                ("DJI-1", "name, pause of 59 min"),
                ("DJI-1", "name, pause of 59 min"),
            ],
            id="numbered by time, not by order",
        ),
        pytest.param(
            [clue(A, 0), clue(B, 1), clue(C, 2, north(5.2)), clue(D, 3, north(5.3))],
            [("DJI-1", "name, 5.2 km apart")] * 2 + [("DJI-2", "name, 5.2 km apart")] * 2,
            id="a jump",
        ),
        pytest.param(
            [clue(A, 0), clue(B, 1, north(8000)), clue(C, 2), clue(D, 3)],
            [("DJI-1", "name, 8000 km apart"), ("DJI-2", "name, 8000 km apart")]
            + [("DJI-1", "name, 8000 km apart")] * 2,
            id="one wrong position does not tear the flight",
        ),
        pytest.param(
            [clue(A, 0, serial="x"), clue(B, 5, serial="y"), clue(C, 1, serial="x"), clue(D, 6, serial="y")],
            [(f"DJI-{number}", "name, camera serial") for number in (1, 2, 1, 2)],
            id="two cameras by serial number",
        ),
        pytest.param(
            [clue(A, 0, model="FC220"), clue(B, 5, model="FC6310")],
            [("DJI-1", "name, camera model"), ("DJI-2", "name, camera model")],
            id="two cameras by model",
        ),
        pytest.param(
            [clue(A, 0, serial="x", model="M30T"), clue(B, 1, serial="x", model="M30T wide")],
            [("DJI", "name")] * 2,
            id="two models of one serial number",
        ),
        pytest.param(
            [clue(A, 0, serial="x"), clue(B, 0, serial="y"), clue(C, 1, serial="x"), clue(D, 1, serial="y")],
            [("DJI", "name")] * 4,
            id="two cameras on one drone release together",
        ),
        pytest.param(
            [clue(A, 0, serial="x"), clue(B, 0, north(1), serial="y"), clue(C, 1, serial="x")],
            [("DJI-1", "name, camera serial"), ("DJI-2", "name, camera serial"), ("DJI-1", "name, camera serial")],
            id="two drones at the same time 1 km apart",
        ),
        pytest.param(
            [clue(A, 0, serial="x"), clue(B, 90, serial="x"), clue(C, 95, serial="y")],
            [
                ("DJI-1", "name, camera serial, pause of 1.5 h"),
                ("DJI-2", "name, camera serial, pause of 1.5 h"),
                ("DJI-3", "name, camera serial"),
            ],
            id="a camera and a pause",
        ),
        pytest.param(
            [clue(A, 0), clue(B), clue(C, 60), clue(D)],
            [
                ("DJI-1", "name, pause of 60 min"),
                ("DJI-1", "name, next to DJI_0001.JPG"),
                ("DJI-2", "name, pause of 60 min"),
                ("DJI-2", "name, next to DJI_0003.JPG"),
            ],
            id="without a time: with the neighbour by name",
        ),
        pytest.param([clue(A), clue(B), clue(C)], [("DJI", "name")] * 3, id="no times at all"),
        pytest.param(
            [clue(A), clue(B), clue(C, None, north(9))],
            [("DJI-1", "name, 9.0 km apart")] * 2 + [("DJI-2", "name, 9.0 km apart")],
            id="places without times",
        ),
        pytest.param(
            [clue(A, 0, None), clue(B, 1, None), clue(C, 60 * 24 * 3, None)],
            [("DJI-1", "name, pause of 3 days")] * 2 + [("DJI-2", "name, pause of 3 days")],
            id="times without places",
        ),
        pytest.param(
            [clue("a/x_1.jpg", 0), clue("a/x_2.jpg", 500), clue("b/x_1.jpg", 0, north(99))],
            [("a", "folder"), ("a", "folder"), ("b", "folder")],
            id="a folder is never split",
        ),
        pytest.param(
            [clue(A, 0), clue(B, 60), clue("DJI-1_0001.JPG", 0)],
            [("DJI-2", "name, pause of 60 min"), ("DJI-3", "name, pause of 60 min"), ("DJI-1", "name")],
            id="a name that is taken",
        ),
        pytest.param(
            [clue("100MEDIA/DJI_0999.JPG", 0), clue("101MEDIA/DJI_0001.JPG", 1)],
            [("DJI", "name")] * 2,
            id="the counter starts again on the next card folder",
        ),
        pytest.param([], [], id="nothing"),
    ],
)
def test_flights_from_time_place_and_camera(clues, expected):
    assert inferred(*clues) == expected


def test_limits_are_parameters():
    clues = [clue(A, 0), clue(B, 5), clue(C, 6, north(0.5))]
    assert len({flight for flight, _ in inferred(*clues)}) == 1
    assert len({flight for flight, _ in inferred(*clues, pause_s=60)}) == 2
    assert len({flight for flight, _ in inferred(*clues, jump_m=100)}) == 2


def test_a_table_is_never_split(tmp_path):
    table = table_of(tmp_path, "image,flight\nDJI_*,all\n")
    assert inferred(clue(A, 0), clue(B, 999, north(50)), table=table) == [("all", "table")] * 2


def test_times_with_and_without_offset_are_compared_as_the_clocks_read():
    abroad = NOON.replace(tzinfo=timezone(timedelta(hours=9)))
    clues = [clue(A, 0), clue(B, 1, start=abroad), clue(C, 2)]
    assert inferred(*clues) == [("DJI", "name")] * 3
    in_utc = [clue(A, 0, start=abroad), clue(B, 1, start=abroad.astimezone(UTC))]
    assert inferred(*in_utc) == [("DJI", "name")] * 2


@settings(max_examples=40)
@given(
    st.lists(
        st.builds(
            clue,
            st.from_regex(r"(a/|b/)?[xy]_?[0-9]{0,3}\.jpg", fullmatch=True),
            st.none() | st.integers(0, 100),
            st.none() | st.just(HERE) | st.just(north(9)),
            st.none() | st.sampled_from("pq"),
            st.none() | st.sampled_from("mn"),
        ),
        max_size=12,
    )
)
def test_every_photograph_gets_a_flight_and_a_reason(clues):
    found = infer_flights(clues)
    assert len(found) == len(clues)
    assert all(flight.flight and flight.evidence for flight in found)
    for clue_a, flight_a in zip(clues, found, strict=True):
        for clue_b, flight_b in zip(clues, found, strict=True):
            if clue_a.name == clue_b.name and clue_a == clue_b:
                assert (
                    flight_a == flight_b or flight_a.evidence.startswith("name, next to") or clue_a.captured_at is None
                )
    flight_findings(clues, found, now=NOW)


def found(*clues):
    return flight_findings(clues, infer_flights(clues), now=NOW)


OTHER = clue("other/x_1.jpg", 0)


@pytest.mark.parametrize(
    ("clues", "code", "what"),
    [
        pytest.param(
            [clue("a/DJI_0001.JPG", 0), clue("a/DJI_0002.JPG", 43), OTHER],
            "flight-pause",
            "the folder holds photographs with a pause of 43 min (between DJI_0001.JPG and DJI_0002.JPG)",
            id="a pause within a folder",
        ),
        pytest.param(
            [clue("a/DJI_0001.JPG", 0), clue("a/DJI_0002.JPG", 1, north(5)), OTHER],
            "flight-jump",
            "the folder holds photographs 5.0 km apart (between DJI_0001.JPG and DJI_0002.JPG)",
            id="a jump within a folder",
        ),
        pytest.param(
            [clue("a/DJI_0001.JPG", 0, serial="p"), clue("a/DJI_0002.JPG", 1, serial="q"), OTHER],
            "flight-camera",
            "the folder holds photographs of several cameras",
            id="two cameras within a folder",
        ),
        pytest.param(
            [clue(A, 0, start=datetime(2000, 1, 1)), clue(B, 1, start=datetime(2000, 1, 1))],
            "clock",
            "2 photographs were taken before 2006 (DJI_0001.JPG: 2000-01-01 00:00:00)",
            id="a clock that was never set",
        ),
        pytest.param(
            [clue(A, 0, start=datetime(2031, 1, 1))],
            "clock",
            "1 photograph was taken in the future (DJI_0001.JPG: 2031-01-01 00:00:00)",
            id="in the future",
        ),
        pytest.param(
            [clue(A, 0), clue(B, 1, start=NOON.replace(tzinfo=UTC)), clue(C, 2)],
            "clock",
            "1 photograph was taken with a UTC offset, 2 without",
            id="mixed offsets",
        ),
        pytest.param(
            [clue(A, 9), clue(B, 6), clue(C, 3), clue(D, 0)],
            "clock",
            "times go back 3 times along the frame numbers (first: DJI_0002.JPG)",
            id="names against time",
        ),
    ],
)
def test_contradictions_are_warnings(clues, code, what):
    (finding,) = found(*clues)
    assert (finding.severity, finding.code, finding.what) == ("warning", code, what)
    assert finding.cure


@pytest.mark.parametrize(
    "clues",
    [
        pytest.param([clue(A, 0), clue(B, 1), clue(C, 2)], id="in order"),
        pytest.param([clue("a/x_1.jpg", 0), clue("a/x_2.jpg", 1), OTHER], id="a folder per flight"),
        pytest.param(
            [clue("DJI_0001.JPG", 5), clue("DJI_0998.JPG", 0), clue("DJI_0999.JPG", 1)], id="the counter restarts"
        ),
        pytest.param([clue(A), clue(B)], id="no times"),
        pytest.param([clue(A, 0), clue(B, 999)], id="a pause that split the flight"),
    ],
)
def test_what_is_in_order_is_not_reported(clues):
    assert found(*clues) == []


def clues_below(folder, *patterns):
    if not folder.exists():
        pytest.skip("the real photographs are not here")
    paths = sorted(path for pattern in patterns for path in folder.glob(pattern))
    return [clue_of(PurePosixPath(path.relative_to(folder).as_posix()), read_metadata(path)) for path in paths]


def test_brighton_is_one_flight():
    clues = clues_below(SHARED / "metadata/brighton_dji_fc300s", "*.JPG")
    assert set(inferred(*clues)) == {("DJI", "name")}
    assert flight_findings(clues, infer_flights(clues), now=NOW) == []


def test_agung_is_three_flights_by_camera():
    clues = clues_below(SHARED / "metadata/agung_dji_fc8482", "DJI_*.JPG")
    assert inferred(*clues) == [(f"DJI-{number}", "name, camera serial") for number in (1, 2, 3)]


def test_stills_of_two_places_and_four_days_are_told_apart():
    clues = clues_below(SHARED, "stills-4k/labelled_4k/images/*.JPG", "metadata/brighton_dji_fc300s/*.JPG")
    mixed = [PhotoClue(PurePosixPath(c.name.name), c.captured_at, c.latitude_deg, c.longitude_deg) for c in clues]
    counts = Counter(flight for flight, _ in inferred(*mixed))
    assert counts == {"DJI-1": 6, "DJI-2": 6}


def test_aerial_cars_keep_the_flights_of_their_table():
    root = SHARED / "aerial-cars"
    clues = clues_below(root / "images", "*.jpg", "*.JPG", "*.png")
    table = read_table(root / "sequences.csv")
    found = infer_flights(clues, table=table)
    assert {flight.evidence for flight in found} == {"table"}
    assert Counter(flight.flight for flight in found) == {
        "DJI-00760": 11,
        "DJI_0005": 26,
        "DJI_0013": 4,
        "DJI_0762": 8,
        "MunichStreet02": 20,
        "still_2018-03-26_Minsk": 2,
    }
    assert check_table(table, [clue.name for clue in clues]) == []


@pytest.fixture(scope="module")
def synthetic(tmp_path_factory):
    root = tmp_path_factory.mktemp("synthetic") / "survey"
    synthesise(SceneSettings(flights=2, photos=2, size_px=(320, 240), seed=5), root, workers=1)
    paths = sorted((root / "images").rglob("*.jpg"))
    return root, [clue_of(PurePosixPath(p.relative_to(root / "images").as_posix()), read_metadata(p)) for p in paths]


@pytest.mark.parametrize("form", ["table", "folder", "name"])
def test_synthetic_surveys_keep_their_flights(synthetic, form):
    root, clues = synthetic
    expected = [clue.name.parts[0] for clue in clues]
    table = read_table(root / "flights.csv") if form == "table" else None
    if form == "name":
        clues = [PhotoClue(PurePosixPath(c.name.name), *list(vars(c).values())[1:]) for c in clues]
    found = infer_flights(clues, table=table)
    assert [flight.flight for flight in found] == expected
    assert {flight.evidence for flight in found} == {form}
    assert flight_findings(clues, found, now=datetime(2100, 1, 1)) == []
