"""VisDrone: eight numbers a line, categories from 0, ignored regions kept apart."""

import numpy as np
import pytest

from label_sources import codes, label_set, photo_labels, place, read_source, write_and_read
from overflight.data.formats import visdrone

CAR = "10,20,30,40,1,4,0,0\n"


def read(tmp_path, text, **others):
    sizes = others.pop("sizes", None)
    contents = {"annotations/a.txt": text, "images/a.jpg": None} | others
    return read_source(visdrone, tmp_path, contents, sizes=sizes)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(CAR, id="as in the set"),
        pytest.param("10,20,30,40,1,4,0,0,\n", id="comma at the end"),
        pytest.param("\ufeff10, 20, 30, 40, 1, 4, 0, 0\r\n\r\n", id="BOM, CRLF, blanks"),
        pytest.param("10.0,20,30.0,40,1,4,0,0", id="decimals, no line end"),
    ],
)
def test_left_top_width_height_become_corners(tmp_path, text):
    labels = read(tmp_path, text)
    found = labels.photos["images/a.jpg"]
    assert found.xyxy_px.tolist() == [[10, 20, 40, 60]]
    assert labels.classes == visdrone.CLASSES
    assert labels.classes[found.class_ids[0]] == "car"
    assert found.ignored is None
    assert labels.findings == labels.losses == ()


def test_ignored_regions_and_scores_of_0_are_ignored_and_flags_counted(tmp_path):
    labels = read(tmp_path, CAR + "1,1,5,5,0,0,0,0\n2,2,5,5,0,10,1,2\n3,3,5,5,1,11,0,1\n")
    found = labels.photos["images/a.jpg"]
    assert found.ignored.tolist() == [False, True, True, False]
    assert found.class_ids.tolist() == [3, 0, 9, 10]
    assert labels.classes == (*visdrone.CLASSES, "others")
    assert labels.losses == (
        "1 box with score 0 is an ignored region, as in VisDrone's toolkit",
        "1 object is marked truncated",
        "2 objects are marked occluded",
    )


@pytest.mark.parametrize(
    ("line", "code", "what"),
    [
        pytest.param("10,20,30,40,1,4,0", "columns", "7 columns", id="column missing"),
        pytest.param("1,1,10,20,30,40,1,4,0,0", "columns", "10 columns", id="video"),
        pytest.param("10;20;30;40;1;4;0;0", "columns", "1 columns", id="semicolons"),
        pytest.param("10,20,wide,40,1,4,0,0", "not-a-number", "width is 'wide'", id="a word"),
        pytest.param("10,20,nan,40,1,4,0,0", "not-finite", "width", id="NaN"),
        pytest.param("10,20," + "9" * 5000 + ",40,1,4,0,0", "not-finite", "width", id="5000 digits"),
        pytest.param("10,20,30,,1,4,0,0", "no-box", "height is missing", id="nothing between commas"),
        pytest.param("10,20,30,40,1,12,0,0", "unknown-class", "category 12", id="category too high"),
        pytest.param("10,20,30,40,1,-1,0,0", "unknown-class", "category -1", id="category below 0"),
        pytest.param("10,20,30,40,1,4.5,0,0", "unknown-class", "4.5 is not a whole number", id="broken category"),
    ],
)
def test_a_line_that_is_no_box_is_refused_with_its_number(tmp_path, line, code, what):
    labels = read(tmp_path, CAR + line + "\n" + CAR)
    (refused,) = labels.refused
    assert (refused.finding.code, refused.finding.where) == (code, "annotations/a.txt:2")
    assert what in refused.finding.what
    assert refused.finding.photo == "images/a.jpg"
    assert len(refused.raw) <= 200
    assert (labels.boxes, labels.boxes_in) == (2, 3)


@pytest.mark.parametrize(
    ("others", "expected", "boxes"),
    [
        pytest.param(
            {"annotations/b.txt": CAR * 3}, ["missing-photo"] * 2, 4, id="absent: its size is declared nowhere"
        ),
        pytest.param({"images/b.jpg": None}, ["missing-labels"], 1, id="photograph without labels"),
        pytest.param({"annotations/b.txt": "\n", "images/b.jpg": None}, [], 1, id="photograph without objects"),
        pytest.param({"sizes": {}}, ["unreadable-photo"], 1, id="unreadable photograph"),
        pytest.param({"annotations/b.txt": b"\x00\x01", "images/b.jpg": None}, ["damaged"], 1, id="binary"),
    ],
)
def test_every_photograph_and_line_is_accounted_for(tmp_path, others, expected, boxes):
    labels = read(tmp_path, CAR, **others)
    assert codes(labels) == expected
    assert labels.boxes_in == boxes


@pytest.mark.parametrize(
    ("names", "category", "expected"),
    [
        pytest.param("boat\nbuoy\n", 2, "buoy", id="line k is category k"),
        pytest.param("ignored regions\nboat\nbuoy\n", 2, "buoy", id="with a line for category 0"),
        pytest.param("".join(f"{name}\n" for name in visdrone.CLASSES), 11, "others", id="VisDrone's own ten"),
    ],
)
def test_a_list_of_classes_is_honoured(tmp_path, names, category, expected):
    labels = read(tmp_path, f"10,20,30,40,1,{category},0,0\n", **{"classes.txt": names})
    assert labels.classes[labels.photos["images/a.jpg"].class_ids[0]] == expected


def test_a_category_beyond_the_list_is_refused(tmp_path):
    assert codes(read(tmp_path, CAR, **{"classes.txt": "boat\n"})) == ["unknown-class"]


@pytest.mark.parametrize("text", ["0 0.5 0.5 0.2 0.1\n", "1,1,10,20,30,40,1,4,0,0\n", "a,b,c,d,e,f,g,h\n"])
def test_other_text_is_not_recognised(tmp_path, text):
    assert visdrone.sniff(place(tmp_path, {"annotations/a.txt": text, "images/a.jpg": None})) is None


def test_written_files_come_back_exactly(tmp_path):
    labels = label_set(
        {
            "north/a.JPG": photo_labels([[0.25, 1, 19999.9996, 7], [9, 9, 3, 3]], class_ids=[1, 0]),
            "north/a.png": photo_labels([[1, 2, 3, 4], [5, 6, 7, 8]], class_ids=[2, 0], ignored=[False, True]),
            "empty.jpg": photo_labels([]),
        },
        classes=("small car", "bus", "unused", "van")[:3],
    )
    written, photos, again = write_and_read(visdrone, labels, tmp_path)
    assert written.losses == again.losses == again.findings == ()
    assert again.classes == labels.classes
    for key, found in labels.photos.items():
        np.testing.assert_allclose(photos[key].xyxy_px, found.xyxy_px, atol=1e-3)
        np.testing.assert_array_equal(photos[key].class_ids, found.class_ids)
    assert photos["north/a.png"].ignored.tolist() == [False, True]
    assert (tmp_path / "annotations/north/a.png.txt").read_text() == "1,2,2,2,1,3,0,0\n5,6,2,2,0,0,0,0\n"


def test_visdrones_own_classes_need_no_list_and_losses_are_said(tmp_path):
    tilted = [[50, 10], [60, 20], [50, 30], [40, 20]]
    labels = label_set(
        {"a.jpg": photo_labels([], corners=[tilted, tilted], class_ids=[3, 3], ignored=[False, True])}, visdrone.CLASSES
    )
    written, _, again = write_and_read(visdrone, labels, tmp_path)
    assert written.losses == ("2 oriented boxes became upright", "1 ignored region lost its class")
    assert not (tmp_path / "classes.txt").exists()
    assert again.classes == visdrone.CLASSES
