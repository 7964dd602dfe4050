"""Flights: a table first, then a folder per flight, then the name in front of the frame number."""

from pathlib import PurePosixPath

import pytest

from overflight.data.flights import assign_flights, check_table, flight_from_name, frame_number, read_table


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
