"""Tables of boxes: columns by name, DeepForest's ways, and helpful words about everything else."""

import csv

import numpy as np
import pytest

from label_sources import SHARED, codes, label_set, photo_labels, place, read_source, write_and_read
from overflight.data.files import find_files
from overflight.data.formats import boxes_csv
from overflight.errors import InputError

DEEPFOREST = SHARED / "formats/deepforest"
needs_photographs = pytest.mark.skipif(not DEEPFOREST.exists(), reason="the real photographs are not here")
HEADER = "image_path,xmin,ymin,xmax,ymax,label\n"
ROW = "a.jpg,10,20,30.5,40,car\n"


def read(tmp_path, text, **others):
    sizes = others.pop("sizes", None)
    return read_source(boxes_csv, tmp_path, {"boxes.csv": text, "a.jpg": None} | others, sizes=sizes)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(HEADER + ROW, id="DeepForest"),
        pytest.param("\ufeff" + (HEADER + ROW).replace("\n", "\r\n"), id="BOM, CRLF"),
        pytest.param("filename,class,xmin,ymin,xmax,ymax\na.jpg,car,10,20,30.5,40\n", id="other order"),
        pytest.param("Image, X1, Y1, X2, Y2, Class\n" + ROW.replace(",", ", "), id="other names, blanks"),
        pytest.param(
            "file_name,left,top,right,bottom,category\n\n" + ROW + "\n", id="left top right bottom, empty lines"
        ),
        pytest.param(
            "filename,width,height,class,xmin,ymin,xmax,ymax\na.jpg,100,80,car,10,20,30.5,40\n", id="with the size"
        ),
        pytest.param(HEADER.replace(",", ", ") + 'a.jpg, 10, 20, 30.5, 40, "car"', id="blanks before quotes"),
        pytest.param(HEADER + '"a.jpg","10","20","30.5","40","car"', id="quoted, no line end"),
    ],
)
def test_columns_are_found_by_their_usual_names(tmp_path, text):
    labels = read(tmp_path, text)
    found = labels.photos["a.jpg"]
    assert found.xyxy_px.tolist() == [[10, 20, 30.5, 40]]
    assert labels.classes == ("car",)
    assert labels.findings == labels.refused == labels.losses == ()


def test_semicolons_between_the_columns_are_understood_and_told(tmp_path):
    files = place(tmp_path, {"boxes.csv": (HEADER + ROW).replace(",", ";"), "a.jpg": None})
    sniffed = boxes_csv.sniff(files)
    assert "semicolons" in sniffed.evidence
    labels = boxes_csv.read(files, {"a.jpg": (100, 80)}, labels=sniffed.labels)
    assert labels.photos["a.jpg"].xyxy_px.tolist() == [[10, 20, 30.5, 40]]
    assert labels.findings == labels.refused == ()


def test_decimal_commas_are_refused(tmp_path):
    labels = read(tmp_path, (HEADER + ROW).replace(",", ";").replace("30.5", "30,5"))
    (refused,) = labels.refused
    assert (refused.finding.code, refused.finding.where) == ("not-a-number", "boxes.csv:2")
    assert "'30,5'" in refused.finding.what


def test_names_may_hold_blanks_and_commas(tmp_path):
    rows = '"Lake, 2020 b.JPG",1,2,3,4,"pelican, white"\nAWPE Pigeon Lake.JPG,5,6,7,8,gull\n'
    photos = {"images/Lake, 2020 b.JPG": None, "images/AWPE Pigeon Lake.JPG": None}
    labels = read_source(boxes_csv, tmp_path, {"t.csv": HEADER + rows} | photos)
    assert labels.classes == ("gull", "pelican, white")
    assert {key: found.class_ids.tolist() for key, found in labels.photos.items()} == {
        "images/Lake, 2020 b.JPG": [1],
        "images/AWPE Pigeon Lake.JPG": [0],
    }


def test_numbers_are_lines_of_the_file(tmp_path):
    labels = read(tmp_path, HEADER + "\n" + ROW * 2)
    assert labels.photos["a.jpg"].where(1) == "boxes.csv:4"


@pytest.mark.parametrize(
    ("rows", "boxes", "losses"),
    [
        pytest.param("a.jpg,,,,,\n", [], (), id="no coordinates"),
        pytest.param(
            "a.jpg,0,0,0,0,car\n",
            [],
            ("1 row 0,0,0,0 stands for a photograph without objects",),
            id="DeepForest's zeros",
        ),
        pytest.param("a.jpg,0,0,0,0,\n", [], (), id="zeros without a class"),
        pytest.param("a.jpg,0,0,0,0,car\n" + ROW, [[0, 0, 0, 0], [10, 20, 30.5, 40]], (), id="zeros beside a box"),
    ],
)
def test_photographs_without_objects(tmp_path, rows, boxes, losses):
    labels = read(tmp_path, HEADER + rows)
    assert labels.photos["a.jpg"].xyxy_px.tolist() == boxes
    assert labels.losses == losses
    assert labels.findings == ()


def test_columns_that_are_not_read_are_named(tmp_path):
    labels = read(tmp_path, "score,image_path,xmin,ymin,xmax,ymax,label,site\n0.5," + ROW[:-1] + ",north\n")
    assert labels.losses == ("2 columns were not read: 'score, site'",)


@pytest.mark.parametrize(
    ("row", "code", "photo"),
    [
        pytest.param("a.jpg,10,20,30,40", "columns", "", id="column missing"),
        pytest.param("a, b.jpg,10,20,30,40,car", "columns", "", id="name with a comma, not quoted"),
        pytest.param(",10,20,30,40,car", "no-box", "", id="no photograph"),
        pytest.param("a.jpg,10,20,,40,car", "no-box", "a.jpg", id="coordinate missing"),
        pytest.param("a.jpg,10,20,wide,40,car", "not-a-number", "a.jpg", id="a word"),
        pytest.param('a.jpg,10,20,"3,5",40,car', "not-a-number", "a.jpg", id="decimal comma"),
        pytest.param("a.jpg,10,20,nan,40,car", "not-finite", "a.jpg", id="NaN"),
        pytest.param("a.jpg,10,20,1e999,40,car", "not-finite", "a.jpg", id="too large"),
        pytest.param("a.jpg,10,20,30,40,", "unknown-class", "a.jpg", id="no class"),
    ],
)
def test_a_row_that_is_no_box_is_refused_with_its_line(tmp_path, row, code, photo):
    labels = read(tmp_path, HEADER + ROW + row + "\n" + ROW)
    (refused,) = labels.refused
    assert (refused.finding.code, refused.finding.where, refused.finding.photo) == (code, "boxes.csv:3", photo)
    assert refused.finding.cure
    assert (labels.boxes, labels.boxes_in) == (2, 3)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param(ROW, "no first line", id="RetinaNet: no header"),
        pytest.param("a.jpg,,,,,\n" + ROW, "no first line", id="no header, first photograph empty"),
        pytest.param((HEADER + ROW).replace(",", ";") + "a.jpg;1;2\n", "semicolons", id="semicolons, a short line"),
        pytest.param((HEADER + ROW).replace(",", "\t"), "tabs", id="tabs"),
        pytest.param(HEADER + '"a.jpg,10,20,30,40,car\n', "after line", id="quote never closed"),
        pytest.param((HEADER + ROW).encode() + b"\xff", "not UTF-8", id="Latin-1"),
    ],
)
def test_a_table_that_cannot_be_used_says_what_to_do(tmp_path, text, message):
    files = place(tmp_path, {"boxes.csv": text, "a.jpg": None})
    with pytest.raises(InputError, match=message) as error:
        boxes_csv.read(files, {"a.jpg": (100, 80)}, labels=boxes_csv.sniff(files).labels)
    assert error.value.cure


def test_missing_columns_are_named(tmp_path):
    files = place(tmp_path, {"boxes.csv": "image,x,y,width,height,label\na.jpg,1,2,3,4,car\n", "a.jpg": None})
    assert boxes_csv.sniff(files) is None
    with pytest.raises(InputError, match="no column xmin, ymin, xmax, ymax"):
        boxes_csv.read(files, {}, labels=("boxes.csv",))


@pytest.mark.parametrize(
    ("others", "expected", "boxes"),
    [
        pytest.param({"more.csv": HEADER + "b.jpg,1,2,3,4,car\n" * 3}, ["missing-photo"] * 2, 4, id="absent"),
        pytest.param({"b.jpg": None}, ["missing-labels"], 1, id="photograph without labels"),
        pytest.param({"more.csv": HEADER + ROW}, ["same-name"], 2, id="two tables for one photograph"),
        pytest.param({"more.csv": HEADER + '"'}, ["damaged"], 1, id="a second, damaged table"),
        pytest.param({"sizes": {}}, ["unreadable-photo"], 1, id="unreadable photograph"),
        pytest.param({"sizes": {"a.jpg": (90, 80)}, "more.csv": "x,y\n"}, [], 1, id="a table of something else"),
    ],
)
def test_every_photograph_and_row_is_accounted_for(tmp_path, others, expected, boxes):
    labels = read(tmp_path, HEADER + ROW, **others)
    assert codes(labels) == expected
    assert labels.boxes_in == boxes


def test_a_declared_list_of_classes_is_binding(tmp_path):
    labels = read(tmp_path, HEADER + ROW + ROW.replace("car", "boat"), **{"classes.txt": "bus\ncar\n"})
    assert labels.classes == ("bus", "car")
    assert codes(labels) == ["unknown-class"]


def test_written_files_come_back_exactly(tmp_path):
    labels = label_set(
        {
            'north/a, "b".JPG': photo_labels([[0.25, 1, 19999.9996, 7], [9, 9, 3, 3]], class_ids=[1, 0]),
            "north/a.png": photo_labels([[1, 2, 3, 4]], class_ids=[2]),
            "empty.jpg": photo_labels([]),
        },
        classes=("van, small", "bus", "boat", "unused"),
    )
    written, photos, again = write_and_read(boxes_csv, labels, tmp_path)
    assert written.losses == again.findings == again.refused == ()
    assert again.classes == labels.classes
    for key, found in labels.photos.items():
        np.testing.assert_allclose(photos[key].xyxy_px, found.xyxy_px, atol=1e-4)
        np.testing.assert_array_equal(photos[key].class_ids, found.class_ids)


def test_what_a_table_cannot_hold_is_said(tmp_path):
    tilted = [[50, 10], [60, 20], [50, 30], [40, 20]]
    labels = label_set(
        {
            "a.jpg": photo_labels([], corners=[tilted, tilted], ignored=[False, True]),
            "b.jpg": photo_labels([[0, 0, 0, 0]]),
        }
    )
    written, _, _ = write_and_read(boxes_csv, labels, tmp_path)
    assert written.losses == (
        "1 oriented box became upright",
        "1 ignored region was left out",
        "1 box 0,0,0,0 stands for no object",
    )


@needs_photographs
@pytest.mark.parametrize(
    ("table", "classes", "boxes", "absent"),
    [
        pytest.param("OSBS_029.csv", ("Tree",), 61, 0, id="GeoTIFF"),
        pytest.param("example.csv", ("Tree",), 79, 0, id="PNG"),
        pytest.param("testfile_multi.csv", ("Alive", "Dead"), 37, 1, id="photograph absent"),
    ],
)
def test_tables_of_deepforest_are_read_to_the_last_row(tmp_path, table, classes, boxes, absent):
    (tmp_path / table).write_bytes((DEEPFOREST / table).read_bytes())
    for photo in ("OSBS_029.tif", "2019_YELL_2_541000_4977000_image_crop.png"):
        (tmp_path / photo).write_bytes(b"x")
    files = find_files(tmp_path)
    sizes = {photo.key: (1500, 1500) for photo in files.photos}
    labels = boxes_csv.read(files, sizes, labels=boxes_csv.sniff(files).labels)
    assert labels.classes == classes
    assert labels.boxes_in == boxes
    assert [f.code for f in labels.findings].count("missing-photo") == absent
    with (DEEPFOREST / table).open(newline="") as handle:
        rows = [[float(row[name]) for name in boxes_csv.CORNERS] for row in csv.DictReader(handle)]
    if not absent:
        np.testing.assert_array_equal(np.concatenate([found.xyxy_px for found in labels.photos.values()]), rows)
